"""XEP-0115 and XEP-0390: Entity Capabilities, of the server and of its users' clients."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import gevent
from peewee import CharField, TextField

from ..hooks import Module, Option, on
from ..instance import Instance
from ..jsm.notes import CAPS
from ..jsm.session import Session
from ..jsm.stream import ClientStream
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.capabilities import (
    HASHES_NS,
    NS,
    NS2,
    VER_LENGTH,
    Key,
    Shown,
    capability_hash,
    proves,
    shown,
    verification,
)  # fmt: skip
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.ns import CLIENT, DISCO_INFO
from ..xmpp.protocols import XEP

LARGEST = 32 << 10
"""At most so many characters may all features of a client have; otherwise they are ignored."""

PATIENCE = 10.0
"""Seconds that a client has to answer in."""
LINE = 1000
"""At most this many clients with the same unknown capabilities wait until these are known, and at most this many capabilities
wait for their turn. For the others the next presence tries again."""
TURNS = 20
"""Of these turns, those of clients of one account, or of users of one other server."""
OF_AN_ACCOUNT = 3
"""Clients of one account that are asked at a time."""


class Capability(Table):
    """The features of a hash: ``owner`` is the host that has verified it, ``features`` the namespaces, as JSON."""

    owner = CharField(max_length=OWNER_LENGTH)
    key = CharField(max_length=VER_LENGTH + 32)
    features = TextField()

    class Meta:
        indexes = ((("owner", "key"), True),)


def _remember(owner: str, key: str, features: str, most: int) -> None:
    """Stores the features. If there are more than ``most`` rows, the oldest go. Runs in the writer."""
    mine = Capability.owner == owner
    Capability.delete().where(mine, Capability.key == key).execute()
    Capability.insert(owner=owner, key=key, features=features).execute()
    past = Capability.select(Capability.id).where(mine).order_by(Capability.id.desc()).offset(most).limit(1)
    last = past.scalar()
    if last is not None:
        Capability.delete().where(mine, Capability.id <= last).execute()


class Question(NamedTuple):
    """Somebody wants to know what a client can do.

    asker    the address that asks the client
    jid      the full address of the client
    node     the node that is named in its <c/>
    current  is that still what the client says of itself?
    told     called with the features; with None if the client did not answer
    """

    asker: str
    jid: str
    node: str
    current: Callable[[], bool]
    told: Callable[[frozenset[str] | None], None]


class Caps(Module):
    """Tells in the stream features, as a hash, what the server can do: clients that know the hash need not ask. Finds out what
    clients can do, if another module wants to know: event ``caps`` for the users' own clients, `learn` for any client."""

    protocols = (XEP(115, "1.6.0", "Entity Capabilities"), XEP(390, "0.3.2", "Entity Capabilities 2.0"))
    features = (NS, NS2)
    needs = ("disco",)
    tables = (Capability,)
    asking = Option(int, 100, "clients that are asked at a time what they can do", min=1)
    asking_a_server = Option(int, 10, "clients of one other server that are asked at a time", min=1)
    remembered = Option(int, 1000, "different clients whose capabilities are remembered", min=1)
    current: tuple[str, str] | None = None

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.known: OrderedDict[Key, frozenset[str]] = OrderedDict()
        self.absent: dict[Key, None] = {}  # keys that the store does not know, the oldest first
        self.last: tuple[list[str], Shown | None] = (
            [],
            None,
        )  # the kids of the last presence, and what it shows
        self.waiting: dict[Key, list[Question]] = {}  # the first of them is asked, then the next
        self.turns: OrderedDict[str, deque[Key]] = OrderedDict()
        """Account or other server -> the keys that wait for their turn, the next one first."""
        self.busy: Counter[str] = Counter()
        """Likewise -> how many of it are asked."""

    # -- of the server ---------------------------------------------------------------------------

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        features.append(Element("c", NS, hash="sha-1", node=self.node, ver=self.ver))
        name, _, value = self.hashes[1].partition(".")
        features.append(Element("c", NS2, Element("hash", HASHES_NS, value, algo=name)))

    @on("start", "reload")
    def changed(self) -> None:
        self.current = None

    def disco_node(self, request: Element, node: str) -> Element | None:
        if request.payload.ns != DISCO_INFO or node not in (
            f"{self.node}#{self.ver}",
            f"{NS2}#{self.hashes[1]}",
        ):
            return None
        return self.host["disco"].describe()

    @property
    def node(self) -> str:
        return f"https://{self.host.domain}"

    @property
    def ver(self) -> str:
        return self.hashes[0]

    @property
    def hashes(self) -> tuple[str, str]:
        """Of what the server can do: the string of XEP-0115, and "hash.value" of XEP-0390."""
        if self.current is None:
            info = self.host["disco"].describe()
            self.current = verification(info), capability_hash(info, "sha-256")
        return self.current

    # -- of clients ------------------------------------------------------------------------------

    def of(self, session: Session) -> frozenset[str] | None:
        """The features of the session's client; None if they are not known, or not yet."""
        noted = session.note(CAPS)
        return None if noted is None else noted[1]

    @on("shown")
    def look(self, session: Session, stanza: Element) -> None:
        """A session has shown a presence. Asks its client, but only if a module hears event ``caps``."""
        if not self.host.hooks.told["caps"]:
            return
        c = self.shown(stanza) if stanza.type is None else None
        if c is None:
            if stanza.type == "unavailable" and session.note(CAPS) is not None:
                del session.notes[CAPS]
            return
        noted, key = session.note(CAPS), c.key(session.full)
        if noted is not None and noted[0] == key:
            return
        session.notes[CAPS] = key, None
        question = Question(
            self.host.domain,
            session.full,
            c.node,
            lambda: self._current(session, key),
            lambda features: self._tell(session, key, features),
        )
        if not self.learn(key, question, first=True):
            del session.notes[CAPS]  # its next presence tries again

    @on("resumed")
    def look_again(self, session: Session) -> None:
        """A session was resumed, after a restart of the server perhaps."""
        if session.presence is not None and session.note(CAPS) is None:
            self.look(session, session.presence)

    # -- of any client ---------------------------------------------------------------------------

    def shown(self, presence: Element) -> Shown | None:
        """What the presence says of its sender's capabilities. The copies of a presence share ``kids``: they are read once."""
        kids = presence.kids
        if kids is not self.last[0]:
            self.last = kids, shown(presence)
        return self.last[1]

    def learn_of(
        self,
        asker: str,
        jid: str,
        key: Key,
        node: str,
        current: Callable[[], bool],
        told: Callable[[frozenset[str] | None], None],
    ) -> bool:
        """As `learn`, for other packages."""
        return self.learn(key, Question(asker, jid, node, current, told))

    def learn(self, key: Key, question: Question, first: bool = False) -> bool:
        """Answers the question, at once or later. Does not wait for the client. ``first``: this client is asked before others
        with the same key. False: too many wait to be asked."""
        features = self.features_of(key)
        if features is not None:
            question.told(features)
            return True
        line = self.waiting.get(key)
        if line is not None:
            if len(line) >= LINE and not first:
                return False
            line.insert(0 if first else len(line), question)
            return True
        who = self._who(question.jid)
        turns = self.turns.get(who, ())
        if len(self.waiting) >= LINE or len(turns) >= TURNS:
            return False
        self.waiting[key] = [question]
        self.turns[who] = deque((*turns, key))
        self._begin()
        return True

    def _who(self, jid: str) -> str:
        """The account here, or the other server, whose share a question takes."""
        address = parse(jid)
        return address.user if address.domain in self.host.router.instances else address.domain

    def _share(self, who: str) -> int:
        """How many of it may be asked at a time. So nobody who answers nothing keeps others from being asked."""
        here = "@" in who or who in self.host.router.instances
        return OF_AN_ACCOUNT if here else self.asking_a_server

    def _begin(self) -> None:
        """Asks as many as may be asked at a time, one of each account and server after the other."""
        while self.busy.total() < self.asking:
            who = next((each for each in self.turns if self.busy[each] < self._share(each)), None)
            if who is None:
                return
            keys = self.turns.pop(who)
            self.busy[who] += 1
            gevent.spawn(self._find_out, keys.popleft(), who)
            if keys:
                self.turns[who] = keys

    def features_of(self, key: Key) -> frozenset[str] | None:
        """The features that the key stands for, if a client has proven that."""
        features = self.known.get(key)
        if features is not None:
            self.known.move_to_end(key)
        elif len(key) == 2 and key not in self.absent:
            mine = (Capability.owner == self.host.domain) & (Capability.key == " ".join(key))
            text = Capability.select(Capability.features).where(mine).scalar()
            if text is not None:
                features = self._keep(key, frozenset(json.loads(text)))
            else:  # a client that never proves it shows it in each presence to each contact: the store is asked once
                self.absent[key] = None
                if len(self.absent) > self.remembered:
                    del self.absent[next(iter(self.absent))]
        return features

    def _keep(self, key: Key, features: frozenset[str]) -> frozenset[str]:
        self.known[key] = features
        self.absent.pop(key, None)
        while len(self.known) > self.remembered:
            self.known.popitem(last=False)
        return features

    def _find_out(self, key: Key, who: str) -> None:
        """Asks the clients one after the other, until the answer of one fits the hash: then it counts for all. An answer that
        does not fit counts only for the client that has given it (section 5.4)."""
        line = self.waiting[key]
        try:
            while line:
                question = line.pop(0)
                if question.current():
                    with xdb.unit():
                        features = self._ask(question, key)
                        question.told(features)
                        if key in self.known:
                            for each in line:
                                each.told(features)
                            return
        finally:
            del self.waiting[key]
            self.busy[who] -= 1
            if not self.busy[who]:
                del self.busy[who]
            self._begin()

    def _ask(self, question: Question, key: Key) -> frozenset[str] | None:
        """The client's features; None if it does not answer. Puts them into ``known`` if they are proven."""
        query = Element("query", DISCO_INFO, node=f"{question.node}#{key[-1]}")
        request = Element("iq", CLIENT, query, type="get", from_=question.asker, to=question.jid)
        try:
            answer = self.host.ask(request, PATIENCE)
        except StanzaError:
            return None
        info = answer.child("query", DISCO_INFO) if answer.type == "result" else None
        if info is None:
            return None
        names = [each.attrs.get("var", "") for each in info.all("feature", DISCO_INFO)]
        if sum(map(len, names)) > LARGEST:
            return frozenset()
        features = frozenset(names)
        if (
            len(key) == 2
            and len(features) == len(names)
            and proves(info, *key, answer.attrs.get("xml:lang", ""))
        ):
            self._keep(key, features)
            xdb.write(
                _remember, self.host.domain, " ".join(key), json.dumps(sorted(features)), self.remembered
            )
        return features

    def _current(self, session: Session, key: Key) -> bool:
        """Is the session still there, and does its client still say the same?"""
        noted = session.note(CAPS)
        return noted is not None and noted[0] == key and self.host.sessions.find(session.jid) is session

    def _tell(self, session: Session, key: Key, features: frozenset[str] | None) -> None:
        if not self._current(session, key):
            return
        if features is None:
            del session.notes[CAPS]
        else:
            session.notes[CAPS] = key, features
            self.host.hooks.tell("caps", session, features)
