"""Writing who is affiliated with a node, and who is subscribed to it. Functions with an underscore run in the writer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from peewee import chunked

from ..xdb import Ticket, xdb
from ..xmpp.jid import parse
from .node import temporary
from .options import PRESENCE, Subscription, stored
from .store import Node, Nodes, known, nodes_of, there
from .tables import PubsubAffiliation, PubsubSubscription

OWNERS = 20
"""Owners of one node: their rosters say who may read it, and all are told of what they are asked."""
PIECE = 100
"""Rows of one transaction, or of one INSERT."""


def user_of(jid: str) -> str:
    """The bare address."""
    return jid if "/" not in jid else parse(jid).user


class Unowned(Exception):
    """Nobody would own the node any more."""


class Crowded(Exception):
    """Too many addresses would have an affiliation; the text says it."""


def _affiliate(owner: str, name: str, affiliations: dict[str, str], owned: bool, most: int) -> bool:
    """``none`` removes. ``owned``: somebody has to own the node. ``most``: addresses that may have an affiliation. False: the
    node is gone. Raises Unowned, Crowded."""
    if not there(owner, name):
        return False
    a = PubsubAffiliation
    rows = [
        {"owner": owner, "node": name, "jid": jid, "affiliation": affiliation}
        for jid, affiliation in affiliations.items()
        if affiliation != "none"
    ]
    a.delete().where(a.owner == owner, a.node == name, a.jid.in_(list(affiliations))).execute()
    for some in chunked(rows, PIECE):
        a.insert_many(some).execute()
    all_ = a.select(a.id).where((a.owner == owner) & (a.node == name))
    owners = all_.where(a.affiliation == "owner").count()
    if owned and not owners:
        raise Unowned
    if "owner" in affiliations.values() and owners > OWNERS:
        raise Crowded(f"a node has at most {OWNERS} owners")
    if set(affiliations.values()) != {"none"} and all_.count() > most:
        raise Crowded(f"a node has at most {most} affiliations")
    return True


def affiliate(owner: str, name: str, affiliations: dict[str, str], owned: bool, most: int) -> bool:
    """As `_affiliate`, when that is committed. ``owned``: the node has an owner, and shall have one."""
    done: bool = xdb.save(_affiliate, owner, name, affiliations, owned, most)
    nodes = known(owner)
    node = nodes.get(name) if done else None
    if node is not None:
        for jid, affiliation in affiliations.items():
            nodes.affiliate(node, jid, affiliation)
    return done


def _subscribe(owner: str, name: str, new: Sequence[Subscription]) -> bool:
    if name and not there(owner, name):
        return False
    PubsubSubscription.insert_many([
        {
            "owner": owner,
            "node": name,
            "jid": each.jid,
            "bare": user_of(each.jid),
            "state": each.state,
            "subid": each.subid,
            "options": json.dumps(each.options.differences()),
            "expire": each.options.ends,
            "made": int(time.time()),
        }
        for each in new
    ]).execute()  # fmt: skip
    return True


def subscribe(owner: str, name: str, new: Sequence[Subscription]) -> bool:
    """Returns when committed: some at a time, so that others can write, too. False: the node is gone."""
    with _coming(known(owner).find(name), new):
        for some in chunked(new, PIECE):
            if not xdb.save(_subscribe, owner, name, some):
                return False
            nodes = known(owner)
            node = nodes.find(name)
            if node is not None:
                for each in some:
                    user = user_of(each.jid)
                    nodes.put(node, user, (*node.subscriptions.get(user, ()), each))
    return True


@contextmanager
def _coming(node: Node | None, new: Sequence[Subscription]) -> Iterator[None]:
    """They count from now on (`Node.coming`)."""
    before = {} if node is None else node.coming
    for each in new:
        user = user_of(each.jid)
        before[user] = (*before.get(user, ()), each)
    try:
        yield
    finally:
        for each in new:
            user = user_of(each.jid)
            left = tuple(one for one in before.get(user, ()) if one is not each)
            if left:
                before[user] = left
            else:
                before.pop(user, None)


def _approve(subids: list[str]) -> list[str]:
    s = PubsubSubscription
    pending = s.subid.in_(subids) & (s.state == "pending")
    found = [row.subid for row in s.select(s.subid).where(pending)]
    s.update(state="subscribed").where(pending).execute()
    return found


def approve(owner: str, name: str, pending: Sequence[Subscription]) -> list[Subscription]:
    """An owner allows these subscriptions. Returns those that still waited for his word, once they are committed. Commits some
    at a time."""
    done = list[Subscription]()
    for some in chunked(pending, PIECE):
        found = set(xdb.save(_approve, [each.subid for each in some]))
        allowed = [each._replace(state="subscribed") for each in some if each.subid in found]
        for each in allowed:
            _put(owner, name, each, state="subscribed")
        done += allowed
    return done


def _set_options(one: Subscription) -> bool:
    s, text = PubsubSubscription, json.dumps(one.options.differences())
    return bool(s.update(options=text, expire=one.options.ends).where(s.subid == one.subid).execute())


def set_options(owner: str, name: str, one: Subscription) -> bool:
    """The subscription has these options when that is committed. False: it is over meanwhile, and stays so."""
    done: bool = xdb.save(_set_options, one)
    if done:
        _put(owner, name, one, options=one.options)
    return done


def _unsubscribe(subids: list[str], ended: float | None) -> list[str]:
    s = PubsubSubscription
    theirs = s.subid.in_(subids)
    if ended is not None:
        theirs &= s.expire <= ended
    found = [row.subid for row in s.select(s.subid).where(theirs)]
    s.delete().where(theirs).execute()
    return found


def unsubscribe(
    owner: str, name: str, gone: Sequence[Subscription], ended: float | None = None
) -> list[Subscription]:
    """Removes subscriptions. ``ended``: removes only those that have ended by that Unix time; the others were renewed. Returns
    those that were there, once that is committed. Commits some at a time."""
    done = list[Subscription]()
    for some in chunked(gone, PIECE):
        found = set(xdb.save(_unsubscribe, [each.subid for each in some], ended))
        done += [each for each in some if each.subid in found]
        nodes = known(owner)
        node = nodes.find(name)
        if node is not None:
            for each in some:
                if ended is None or each.subid in found:
                    _leave(nodes, node, each)
    return done


def _leave(nodes: Nodes, node: Node, one: Subscription) -> None:
    user = user_of(one.jid)
    left = (each for each in node.subscriptions.get(user, ()) if each[:2] != one[:2])
    nodes.put(node, user, tuple(left))


def _put(owner: str, name: str, one: Subscription, **what: Any) -> None:
    """In memory. What others have changed of the subscription meanwhile stays."""
    nodes, user = known(owner), user_of(one.jid)
    node = nodes.find(name)
    if node is not None:
        mine = node.subscriptions.get(user, ())
        nodes.put(node, user, tuple(each._replace(**what) if each[:2] == one[:2] else each for each in mine))


def left(full: str, others: bool) -> None:
    """That client is gone: what it has subscribed to for as long as it is there is over. ``others``: there are more of the same
    user. Does not block."""
    user = user_of(full)
    for owner, name in list(temporary.get(user, ())):
        nodes = nodes_of.get(owner)
        if nodes is None:
            xdb.write(_left, owner, name, user, full, others).then(partial(_stale, owner))
            if not others:
                temporary[user].discard((owner, name))
            continue
        node = nodes.find(name)
        mine = () if node is None else node.subscriptions.get(user, ())
        kept = [each for each in mine if each.options.temporary]
        gone = [each for each in kept if each.jid == full or each.jid == user and not others]
        if node is not None and gone:
            for each in gone:
                _leave(nodes, node, each)
            xdb.write(_unsubscribe, [each.subid for each in gone], None)
        if len(gone) == len(kept):
            temporary[user].discard((owner, name))
    if user in temporary and not temporary[user]:
        del temporary[user]


def _stale(owner: str, ticket: Ticket) -> None:
    """Somebody may have read the nodes before that was committed."""
    nodes_of.forget(owner)


def _left(owner: str, name: str, user: str, full: str, others: bool) -> None:
    s = PubsubSubscription
    query: Any = s.select(s.subid, s.jid, s.options).where(s.owner == owner, s.node == name, s.bare == user)
    gone = [
        subid
        for subid, jid, options in query.tuples()
        if stored(json.loads(options)).temporary and (jid == full or jid == user and not others)
    ]
    s.delete().where(s.subid.in_(gone)).execute()


def begin() -> None:
    """To be called when the store was opened: finds the subscriptions that end when the subscriber goes."""
    s = PubsubSubscription
    query: Any = s.select(s.bare, s.owner, s.node).where(s.options.contains(f'"{PRESENCE}"'))
    for user, owner, name in query.tuples():
        temporary.setdefault(user, set()).add((owner, name))


def forget(user: str) -> list[tuple[str, str]]:
    """An account is gone: it is subscribed to nothing and affiliated with nothing, at any owner's. Returns when committed: the
    nodes that it owned at others' (owner, node)."""
    owners, owned = xdb.save(_forget, user)
    for owner in owners:
        nodes = nodes_of.get(owner)
        if nodes is None:
            nodes_of.forget(owner)
            continue
        for name in list(nodes.of.get(user, ())):
            node = nodes.find(name)
            if node is not None:
                nodes.put(node, user, ())
        for node in nodes.values():
            nodes.affiliate(node, user, "none")
    return [each for each in owned if each[0] != user]


def _forget(user: str) -> tuple[list[str], list[tuple[str, str]]]:
    a, s = PubsubAffiliation, PubsubSubscription
    theirs: Any = a.select(a.owner, a.node).where(a.jid == user, a.affiliation == "owner")
    owned = list(theirs.tuples())
    mine = ((a, a.jid == user), (s, s.bare == user))
    owners = {row.owner for table, where in mine for row in table.select(table.owner).where(where).distinct()}
    for table, where in mine if owners else ():
        table.delete().where(where).execute()
    return sorted(owners), owned


def over(now: float, most: int) -> list[tuple[str, str, str, str]]:
    """(owner, node, jid, subid) of subscriptions that have ended by themselves, the first ``most``."""
    s = PubsubSubscription
    query = s.select(s.owner, s.node, s.jid, s.subid).where(s.expire <= now).limit(most)
    return [(row.owner, row.node, row.jid, row.subid) for row in query]
