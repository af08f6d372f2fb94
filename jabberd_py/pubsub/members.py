"""The rows of groups of the roster (`groups`): who is a member, and what a contact was before."""

from __future__ import annotations

import json
from typing import Any

from peewee import BooleanField, CharField, TextField

from ..jsm.users import Account
from ..xdb import OWNER_LENGTH, JidField, Table, spoilt

NAME = 200
"""Characters of a group's name."""


class GroupMember(Table):
    """``owner`` is in the group ``name`` of the host ``domain``, or about to leave it. ``added``: a command said so. ``done``:
    all contacts are made."""

    owner = CharField(max_length=OWNER_LENGTH)
    domain = CharField(max_length=255, index=True)
    name = CharField(max_length=NAME)
    added = BooleanField(default=False)
    done = BooleanField(default=False)

    class Meta:
        indexes = ((("owner", "name"), True),)


class SharedContact(Table):
    """A contact of ``owner`` who is there for ``groups`` (JSON). ``listed`` and ``subscription``: how it was before."""

    owner = CharField(max_length=OWNER_LENGTH)
    jid = JidField()
    groups = TextField()
    listed = BooleanField()
    subscription = CharField(max_length=4)

    class Meta:
        indexes = ((("owner", "jid"), True),)


def row_of(user: str, jid: str) -> SharedContact | None:
    found: SharedContact | None = (
        SharedContact.select().where(SharedContact.owner == user, SharedContact.jid == jid).first()
    )
    return found


def groups_of(row: SharedContact) -> list[str]:
    try:
        return [str(each) for each in json.loads(row.groups)]
    except (ValueError, TypeError) as error:
        spoilt("shared_contact", row.owner, error)
        return []


# -- in the writer ------------------------------------------------------------------------------------------


def enrol(user: str, domain: str, name: str, values: dict[str, bool]) -> bool:
    """False: the account has gone meanwhile."""
    if not Account.select(Account.id).where(Account.owner == user).exists():
        return False
    mine = (GroupMember.owner == user) & (GroupMember.name == name)
    if not GroupMember.select(GroupMember.id).where(mine).exists():
        GroupMember.insert(owner=user, domain=domain, name=name, **values).execute()
    elif values:
        GroupMember.update(**values).where(mine).execute()
    return True


def remember(user: str, jid: str, name: str, before: dict[str, Any]) -> None:
    row = row_of(user, jid)
    if row is None:
        SharedContact.insert(owner=user, jid=jid, groups=json.dumps([name]), **before).execute()
    elif name not in (groups := groups_of(row)):
        keep_groups(user, jid, [*groups, name])


def keep_groups(user: str, jid: str, groups: list[str]) -> None:
    mine = (SharedContact.owner == user) & (SharedContact.jid == jid)
    if groups:
        SharedContact.update(groups=json.dumps(groups)).where(mine).execute()
    else:
        SharedContact.delete().where(mine).execute()
