"""RFC 6121 section 8.5: what becomes of a stanza for a local user, row by row.

Who gets it is told by resource: `tall` and `twin` have priority 5, `low` 1, `below` -1, `quiet` is connected
without presence; `one` is alone with 0, `under` alone with -1. `available`: tall, twin, low and below.
What the sender gets: `error` (service-unavailable), or nothing. `kept`: where messages are
stored, the next resource gets it, else the sender gets an error. A probe by a stranger is answered with
"unsubscribed", but the server of that stranger sees that there is nothing to end (A.3.4): nothing comes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.client import Client
from tests.conftest import Account, Place
from tests.match import matches
from tests.server import ServerProcess

BARE = """
stanza                | no such user | nobody  | negative | one  | several
message normal        | error        | kept    | kept     | one  | tall twin
message chat          | error        | kept    | kept     | one  | tall twin
message groupchat     | error        | error   | error    | error | error
message headline      | nothing      | nothing | nothing  | one  | tall twin low
message error         | nothing      | nothing | nothing  | nothing | nothing
presence available    | nothing      | nothing | under    | one  | available
presence unavailable  | nothing      | nothing | under    | one  | available
presence subscribe    | nothing      | nothing | under    | one  | available
presence subscribed   | nothing      | nothing | nothing  | nothing | nothing
presence unsubscribe  | nothing      | nothing | nothing  | nothing | nothing
presence unsubscribed | nothing      | nothing | nothing  | nothing | nothing
presence probe        | nothing      | nothing | nothing  | nothing | nothing
presence error        | nothing      | nothing | nothing  | nothing | nothing
iq get                | error        | error   | error    | error | error
iq set                | error        | error   | error    | error | error
iq result             | nothing      | nothing | nothing  | nothing | nothing
iq error              | nothing      | nothing | nothing  | nothing | nothing
"""

FULL = """
stanza                | no such user | nobody  | negative | one     | several   | low | below | quiet
message normal        | error        | error   | error    | error   | error     | low | below | quiet
message chat          | error        | kept    | kept     | one     | tall twin | low | below | quiet
message groupchat     | error        | error   | error    | error   | error     | low | below | quiet
message headline      | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
message error         | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
presence available    | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
presence unavailable  | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
presence subscribe    | nothing      | nothing | under | one | available | available | available | available
presence subscribed   | nothing      | nothing | nothing  | nothing | nothing | nothing | nothing | nothing
presence unsubscribe  | nothing      | nothing | nothing  | nothing | nothing | nothing | nothing | nothing
presence unsubscribed | nothing      | nothing | nothing  | nothing | nothing | nothing | nothing | nothing
presence probe        | nothing      | nothing | nothing  | nothing | nothing   | nothing | nothing | nothing
presence error        | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
iq get                | error        | error   | error    | error   | error     | low | below | quiet
iq set                | error        | error   | error    | error   | error     | low | below | quiet
iq result             | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
iq error              | nothing      | nothing | nothing  | nothing | nothing   | low | below | quiet
"""

SCENES: dict[str, dict[str, int | None]] = {
    "no such user": {},
    "nobody": {},
    "negative": {"under": -1},
    "one": {"one": 0},
    "several": {"tall": 5, "twin": 5, "low": 1, "below": -1, "quiet": None},
}
AVAILABLE = {"tall", "twin", "low", "below"}
PAYLOADS = {
    "message": "<body>Art thou not Romeo?</body>",
    "presence": "",
    "iq get": "<query xmlns='urn:example:unknown'/>",
    "iq set": "<query xmlns='urn:example:unknown'/>",
    "iq result": "",
}
ERROR = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


def cases(table: str, full: bool) -> Iterator[Any]:
    header, *rows = ([cell.strip() for cell in line.split("|")] for line in table.strip().splitlines())
    for stanza, *cells in rows:
        for column, expected in zip(header[1:], cells, strict=True):
            to = "bare" if not full else column if column in SCENES["several"] else "no match"
            scene = column if column in SCENES else "several"
            name = f"{stanza} to {'bare' if to == 'bare' else 'full'} of {column}"
            yield pytest.param(stanza, scene, to, expected, id=name)


class Scene:
    """Somebody with the resources of a situation."""

    def __init__(self, server: ServerProcess, name: str) -> None:
        place = Place(server, "localhost")
        self.account = Account("scene-" + name.replace(" ", "-"), "secret", place)
        self.clients: dict[str, Client] = {}
        if name != "no such user":
            client = self.connect()
            client.register(self.account.user, "secret").close()
        for resource, priority in SCENES[name].items():
            self.clients[resource] = self.connect().login(self.account.user, "secret", resource)
            if priority is not None:
                self.clients[resource].available(priority)

    def connect(self) -> Client:
        return Client(self.account.place.server.address("c2s"), "localhost").connect()

    def who_got(self, name: str, number: str) -> set[str]:
        """The resources that have the stanza of that name and id."""
        template = f"<{name} id='{number}'/>"
        for client in self.clients.values():
            client.sync()
        return {
            resource
            for resource, client in self.clients.items()
            if any(not matches(template, element) for element in client.inbox)
        }


@pytest.fixture(scope="module")
def scenes(server: ServerProcess) -> Iterator[Callable[[str], Scene]]:
    made: dict[str, Scene] = {}

    def find(name: str) -> Scene:
        if name not in made:
            made[name] = Scene(server, name)
        return made[name]

    yield find
    for scene in made.values():
        for client in scene.clients.values():
            client.close()


@pytest.mark.parametrize(("stanza", "situation", "to", "expected"), [*cases(BARE, False), *cases(FULL, True)])
def test_delivery(stanza: str, situation: str, to: str, expected: str, scenes: Any, make_client: Any) -> None:
    scene, sender = scenes(situation), make_client()
    name, _, kind = stanza.partition(" ")
    address = scene.account.bare + {"bare": "", "no match": "/nobody"}.get(to, f"/{to}")
    number = sender.fresh()
    payload = ERROR if kind == "error" else PAYLOADS.get(name) or PAYLOADS.get(stanza, "")
    type = "" if kind in ("normal", "available") else f" type='{kind}'"

    sender.send(f"<{name} id='{number}' to='{address}'{type}>{payload}</{name}>")
    sender.sync()
    got = scene.who_got(name, number)

    condition = "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    error = f"<{name} type='error' id='{number}' from='{address}'><error>{condition}</error></{name}>"
    back = [element for element in sender.inbox if element.get("from", "").startswith(scene.account.bare)]
    if expected == "kept":
        assert not got
        if back:
            sender.gets(error)
        else:
            next_one = scene.connect().login(scene.account.user, "secret", "next").available()
            next_one.gets(f"<message id='{number}'/>")
            next_one.close()
    elif expected == "error":
        assert not got
        sender.gets(error)
    else:
        people = {"nothing": set(), "available": AVAILABLE}.get(expected, set(expected.split()))
        assert got == people
        assert not back
