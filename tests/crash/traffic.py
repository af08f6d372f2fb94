"""People who remember what the server promised, for tests that kill it."""

import itertools
import random
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress

import gevent

from tests.client import Client
from tests.match import parse, show
from tests.server import ServerProcess

SM = "urn:xmpp:sm:3"
SID = "{urn:xmpp:sid:0}stanza-id"
MAM = "urn:xmpp:mam:2"
CLIENT = "{jabber:client}"
RECEIVERS = ("online", "managed", "away")
PASSWORD = "secret"
numbers = itertools.count(1)


def quietly(function: Callable[[], object]) -> None:
    """A client may find its server killed at any moment."""
    with suppress(AssertionError, OSError):
        function()


class Ledger:
    """What was sent, what was acknowledged, and what came, under which stanza-ids, to whom."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, str] = {}  # id -> receiver
        self.refused: set[str] = set()
        self.came: dict[str, set[str]] = defaultdict(set)  # id -> stanza-ids
        self.times: dict[str, int] = defaultdict(int)
        self.archived: set[str] = set()

    def note(self, inbox: list) -> int:
        """Takes the messages out of an inbox; how many stanzas there were."""
        elements, inbox[:] = inbox[:], []
        stanzas = 0
        for element in elements:
            if not element.tag.startswith(CLIENT):
                continue
            stanzas += 1
            if element.tag == CLIENT + "message" and element.find(CLIENT + "body") is not None:
                sid = element.find(SID)
                self.came[element.get("id")].add(sid.get("id") if sid is not None else "none")
                self.times[element.get("id")] += 1
        return stanzas

    def lost(self) -> set[str]:
        return {id for id in self.acknowledged if id not in self.came and id not in self.archived}

    def doubled(self) -> set[str]:
        """What came twice under two names."""
        return {id for id, sids in self.came.items() if len(sids) > 1}


class Sender:
    def __init__(self, server: ServerProcess, name: str, ledger: Ledger) -> None:
        self.server, self.name, self.ledger = server, name, ledger

    def run(self) -> None:
        quietly(self._run)

    def _run(self) -> None:
        c = Client(self.server.address(), "localhost", "none")
        c.login(self.name, PASSWORD, "s")
        c.send(f"<enable xmlns='{SM}'/>")
        c.gets(f"<enabled xmlns='{SM}'/>")
        sent: list[tuple[str, str]] = []
        try:
            while True:
                for _ in range(3):
                    id, to = f"m{next(numbers)}", random.choice(RECEIVERS)
                    c.send(f"<message to='{to}@localhost' type='chat' id='{id}'><body>{id}</body></message>")
                    sent.append((id, to))
                c.send(f"<r xmlns='{SM}'/>")
                h = int(c.gets(f"<a xmlns='{SM}'/>").get("h"))
                for element in c.inbox:
                    if element.get("type") == "error":
                        self.ledger.refused.add(element.get("id"))
                for id, to in sent[:h]:
                    if id not in self.ledger.refused:
                        self.ledger.acknowledged[id] = to
        finally:
            c.abort()


class Managed:
    """A receiver with stream management: it acknowledges now and then, and resumes after every crash."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.token, self.h = ledger, None, 0

    def connect(self, server: ServerProcess) -> None:
        c = self.client = Client(server.address(), "localhost", "none")
        c.connect()
        c.auth("managed", PASSWORD)
        if self.token is not None:
            c.send(f"<resume xmlns='{SM}' previd='{self.token}' h='{self.h}'/>")
            answer = c.take(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"), "<resumed/>", 5)
            if answer.tag.endswith("resumed"):
                return
        self.h = 0
        c.bind("phone")
        c.send(f"<enable xmlns='{SM}' resume='true'/>")
        self.token = c.gets(f"<enabled xmlns='{SM}'/>").get("id")
        c.send("<presence/>")

    def listen(self) -> None:
        quietly(self._listen)

    def _listen(self) -> None:
        c = self.client
        while not c.lost:
            c.news.clear()
            asked = any(e.tag == f"{{{SM}}}r" for e in c.inbox)
            self.h += self.ledger.note(c.inbox)
            if asked and random.random() < 0.7:
                c.send(f"<a xmlns='{SM}' h='{self.h}'/>")
            c.news.wait(0.2)


def collect(c: Client, ledger: Ledger) -> None:
    """Notes what comes until the client is cut off."""
    while not c.lost:
        c.news.clear()
        ledger.note(c.inbox)
        c.news.wait(0.2)
    ledger.note(c.inbox)


def settle(c: Client, ledger: Ledger, managed: Managed | None = None, seconds: float = 20.0) -> None:
    """Takes what the server has stored for this client, until nothing more comes for a ping's time."""
    with gevent.Timeout(seconds, False):
        quiet = 0
        while quiet < 3:
            c.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
            came = ledger.note(c.inbox)
            quiet = 0 if came else quiet + 1
            if managed is not None:
                managed.h += came + 1  # the answer to the ping was taken already
                c.send(f"<a xmlns='{SM}' h='{managed.h}'/>")
            gevent.sleep(0.05)  # stored messages come in pages, from a greenlet of their own


def read_archive(c: Client, ledger: Ledger) -> None:
    after = ""
    while True:
        number = c.fresh()
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'><max>100</max><after>{after}</after></set>"
        if not after:
            rsm = "<set xmlns='http://jabber.org/protocol/rsm'><max>100</max></set>"
        c.send(f"<iq type='set' id='{number}'><query xmlns='{MAM}'>{rsm}</query></iq>")
        answer = c.answer(number)
        fin = answer.find(f"{{{MAM}}}fin")
        assert fin is not None, (show(answer), rsm)
        for element in c.inbox:
            for message in element.iter(CLIENT + "message"):
                if message.find(CLIENT + "body") is not None:
                    ledger.archived.add(message.get("id"))
        c.inbox.clear()
        last = fin.find("{http://jabber.org/protocol/rsm}set/{http://jabber.org/protocol/rsm}last")
        if fin.get("complete") == "true" or last is None:
            return
        after = last.text


def stanzas_of(c: Client) -> int:
    """How many stanzas it got since stream management was enabled or resumed on its stream."""
    data = bytes(c.received)
    start = max(data.rfind(b"<enabled "), data.rfind(b"<resumed "))
    text = data[start:].partition(b">")[2].decode()
    root = parse(f"<stream xmlns='jabber:client'>{text}</stream>")
    return sum(each.tag in (f"{CLIENT}message", f"{CLIENT}presence", f"{CLIENT}iq") for each in root)
