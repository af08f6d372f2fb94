"""slidge, unmodified (slixmpp's ComponentXMPP below it), as a gateway with privileges (XEP-0356) and a demo plugin."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import gevent
import pytest

from tests.conftest import CONFIG, Place
from tests.federation.irc import end
from tests.server import ROOT, ServerProcess, environment

HERE = Path(__file__).parent
DOMAIN = "demo.localhost"
GRANTS = {"roster": "both", "message": "outgoing", "iq": {"http://jabber.org/protocol/pubsub": "both"}}


def slidge() -> str:
    """Its program: $SLIDGE, or as .ci/run installs it. Skips the test where it is missing."""
    for place in (os.environ.get("SLIDGE"), str(ROOT / ".venv-slidge/bin/slidge"), "slidge"):
        if found := place and shutil.which(place):
            return found
    pytest.skip("slidge is not installed (.ci/run puts it into .venv-slidge)")


@pytest.fixture
def server(tmp_path, databases):
    command = slidge()
    folder = tmp_path / "server"
    components = {DOMAIN: {"secret": "tell", "hosts": ["localhost"], **GRANTS}}
    config = {**databases(folder), **CONFIG, "component": {"port": 0}, "components": components}
    process = ServerProcess(config, folder)
    address, port = process.address("component")
    home = tmp_path / "slidge"
    with (tmp_path / "slidge.log").open("wb") as log:
        gateway = subprocess.Popen(
            [command, "--jid", DOMAIN, "--secret", "tell", "--server", address, "--port", str(port), "--debug",
             "--legacy-module", "slidge_demo", "--home-dir", str(home)],
            env=environment() | {"PYTHONPATH": str(HERE)}, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        with gevent.Timeout(60, AssertionError(f"slidge does not connect: {tmp_path}/slidge.log")):
            while json.loads(process.ctl("components", "--json"))[0]["state"] != "connected":
                assert gateway.poll() is None, (tmp_path / "slidge.log").read_text()[-4000:]
        yield process
    finally:
        end(gateway)
    assert process.stop() == 0, process.tail()


def test_a_user_registers_and_his_contacts_are_in_his_roster(server, account, make_client):
    romeo = make_client(account("romeo", Place(server, "localhost")))
    romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    form = romeo.iq("get", "<query xmlns='jabber:iq:register'/>", DOMAIN, 20)
    assert form.get("type") == "result"
    filled = (
        "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE'><value>jabber:iq:register</value></field>"
        "<field var='username'><value>romeo</value></field><field var='password'><value>x</value></field></x></query>"
    )
    assert romeo.iq("set", filled, DOMAIN, 20).get("type") == "result"
    romeo.gets(
        f"<iq type='set'><query xmlns='jabber:iq:roster'><item jid='echo@{DOMAIN}' name='Echo' subscription='both'>"
        "<group>Demo</group></item></query></iq>",
        30,
    )
    romeo.gets(f"<presence from='echo@{DOMAIN}/...' type='!absent'/>", 30)
    romeo.send(f"<message type='chat' to='echo@{DOMAIN}' id='m1'><body>hello — ¿ sí ?</body></message>")
    romeo.gets(
        f"<message type='chat' from='echo@{DOMAIN}/...'><body>echo: hello — ¿ sí ?</body></message>", 20
    )
    items = romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    assert f"echo@{DOMAIN}" in {item.get("jid") for item in items[0]}
