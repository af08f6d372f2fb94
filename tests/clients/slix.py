"""slixmpp, unmodified, in the protocol of conftest.py."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import slixmpp
from aiohttp import ClientSession
from slix_nodes import Nodes


def say(*words: Any) -> None:
    print(json.dumps([str(word) for word in words]), flush=True)


class Person(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, port: int, ca: str) -> None:
        super().__init__(jid, password)
        self.ca_certs, self.port, self.leaving = Path(ca), port, False
        for plugin in (
            "xep_0030",
            "xep_0191",
            "xep_0198",
            "xep_0280",
            "xep_0313",
            "xep_0084",
            "xep_0363",
            "xep_0402",
        ):
            self.register_plugin(plugin)
        self.register_plugin("xep_0065", {"auto_accept": True})
        self.nodes = Nodes(self, say)
        self.came = bytearray()
        self.add_event_handler("socks5_data", self.came.extend)
        self.add_event_handler("socks5_closed", lambda _: say("bytes", bytes(self.came).decode()))
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("session_resumed", lambda _: say("resumed"))
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("carbon_sent", lambda m: self.on_copy("sent", m["carbon_sent"]))
        self.add_event_handler("carbon_received", lambda m: self.on_copy("received", m["carbon_received"]))
        self.add_event_handler("blocked", lambda iq: say("push", "blocked", *jids(iq["block"])))
        self.add_event_handler("unblocked", lambda iq: say("push", "unblocked", *jids(iq["unblock"])))
        self.add_event_handler("failed_all_auth", lambda _: say("failed", "no mechanism let me in"))
        self.add_event_handler("disconnected", self.on_disconnected)

    def plug_in(self) -> None:
        self.connect("127.0.0.1", self.port)

    def on_disconnected(self, _: Any) -> None:
        if not self.leaving:  # slixmpp leaves it to its user to connect again
            self.plug_in()

    async def on_session(self, _: Any) -> None:
        await self.get_roster()
        self.send_presence()
        say("online", self.boundjid.full)

    def on_message(self, message: Any) -> None:
        if message["body"]:
            say("chat", message["from"].bare, message["body"])

    def on_copy(self, kind: str, copy: Any) -> None:
        say("copy", kind, copy["from"].full, copy["to"].full, copy["body"])

    async def send_bytes(self, to: str, text: str) -> None:
        """By a proxy that it finds itself."""
        stream = await self.plugin["xep_0065"].handshake(slixmpp.JID(to))
        await stream.write(text.encode())
        stream.transport.close()

    async def pages(self, size: str) -> None:
        async for page in self.plugin["xep_0313"].retrieve(iterator=True, rsm={"max": int(size)}):
            say("page", *bodies(page))

    async def pages_back(self, size: str) -> None:
        """Its iterator stops at a page that ends with the last item, also on the way back: it is asked for one only."""
        archive, asked = self.plugin["xep_0313"], {"max": int(size)}
        page = await anext(archive.retrieve(iterator=True, reverse=True, rsm=asked))
        say("page", *bodies(page))
        while page["mam_fin"]["complete"] != "true":
            page = await archive.retrieve(rsm=asked | {"before": page["mam_fin"]["rsm"]["first"]})
            say("page", *bodies(page))

    async def fetch(self, url: str) -> None:
        async with ClientSession() as session, session.get(url) as answer:
            say("file", answer.status, answer.content_type, await answer.text())

    async def do(self, action: str, *words: str) -> None:
        blocking = self.plugin["xep_0191"]
        match action:
            case "chat":
                self.send_message(words[0], words[1], mtype="chat")
                await (
                    self.waiting_queue.join()
                )  # slixmpp loses what it has not written yet when the wire is cut
            case "carbons":
                await self.plugin["xep_0280"].enable()
            case "pages":
                await self.pages(words[0])
            case "pages back":
                await self.pages_back(words[0])
            case "bytes":
                await self.send_bytes(*words)
            case "upload":
                say("url", await self.plugin["xep_0363"].upload_file(words[0]))
            case "fetch":
                await self.fetch(words[0])
            case "block":
                await blocking.block(slixmpp.JID(words[0]))
            case "unblock":
                await blocking.unblock(slixmpp.JID(words[0]))
            case "blocklist":
                say("blocklist", *await blocking.get_blocked_jids())
            case "quit":
                self.leaving = True
                await self.disconnect()
            case _:
                await self.nodes.do(action, *words)
        say("did", action)


def bodies(page: Any) -> list[str]:
    return [result["mam_result"]["forwarded"]["stanza"]["body"] for result in page["mam"]["results"]]


def jids(items: Any) -> list[str]:
    return [str(item["jid"]) for item in items]


async def main() -> None:
    person = Person(**json.loads(sys.argv[1]))
    person.plug_in()
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    while not person.leaving and (line := await commands.readline()):
        await person.do(*json.loads(line))


asyncio.run(main())
