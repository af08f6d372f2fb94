"""XEP-0115: Entity Capabilities, of the server and of its users' clients."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import gevent

from ..hooks import Module, Option, on
from ..instance import Instance
from ..jsm.notes import CAPS
from ..jsm.session import Session
from ..jsm.stream import ClientStream
from ..xdb import xdb
from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT, DISCO_INFO
from ..xmpp.protocols import XEP

NS = "http://jabber.org/protocol/caps"
HASHES = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
"""IANA's names of hash functions, and hashlib's."""
LARGEST = 32 << 10
"""Characters of all features of one client; one that has more has none."""

Key = tuple[str, ...]
"""What clients with the same capabilities share: (hash, ver). Of older clients, without a hash: (address, node, ver)."""


class Caps(Module):
    """Says in the stream's features what the server can do, as a hash: clients that know it need not ask. Finds out what
    clients can do where another module wants to know: event ``caps``."""

    protocols = (XEP(115, "1.6.0", "Entity Capabilities", missing="clients of other servers are not asked"),)
    features = (NS,)
    needs = ("disco",)
    asking = Option(int, 100, "clients that are asked at a time what they can do", min=1)
    remembered = Option(int, 1000, "different clients whose capabilities are remembered", min=1)
    current: str | None = None

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.known: OrderedDict[Key, frozenset[str]] = OrderedDict()
        self.waiting: dict[Key, list[tuple[Session, str]]] = {}  # (session, node) each: one of them is asked

    # -- of the server ---------------------------------------------------------------------------

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        features.append(Element("c", NS, hash="sha-1", node=self.node, ver=self.ver))

    @on("start", "reload")
    def changed(self) -> None:
        self.current = None

    def disco_node(self, request: Element, node: str) -> Element | None:
        if request.payload.ns != DISCO_INFO or node != f"{self.node}#{self.ver}":
            return None
        return self.host["disco"].describe()

    @property
    def node(self) -> str:
        return f"https://{self.host.domain}"

    @property
    def ver(self) -> str:
        if self.current is None:
            self.current = verification(self.host["disco"].describe())
        return self.current

    # -- of clients ------------------------------------------------------------------------------

    def of(self, session: Session) -> frozenset[str] | None:
        """The features of the session's client; None where they are not known (yet)."""
        noted = session.note(CAPS)
        return None if noted is None else noted[1]

    @on("shown")
    def look(self, session: Session, stanza: Element) -> None:
        """Nobody is asked where nobody wants to know."""
        if not self.host.hooks.told["caps"]:
            return
        c = stanza.child("c", NS) if stanza.type is None else None
        if c is None or not c.attrs.get("ver") or not c.attrs.get("node"):
            if stanza.type == "unavailable" and session.note(CAPS) is not None:
                del session.notes[CAPS]
            return
        hash, node, ver = c.attrs.get("hash"), c.attrs["node"], c.attrs["ver"]
        key: Key = (session.full, node, ver) if hash is None else (hash, ver)
        noted = session.note(CAPS)
        if noted is not None and noted[0] == key:
            return
        session.notes[CAPS] = key, None
        if key in self.known:
            self.known.move_to_end(key)
            self._tell(session, key, self.known[key])
        elif key in self.waiting:
            self.waiting[key].append((session, node))
        elif len(self.waiting) < self.asking:
            self.waiting[key] = [(session, node)]
            gevent.spawn(self._find_out, key)
        else:
            del session.notes[CAPS]  # its next presence tries again

    @on("resumed")
    def look_again(self, session: Session) -> None:
        """After a restart of the server."""
        if session.presence is not None and session.note(CAPS) is None:
            self.look(session, session.presence)

    def _find_out(self, key: Key) -> None:
        """Asks the sessions, one after the other, until one has proven what the hash stands for: then it holds for all.
        What was not proven holds for the session that says so (section 5.4)."""
        waiting = self.waiting[key]
        try:
            while waiting:
                session, node = waiting.pop(0)
                if self._current(session, key):
                    with xdb.unit():
                        features = self._ask(session, node, key)
                    if features is None:
                        session.notes.pop(CAPS, None)
                    elif key in self.known:
                        for each in [session, *(other for other, _ in waiting)]:
                            self._tell(each, key, features)
                        return
                    else:
                        self._tell(session, key, features)
        finally:
            del self.waiting[key]

    def _ask(self, session: Session, node: str, key: Key) -> frozenset[str] | None:
        """The client's features, also in ``known`` if they are proven. None: no answer."""
        query = Element("query", DISCO_INFO, node=f"{node}#{key[-1]}")
        request = Element("iq", CLIENT, query, type="get", from_=self.host.domain, to=session.full)
        try:
            answer = self.host.ask(request)
        except StanzaError:
            return None
        info = answer.child("query", DISCO_INFO) if answer.type == "result" else None
        if info is None:
            return None
        names = [each.attrs.get("var", "") for each in info.all("feature", DISCO_INFO)]
        if sum(map(len, names)) > LARGEST:
            return frozenset()
        if len(key) == 2 and len(set(names)) == len(names) and proves(info, *key):
            self.known[key] = frozenset(names)
            while len(self.known) > self.remembered:
                self.known.popitem(last=False)
        return frozenset(names)

    def _current(self, session: Session, key: Key) -> bool:
        """Is the session there, and is that still what its client says?"""
        noted = session.note(CAPS)
        return noted is not None and noted[0] == key and self.host.sessions.find(session.jid) is session

    def _tell(self, session: Session, key: Key, features: frozenset[str]) -> None:
        if self._current(session, key):
            session.notes[CAPS] = key, features
            self.host.hooks.tell("caps", session, features)


def proves(info: Element, hash: str, ver: str) -> bool:
    """Does the answer to disco#info give that verification string?"""
    try:
        return hash in HASHES and verification(info, HASHES[hash]) == ver
    except ValueError:
        return False


def verification(info: Element, hash: str = "sha1") -> str:
    """The verification string of an answer to disco#info (section 5.1). Code points sort as i;octet does. Raises
    ValueError: ill-formed, as of two forms with the same FORM_TYPE (section 5.4)."""
    identities = (
        "/".join(identity.attrs.get(key, "") for key in ("category", "type", "xml:lang", "name"))
        for identity in info.all("identity", DISCO_INFO)
    )
    parts = [*sorted(identities), *sorted(f.attrs.get("var", "") for f in info.all("feature", DISCO_INFO))]
    found = (forms.read(x) for x in info.all("x", forms.NS))
    typed = [form for form in found if form.get("FORM_TYPE")]
    types = [form["FORM_TYPE"] for form in typed]
    if len({tuple(each) for each in types}) < len(types) or any(len(set(each)) > 1 for each in types):
        raise ValueError("two forms of the same type, or one of two types")
    for form in sorted(typed, key=lambda form: form["FORM_TYPE"]):
        parts += form.pop("FORM_TYPE")[:1]
        for var in sorted(form):
            parts += [var, *sorted(form[var])]
    text = "".join(f"{part}<" for part in parts)
    return b64encode(hashlib.new(hash, text.encode(), usedforsecurity=False).digest()).decode()
