"""Rooms whose membership follows a group of the roster: who is in the group is a member of its rooms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gevent
from gevent.lock import RLock
from peewee import CharField

from .. import log
from ..commands import Caller, CommandError, outcome
from ..hooks import Module, Option, every, list_of, mapping_of, on
from ..jsm.host import bare_address
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, JidField, StoreError, Table, xdb
from .members import GroupMember

logger = log.get(__name__)


class GroupRoom(Table):
    """``owner`` is a member of the room ``room`` because of a group."""

    owner = CharField(max_length=OWNER_LENGTH)
    room = JidField()

    class Meta:
        indexes = ((("owner", "room"), True),)


class GroupRooms(Module):
    """Makes the members of a group members of its rooms, and ends that when they leave the group."""

    name = "group_rooms"
    needs = ("groups",)
    tables = (GroupRoom,)
    rooms = Option[dict[str, list[str]]](
        mapping_of(list_of(bare_address)), {}, "groups by name, each with the addresses of its rooms"
    )

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.busy = RLock()
        self.waits = False
        host["groups"].told.append(self.refresh)

    @on("restored", "reload")
    @every(3600)
    def refresh(self) -> None:
        """Looks again soon."""
        if not self.waits and (self.rooms or GroupRoom.select().where(self._mine).exists()):
            self.waits = True
            gevent.spawn(self._settle)

    def _settle(self) -> None:
        with xdb.unit(), self.busy:
            self.waits = False
            try:
                self.settle()
            except (CommandError, StoreError) as error:
                logger.warning("rooms of groups are not up to date", host=self.host.domain, reason=str(error))

    @property
    def _mine(self) -> Any:
        return GroupRoom.owner.endswith("@" + self.host.domain)

    def settle(self) -> None:
        """Makes memberships what they shall be. Whom the room has already, as owner or outcast say, it keeps as he is. Blocks.
        Raises CommandError, StoreError."""
        wanted = set[tuple[str, str]]()
        for group, rooms in self.rooms.items():
            mine = (GroupMember.domain == self.host.domain) & (GroupMember.name == group)
            for row in fairly(list(GroupMember.select(GroupMember.owner).where(mine, GroupMember.done))):
                wanted.update((row.owner, room) for room in rooms)
        there = {(row.owner, row.room) for row in GroupRoom.select().where(self._mine)}
        for room in sorted({room for _, room in wanted ^ there}):
            xdb.release()
            try:
                known = self._do("rooms show", room=room)["affiliations"]
            except CommandError as error:
                logger.warning("a room of a group is not there", room=room, reason=str(error))
                known = None
            for user, _ in sorted(pair for pair in there - wanted if pair[1] == room):
                if known is not None and known.get(user) == "member":
                    self._do("rooms affiliation", room=room, jid=user, affiliation="none")
                xdb.save(_put, user, room, False)
            for user, _ in sorted(pair for pair in wanted - there if pair[1] == room):
                if known is not None and user not in known:
                    xdb.save(_put, user, room, True)
                    self._do("rooms affiliation", room=room, jid=user, affiliation="member")

    def _do(self, name: str, **args: Any) -> Any:
        caller = Caller("group", "group_rooms", operator=True)
        return outcome(self.host.router.commands.run(caller, name, args))


def _put(owner: str, room: str, there: bool) -> None:
    """In the writer."""
    GroupRoom.delete().where(GroupRoom.owner == owner, GroupRoom.room == room).execute()
    if there:
        GroupRoom.insert(owner=owner, room=room).execute()
