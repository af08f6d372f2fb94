"""Clients for browsers, unmodified, in node: over WebSocket and over BOSH, behind a wire that breaks."""

import json

import pytest

from tests.acceptance.people import Program
from tests.clients.conftest import NODE, npm
from tests.clients.wire import Wire
from tests.muc.conftest import Room

pytestmark = pytest.mark.timeout(120)  # the first one may wait for npm
WEBSOCKET, BOSH = ("wss", "/xmpp-websocket"), ("https", "/http-bind")
CLIENTS = {
    "xmpp.js over WebSocket": ("xmppjs.mjs", *WEBSOCKET),
    "strophe.js over WebSocket": ("strophe.mjs", *WEBSOCKET),
    "strophe.js over BOSH": ("strophe.mjs", *BOSH),
    "stanza over WebSocket": ("stanza.mjs", *WEBSOCKET),
    "stanza over BOSH": ("stanza.mjs", *BOSH),
}


@pytest.fixture(params=CLIENTS)
def surfer(request, server, account):
    """`surfer()`: romeo in such a client, behind `surfer.wire`."""
    npm()
    script, scheme, path = CLIENTS[request.param]
    wire = Wire(server.address("https"))
    programs = []

    def start(who):
        service = f"{scheme}://localhost:{wire.port}{path}"
        setting = {"jid": who.bare, "password": who.password, "service": service}
        command = ["node", "--dns-result-order=ipv4first", str(NODE / script), json.dumps(setting)]
        certificate = str(server.data / "certificates/localhost.pem")
        programs.append(Program(who.bare, command, NODE_EXTRA_CA_CERTS=certificate))
        programs[-1].full = programs[-1].hears("online")[1]
        return programs[-1]

    start.wire = wire
    start.kind = request.param
    yield start
    for each in programs:
        each.kill()
    wire.close()


def does(program, *words):
    program.do(*words)
    return program.until("did", words[0])


def test_a_day_in_the_browser(surfer, account, make_client):
    who, juliet = account("romeo"), make_client(account("juliet"))
    item = f"<query xmlns='jabber:iq:roster'><item jid='{juliet.bare}'/></query>"
    assert make_client(who, resource="desk").iq("set", item).get("type") == "result"
    romeo = surfer(who)
    assert ["roster", juliet.bare] in does(romeo, "roster")

    for number in range(3):
        does(romeo, "chat", juliet.bare, f"Neither, fair maid <{number}>")
        juliet.gets(
            f"<message from='{romeo.full}'><body>Neither, fair maid &lt;{number}&gt;</body></message>"
        )
        juliet.send(f"<message to='{romeo.full}' type='chat'><body>How camest thou {number}</body></message>")
        assert romeo.hears("chat")[1:] == [juliet.bare, f"How camest thou {number}"]

    room = Room("conference.localhost")
    room.enter(juliet, "Juliet")
    room.setup(juliet)
    does(romeo, "join", room.address, "Romeo")
    does(romeo, "say", room.address, "He jests at scars")
    juliet.gets(f"<message from='{room.address}/Romeo'><body>He jests at scars</body></message>")
    assert romeo.hears("said") == ["said", "Romeo", "He jests at scars"]

    pages = [heard for heard in does(romeo, "pages", "50") if heard[0] == "page"]
    assert [line for page in pages for line in page[1:]][:2] == [
        "Neither, fair maid <0>",
        "How camest thou 0",
    ]

    if surfer.kind != "strophe.js over WebSocket":  # it has no stream management
        surfer.wire.cut()
        juliet.send(f"<message to='{romeo.full}' type='chat'><body>Art thou still there?</body></message>")
        assert romeo.hears("chat")[1:] == [juliet.bare, "Art thou still there?"]
        does(romeo, "chat", juliet.bare, "I am")
        juliet.gets(f"<message from='{romeo.full}'><body>I am</body></message>", 20)
    romeo.do("quit")
    assert romeo.process.wait(20) == 0
