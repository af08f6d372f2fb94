"""XEP-0106: accounts whose names have escaped characters."""

import pytest

from tests.client import Client
from tests.conftest import Account, Place
from tests.pubsub.words import INFO

EXAMPLES = [
    r"space\20cadet",
    r"call\20me\20\22ishmael\22",
    r"at\26t\20guy",
    r"d\27artagnan",
    r"\2f.fanboy",
    r"\3a\3afoo\3a\3a",
    r"\3cfoo\3e",
    r"user\40host",
    r"c\3a\net",
    r"c\3a\5c5commas",
]
"""Of section 5.1: as they are on the wire."""


def test_the_server_says_so(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.domain)[0]
    assert r"jid\20escaping" in [each.get("var") for each in info]


@pytest.mark.topology("one host", "two servers")
def test_everybody_reaches_them_and_is_reached_by_them(juliet, topology, make_client):
    place = topology.romeo
    for name in EXAMPLES:
        jid = f"{name}@{place.domain}"
        Client(place.server.address("c2s"), place.domain).connect().register(name, "secret").close()
        client = make_client(Account(name, "secret", Place(place.server, place.domain)))
        client.send("<presence/>")
        client.sync()
        assert client.bare == jid
        juliet.send(f"<message to='{jid}' type='chat' id='to'><body>one</body></message>")
        client.gets(f"<message from='{juliet.jid}' to='{jid}' id='to'><body>one</body></message>", 10)
        client.send(f"<message to='{juliet.jid}' type='chat' id='from'><body>two</body></message>")
        juliet.gets(f"<message from='{client.jid}' id='from'><body>two</body></message>", 10)


@pytest.mark.topology("one host")
def test_a_name_neither_begins_nor_ends_with_a_blank(topology):
    add = ("accounts", "add", "--password", "secret")
    for name in (r"\20romeo", r"romeo\20"):
        assert "blank" in topology.romeo.server.ctl(*add, f"{name}@{topology.romeo.domain}", code=1)
