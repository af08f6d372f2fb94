"""An administrator with slixmpp, unmodified: prints one JSON object of what the commands of a host said."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import slixmpp

LONG = 20


class Boss(slixmpp.ClientXMPP):
    def __init__(self, jid: str, password: str, port: int, ca: str) -> None:
        super().__init__(jid, password)
        self.ca_certs = Path(ca)
        for plugin in ("xep_0004", "xep_0030", "xep_0050", "xep_0133"):
            self.register_plugin(plugin)
        self.adhoc: Any = self.plugin["xep_0050"]
        self.ready = asyncio.get_running_loop().create_future()
        self.add_event_handler("session_start", lambda _: self.ready.set_result(True))
        self.connect("127.0.0.1", port)

    async def run(self, node: str, values: dict[str, Any] | None = None) -> Any:
        """The <command/> at the end, by slixmpp's own workflow: the form is filled in and completed."""
        done = asyncio.get_running_loop().create_future()

        def form(iq: Any, session: dict[str, Any]) -> None:
            if iq["command"]["status"] == "completed":
                done.set_result(iq["command"])
                return
            x = iq["command"]["form"]
            x["type"] = "submit"
            x.set_values(values or {})
            session["payload"] = x
            session["next"] = lambda iq, session: done.set_result(iq["command"])
            self.adhoc.complete_command(session)

        self.adhoc.start_command("localhost", node, {"next": form})
        return await asyncio.wait_for(done, LONG)


async def main(setting: dict[str, Any]) -> None:
    boss, admin = Boss(**setting), "http://jabber.org/protocol/admin#"
    await asyncio.wait_for(boss.ready, LONG)
    items = (await boss.plugin["xep_0133"].get_commands("localhost"))["disco_items"]["items"]
    found: dict[str, Any] = {"listed": sorted(str(node) for _, node, _ in items if "admin#add" in str(node))}
    account = {"accountjid": "slix@localhost", "password": "secret-word", "password-verify": "secret-word"}
    found["added"] = (await boss.run(f"{admin}add-user", account))["status"]
    asked = (await boss.adhoc.send_command("localhost", f"{admin}add-user"))["command"]
    asked["form"]["type"] = "submit"
    asked["form"].set_values(account)
    try:
        await boss.adhoc.send_command(
            "localhost",
            f"{admin}add-user",
            action="complete",
            payload=asked["form"],
            sessionid=asked["sessionid"],
        )
    except slixmpp.exceptions.IqError as error:
        found["again"] = error.condition
    online = await boss.run(f"{admin}get-online-users-num")
    found["online"] = int(online["form"].get_values()["onlineusersnum"]) >= 1
    shown = await boss.run("accounts show", {"jid": "slix@localhost"})
    found["shown"] = shown["form"].get_values()["jid"]
    rows = (await boss.run("sessions list"))["form"]["items"]
    found["here"] = boss.boundjid.full in [row["jid"] for row in rows]
    found["deleted"] = (await boss.run(f"{admin}delete-user", {"accountjids": ["slix@localhost"]}))["status"]
    await boss.disconnect()
    print(json.dumps(found))


asyncio.run(main(json.loads(sys.argv[1])))
