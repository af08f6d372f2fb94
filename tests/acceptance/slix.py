"""One unmodified slixmpp client, run as a program of its own (it brings asyncio, our tests gevent).

    python slix.py '{"jid": ..., "password": ..., "port": ..., "direct": bool, "ca": file, "register": bool}'

Standard output says what happens to it and standard input what to do, both as JSON lines:

-> ["subscribe", "juliet@localhost"]   ["chat", "juliet@localhost", "hi"]   ["away"]   ["quit"]
<- ["online", "romeo@localhost/x", "SCRAM-SHA-512", "TLSv1.3"]   ["roster", jid, "both"]   ["presence", jid, "available"]
   ["chat", jid, "hi", "2026-01-01T00:00:00Z" or ""]   ["stream error", condition]   ["gone"]   ["failed", reason]
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.exceptions import IqError


def say(*words: Any) -> None:
    print(json.dumps([str(word) for word in words]), flush=True)


class Person(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, direct: bool, ca: str, register: bool) -> None:
        super().__init__(jid, password)
        self.ca_certs = Path(ca)
        self.enable_direct_tls, self.enable_starttls = direct, not direct
        for plugin in ("xep_0030", "xep_0077", "xep_0199", "xep_0203"):
            self.register_plugin(plugin)
        if register:
            self.plugin["xep_0077"].force_registration = True
            self.add_event_handler("register", self.on_register)
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("roster_update", self.on_roster)
        self.add_event_handler("stream_error", lambda error: say("stream error", error["condition"]))
        self.add_event_handler("failed_all_auth", lambda _: say("failed", "no mechanism let me in"))
        for kind in ("available", "unavailable", "away"):
            self.add_event_handler(f"presence_{kind}", lambda p, kind=kind: say("presence", p["from"], kind))

    async def on_register(self, _: Any) -> None:
        form = self.Iq()
        form["type"] = "set"
        form["register"]["username"], form["register"]["password"] = self.boundjid.user, self.password
        try:
            await form.send()
            say("registered")
        except IqError as error:
            say("failed", error.condition)

    async def on_session(self, _: Any) -> None:
        await self.get_roster()
        self.send_presence()
        say("online", self.boundjid.full, self.plugin["feature_mechanisms"].mech.name, self.socket.version())

    def on_message(self, message: Any) -> None:
        if message["type"] in ("chat", "normal"):
            stamp = message["delay"]["stamp"] if message.get_plugin("delay", check=True) else ""
            say("chat", message["from"].bare, message["body"], stamp)

    def on_roster(self, iq: Any) -> None:
        for jid, item in iq["roster"]["items"].items():
            say("roster", jid, item["subscription"])

    def do(self, action: str, *words: str) -> None:
        match action:
            case "subscribe":
                self.send_presence_subscription(words[0])
            case "chat":
                self.send_message(words[0], words[1], mtype="chat")
            case "away":
                self.send_presence(pshow="away")
            case "quit":
                self.disconnect()


async def main() -> None:
    setting = json.loads(sys.argv[1])
    port = setting.pop("port")
    person = Person(**setting)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    person.connect("127.0.0.1", port)

    async def obey() -> None:
        while line := await commands.readline():
            person.do(*json.loads(line))

    obeying = asyncio.create_task(obey())
    await person.disconnected
    obeying.cancel()
    say("gone")


asyncio.run(main())
