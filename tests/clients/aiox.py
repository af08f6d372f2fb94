"""aioxmpp, unmodified, in the protocol of conftest.py.

It knows no archive, but result sets (XEP-0059) and forwarding: what XEP-0313 adds is told to it here.
"""

import asyncio
import json
import sys
from typing import Any

import aioxmpp
from aiox_nodes import Nodes
from aioxmpp import xso
from aioxmpp.misc import Forwarded
from aioxmpp.rsm.xso import ResultSetMetadata

MAM = "urn:xmpp:mam:2"


@aioxmpp.IQ.as_payload_class
class Query(xso.XSO):
    TAG = (MAM, "query")
    rsm = xso.Child([ResultSetMetadata])


@aioxmpp.IQ.as_payload_class
class Fin(xso.XSO):
    TAG = (MAM, "fin")
    complete = xso.Attr("complete", type_=xso.Bool(), default=False)
    rsm = xso.Child([ResultSetMetadata])


class Result(xso.XSO):
    TAG = (MAM, "result")
    forwarded = xso.Child([Forwarded])


aioxmpp.Message.mam_result = xso.Child([Result])


def say(*words: Any) -> None:
    print(json.dumps([str(word) for word in words]), flush=True)


class Verifier(aioxmpp.security_layer.CertificateVerifier):
    """By OpenSSL alone: aioxmpp's own reads the certificate with what pyOpenSSL has no longer."""

    def __init__(self, ca: str) -> None:
        super().__init__()
        self.ca = ca

    def setup_context(self, context: Any, transport: Any) -> None:
        super().setup_context(context, transport)
        context.load_verify_locations(self.ca)

    def verify_callback(self, connection: Any, certificate: Any, error: int, depth: int, good: int) -> bool:
        return bool(good)

    async def post_handshake(self, transport: Any) -> None:
        pass


class Person:
    def __init__(self, jid: str, password: str, port: int, ca: str) -> None:
        security = aioxmpp.make_security_layer(password)._replace(
            certificate_verifier_factory=lambda: Verifier(ca)
        )
        where = [("127.0.0.1", port, aioxmpp.connector.STARTTLSConnector())]
        self.client = aioxmpp.PresenceManagedClient(aioxmpp.JID.fromstr(jid), security, override_peer=where)
        self.found: list[str] = []
        self.leaving = False
        self.nodes = Nodes(self.client, say)
        self.muc = self.client.summon(aioxmpp.MUCClient)
        self.rooms: dict[str, Any] = {}
        self.carbons = self.client.summon(aioxmpp.CarbonsClient)
        self.blocking = self.client.summon(aioxmpp.BlockingClient)
        self.blocking.on_jids_blocked.connect(lambda jids: self.on_push("blocked", jids))
        self.blocking.on_jids_unblocked.connect(lambda jids: self.on_push("unblocked", jids))
        dispatcher = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        for kind in (aioxmpp.MessageType.CHAT, aioxmpp.MessageType.NORMAL):
            dispatcher.register_callback(kind, None, self.on_message)
        self.client.on_stream_established.connect(lambda: say("online", self.client.local_jid))
        self.client.on_stream_resumed.connect(lambda: say("resumed"))
        self.client.on_failure.connect(lambda error: say("failed", repr(error)))

    def on_push(self, kind: str, jids: Any) -> None:
        say("push", kind, *jids)

    def on_message(self, message: Any) -> None:
        if message.mam_result:
            self.found.append(message.mam_result.forwarded.stanza.body.any())
        for kind, copy in (("sent", message.xep0280_sent), ("received", message.xep0280_received)):
            if copy:
                say("copy", kind, copy.stanza.from_, copy.stanza.to, copy.stanza.body.any())
        if message.body:
            say("chat", message.from_.bare(), message.body.any())

    async def pages(self, size: int, backwards: bool, to: str | None = None) -> None:
        wanted = ResultSetMetadata.last_page(size) if backwards else ResultSetMetadata.limit(size)
        while True:
            query = Query()
            query.rsm = wanted
            self.found = []
            fin = await self.client.send(
                aioxmpp.IQ(aioxmpp.IQType.SET, to=to and aioxmpp.JID.fromstr(to), payload=query)
            )
            say("page", *self.found)
            if fin.complete:
                return
            wanted = fin.rsm.previous_page(size) if backwards else fin.rsm.next_page(size)

    async def do(self, action: str, *words: str) -> None:
        match action:
            case "chat":
                message = aioxmpp.Message(aioxmpp.MessageType.CHAT, to=aioxmpp.JID.fromstr(words[0]))
                message.body[None] = words[1]
                self.client.enqueue(message)
            case "carbons":
                await self.carbons.enable()
            case "pages":
                await self.pages(int(words[0]), backwards=False)
            case "pages back":
                await self.pages(int(words[0]), backwards=True)
            case "block":
                await self.blocking.block_jids([aioxmpp.JID.fromstr(words[0])])
            case "unblock":
                await self.blocking.unblock_jids([aioxmpp.JID.fromstr(words[0])])
            case "blocklist":
                say("blocklist", *self.blocking.blocklist)
            case "quit":
                self.leaving = True
            case _ if action in self.nodes.actions:
                await self.nodes.do(action, *words)
            case _:
                await self.do_in_room(action, *words)
        say("did", action)

    # -- rooms

    async def do_in_room(self, action: str, address: str, *words: str) -> None:
        room = self.rooms.get(address)
        match action:
            case "join":
                room, joined = self.muc.join(aioxmpp.JID.fromstr(address), words[0])
                self.rooms[address] = room
                room.on_message.connect(self.on_said)
                room.on_join.connect(lambda member, **_: say("joined", member.nick))
                await joined
            case "configure":
                jid = aioxmpp.JID.fromstr(address)
                form = aioxmpp.muc.xso.ConfigurationForm.from_xso(await self.muc.get_room_config(jid))
                form.roomname.value, form.persistentroom.value = words[0], True
                await self.muc.set_room_config(jid, form.render_reply())
            case "say":
                message = aioxmpp.Message(aioxmpp.MessageType.GROUPCHAT)
                message.body[None] = words[0]
                room.send_message(message)
            case "subject":
                await room.set_topic({None: words[0]})
            case "invite":
                await room.invite(aioxmpp.JID.fromstr(words[0]), mode=aioxmpp.im.InviteMode.MEDIATED)
            case "kick":
                await room.muc_set_role(words[0], "none", reason="out")
            case "ban":
                await room.muc_set_affiliation(aioxmpp.JID.fromstr(words[0]), "outcast", reason="out")
            case "self-ping":
                await aioxmpp.ping.ping(self.client, room.me.conversation_jid)
            case "room pages":
                await self.pages(int(words[0]), False, address)

    def on_said(self, message: Any, member: Any, *_: Any, **__: Any) -> None:
        if message.body:
            say("said", member.nick, message.body.any())


async def main() -> None:
    person = Person(**json.loads(sys.argv[1]))
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), sys.stdin
    )
    async with person.client.connected():
        while not person.leaving and (line := await commands.readline()):
            await person.do(*json.loads(line))


asyncio.run(main())
