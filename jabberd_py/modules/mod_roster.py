"""RFC 6121 section 2: the roster, a user's list of contacts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from peewee import BigIntegerField, BooleanField, CharField, TextField

from ..hooks import Module, Option, iq, on
from ..jsm.notes import INTERESTED
from ..jsm.stream import ClientStream
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, JidField, Table, cached, spoilt, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.ns import CLIENT, ROSTER
from ..xmpp.protocols import RFC
from ..xmpp.subscription import SubscriptionState

VERSIONING = "urn:xmpp:features:rosterver"
LONGEST = 1023
"""Bytes of a name."""
OWNER = 10
"""The weight of an empty roster in the cache; an item weighs 1."""
BULK = 150
"""This many characters of names and groups weigh as much as one item."""


class RosterItem(Table):
    """One contact of ``owner``: ``jid``, a bare address.

    listed   True if clients see the item; False if it only holds a request that waits for an answer
    request  the stanza of that request, as XML
    groups   JSON
    """

    jid = JidField()
    listed = BooleanField(default=True)
    name = TextField(default="")
    groups = TextField(default="[]")
    subscription = CharField(max_length=4, default="none")
    ask = BooleanField(default=False)
    pending_in = BooleanField(default=False)
    approved = BooleanField(default=False)
    request = TextField(null=True)

    class Meta:
        indexes = ((("owner", "jid"), True),)


class RosterVersion(Table):
    """The version of a roster. It grows with every change that clients see. The first one is the Unix time: so the versions
    of a new account are larger than those of an older account with the same name."""

    owner = CharField(max_length=OWNER_LENGTH, unique=True)
    version = BigIntegerField()


@dataclass(frozen=True, slots=True)
class Item:
    """A contact without its address. Contacts that are alike in all else share one object, which saves memory."""

    state: SubscriptionState = SubscriptionState()
    listed: bool = False
    name: str = ""
    groups: tuple[str, ...] = ()

    @property
    def subscription(self) -> str:
        return self.state.subscription

    def element(self, jid: str) -> Element:
        state = self.state
        element = Element(
            "item", ROSTER, *(Element("group", ROSTER, group) for group in self.groups), jid=jid
        )
        element.attrs["subscription"] = state.subscription
        if self.name:
            element.attrs["name"] = self.name
        if state.ask:
            element.attrs["ask"] = "subscribe"
        if state.approved:
            element.attrs["approved"] = "true"
        return element


class Contacts(dict[str, Item]):
    """A user's items by bare address, with the roster's version."""

    __slots__ = ("version", "weight")

    version: int
    weight: int
    """What it counts for in the cache."""

    def listed(self) -> Iterator[tuple[str, Item]]:
        return ((jid, item) for jid, item in self.items() if item.listed)


@xdb.prepared(str)
def _rows(owner: str) -> Any:
    r = RosterItem
    columns = (r.subscription, r.ask, r.pending_in, r.approved, r.listed, r.name, r.groups)
    return r.select(r.jid, *columns).where(r.owner == owner)


_state = lru_cache(32)(SubscriptionState)  # there are fewer states


@lru_cache(4096)
def _item(subscription: str, ask: bool, pending_in: bool, approved: bool, *rest: Any) -> Item:
    """The item of a row. Rows that differ only in the address share one."""
    listed, name, groups = rest
    state = _state(sys.intern(subscription), bool(ask), bool(pending_in), bool(approved))
    return Item(state, bool(listed), name, tuple(json.loads(groups)))


@cached(size=600_000, weigh=attrgetter("weight"))
def roster(owner: str) -> Contacts:
    """The contacts of an account, cached. All readers share the object. Only `Roster._keep` changes it, before it writes."""
    version = RosterVersion.select(RosterVersion.version).where(RosterVersion.owner == owner).scalar()
    rows = _rows(owner)
    contacts = Contacts()
    for jid, *rest in fairly(rows):
        try:
            contacts[sys.intern(jid)] = _item(*rest)
        except (ValueError, TypeError) as error:
            spoilt("roster_item", owner, error)
    contacts.version = version or 0
    contacts.weight = (
        OWNER + len(contacts) + sum(len(name) + len(groups) for *_, name, groups in rows) // BULK
    )
    return contacts


class Roster(Module):
    """Keeps the users' contacts, and tells their clients of changes."""

    protocols = (RFC(6121, "XMPP: instant messaging and presence"),)
    features = (ROSTER,)
    tables = (RosterItem, RosterVersion)
    limit = Option(int, 1000, "contacts one user may have", min=1)
    groups = Option(int, 50, "groups one contact may be in", min=0)

    shared: Callable[[str, str], Set[str]] = staticmethod(lambda user, jid: frozenset())
    """The groups in which the server keeps that contact of the user (a module says so). Neither goes by the user's wish."""

    # -- for other modules: `user` and `jid` are bare addresses as text ---------------------------

    def item(self, user: str, jid: str) -> Item | None:
        """The contact; None if there is none. Clients do not see all of them: some have only sent a request."""
        return roster(user).get(jid)

    def state(self, user: str, jid: str) -> SubscriptionState:
        item = roster(user).get(jid)
        return SubscriptionState() if item is None else item.state

    def groups_of(self, user: str) -> list[str]:
        """The groups in which the user keeps contacts."""
        return sorted({group for item in roster(user).values() for group in item.groups})

    def set_state(
        self, user: str, jid: str, state: SubscriptionState, request: str | None = None, push: bool = True
    ) -> None:
        """Sets the subscription state of a contact. Blocks until it is stored. ``request``: the stanza that asked for a
        subscription. ``push=False``: the caller pushes the item later. Between the caller's decision and this call nothing may
        block. Raises StanzaError (too many contacts), StoreError."""
        old = roster(user).get(jid, Item())
        listed = old.listed or state.subscription != "none" or state.ask or state.approved
        item = replace(old, state=state, listed=listed)
        if item != old:
            self._keep(user, jid, item, request)
            if push:
                self.push(user, jid, item)

    def amend(
        self, user: str, jid: str, change: Callable[[Item], Item], also: Callable[[], object]
    ) -> tuple[Item, Item]:
        """Changes a contact as the server wishes, whatever the limit, and pushes it. Returns it before and after. Blocks until
        that is stored; ``also`` runs in the same transaction. ``change`` must not block. Raises StoreError."""
        old = roster(user).get(jid, Item())
        item = change(old)
        if item == old:
            xdb.save(also)
        else:
            self._keep(user, jid, item, also=also, limited=False)
            self.push(user, jid, item if item.listed else old, removed=not item.listed)
        return old, item

    def subscribers(self, user: str) -> list[str]:
        """The contacts who see the user's presence."""
        return [jid for jid, item in roster(user).items() if item.state.subscription in ("from", "both")]

    def subscriptions(self, user: str) -> list[str]:
        """The contacts whose presence the user sees."""
        return [jid for jid, item in roster(user).items() if item.state.subscription in ("to", "both")]

    def requests(self, user: str) -> list[tuple[str, str | None]]:
        """(bare address, stanza as XML) of each request that waits for the user's answer."""
        if not any(item.state.pending_in for item in roster(user).values()):
            return []
        mine = (RosterItem.owner == user) & RosterItem.pending_in
        return [(row.jid, row.request) for row in RosterItem.select().where(mine).order_by(RosterItem.id)]

    def push(self, user: str, jid: str, item: Item, removed: bool = False) -> None:
        """Pushes an item to the interested resources (section 2.1.6)."""
        if not item.listed:
            return
        element = Element("item", ROSTER, jid=jid, subscription="remove") if removed else item.element(jid)
        query = Element("query", ROSTER, element, ver=roster(user).version)
        for session in self.host.sessions.of(user):
            if session.note(INTERESTED):
                self.host.push(session, "set", query)
        self.host.hooks.tell("roster_push", user, query)

    def share(self, user: str, jid: str, seen: bool) -> None:
        """The contact may see the user's presence from now on, or no longer."""
        for session in self.host.sessions.available(user):
            if seen:
                presence = session.presence.copy(to=jid)
            else:
                presence = Element("presence", CLIENT, from_=session.full, to=jid, type="unavailable")
            if self.host.lets_out(session, presence):
                self.host.router.deliver(presence)

    # -- from clients ---------------------------------------------------------------------------------

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        if stream.user is not None:
            features.append(Element("ver", VERSIONING))

    @iq("get", ROSTER, "query", to="self")
    def show(self, request: Element) -> Element | None:
        query = request.payload
        if any(query.elements()):
            raise StanzaError("bad-request")
        session = self.host.sessions.find(request.from_)
        if session is not None:
            session.notes[INTERESTED] = True
        user = request.from_.user
        # If the roster changes meanwhile, the change is pushed at once, so an answer without it would be wrong: try again.
        # The last attempt lets nobody in between.
        for turns in (fairly, fairly, iter):
            contacts = roster(user)
            version = contacts.version
            if query.attrs.get("ver") == str(version):
                return None
            items = turns(list(contacts.listed()))
            answer = Element("query", ROSTER, *(item.element(jid) for jid, item in items), ver=version)
            answer.serialise(turns)
            if roster(user).version == version:
                break
        return answer

    @iq("set", ROSTER, "query", to="self")
    def change(self, request: Element) -> None:
        user, query = request.from_.user, request.payload
        items = list(query.elements())
        if len(items) != 1 or items[0].name != "item" or items[0].ns != ROSTER:
            raise StanzaError("bad-request", "a roster is changed one item at a time")
        element = items[0]
        try:
            jid = str(parse(element.attrs["jid"]).bare)
        except KeyError:
            raise StanzaError("bad-request", "the item lacks 'jid'") from None
        except ValueError as error:
            raise StanzaError("jid-malformed", str(error)) from None
        if element.attrs.get("subscription") == "remove":
            self.remove(user, jid)
            return
        if jid == user:
            raise StanzaError("not-allowed", "nobody is a contact of his own")
        name, groups = element.attrs.get("name", ""), self._groups(element)
        groups += tuple(sorted(self.shared(user, jid) - set(groups)))
        if len(name.encode()) > LONGEST:
            raise StanzaError("not-acceptable", f"a name of more than {LONGEST} bytes")
        item = replace(roster(user).get(jid, Item()), listed=True, name=name, groups=groups)
        self._keep(user, jid, item)
        self.push(user, jid, item)

    @iq("get", ROSTER, "query", to="user")
    @iq("set", ROSTER, "query", to="user")
    def refuse(self, request: Element) -> None:
        raise StanzaError("forbidden", "that is somebody else's roster")

    def _groups(self, element: Element) -> tuple[str, ...]:
        groups = tuple(group.text for group in element.all("group", ROSTER)[: self.groups + 1])
        if len(set(groups)) != len(groups):
            raise StanzaError("bad-request", "the same group twice")
        if len(groups) > self.groups or any(not group or len(group.encode()) > LONGEST for group in groups):
            raise StanzaError("not-acceptable", "a group's name is empty or too long, or there are too many")
        return groups

    # -- changes ----------------------------------------------------------------------------------------

    def remove(self, user: str, jid: str) -> None:
        """Section 2.5.2: with the item go the subscriptions. Raises StanzaError (item-not-found)."""
        item = roster(user).get(jid)
        if item is None or not item.listed:
            raise StanzaError("item-not-found", "no such contact")
        self.check_free(user, jid)
        self._keep(user, jid, Item())
        self.push(user, jid, item, removed=True)
        self._part(user, jid, item)

    def check_free(self, user: str, jid: str) -> None:
        """Raises StanzaError (not-allowed): the server keeps the contact there."""
        for group in sorted(self.shared(user, jid)):
            raise StanzaError(
                "not-allowed", f"the contact is in your group {group!r}, which the server keeps"
            )

    @on("deleting")
    def part(self, user: str) -> None:
        for jid, item in list(roster(user).items()):
            self._part(user, jid, item)

    def _part(self, user: str, jid: str, item: Item) -> None:
        state = item.state
        if state.to or state.ask:
            self._send(user, jid, "unsubscribe")
        if state.from_ or state.pending_in:
            self._send(user, jid, "unsubscribed")
        if state.from_:
            self.share(user, jid, False)

    def _send(self, user: str, jid: str, type: str) -> None:
        self.host.router.deliver(Element("presence", CLIENT, from_=user, to=jid, type=type))

    def _keep(
        self,
        user: str,
        jid: str,
        item: Item,
        request: str | None = None,
        also: Callable[[], object] | None = None,
        limited: bool = True,
    ) -> None:
        """Changes the item in memory, then in the store. Removes an item that is neither listed nor has a request. Blocks."""
        contacts = roster(user)
        old = contacts.get(jid)
        seen = item.listed or (old is not None and old.listed)
        gone = not item.listed and not item.state.pending_in
        new = item.listed and not (old and old.listed)
        if new and limited and sum(1 for _ in contacts.listed()) >= self.limit:
            raise StanzaError("resource-constraint", "the roster is full")
        if gone:
            contacts.pop(jid, None)
        else:
            contacts[sys.intern(jid)] = item
        if seen:
            contacts.version = contacts.version + 1 if contacts.version else int(time.time())
        try:
            xdb.save(_write, user, jid, item, request, gone, contacts.version if seen else None, also)
        except BaseException:
            roster.forget(user)
            raise
        if roster(user) is not contacts:  # another greenlet has read it before our change was committed
            roster.forget(user)
        self.host.hooks.tell("roster", user, jid)


def _write(
    owner: str,
    jid: str,
    item: Item,
    request: str | None,
    gone: bool,
    version: int | None,
    also: Callable[[], object] | None,
) -> None:
    if also is not None:
        also()
    mine = (RosterItem.owner == owner) & (RosterItem.jid == jid)
    if gone:
        RosterItem.delete().where(mine).execute()
    else:
        s = item.state
        row: dict[str, Any] = {"listed": item.listed, "name": item.name, "groups": json.dumps(item.groups)}
        row |= {each: getattr(s, each) for each in ("subscription", "ask", "pending_in", "approved")}
        if request is not None or not s.pending_in:
            row["request"] = request
        if RosterItem.select(RosterItem.id).where(mine).exists():
            RosterItem.update(**row).where(mine).execute()
        else:
            RosterItem.insert(owner=owner, jid=jid, **row).execute()
    if version is not None:
        RosterVersion.delete().where(RosterVersion.owner == owner).execute()
        RosterVersion.insert(owner=owner, version=version).execute()
