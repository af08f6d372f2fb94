"""Two people with slixmpp, unmodified, in one room: prints one JSON object of what they saw."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import slixmpp

LONG = 20


class Person(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, port: int, ca: str) -> None:
        super().__init__(jid, password)
        self.ca_certs, self.port = Path(ca), port
        for plugin in ("xep_0030", "xep_0045", "xep_0199", "xep_0249", "xep_0313"):
            self.register_plugin(plugin)
        self.muc: Any = self.plugin["xep_0045"]
        self.ready = asyncio.get_running_loop().create_future()
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler(
            "groupchat_message", lambda m: self.heard.put_nowait(("said", m["mucnick"], m["body"]))
        )
        self.add_event_handler(
            "groupchat_subject", lambda m: self.heard.put_nowait(("subject", m["subject"]))
        )
        self.add_event_handler(
            "groupchat_invite", lambda m: self.heard.put_nowait(("invited", m["from"].bare))
        )
        self.connect("127.0.0.1", port)

    async def on_session(self, _: Any) -> None:
        await self.get_roster()
        self.send_presence()
        self.ready.set_result(True)

    async def hears(self, *wanted: str) -> bool:
        while True:
            if (await asyncio.wait_for(self.heard.get(), LONG)) == wanted:
                return True


async def main(settings: dict[str, Any]) -> None:
    room, found = settings["room"], {}
    romeo, juliet = (
        Person(each["jid"], each["password"], settings["port"], settings["ca"]) for each in settings["people"]
    )
    await asyncio.wait_for(asyncio.gather(romeo.ready, juliet.ready), LONG)
    await romeo.muc.join_muc_wait(room, "romeo", timeout=LONG)
    form = await romeo.muc.get_room_config(room)
    form["type"] = "submit"
    form.set_values({"muc#roomconfig_roomname": "Orchard", "muc#roomconfig_persistentroom": True})
    await romeo.muc.set_room_config(room, form)
    romeo.muc.invite(room, juliet.boundjid.bare, reason="come")
    found["invited"] = await juliet.hears("invited", room)
    await juliet.muc.join_muc_wait(room, "juliet", timeout=LONG)
    romeo.send_message(room, "hello", mtype="groupchat")
    found["talk"] = await juliet.hears("said", "romeo", "hello")
    await romeo.hears("said", "romeo", "hello")  # so juliet's presence has come, too
    found["roster"] = sorted(romeo.muc.get_roster(room))
    romeo.muc.set_subject(room, "Names")
    found["subject"] = await juliet.hears("subject", "Names")
    info = await juliet.plugin["xep_0030"].get_info(room)
    found["name"] = next(iter(info["disco_info"]["identities"]))[3]
    found["ping"] = (await romeo.plugin["xep_0199"].send_ping(f"{room}/romeo", timeout=LONG))["type"]
    found["bodies"] = [
        result["mam_result"]["forwarded"]["stanza"]["body"]
        async for page in juliet.plugin["xep_0313"].retrieve(
            jid=slixmpp.JID(room), iterator=True, rsm={"max": 10}
        )
        for result in page["mam"]["results"]
        if result["mam_result"]["forwarded"]["stanza"]["body"]
    ]
    await romeo.muc.set_affiliation(room, "member", jid=juliet.boundjid.bare)
    found["members"] = [str(each) for each in await romeo.muc.get_affiliation_list(room, "member")]
    await romeo.muc.set_role(room, "juliet", "none", reason="out")
    await asyncio.sleep(0)
    await romeo.muc.set_affiliation(room, "outcast", jid=juliet.boundjid.bare)
    try:
        await juliet.muc.join_muc_wait(room, "juliet", timeout=LONG)
    except slixmpp.exceptions.PresenceError as error:
        found["banned"] = error.condition
    await romeo.muc.destroy(room, "over")
    print(json.dumps(found), flush=True)
    await asyncio.gather(romeo.disconnect(), juliet.disconnect())


asyncio.run(main(json.loads(sys.argv[1])))
