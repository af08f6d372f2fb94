"""XEP-0016: Privacy Lists. The addresses that XEP-0191 blocks are items of the default list (mod_blocking)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from peewee import BooleanField, CharField, TextField

from ..hooks import HANDLED, Module, Option, iq, on
from ..jsm.notes import DIRECTED, PRIVACY_ASKED, PRIVACY_LIST
from ..jsm.session import Session
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, Table, cached, spoilt, xdb
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP
from .mod_roster import roster
from .privacy_rules import ENTRY, NAME_LENGTH, NS, Item, Kept, List, Lists, read, read_items

ERRORS = "urn:xmpp:blocking:errors"


class PrivacyList(Table):
    """One list. ``items``: as `privacy_rules.Kept` writes them. ``standard``: it is the owner's default list."""

    owner = CharField(max_length=OWNER_LENGTH)
    name = CharField(max_length=NAME_LENGTH)
    standard = BooleanField()
    items = TextField()

    class Meta:
        indexes = ((("owner", "name"), True),)


class PrivacyLists(Table):
    """How older versions kept them: ``xml`` has all lists of the owner. `Privacy.start` moves them to `PrivacyList`."""

    owner = CharField(max_length=OWNER_LENGTH)
    xml = TextField()

    class Meta:
        indexes = ((("owner",), True),)


def _weigh(lists: Lists | None) -> int:
    return ENTRY if lists is None else lists.weight


@cached(size=20_000_000, weigh=_weigh)
def lists_of(owner: str) -> Lists | None:
    """The lists of an account; None if it has none, as nearly all have."""
    return _read(owner)


@xdb.prepared(str)
def _rows(owner: str) -> Any:
    p = PrivacyList
    return p.select(p.name, p.standard, p.items).where(p.owner == owner).order_by(p.id)


def _read(owner: str) -> Lists | None:
    rows = _rows(owner)
    default = next((name for name, standard, _ in rows if standard), None)
    return Lists({name: Kept(items) for name, _, items in rows}, default) if rows else None


def _store(owner: str, change: Callable[[Lists], Lists]) -> None:
    """Changes the stored lists: ``change`` gets the old ones and returns the new ones. Runs in the writer, so nobody else
    changes them meanwhile. Writes only the lists that have changed."""
    old = _read(owner) or Lists({})
    new = change(old)
    mine = PrivacyList.owner == owner
    gone = [name for name, kept in old.lists.items() if new.lists.get(name) is not kept]
    PrivacyList.delete().where(mine, PrivacyList.name.in_(gone)).execute()
    for name, kept in new.lists.items():
        if old.lists.get(name) is not kept:
            PrivacyList.insert(owner=owner, name=name, standard=False, items=kept.text).execute()
    PrivacyList.update(standard=False).where(mine, PrivacyList.standard == True).execute()  # noqa: E712
    if new.default is not None:
        PrivacyList.update(standard=True).where(mine, PrivacyList.name == new.default).execute()


def _take_over() -> bool:
    """Moves the lists of a few accounts out of `PrivacyLists`. Runs in the writer. False: there are no more."""
    rows = list(PrivacyLists.select().limit(20))
    for row in rows:
        try:
            lists = read(from_text(row.xml))
            _store(row.owner, lambda old, lists=lists: lists)  # type: ignore[misc]
        except (ValueError, KeyError, StanzaError) as error:
            spoilt("privacy_lists", row.owner, error)
        row.delete_instance()
    return bool(rows)


