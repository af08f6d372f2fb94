"""Groups of the roster that the server keeps: the members of a group are in each other's rosters, with subscription "both".

Who is a member is said by the configuration, by `jabberctl groups`, and by nodes whose item ids are addresses. A member's
contacts are ordinary rows of the roster. `SharedContact` remembers how each was before, and for which groups it is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import gevent
from gevent.lock import RLock
from gevent.pool import Pool

from .. import log
from ..arguments import AccountAddress
from ..commands import Failed
from ..hooks import Option, command, every, list_of, mapping_of, on
from ..jsm.host import bare_address
from ..net.turns import fairly, pause
from ..xdb import StoreError, xdb
from ..xmpp.errors import StanzaError
from .following import Follower, Following, Source, source
from .members import NAME, GroupMember, SharedContact, enrol, groups_of, keep_groups, remember, row_of

logger = log.get(__name__)
EVERYBODY = "*"
IDS = 10_000
"""Addresses of one node; the others are not heeded."""
PAGE = 250
"""Rows that are read at a time."""
AT_ONCE = 20
"""Contacts that are made at a time."""


class GroupNode(NamedTuple):
    """A node whose item ids are the addresses of the group's members."""

    source: Source
    group: str


def member(text: Any) -> str:
    """An account's address, or "*": every account."""
    return EVERYBODY if text == EVERYBODY else bare_address(text)


def group_lists(value: Any) -> dict[str, list[str]]:
    """Group -> its members."""
    found = mapping_of(list_of(member))(value)
    for name in found:
        if not name.strip() or len(name) > NAME:
            raise ValueError(f"{name[:100]!r}: a group's name has 1 to {NAME} characters")
    return found


def group_node(text: Any) -> GroupNode:
    """ "ADDRESS NODE GROUP"; the name of the group may have spaces."""
    if isinstance(text, GroupNode):
        return text
    parts = str(text).split(maxsplit=2)
    if len(parts) != 3 or len(parts[2]) > NAME:
        raise ValueError(
            f"{str(text)[:100]!r} is no node of a group: write 'pubsub.example.org staff The Staff'"
        )
    return GroupNode(source(*parts[:2]), parts[2])


