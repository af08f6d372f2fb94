"""XEP-0227: Portable Import/Export Format for XMPP-IM Servers (version 1.1): a whole account as a file, and back.

Written and read in pieces: an archive of any size takes little memory.
"""

from __future__ import annotations

import json
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..archive import messages
from ..archive.messages import Message
from ..arguments import AccountAddress, Address, Domain
from ..commands import Failed, NoSuchThing
from ..hooks import Progress, command
from ..jsm.users import Account, forget
from ..modules import mod_privacy
from ..modules.mod_private import Private
from ..modules.mod_roster import RosterItem
from ..xdb import xdb
from ..xdb.numbers import when
from ..xmpp.element import Element, from_text
from ..xmpp.stamp import utc
from .portable_in import (
    CLIENT,
    DELAY,
    FORWARD,
    HASHES,
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
    Reader,
)

if TYPE_CHECKING:
    from ..jsm.host import Host
    from ..server import Server


class Portable:
    """Of a `Server`, or of `alone.Alone`."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @command("accounts export", changes=True, needs="store")
    def export(self, jid: Address, file: Path) -> Iterator[Any]:
        """Write a whole account to a new file (XEP-0227): keys, roster, vCard, private storage, privacy lists, offline
        messages and archive. The account may be of a domain that is no host any more."""
        user = jid.user
        account = Account.select().where(Account.owner == user).first()
        if account is None:
            raise NoSuchThing("there is no such account")
        for host in self.server.hosts:  # what has been delivered is not offline
            ticket = host.spool.marks.save() if host.domain == jid.domain else None
            if ticket is not None:
                ticket.wait()
        messages.sync()
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        count = 0
        with open(handle, "w", encoding="utf-8") as out:
            for text in _written(account, jid.node or "", jid.domain):
                out.write(text)
                count += 1
                if count % PAGE == 0:
                    xdb.release()
                    yield Progress(count, count + PAGE, user)
        yield {"jid": user, "file": str(file), "bytes": file.stat().st_size}

    @command("accounts import", changes=True, needs="store")
    def import_(self, file: Path, jid: AccountAddress | None = None) -> Iterator[Any]:
        """Read accounts from a file (XEP-0227), of this server or another. They must be new. With --jid, the only account in
        the file gets that address."""
        found = list[dict[str, Any]]()
        try:
            with open(file, "rb") as source:
                for each in self._read(source, None if jid is None else jid.user):
                    yield Progress(len(found), len(found) + 1, each["jid"])
                    found.append(each)
        except ET.ParseError as error:
            raise Failed(f"{file}: not XML: {error}") from None
        if not found:
            raise Failed(f"{file}: no account is in it (XEP-0227)")
        yield found

    def _read(self, source: IO[bytes], jid: str | None) -> Iterator[dict[str, Any]]:
        domain, reader, path = "", None, list[ET.Element]()
        try:
            for event, element in ET.iterparse(source, ("start", "end")):
                name = element.tag.rpartition("}")[2] if element.tag.startswith(f"{{{PIE}}}") else element.tag
                if event == "start":
                    path.append(element)
                    if name == "host":
                        domain = element.get("jid", "")
                    elif name == "user" and len(path) == 3:
                        if jid is not None and reader is not None:
                            raise Failed("there are several accounts in the file: import it without --jid")
                        reader = Reader(
                            self._host,
                            jid or f"{element.get('name', '')}@{domain}",
                            element.get("password"),
                            domain,
                        )
                    continue
                path.pop()
                if reader is not None and name == "user" and len(path) == 2:
                    yield reader.done()
                    element.clear()
                elif reader is not None and len(path) >= 3 and reader.take(element, path[3:]):
                    path[-1].remove(element)
        except BaseException:
            if reader is not None:
                reader.undo()
            raise

    def _host(self, domain: str) -> Host:
        for each in self.server.hosts:
            if each.domain == domain:
                return each
        raise NoSuchThing(f"{domain} is not served here: --jid gives the account another address")

    @command("accounts unserved", needs="store")
    def unserved(self) -> list[dict[str, Any]]:
        """Accounts of domains that are no hosts any more: nobody can log in to them. `accounts export` and `accounts purge`."""
        counts: dict[str, int] = {}
        rows: Any = Account.select(Account.owner).tuples().iterator()
        for (owner,) in rows:
            domain = owner.rpartition("@")[2]
            if domain not in self.server.config.hosts:
                counts[domain] = counts.get(domain, 0) + 1
        return [{"domain": domain, "accounts": count} for domain, count in sorted(counts.items())]

    @command("accounts purge", changes=True, needs="store")
    def purge(self, domain: Domain) -> Iterator[Any]:
        """Remove all accounts, with all their data, of a domain that is no host any more."""
        if domain in self.server.config.hosts:
            raise ValueError(f"{domain} is served here: take it out of the configuration first")
        rows: Any = Account.select(Account.owner).where(Account.owner.endswith(f"@{domain}")).tuples()
        owners = [owner for (owner,) in rows]
        if not owners:
            raise NoSuchThing(f"there is no account of {domain}")
        for number, owner in enumerate(owners, 1):
            xdb.delete_owner(owner, messages.sort_in)
            forget(owner)
            yield Progress(number, len(owners), owner)
        yield {"removed": len(owners)}


# -- out -------------------------------------------------------------------------------------------------


def _written(account: Account, node: str, domain: str) -> Iterator[str]:
    """The file, piece by piece."""
    user = account.owner
    yield f"<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='{PIE}'>\n"
    head = str(Element("host", PIE, jid=domain)).removesuffix("/>")
    yield head + ">\n" + str(Element("user", PIE, name=node)).removesuffix("/>") + ">\n"
    for each in (*_keys(account), *_roster(user), *_documents(user)):
        yield (_stanza(str(each)) if each.ns == CLIENT else str(each)) + "\n"
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
    for row in rows:
        if row.listed:
            groups = (Element("group", ROSTER, group) for group in json.loads(row.groups))
            item = Element(
                "item", ROSTER, *groups, jid=row.jid, name=row.name or None, subscription=row.subscription
            )
            item.attrs |= {"ask": "subscribe"} if row.ask else {}
            query.append(item)
        elif row.approved:
            query.append(Element("item", ROSTER, jid=row.jid, subscription="none", approved="true"))
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
        yield Element("query", PRIVATE, *(child for row in rows for child in from_text(row.xml).elements()))
    lists = mod_privacy._read(user)
    if lists is not None:
        query = Element("query", PRIVACY)
        if lists.default is not None:
            query.append(Element("default", PRIVACY, name=lists.default))
        for name, kept in lists.lists.items():
            query.append(Element("list", PRIVACY, *(item.element() for item in kept.list.items), name=name))
        yield query


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