class Privacy(Module):
    """Lets users say who may reach them, and whom their stanzas may reach: by address, roster group or subscription."""

    protocols = (XEP(16, "1.7", "Privacy Lists"),)
    features = (NS,)
    tables = (PrivacyList, PrivacyLists)
    max_lists = Option(int, 20, "lists of one account", min=1)
    max_items = Option(int, 1000, "items of one list, and so addresses that one account may block", min=1)

    @on("start")
    def start(self) -> None:
        while xdb.save(_take_over):
            pass

    # -- the verdict ---------------------------------------------------------------------

    @on("filter_out")
    def hold_back(self, session: Session, stanza: Element) -> None:
        lists = lists_of[session.user]
        if lists is None or "to" not in stanza.attrs:
            return
        hidden = stanza.name == "presence" and stanza.type in (None, "unavailable")
        kind = "presence-out" if hidden else "out"
        if self._denies(session.user, self._list(lists, session), stanza.to, kind):
            raise StanzaError(
                "not-acceptable", "you have blocked this address", Element("blocked", ERRORS), type="cancel"
            )

    @on("filter_in")
    def turn_away(self, user: str, stanza: Element) -> bool | None:
        # in two functions: one with inner functions makes five cells at each call, and nearly nobody has lists
        lists = lists_of[user]
        return None if lists is None else self._turn_away(user, lists, stanza)

    def _turn_away(self, user: str, lists: Lists, stanza: Element) -> bool | None:
        session = self.host.sessions.find(stanza.to)
        sessions = [session] if session else self.host.sessions.of(user) if stanza.to.resource is None else []
        rules = [self._list(lists, each) for each in sessions] or [lists.get(lists.default)]
        if stanza.uid:  # it has waited in the store, and may wait there for another client
            rules.append(lists.get(lists.default))
        kind = _kind(stanza)
        if not all(self._denies(user, each, stanza.from_, kind) for each in rules):
            return None
        silent = stanza.name == "presence" or stanza.type in ("error", "groupchat", "headline", "result")
        if silent:
            return HANDLED
        raise StanzaError("service-unavailable")

    @on("filter_session")
    @on("in", kind="presence")
    def spare_session(self, session: Session, stanza: Element) -> bool | None:
        """A stanza for the bare address reaches several sessions. Each one's own active list holds for it."""
        lists = lists_of[session.user]
        if lists is None or "from" not in stanza.attrs:
            return None
        if stanza.name == "presence" and "/" in stanza.attrs.get("to", "/"):
            return None
        rules = self._list(lists, session)
        return HANDLED if self._denies(session.user, rules, stanza.from_, _kind(stanza)) else None

    def hides(self, user: str, jid: JID) -> bool:
        """Do the user's lists hide all sessions of the user from that address?"""
        lists = lists_of(user)
        if lists is None:
            return False
        rules = [self._list(lists, each) for each in self.host.sessions.of(user)] or [
            lists.get(lists.default)
        ]
        return all(self._denies(user, each, jid, "presence-out") for each in rules)

    def _list(self, lists: Lists, session: Session) -> List | None:
        return lists.get(session.note(PRIVACY_LIST)) or lists.get(lists.default)

    def _denies(self, user: str, rules: List | None, jid: JID | None, kind: str) -> bool:
        if (
            rules is None
            or jid is None
            or jid.user == user
            or (jid.node is None and jid.domain == self.host.domain)
        ):
            return False  # one's own account and server are never blocked
        return rules.denies(jid, kind, lambda: roster(user).get(jid.user))

    # -- the protocol ----------------------------------------------------------------------

    @iq("get", NS, "query", to="self")
    def show(self, request: Element) -> Element:
        session, asked = self._session(request), list(request.payload.elements())
        lists = lists_of(session.user) or Lists({})
        session.notes[PRIVACY_ASKED] = True
        if not asked:
            return self._names(lists, session.note(PRIVACY_LIST))
        if len(asked) > 1 or asked[0].name != "list":
            raise StanzaError("bad-request", "one list at a time")
        name = _name(asked[0])
        found = lists.get(name)
        if found is None:
            raise StanzaError("item-not-found")
        shown = Element("list", NS, *(item.element() for item in fairly(found.items)), name=name)
        shown.serialise(fairly)
        return Element("query", NS, shown)

    def _names(self, lists: Lists, active: str | None) -> Element:
        query = Element("query", NS)
        for name, value in (
            ("active", active if active in lists.lists else None),
            ("default", lists.default),
        ):
            if value is not None:
                query.append(Element(name, NS, name=value))
        return query.append(*(Element("list", NS, name=name) for name in lists.lists))

    @iq("set", NS, "query", to="self")
    def change(self, request: Element) -> None:
        session, asked = self._session(request), list(request.payload.elements())
        if len(asked) != 1 or asked[0].name not in ("active", "default", "list"):
            raise StanzaError("bad-request")
        session.notes[PRIVACY_ASKED] = True
        verb, name = asked[0], asked[0].attrs.get("name")
        if verb.name == "list":
            self._edit(session, _name(verb), verb)
            return
        lists = lists_of(session.user) or Lists({})
        if name is not None and name not in lists.lists:
            raise StanzaError("item-not-found")
        if verb.name == "active":
            before = {session: self._list(lists, session)}
            session.notes[PRIVACY_LIST] = name
            self._changed(session.user, before)
            self.host.spool.flush(
                session.user
            )  # the new list may let messages through that the old one stopped
            return
        if (
            lists.default is not None
            and name != lists.default
            and self._others(session, lists.default, lists)
        ):
            raise StanzaError("conflict", "another resource uses the default list")
        self.alter(session.user, lambda old: Lists(old.lists, name if name in old.lists else None))

    def _edit(self, session: Session, name: str, element: Element) -> None:
        items = read_items(fairly(element.elements()), self.max_items)
        lists = lists_of(session.user) or Lists({})
        if not items:
            if name not in lists.lists:
                raise StanzaError("item-not-found")
            if self._others(session, name, lists):
                raise StanzaError("conflict", "another resource uses that list")
            if session.note(PRIVACY_LIST) == name:
                session.notes[PRIVACY_LIST] = None
        elif name not in lists.lists and len(lists.lists) >= self.max_lists:
            raise StanzaError("not-acceptable", f"an account has at most {self.max_lists} lists")
        self._check_groups(session.user, items)
        self.alter(session.user, lambda old: old.having(name, items))
        self._push(self.host.sessions.of(session.user), name)

    def _check_groups(self, user: str, items: list[Item]) -> None:
        wanted = {item.value for item in items if item.type == "group"}
        if wanted and not wanted <= {group for contact in roster(user).values() for group in contact.groups}:
            raise StanzaError("item-not-found", "no such group in your roster")

    def _others(self, session: Session, name: str, lists: Lists) -> bool:
        """Does that list apply to another session of the user?"""
        others = (each for each in self.host.sessions.of(session.user) if each is not session)
        return any((each.note(PRIVACY_LIST) or lists.default) == name for each in others)

    def _session(self, request: Element) -> Session:
        session: Session | None = self.host.sessions.find(request.from_)
        if session is None:
            raise StanzaError("forbidden")
        return session

    def _push(self, sessions: list[Session], name: str) -> None:
        for session in sessions:
            self.host.push(session, "set", Element("query", NS, Element("list", NS, name=name)))

    # -- changes ----------------------------------------------------------------------------

    def block(self, user: str, change: Callable[[list[str]], list[str]]) -> None:
        """Changes the block list. ``change`` gets the addresses that are blocked now and returns those that are to be blocked.
        Tells the events ``blocked`` and ``unblocked``. Blocks until the list is stored. Raises StanzaError, StoreError."""
        self.alter(user, lambda old: self.bounded(old.blocking(change(old.blocked))))
        lists = lists_of(user)
        if lists is not None and lists.default is not None:
            self._push([s for s in self.host.sessions.of(user) if s.note(PRIVACY_ASKED)], lists.default)

    def bounded(self, lists: Lists, all: bool = False) -> Lists:
        """The same lists. Raises StanzaError: the default one is too long; ``all``: one of them is, or there are too many."""
        longest = max((len(kept.list.items) for kept in lists.lists.values()), default=0) if all else 0
        if longest > self.max_items or (all and len(lists.lists) > self.max_lists):
            raise StanzaError("not-acceptable", f"at most {self.max_lists} lists of {self.max_items} items")
        default = lists.get(lists.default)
        if default is not None and len(default.items) > self.max_items:
            raise StanzaError("not-acceptable", f"at most {self.max_items} addresses can be blocked")
        return lists

    def alter(self, user: str, change: Callable[[Lists], Lists]) -> None:
        """Changes the lists: ``change`` gets the old ones and returns the new ones. When they are stored, tells everybody who
        sees more or less because of it. Blocks. Raises StanzaError, StoreError."""
        before = lists_of(user) or Lists({})
        rules = {session: self._list(before, session) for session in self.host.sessions.of(user)}
        xdb.save(_store, user, change)
        lists_of.forget(user)
        old, new = set(before.blocked), set((lists_of(user) or Lists({})).blocked)
        self._changed(user, rules)
        if new - old:
            self.host.hooks.tell("blocked", user, sorted(new - old))
        if old - new:
            self.host.hooks.tell("unblocked", user, sorted(old - new))

    def _changed(self, user: str, before: dict[Session, List | None]) -> None:
        """The rules of these sessions have changed. Sends presence to everybody who sees more or less of a session than before
        (notes of XEP-0016 sections 2.9 and 2.10, XEP-0191 sections 3.3 and 3.4). ``before``: session -> its list until now.
        Works in turns with everything else."""
        lists = lists_of(user) or Lists({})
        for session, old in before.items():
            new = self._list(lists, session)
            if (old.items if old else ()) == (new.items if new else ()):
                continue
            ways = [(parse(address), "directed") for address in session.note(DIRECTED) or ()]
            for address, contact in roster(user).items() if session.presence is not None else ():
                if contact.state.from_:
                    ways.append((parse(address), "presence-out"))
                if contact.state.to:
                    ways.append((parse(address), "presence-in"))
            for jid, way in fairly(ways):
                kind = "presence-out" if way == "directed" else way
                hidden = self._denies(user, new, jid, kind)
                if hidden != self._denies(user, old, jid, kind):
                    self._tell(session, jid, way, hidden)

    def _tell(self, session: Session, jid: JID, way: str, hidden: bool) -> None:
        if way == "directed" and not hidden:
            return  # only the client knows whether to send directed presence again (RFC 6121 section 4.6)
        if way == "directed":
            (session.note(DIRECTED) or {}).pop(str(jid), None)
        if session.presence is None and way != "directed":
            return
        if way != "presence-in" and hidden:
            gone = Element("presence", CLIENT, type="unavailable", from_=session.full, to=jid)
            self.host.router.deliver(gone)
        elif way == "presence-out":
            self.host.router.deliver(session.presence.copy(from_=session.full, to=jid))
        elif hidden:
            session.send(Element("presence", CLIENT, type="unavailable", from_=jid, to=session.full))
        else:
            self.host.router.deliver(Element("presence", CLIENT, type="probe", from_=session.user, to=jid))


def _kind(stanza: Element) -> str:
    """The kind of an incoming stanza, as a list names it. Subscription requests and probes are no ``presence-in``."""
    if stanza.name != "presence":
        return stanza.name
    return "presence-in" if stanza.type in (None, "unavailable") else "subscription"


def _name(element: Element) -> str:
    name = element.attrs.get("name", "")
    if not 0 < len(name) <= NAME_LENGTH:
        raise StanzaError("bad-request", "the list needs a name")
    return name
