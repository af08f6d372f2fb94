"""Devices that speak OMEMO (slixmpp-omemo, unmodified), all in one process, in the protocol of tests/acceptance/people.py.

-> ["login", device, jid, password, address, port, file of the CA]   ["send", device, jid, text]
   ["open", device, room]   ["enter", device, room]   ["say", device, room, text, jid of each reader ...]
<- ["did", action, device]   ["got", device, bare address of the sender, text]   ["failed", device, action, reason]

"got" is of what was encrypted, and this device has decrypted.
"""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import slixmpp
from omemo.storage import Just, Maybe, Nothing, Storage
from slixmpp.exceptions import IqError
from slixmpp.plugins import register_plugin
from slixmpp_omemo import XEP_0384, TrustLevel

ROOM = (
    "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>"
    "<field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>"
    "<field var='muc#roomconfig_whois'><value>anyone</value></field></x></query>"
)


def say(*words: Any) -> None:
    print(json.dumps([str(word) for word in words]), flush=True)


class Memory(Storage):
    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Any] = {}

    async def _load(self, key: str) -> Maybe[Any]:
        return Just(self.values[key]) if key in self.values else Nothing()

    async def _store(self, key: str, value: Any) -> None:
        self.values[key] = value

    async def _delete(self, key: str) -> None:
        self.values.pop(key, None)


class Trusting(XEP_0384):
    """Trusts every device (XEP-0450 section 2: blind trust before verification)."""

    name = "xep_0384"
    description = "OMEMO"

    def plugin_init(self) -> None:
        self.memory = Memory()
        super().plugin_init()

    @property
    def storage(self) -> Storage:
        return self.memory

    @property
    def _btbv_enabled(self) -> bool:
        return True

    async def _devices_blindly_trusted(self, blindly_trusted: Any, identifier: Any) -> None:
        pass

    async def _prompt_manual_trust(self, manually_trusted: Any, identifier: Any) -> None:
        manager = await self.get_session_manager()
        for device in manually_trusted:
            await manager.set_trust(device.bare_jid, device.identity_key, TrustLevel.TRUSTED.value)


register_plugin(Trusting)


class Device(slixmpp.ClientXMPP):
    def __init__(self, name: str, jid: str, password: str, ca: str) -> None:
        super().__init__(f"{jid}/{name}", password)
        self.label, self.ca_certs, self.enable_direct_tls = name, Path(ca), False
        for plugin in ("xep_0030", "xep_0045", "xep_0060", "xep_0115", "xep_0163", "xep_0280", "xep_0334"):
            self.register_plugin(plugin)
        self.register_plugin("xep_0384")
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.turn = asyncio.Lock()
        self.add_event_handler("session_start", self.begin)
        self.add_event_handler(
            "failed_all_auth", lambda _: self.ready.set_exception(ValueError("not let in"))
        )
        self.add_event_handler("message", self.read)
        self.add_event_handler("groupchat_message", self.read)
        self.add_event_handler("carbon_sent", self.read_copy)
        self.add_event_handler("carbon_received", self.read_copy)

    async def begin(self, _: Any) -> None:
        try:
            await self.get_roster()
            with suppress(IqError):  # not every server has it
                await self.plugin["xep_0280"].enable()
            self.send_presence()
            await self.plugin["xep_0384"].get_session_manager()
            self.ready.set_result(None)
        except Exception as error:
            self.ready.set_exception(error)

    async def read_copy(self, message: Any) -> None:
        await self.read(message["carbon_sent"] or message["carbon_received"])

    async def read(self, message: Any) -> None:
        if not self.plugin["xep_0384"].is_encrypted(message):
            return
        async with self.turn:
            try:
                read, device = await self.plugin["xep_0384"].decrypt_message(message)
            except Exception as error:
                say("failed", self.label, "decrypt", repr(error))
                return
        if read["body"]:
            say("got", self.label, device.bare_jid, read["body"])

    async def write(self, to: str, kind: str, text: str, readers: list[str]) -> None:
        message = self.make_message(mto=slixmpp.JID(to), mbody=text, mtype=kind)
        message.set_from(self.boundjid)
        omemo, people = self.plugin["xep_0384"], {slixmpp.JID(each) for each in readers}
        async with self.turn:
            await omemo.refresh_device_lists(people | {slixmpp.JID(self.boundjid.bare)}, force_download=True)
            secret, errors = await omemo.encrypt_message(message, people)
        assert secret is not None and not errors, errors
        secret.send()


devices: dict[str, Device] = {}


async def do(action: str, name: str, *words: str) -> None:
    if action == "login":
        jid, password, address, port, ca = words
        device = devices[name] = Device(name, jid, password, ca)
        device.connect(address, int(port))
        await device.ready
        return
    device = devices[name]
    if action == "send":
        await device.write(words[0], "chat", words[1], [words[0]])
    elif action == "say":
        await device.write(words[0], "groupchat", words[1], list(words[2:]))
    else:
        await device.plugin["xep_0045"].join_muc_wait(slixmpp.JID(words[0]), name, maxstanzas=0, timeout=20)
        if action == "open":
            iq = device.make_iq_set(ito=words[0])
            iq.append(ET.fromstring(ROOM))
            await iq.send()


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        action, name, *words = json.loads(line)
        try:
            await do(action, name, *words)
            say("did", action, name)
        except Exception as error:
            logging.exception("%s", action)
            say("failed", name, action, repr(error))


asyncio.run(main())
