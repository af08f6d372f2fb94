"""XEP-0016: Privacy Lists. What XEP-0191 blocks stands in the default list (mod_blocking)."""

from __future__ import annotations

from collections.abc import Callable

from peewee import CharField, TextField

from ..hooks import HANDLED, Module, Option, iq, on
from ..jsm.notes import DIRECTED, PRIVACY_ASKED, PRIVACY_LIST
from ..jsm.session import Session
from ..xdb import OWNER_LENGTH, Table, cached, xdb
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from ..xmpp.protocols import XEP
from ..xmpp.subscription import State
from .mod_roster import roster
from .privacy_rules import NAME_LENGTH, NS, Item, List, Lists, read, read_items

ERRORS = "urn:xmpp:blocking:errors"


class PrivacyLists(Table):
    """``xml``: all lists of the owner, as `Lists.element` writes them."""

    owner = CharField(max_length=OWNER_LENGTH)
    xml = TextField()

    class Meta:
        indexes = ((("owner",), True),)


@cached(size=50_000)
def lists_of(owner: str) -> Lists | None:
    """The compiled lists, or None for those who have none: what nearly everybody costs is a look-up."""
    xml = PrivacyLists.select(PrivacyLists.xml).where(PrivacyLists.owner == owner).scalar()
    return None if xml is None else read(from_text(xml))


def _store(owner: str, change: Callable[[Lists], Lists]) -> None:
    """Runs in the writer: nobody else changes the lists meanwhile."""
    mine = PrivacyLists.owner == owner
    xml = PrivacyLists.select(PrivacyLists.xml).where(mine).scalar()
    lists = change(read(from_text(xml)) if xml else Lists({}))
    PrivacyLists.delete().where(mine).execute()
    if lists.lists:
        PrivacyLists.insert(owner=owner, xml=str(lists.element())).execute()


