"""A room at the service of romeo's host, and how people come into it."""

import random
import string
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.client import Client
from tests.conftest import Topology

MUC = "http://jabber.org/protocol/muc"
USER, ADMIN, OWNER = f"{MUC}#user", f"{MUC}#admin", f"{MUC}#owner"
DATA = "jabber:x:data"


def presence(at: str, item: str = "", *codes: int, gone: bool = False, more: str = "") -> str:
    """A template: presence of the occupant address `at`; `item` are attributes of <item/>, perhaps `|` and what is in it."""
    attributes, _, inner = item.partition("|")
    statuses = "".join(f"<status code='{code}'/>" for code in codes)
    kind = "unavailable" if gone else "!absent"
    x = f"<x xmlns='{USER}'><item {attributes}>{inner}</item>{statuses}</x>"
    return f"<presence type='{kind}' from='{at}'>{more}{x}</presence>"


class Room:
    """`address`; who enters has taken all that comes with it, up to the subject."""

    def __init__(self, service: str) -> None:
        self.service = service
        name = "".join(random.choices(string.ascii_lowercase, k=8))
        self.address = f"{name}@{service}"

    def __str__(self) -> str:
        return self.address

    def ask(self, client: Client, nick: str, x: str = "", more: str = "") -> None:
        """Only the presence that wants to enter."""
        client.send(f"<presence to='{self}/{nick}'><x xmlns='{MUC}'>{x}</x>{more}</presence>")

    def enter(self, client: Client, nick: str, x: str = "", more: str = "") -> Element:
        """Returns the self-presence."""
        self.ask(client, nick, x, more)
        found = client.gets(presence(f"{self}/{nick}", "", 110))
        client.gets(
            f"<message type='groupchat' from='{self}...'><subject>...</subject><body>!absent</body></message>"
        )
        return found

    def shows(
        self, client: Client, nick: str, item: str = "", *codes: int, gone: bool = False, more: str = ""
    ) -> Element:
        """Takes the presence of that occupant."""
        return client.gets(presence(f"{self}/{nick}", item, *codes, gone=gone, more=more))

    def refused(self, client: Client, nick: str, error: str, x: str = "") -> Element:
        self.ask(client, nick, x)
        return client.gets(
            f"<presence type='error' from='{self}/{nick}'><x xmlns='{MUC}'/><error by='{self}'>"
            f"<{error} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        )

    def setup(self, owner: Client, **fields: Any) -> None:
        """The owner's form: `whois="anyone"` is muc#roomconfig_whois."""
        answer = self.submit(owner, **fields)
        assert answer.get("type") == "result", answer

    def submit(self, owner: Client, **fields: Any) -> Element:
        inner = ""
        for name, value in fields.items():
            values = value if isinstance(value, list) else [int(value) if isinstance(value, bool) else value]
            texts = "".join(f"<value>{each}</value>" for each in values)
            inner += f"<field var='muc#roomconfig_{name}'>{texts}</field>"
        if fields:
            inner = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>{inner}"
        form = f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'>{inner}</x></query>"
        return owner.iq("set", form, to=self.address)

    def open(self, owner: Client, nick: str = "first", **fields: Any) -> "Room":
        """The owner enters and sets the room up."""
        self.enter(owner, nick)
        self.setup(owner, **fields)
        return self

    def admin(self, client: Client, *items: str, kind: str = "set") -> Element:
        """`<item/>`s, each by its attributes and perhaps `|` and a reason."""
        inner = ""
        for each in items:
            attributes, _, reason = each.partition("|")
            inner += f"<item {attributes}>" + (f"<reason>{reason}</reason>" if reason else "") + "</item>"
        return client.iq(kind, f"<query xmlns='{ADMIN}'>{inner}</query>", to=self.address)

    def say(self, client: Client, text: str, more: str = "", attributes: str = "") -> None:
        client.send(f"<message to='{self}' type='groupchat' {attributes}><body>{text}</body>{more}</message>")


def condition(answer: Element) -> str:
    """The condition of an error, or "result"."""
    error = answer.find("{jabber:client}error")
    return "result" if error is None else error[0].tag.rpartition("}")[2]


@pytest.fixture
def service(topology: Topology) -> str:
    return f"conference.{topology.romeo.domain}"


@pytest.fixture
def room(service: str) -> Room:
    return Room(service)