class Groups(Follower):
    """Puts the members of a group into each other's rosters."""

    name = "groups"
    needs = ("roster", "subscription", "presence")
    tables = (GroupMember, SharedContact)
    groups = Option[dict[str, list[str]]](
        group_lists,
        {},
        "groups by name, each with the addresses of its members, or '*' for every account; those of other hosts are left out",
    )
    nodes = Option[list[GroupNode]](
        list_of(group_node),
        [],
        "nodes whose item ids are members, such as 'pubsub.example.org staff The Staff': a service, a node, and a group",
    )
    most = Option(int, 500, "members of one group; with more, the others are left out", min=2)

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        """``of``: account -> its groups; ``members``: group -> its accounts, in order. ``busy``: one change at a time."""
        super().__init__(host, settings)
        self.of: dict[str, set[str]] = {}
        self.members: dict[str, dict[str, None]] = {}
        self.loaded = False
        self.busy = RLock()
        self.waits = False
        """Is `settle` about to begin? Then it need not be asked for again."""
        self.following = Following(host, "the node of a group", IDS, self._settle_soon)
        self.told: list[Callable[[], None]] = []
        """Called, without waiting, when somebody has joined or left a group."""
        host["roster"].shared = self.shared

    def shared(self, user: str, jid: str) -> set[str]:
        """The groups that both are in. Does not block."""
        return self.of.get(user, set()) & self.of.get(jid, set())

    # -- who shall be in which group --------------------------------------------------------------------

    @on("restored", "reload")
    @every(3600)
    def refresh(self) -> None:
        self.following.follow([each.source for each in self.nodes])
        self._settle_soon()

    def _said(self) -> dict[str, set[str]]:
        """Group -> its members by the configuration and by nodes: any addresses, or "*"."""
        found = {name: set(members) for name, members in self.groups.items()}
        for each in self.nodes:
            found.setdefault(each.group, set()).update(self.following.known.get(each.source, ()))
        return found

    def _unread(self) -> set[str]:
        """Groups with a node that was not read yet: nobody leaves them."""
        return {each.group for each in self.nodes if each.source not in self.following.known}

    def _wanted(self, rows: list[GroupMember]) -> dict[str, dict[str, None]]:
        """Group -> the accounts that shall be in it. Who is in it comes first. May block."""
        said = self._said()
        wanted: dict[str, dict[str, None]] = {}
        for row in fairly(rows):
            members = said.get(row.name, ())
            if row.added or row.owner in members or EVERYBODY in members:
                wanted.setdefault(row.name, {})[row.owner] = None
        for name, members in said.items():
            everybody: Iterator[str] = (row.owner for page in self.host.users.pages() for row in page)
            for user in fairly(everybody if EVERYBODY in members else sorted(members)):
                if self._exists(user):
                    wanted.setdefault(name, {})[user] = None
        for name, accounts in wanted.items():
            if len(accounts) > self.most:
                logger.warning(
                    "a group has too many members", group=name, members=len(accounts), most=self.most
                )
                wanted[name] = dict.fromkeys(list(accounts)[: self.most])
        return wanted

    def _exists(self, user: str) -> bool:
        return user.endswith("@" + self.host.domain) and bool(self.host.users.exists(user))

    def _rows(self) -> list[GroupMember]:
        """In turns with everything else: they may be many. Blocks."""
        rows, behind = list[GroupMember](), 0
        while True:
            mine = (GroupMember.domain == self.host.domain) & (GroupMember.id > behind)
            page = list(GroupMember.select().where(mine).order_by(GroupMember.id).limit(PAGE))
            rows += page
            if len(page) < PAGE:
                return rows
            behind = page[-1].id
            xdb.release()
            pause()

    # -- they come and go -------------------------------------------------------------------------------

    def _settle_soon(self) -> None:
        if not self.waits:
            self.waits = True
            gevent.spawn(self._settle)

    def _settle(self) -> None:
        with xdb.unit(), self.busy:
            self.waits = False
            try:
                self.settle()
            except (StanzaError, StoreError) as error:
                logger.warning("the groups are not up to date", host=self.host.domain, reason=str(error))

    def settle(self) -> None:
        """Makes the rosters what they shall be. Blocks until that is stored. What a crash has left half done is done again.
        Raises StanzaError, StoreError."""
        xdb.release()
        with self.busy:
            rows = self._load()
            done = {(row.name, row.owner) for row in rows if row.done}
            wanted, unread = self._wanted(rows), self._unread()
            for row in rows:
                if row.owner not in wanted.get(row.name, ()) and row.name not in unread:
                    self._leave(row.name, row.owner)
            for name, users in wanted.items():
                for user in users:
                    if (name, user) not in done:
                        self._join(name, user)

    @on("created", "imported")
    def arrived(self, user: str) -> None:
        if self.groups or self.nodes:
            gevent.spawn(self._arrived, user)

    def _arrived(self, user: str) -> None:
        with xdb.unit(), self.busy:
            if not self.loaded:
                self._load()
            for name, members in self._said().items():
                full = len(self.members.get(name, ())) >= self.most
                if (user in members or EVERYBODY in members) and not full and self._exists(user):
                    self._join(name, user)

    @on("deleting")
    def gone(self, user: str) -> None:
        xdb.release()
        with self.busy:
            names = [row.name for row in GroupMember.select().where(GroupMember.owner == user)]
            if names and not self.loaded:
                self._load()  # the account may go while the server is stopped
            for name in names:
                self._leave(name, user)

    def _load(self) -> list[GroupMember]:
        rows = self._rows()
        for row in rows:
            self._note(row.name, row.owner)
        self.loaded = True
        return rows

    def _note(self, name: str, user: str) -> None:
        self.of.setdefault(user, set()).add(name)
        self.members.setdefault(name, {})[user] = None

    def _join(self, name: str, user: str) -> None:
        if not xdb.save(
            enrol, user, self.host.domain, name, {}
        ):  # before the contacts: after a crash they are known
            return
        self._note(name, user)
        self._with_others(name, user, self._pair)
        xdb.save(enrol, user, self.host.domain, name, {"done": True})
        self._tell()

    def _leave(self, name: str, user: str) -> None:
        self.of.get(user, set()).discard(name)
        self._with_others(name, user, self._part)
        self.members[name].pop(user, None)
        mine = (GroupMember.owner == user) & (GroupMember.name == name)
        xdb.save(GroupMember.delete().where(mine).execute)
        if not self.of.get(user):
            self.of.pop(user, None)
        self._tell()

    def _tell(self) -> None:
        for each in self.told:
            each()

    def _with_others(self, name: str, user: str, do: Callable[[str, str, str], None]) -> None:
        """Several at a time, because each waits for the store."""

        def one(other: str) -> None:
            with xdb.unit():
                do(user, other, name)

        others = [other for other in self.members[name] if other != user]
        xdb.release()
        for _ in Pool(AT_ONCE).imap_unordered(one, others):
            pass

    # -- contacts ---------------------------------------------------------------------------------------

    def _pair(self, user: str, other: str, name: str) -> None:
        if not (self._exists(user) and self._exists(other)):
            return
        both = ((user, other), (other, user))
        for one, another in [pair for pair in both if self._add(*pair, name)]:
            self.host["roster"].share(one, another, True)

    def _part(self, user: str, other: str, name: str) -> None:
        both = ((user, other), (other, user))
        for one, another in [pair for pair in both if self._drop(*pair, name)]:
            self.host["roster"].share(one, another, False)

    def _add(self, user: str, jid: str, name: str) -> bool:
        """Does the contact see the user from now on?"""
        before: dict[str, Any] = {}

        def change(item: Any) -> Any:
            before.update(listed=item.listed, subscription=item.state.subscription)
            groups = item.groups if name in item.groups else (*item.groups, name)
            state = replace(item.state, subscription="both", ask=False, pending_in=False)
            return replace(item, listed=True, groups=groups, state=state)

        old, _ = self.host["roster"].amend(user, jid, change, lambda: remember(user, jid, name, before))
        return not old.state.from_

    def _drop(self, user: str, jid: str, name: str) -> bool:
        """Does the contact see the user no longer?"""
        row = row_of(user, jid)
        if row is None:
            return False
        left = [each for each in groups_of(row) if each != name]

        def change(item: Any) -> Any:
            item = replace(item, groups=tuple(each for each in item.groups if each != name))
            if left:
                return item
            state = item.state
            if state.subscription == "both":
                state = replace(state, subscription=row.subscription)
            return replace(item, state=state, listed=row.listed)

        old, new = self.host["roster"].amend(user, jid, change, lambda: keep_groups(user, jid, left))
        return old.state.from_ and not new.state.from_

    # -- commands ---------------------------------------------------------------------------------------

    @command("groups list")
    def list_groups(self) -> list[dict[str, Any]]:
        """The groups of the roster that the server keeps."""
        names = sorted({*self._said(), *(name for name, members in self.members.items() if members)})
        return [{"group": name, "members": len(self.members.get(name, ()))} for name in names]

    @command("groups show")
    def show_group(self, group: str) -> list[dict[str, Any]]:
        """The members of one group, and who says so."""
        mine = (GroupMember.domain == self.host.domain) & (GroupMember.name == group)
        rows = GroupMember.select().where(mine).order_by(GroupMember.id)
        return [{"jid": row.owner, "by": "command" if row.added else "configuration or node"} for row in rows]

    @command("groups add", changes=True)
    def add_member(self, group: str, jid: AccountAddress) -> None:
        """Put an account into a group; a new group is made. Its members are in each other's rosters."""
        name, user = group.strip(), jid.user
        if not name or len(name) > NAME:
            raise ValueError(f"a group's name has 1 to {NAME} characters")
        if not self._exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        with self.busy:
            members = self.members.get(name, {})
            if user not in members and len(members) >= self.most:
                raise Failed(f"a group has at most {self.most} members")
            if not xdb.save(enrol, user, self.host.domain, name, {"added": True}):
                raise StanzaError("item-not-found", "there is no such account")
            self.settle()

    @command("groups remove", changes=True)
    def remove_member(self, group: str, jid: AccountAddress) -> None:
        """Take an account out of a group that `groups add` has put it into."""
        user = jid.user
        with self.busy:
            row = GroupMember.select().where(GroupMember.owner == user, GroupMember.name == group).first()
            if row is None:
                raise StanzaError("item-not-found", f"{user} is not in that group")
            members = self._said().get(group, set())
            if user in members or EVERYBODY in members:
                raise Failed("the configuration, or a node, says that it is in that group")
            xdb.save(enrol, user, self.host.domain, group, {"added": False})
            self.settle()
