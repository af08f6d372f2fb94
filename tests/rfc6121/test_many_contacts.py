"""Presence of a user with hundreds of contacts goes out in turns, and misses nobody."""

import pytest

from tests.client import Client
from tests.component.component import Component
from tests.conftest import CONFIG

MANY = 600
CONTACTS = {"secret": "secret", "hosts": ["localhost"], "roster": "both", "roster_push": False}
ITEM = "<query xmlns='jabber:iq:roster'><item jid='c{}@many.localhost' subscription='both'/></query>"


@pytest.fixture
def place(start_server):
    """A server, and a component with many contacts of popular@localhost."""
    server = start_server({**CONFIG, "component": {"port": 0}, "components": {"many.localhost": CONTACTS}})
    Client(server.address()).connect().register("popular", "secret").close()
    component = Component(server.address("component"), "many.localhost").join()
    for n in range(MANY):
        component.send(
            f"<iq type='set' id='{n}' from='many.localhost' to='popular@localhost'>{ITEM.format(n)}</iq>"
        )
    for n in range(MANY):
        assert component.gets(f"<iq id='{n}'/>").get("type") == "result"
    yield server, component
    component.close()


def told(component, client, kind):
    """Those who are told next, each once."""
    found = [component.gets(f"<presence from='{client.jid}' {kind}/>").get("to") for _ in range(MANY)]
    return sorted(found) == sorted(f"c{n}@many.localhost" for n in range(MANY))


@pytest.mark.parametrize("goodbye", ["unavailable", "close", "conflict"])
def test_all_contacts_are_told(place, goodbye):
    server, component = place
    client = Client(server.address()).login("popular", "secret", "desk")
    client.send("<presence/>")
    assert told(component, client, "type='!absent'")
    for _ in range(MANY):
        component.gets("<presence type='probe'/>")
    if goodbye == "unavailable":
        client.send("<presence type='unavailable'/>")
    elif goodbye == "close":
        client.close()
    else:  # the new session of the same address comes while the old one's end is still being told
        heir = Client(server.address()).login("popular", "secret", "desk")
    assert told(component, client, "type='unavailable'")
    if goodbye == "conflict":
        heir.send("<presence/>")
        assert told(component, heir, "type='!absent'")
        heir.close()
    client.close()
