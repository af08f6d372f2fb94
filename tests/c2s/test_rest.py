"""Who is silent for a while has no greenlet on the server, and must not notice."""

import gevent
import pytest

from jabberd_py.net.reading import REST
from tests.c2s.test_sm import SM, back, enable
from tests.client import Client

SILENCE = REST + 2.5
"""The server's wheel turns once a second."""


def rest(*clients):
    """They are silent, and so are those who sent them something last."""
    for client in clients:
        client.sync()
    gevent.sleep(SILENCE)


@pytest.mark.parametrize("tls", ["direct", "none"])
def test_it_hears_and_is_heard(start_server, tls):
    config = {
        "hosts": {"localhost": {}},
        "modules": {"register": {"enabled": True}},
        "c2s": {"require_tls": False},
    }
    server = start_server(config)
    Client(server.address()).connect().register("romeo", "secret").close()
    address = server.address("c2s_direct" if tls == "direct" else "c2s")
    here, there = (Client(address, tls=tls).login("romeo", "secret", name).available() for name in "ab")
    here.send("<iq type='get' id='half'><ping xmlns=")  # the rest of it comes later
    rest(there)
    there.send(f"<message to='{here.jid}' id='1'><body>are you there?</body></message>")
    here.gets("<message id='1'/>")
    here.send(f"'urn:xmpp:ping'/></iq><message to='{there.jid}' id='2'/>")
    here.answer("half")
    there.gets("<message id='2'/>")
    rest(here, there)
    server.stop()
    assert here.stream_error() == there.stream_error() == "system-shutdown"


def test_it_ends(make_client, account, server):
    """By a lost network, by an administrator, by a resumption elsewhere, in peace."""
    friend = account()
    cut, kicked, resumed, polite = (make_client(friend, resource=name) for name in "abcd")
    token = enable(resumed)["id"]
    rest(cut, kicked, resumed, polite)
    jid = cut.jid
    cut.abort()
    polite.gets(f"<presence from='{jid}' type='unavailable'/>")
    again = back(make_client, friend, token, 0)
    again.gets(f"<resumed xmlns='{SM}'/>")
    assert resumed.stream_error() == "conflict"
    rest(again, polite)
    polite.send("</stream:stream>")
    assert polite.closed()
    server.ctl("accounts", "kick", friend.bare)
    assert again.stream_error() and kicked.stream_error()
