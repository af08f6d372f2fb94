"""Clients for browsers, unmodified, in node: xmpp.js over WebSocket, strophe.js over WebSocket and BOSH."""

import json

import pytest

from tests.acceptance.people import Program
from tests.clients.conftest import NODE, xmppjs

CLIENTS = {
    "xmpp.js over WebSocket": ("xmppjs.mjs", "wss", "/xmpp-websocket"),
    "strophe.js over WebSocket": ("strophe.mjs", "wss", "/xmpp-websocket"),
    "strophe.js over BOSH": ("strophe.mjs", "https", "/http-bind"),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_conversation(name, server, account, make_client):
    script, scheme, path = CLIENTS[name]
    xmppjs()  # installs
    who, juliet = account("romeo"), make_client(account("juliet"))
    certificate = str(server.data / "certificates/localhost.pem")
    setting = {
        "jid": who.bare, "password": who.password,
        "service": f"{scheme}://localhost:{server.address('https')[1]}{path}",
    }  # fmt: skip
    program = Program(
        who.bare, ["node", str(NODE / script), json.dumps(setting)], NODE_EXTRA_CA_CERTS=certificate
    )
    try:
        full = program.hears("online")[1]
        for number in range(3):
            program.do("chat", juliet.bare, f"Neither, fair maid <{number}>")
            juliet.gets(f"<message from='{full}'><body>Neither, fair maid &lt;{number}&gt;</body></message>")
            juliet.send(f"<message to='{full}' type='chat'><body>How camest thou {number}</body></message>")
            assert program.hears("chat")[1:] == [juliet.bare, f"How camest thou {number}"]
        program.do("quit")
        assert program.process.wait(20) == 0
    finally:
        program.kill()