class Privacy(Module):
    """Lets users say who may reach whom, by address, roster group or subscription."""

    protocols = (XEP(16, "1.7", "Privacy Lists"),)
    features = (NS,)
    tables = (PrivacyLists,)
    max_lists = Option(int, 20, "lists of one account", min=1)
    max_items = Option(int, 1000, "items of one list, and so addresses that one account may block", min=1)

    # -- the verdict ---------------------------------------------------------------------

    @on("filter_out")
    def hold_back(self, session: Session, stanza: Element) -> None:
        lists = lists_of(session.user)
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
        lists = lists_of(user)
        if lists is None:
            return None
        session = self.host.sessions.find(stanza.to)
        sessions = [session] if session else self.host.sessions.of(user) if stanza.to.resource is None else []
        rules = [self._list(lists, each) for each in sessions] or [lists.get(lists.default)]
        kind = _kind(stanza)
        if not all(self._denies(user, each, stanza.from_, kind) for each in rules):
            return None
        silent = stanza.name == "presence" or stanza.type in ("error", "groupchat", "result")
        if silent:
            return HANDLED
        raise StanzaError("service-unavailable")

    @on("in")
    def spare_session(self, session: Session, stanza: Element) -> bool | None:
        """Sent to the bare address: sessions with an active list of their own may differ."""
        lists = lists_of(session.user)
        if lists is None or "/" in stanza.attrs.get("to", "/") or "from" not in stanza.attrs:
            return None
        rules = self._list(lists, session)
        return HANDLED if self._denies(session.user, rules, stanza.from_, _kind(stanza)) else None

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
        items = (item.element() for item in found.items)
        return Element("query", NS, Element("list", NS, *items, name=name))

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
            with_presence = self._presence(session.user)
            session.notes[PRIVACY_LIST] = name
            with_presence()
            return
        if (
            lists.default is not None
            and name != lists.default
            and self._others(session, lists.default, lists)
        ):
            raise StanzaError("conflict", "another resource goes by the default list")
        self.alter(session.user, lambda old: Lists(old.lists, name if name in old.lists else None))

    def _edit(self, session: Session, name: str, element: Element) -> None:
        items = read_items(element, self.max_items)
        lists = lists_of(session.user) or Lists({})
        if not items:
            if name not in lists.lists:
                raise StanzaError("item-not-found")
            if self._others(session, name, lists):
                raise StanzaError("conflict", "another resource goes by that list")
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
        """Changes the block list: ``change`` gets the addresses blocked so far and returns those to be.
        Returns when it is stored; the events ``blocked`` and ``unblocked`` tell. Raises StanzaError and
        StoreError."""
        self.alter(user, lambda old: self._bounded(old.blocking(change(old.blocked))))
        lists = lists_of(user)
        if lists is not None and lists.default is not None:
            self._push([s for s in self.host.sessions.of(user) if s.note(PRIVACY_ASKED)], lists.default)

    def _bounded(self, lists: Lists) -> Lists:
        default = lists.get(lists.default)
        if default is not None and len(default.items) > self.max_items:
            raise StanzaError("not-acceptable", f"at most {self.max_items} addresses can be blocked")
        return lists

    def alter(self, user: str, change: Callable[[Lists], Lists]) -> None:
        """Stores the lists that ``change`` makes of the old ones, then tells those concerned."""
        before, with_presence = lists_of(user) or Lists({}), self._presence(user)
        xdb.save(_store, user, change)
        lists_of.forget(user)
        old, new = set(before.blocked), set((lists_of(user) or Lists({})).blocked)
        with_presence()
        if new - old:
            self.host.hooks.tell("blocked", user, sorted(new - old))
        if old - new:
            self.host.hooks.tell("unblocked", user, sorted(old - new))

    def _presence(self, user: str) -> Callable[[], None]:
        """Notes who sees whom; the function it returns, called after a change, tells those who now see more
        or less (notes of XEP-0016 sections 2.9 and 2.10, XEP-0191 sections 3.3 and 3.4)."""
        sessions = [s for s in self.host.sessions.of(user) if s.presence is not None or s.note(DIRECTED)]
        states = [(parse(jid), contact.state) for jid, contact in roster(user).items()] if sessions else []
        before = self._seen(user, sessions, states)

        def tell() -> None:
            after = self._seen(user, sessions, states)
            for (session, jid, way), hidden in after.items():
                if hidden != before.get((session, jid, way), False):
                    self._tell(session, jid, way, hidden)

        return tell

    def _seen(
        self, user: str, sessions: list[Session], states: list[tuple[JID, State]]
    ) -> dict[tuple[Session, JID, str], bool]:
        lists = lists_of(user) or Lists({})
        seen = {}
        for session in sessions:
            rules, shown = self._list(lists, session), session.presence is not None
            for address in session.note(DIRECTED) or ():
                jid = parse(address)
                seen[session, jid, "directed"] = self._denies(user, rules, jid, "presence-out")
            for jid, state in states if shown else ():
                if state.from_:
                    seen[session, jid, "presence-out"] = self._denies(user, rules, jid, "presence-out")
                if state.to:
                    seen[session, jid, "presence-in"] = self._denies(user, rules, jid, "presence-in")
        return seen

    def _tell(self, session: Session, jid: JID, way: str, hidden: bool) -> None:
        if way == "directed" and not hidden:
            return  # it is for the client to say so again (RFC 6121 section 4.6)
        if way == "directed":
            session.note(DIRECTED).pop(str(jid), None)
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
    """What an incoming stanza counts as: subscriptions and probes are no presence notifications."""
    if stanza.name != "presence":
        return stanza.name
    return "presence-in" if stanza.type in (None, "unavailable") else "subscription"


def _name(element: Element) -> str:
    name = element.attrs.get("name", "")
    if not 0 < len(name) <= NAME_LENGTH:
        raise StanzaError("bad-request", "the list needs a name")
    return name
