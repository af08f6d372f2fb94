"""Writing an account in XEP-0227 (version 1.1), piece by piece: an archive of any size takes little memory."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from ..archive.messages import Message
from ..jsm.users import Account
from ..net.turns import fairly
from ..xdb import xdb
from ..xdb.numbers import when
from ..xmpp.element import Element, from_text
from ..xmpp.forms import Form
from ..xmpp.stamp import utc
from . import mod_mam, mod_privacy
from .mod_last import LastActivity
from .mod_private import Private
from .mod_roster import RosterItem
from .portable_in import (
    ABOUT,
    BLOCKING,
    CLIENT,
    DELAY,
    FORWARD,
    HASHES,
    LAST,
    MAM,
    MAM_FILE,
    PAGE,
    PIE,
    PRIVACY,
    PRIVATE,
    ROSTER,
    SCRAM,
    SID,
    VCARD,
)
from .portable_nodes import CONFIG, OWNER, PUBSUB

USUAL = {"access_model": "open", "publish_model": "publishers", "persist_items": True, "max_items": None,
         "send_last_published_item": "never", "item_expire": None, "notification_type": "headline"}  # fmt: skip
"""What a stored configuration of a node does not say. Other servers, and new nodes of ours, have other defaults."""


def written(
    account: Account, node: str, domain: str, keys: bool = True, facts: Iterable[Element] = ()
) -> Iterator[str]:
    """The file, piece by piece. ``keys``: with those of the password. ``facts``: what else is known of the account now,
    elements of `ABOUT`."""
    user = account.owner
    yield f"<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{PIE}'>\n"
    head = str(Element("host", PIE, jid=domain)).removesuffix("/>")
    yield head + ">\n" + str(Element("user", PIE, name=node)).removesuffix("/>") + ">\n"
    for each in (*(_keys(account) if keys else ()), *_roster(user), *_documents(user), *_settings(user),
                 _about(account, facts)):  # fmt: skip
        yield (_stanza(str(each)) if each.ns == CLIENT else str(each)) + "\n"
    yield from _nodes(user)
    yield "<offline-messages>\n"
    for id, xml, _ in _rows(user, Message.spooled == 1, after=_mark(user)):
        more = f"<delay xmlns='{DELAY}' from='{domain}' stamp='{utc(when(id), fraction=True)}'/>"
        more += str(Element("stanza-id", SID, by=user, id=id))
        yield _stanza(xml).removesuffix("</message>") + more + "</message>\n"
    yield f"</offline-messages>\n<archive xmlns='{MAM_FILE}'>\n"
    for id, xml, _ in _rows(user, Message.archived == 1):
        stamp = utc(when(id), fraction=True)
        yield (f"<result xmlns='{MAM}' id='{id}'><forwarded xmlns='{FORWARD}'><delay xmlns='{DELAY}' stamp='{stamp}'/>"
               f"{_stanza(xml)}</forwarded></result>\n")  # fmt: skip
    yield "</archive>\n</user>\n</host>\n</server-data>\n"


def _stanza(xml: str) -> str:
    """A stored stanza as it stands in another namespace; never empty."""
    name = xml[1:].partition(" ")[0].rstrip("/>")
    if xml.endswith("/>"):
        xml = f"{xml.removesuffix('/>')}></{name}>"
    return (
        xml if " xmlns=" in xml.partition(">")[0] else xml.replace(f"<{name}", f"<{name} xmlns='{CLIENT}'", 1)
    )


def _keys(account: Account) -> Iterator[Element]:
    for name, (iterations, salt, stored, server, *_) in json.loads(account.keys).items():
        parts = (
            ("iter-count", str(iterations)),
            ("salt", salt),
            ("server-key", server),
            ("stored-key", stored),
        )
        children = (Element(part, SCRAM, text) for part, text in parts)
        yield Element("scram-credentials", SCRAM, *children, mechanism=HASHES[name])


def _roster(user: str) -> Iterator[Element]:
    rows = list(RosterItem.select().where(RosterItem.owner == user).order_by(RosterItem.id))
    query = Element("query", ROSTER)
    for row in fairly(rows):
        if row.listed:
            groups = (Element("group", ROSTER, group) for group in json.loads(row.groups))
            item = Element(
                "item", ROSTER, *groups, jid=row.jid, name=row.name or None, subscription=row.subscription
            )
            item.attrs |= {"ask": "subscribe"} if row.ask else {}
            query.append(item)
        elif row.approved:
            query.append(Element("item", ROSTER, jid=row.jid, subscription="none", approved="true"))
    query.serialise(fairly)
    yield query
    for row in rows:
        if row.pending_in:
            kept = from_text(row.request) if row.request else Element("presence", CLIENT, type="subscribe")
            kept.attrs |= {"from": row.jid, "type": "subscribe"}
            yield Element("presence", CLIENT, *kept.children, type="subscribe", from_=row.jid)


def _documents(user: str) -> Iterator[Element]:
    card = xdb.get(user, VCARD)
    if card is not None:
        yield from_text(card)
    rows = list(Private.select().where(Private.owner == user).order_by(Private.id))
    if rows:
        yield Element(
            "query", PRIVATE, *(child for row in fairly(rows) for child in from_text(row.xml).elements())
        )
    lists = mod_privacy._read(user)
    if lists is not None:
        query = Element("query", PRIVACY)
        if lists.default is not None:
            query.append(Element("default", PRIVACY, name=lists.default))
        for name, kept in lists.lists.items():
            query.append(
                Element("list", PRIVACY, *(item.element() for item in fairly(kept.list.items)), name=name)
            )
        query.serialise(fairly)
        yield query
        if lists.blocked:
            yield Element(
                "blocklist", BLOCKING, *(Element("item", BLOCKING, jid=jid) for jid in fairly(lists.blocked))
            )


def _settings(user: str) -> Iterator[Element]:
    """What the archive keeps (XEP-0441), and when the account was last there (XEP-0012)."""
    chosen = mod_mam.preferences(user)
    if chosen is not None:
        lists = (
            Element(name, MAM, *(Element("jid", MAM, jid) for jid in sorted(jids)))
            for name, jids in (("always", chosen.always), ("never", chosen.never))
        )
        yield Element("prefs", MAM, *lists, default=chosen.policy)
    last = LastActivity.select().where(LastActivity.owner == user).first()
    if last is not None:
        status = last.status or None
        yield Element("query", LAST, status, seconds=max(int(time.time() - last.ended), 0))


def _about(account: Account, more: Iterable[Element]) -> Element:
    """What XEP-0227 has no place for: when the account was made, and the rooms that it owns."""
    rooms = [
        Element("room", ABOUT, jid=room)
        for (room,) in _all("room_affiliation", "owner", jid=account.owner, affiliation="owner")
    ]
    return Element("account", ABOUT, *rooms, *more, created=utc(account.created))


def _all(name: str, *columns: str, **wanted: str) -> Iterable[Any]:
    """Rows of a table of another package."""
    table: Any = next((each for each in xdb.owned_tables() if each._meta.table_name == name), None)
    if table is None:
        return ()
    where = [getattr(table, column) == value for column, value in wanted.items()]
    return fairly(
        table.select(*(getattr(table, column) for column in columns))
        .where(*where)
        .order_by(table.id)
        .tuples()
    )


def _nodes(user: str) -> Iterator[str]:
    """Personal eventing (section 5.9): how the nodes differ from others, and their items, page by page."""
    tables: Any = {each._meta.table_name: each for each in xdb.owned_tables()}
    node, item = tables["pubsub_node"], tables["pubsub_item"]
    rows = list(node.select().where(node.owner == user).order_by(node.name))
    if not rows:
        return
    yield f"<pubsub xmlns='{OWNER}'>\n"
    for row in rows:
        yield _owners(Element("configure", OWNER, _configuration(row.config), node=row.name))
        people = [
            Element("affiliation", OWNER, jid=jid, affiliation=affiliation)
            for jid, affiliation in _all(
                "pubsub_affiliation", "jid", "affiliation", owner=user, node=row.name
            )
        ]
        subscribers = [
            Element("subscription", OWNER, jid=jid, subscription=state, subid=subid)
            for jid, state, subid in _all(
                "pubsub_subscription", "jid", "state", "subid", owner=user, node=row.name
            )
        ]
        for kind, found in (("affiliations", people), ("subscriptions", subscribers)):
            if found:
                yield _owners(Element(kind, OWNER, *found, node=row.name))
    yield "</pubsub>\n"
    yield f"<pubsub xmlns='{PUBSUB}'>\n"
    for row in rows:
        yield str(Element("items", PUBSUB, node=row.name)).removesuffix("/>") + ">\n"
        after = 0
        while True:
            mine = item.select(item.id, item.item, item.payload).where(
                item.owner == user, item.node == row.name
            )
            page: Any = list(mine.where(item.id > after).order_by(item.id).limit(PAGE).tuples())
            for _, name, payload in page:
                start = (
                    str(Element("item", PUBSUB, id=name)).removesuffix("/>").replace(f" xmlns='{PUBSUB}'", "")
                )
                yield f"{start}>{payload}</item>\n"
            if len(page) < PAGE:
                break
            after = page[-1][0]
        yield "</items>\n"
    yield "</pubsub>\n"


def _owners(part: Element) -> str:
    return part.to_bytes(OWNER).decode() + "\n"


def _configuration(text: str) -> Element:
    form = Form("form", form_type=CONFIG)
    for name, value in (USUAL | json.loads(text)).items():
        texts = value if isinstance(value, list) else "max" if value is None else value
        form.field(f"pubsub#{name}", value=texts if isinstance(texts, bool | list) else str(texts))
    return form.element()


def _rows(user: str, wanted: Any, after: int = 0) -> Iterator[tuple[int, str, int]]:
    """Number, XML and `archived` of those messages, page by page."""
    while True:
        query = Message.select(Message.id, Message.xml, Message.archived)
        mine = query.where(Message.owner == user, Message.id > after, wanted).order_by(Message.id)
        page: Any = list(mine.limit(PAGE).tuples())
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _mark(user: str) -> int:
    """Up to this number, messages have been delivered."""
    table: Any = next(each for each in xdb.owned_tables() if each._meta.table_name == "mark")
    return table.select(table.delivered).where(table.owner == user).scalar() or 0
