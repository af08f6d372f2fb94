"""XEP-0227: Portable Import/Export Format for XMPP-IM Servers (version 1.1): a whole account as a file, and back.

Written and read in pieces: an archive of any size takes little memory.
"""

from __future__ import annotations

import json
import os
import secrets
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..arguments import AccountAddress, Address, Domain
from ..commands import Failed, NoSuchThing
from ..hooks import Progress, command
from ..jsm import messages
from ..jsm.messages import Message
from ..jsm.users import Account, exists
from ..modules import mod_privacy
from ..modules.mod_private import Private, key
from ..modules.mod_roster import RosterItem, RosterVersion
from ..xdb import Table, xdb
from ..xdb.cache import forget_owner
from ..xdb.numbers import at, when
from ..xmpp.element import Element, from_text
from ..xmpp.jid import parse
from ..xmpp.stamp import parse as parse_stamp
from ..xmpp.stamp import utc

if TYPE_CHECKING:
    from ..jsm.host import Host
    from ..server import Server

PIE = "urn:xmpp:pie:0"
SCRAM, MAM_FILE = f"{PIE}#scram", f"{PIE}#mam"
CLIENT, ROSTER, PRIVATE, PRIVACY, VCARD = (
    "jabber:client", "jabber:iq:roster", "jabber:iq:private", "jabber:iq:privacy", "vcard-temp")  # fmt: skip
MAM, FORWARD, DELAY, SID = "urn:xmpp:mam:2", "urn:xmpp:forward:0", "urn:xmpp:delay", "urn:xmpp:sid:0"
HASHES = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}
PAGE = 200
"""Messages that are read or written at a time."""
XML = "{http://www.w3.org/XML/1998/namespace}"


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
            ticket = host.spool.save_marks() if host.domain == jid.domain else None
            if ticket is not None:
                ticket.wait()
        messages.settle()
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
        for event, element in ET.iterparse(source, ("start", "end")):
            name = element.tag.rpartition("}")[2] if element.tag.startswith(f"{{{PIE}}}") else element.tag
            if event == "start":
                path.append(element)
                if name == "host":
                    domain = element.get("jid", "")
                elif name == "user" and len(path) == 3:
                    if jid is not None and reader is not None:
                        raise Failed("there are several accounts in the file: import it without --jid")
                    reader = _Reader(
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
            exists.forget(owner)
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


# -- in --------------------------------------------------------------------------------------------------


class _Reader:
    """One account that is being read. It is made when all but its messages is known."""

    def __init__(self, host: Any, jid: str, password: str | None, origin: str) -> None:
        self.origin = origin
        try:
            address = parse(jid)
        except ValueError as error:
            raise Failed(f"{jid[:100]!r} is not an address: {error}") from None
        self.host: Host = host(address.domain)
        self.user = str(self.host.users.jid(str(address)))
        if exists(self.user):
            raise Failed(f"{self.user}: that account exists")
        self.password, self.keys = password, dict[str, list[Any]]()
        self.rows: list[dict[str, Any]] = []
        self.made = self.known = False
        self.counts = {"roster": 0, "offline": 0, "archive": 0}
        self.parts: list[Element] = []

    def take(self, element: ET.Element, path: list[ET.Element]) -> bool:
        """An element that has ended, ``path`` are those around it within <user/>. True: it is dealt with."""
        if not path:
            self._part(element)
            return True
        if len(path) == 1 and path[0].tag == f"{{{PIE}}}offline-messages":
            self._offline(element)
            return True
        if len(path) == 1 and path[0].tag == f"{{{MAM_FILE}}}archive":
            self._archived(element)
            return True
        return False

    def done(self) -> dict[str, Any]:
        self._flush()
        late, self.parts = self.parts, []
        if late:  # behind the messages
            xdb.save(self._store, late)
        forget_owner(self.user)
        return {
            "jid": self.user,
            **self.counts,
            "password": "as before" if self.known else "none: set one",
        }

    def _part(self, element: ET.Element) -> None:
        if element.tag == f"{{{SCRAM}}}scram-credentials":
            names = {mechanism: name for name, mechanism in HASHES.items()}
            name = names.get(element.get("mechanism", ""))
            salt, stored, server = (
                element.findtext(f"{{{SCRAM}}}{part}") for part in ("salt", "stored-key", "server-key")
            )
            rounds = element.findtext(f"{{{SCRAM}}}iter-count") or ""
            if name is not None and salt and stored and server and rounds.isdigit():
                self.keys[name] = [int(rounds), salt.strip(), stored.strip(), server.strip()]
        elif element.tag not in (f"{{{PIE}}}offline-messages", f"{{{MAM_FILE}}}archive"):
            self.parts.append(_element(element))

    def _make(self) -> None:
        """The account and all but its messages, in one transaction."""
        if self.made:
            return
        self.made = True
        self.known = bool(self.keys or self.password)
        if not self.keys or self.password:
            self.keys |= json.loads(self.host.users._derive(self.password or secrets.token_urlsafe(32)))
        parts, self.parts = self.parts, []
        xdb.save(self._create, parts)
        forget_owner(self.user)

    def _create(self, parts: list[Element]) -> None:
        Account.create(owner=self.user, keys=json.dumps(self.keys), created=time.time())
        RosterVersion.insert(owner=self.user, version=int(time.time())).execute()
        self._store(parts)

    def _store(self, parts: list[Element]) -> None:
        user = self.user
        for part in parts:
            if (part.name, part.ns) == ("query", ROSTER):
                self._contacts(part)
            elif (part.name, part.ns, part.type) == ("presence", CLIENT, "subscribe"):
                self._contact(part.attrs.get("from", ""), pending_in=True, request=str(part))
            elif (part.name, part.ns) == ("vCard", VCARD):
                _set_document(user, VCARD, str(part))
            elif (part.name, part.ns) == ("query", PRIVATE):
                for child in part.elements():
                    xml = str(Element("query", PRIVATE, child))
                    Private.delete().where(Private.owner == user, Private.key == key(child)).execute()
                    Private.create(owner=user, key=key(child), size=len(xml.encode()), xml=xml)
            elif (part.name, part.ns) == ("query", PRIVACY):
                lists = mod_privacy.read(part)
                mod_privacy._store(user, lambda old, lists=lists: lists)  # type: ignore[misc]

    def _contacts(self, query: Element) -> None:
        for item in query.elements():
            groups = [group.text for group in item.elements() if group.name == "group"]
            kind = item.attrs.get("subscription", "none")
            self._contact(
                item.attrs.get("jid", ""), listed=True, name=item.attrs.get("name", ""), groups=json.dumps(groups),
                subscription=kind if kind in ("none", "to", "from", "both") else "none",
                ask="ask" in item.attrs, approved=item.attrs.get("approved") in ("true", "1"),
            )  # fmt: skip
            self.counts["roster"] += 1

    def _contact(self, jid: str, **values: Any) -> None:
        """A row of the roster, or more about one that is there."""
        bare = parse(jid).user
        known = (
            RosterItem.update(**values).where(RosterItem.owner == self.user, RosterItem.jid == bare).execute()
        )
        if not known:
            RosterItem.create(owner=self.user, jid=bare, **({"listed": False} | values))

    # -- messages --

    def _offline(self, element: ET.Element) -> None:
        message = _element(element)
        if message.name != "message":
            return
        own = element.find(f"{{{SID}}}stanza-id")
        number = own.get("id", "") if own is not None else ""
        stamp = next((each.attrs.get("stamp") for each in message.all("delay", DELAY)), None)
        for child in list(
            message.all("delay", DELAY)
        ):  # what the other server has added: ours will say it again
            if child.attrs.get("from") == self.origin:
                stamp = child.attrs.get("stamp", stamp)
                message.remove(child)
        for child in list(message.all("stanza-id", SID)):
            if own is not None and child.attrs.get("id") == number:
                message.remove(child)
        self._row(message, number, stamp, spooled=1)
        self.counts["offline"] += 1

    def _archived(self, element: ET.Element) -> None:
        forwarded = element.find(f"{{{FORWARD}}}forwarded")
        inner = None if forwarded is None else forwarded.find(f"{{{CLIENT}}}message")
        delay = None if forwarded is None else forwarded.find(f"{{{DELAY}}}delay")
        if inner is not None:
            self._row(
                _element(inner),
                element.get("id", ""),
                None if delay is None else delay.get("stamp"),
                archived=1,
            )
            self.counts["archive"] += 1

    def _row(self, message: Element, number: str, stamp: str | None, **marks: int) -> None:
        sender, to = (parse(message.attrs.get(name, self.user)) for name in ("from", "to"))
        other = to if sender.user == self.user else sender
        moment = time.time() if stamp is None else parse_stamp(stamp)
        id = (
            int(number)
            if number.isdigit() and abs(when(int(number)) - moment) < 1
            else at(int(moment * 1000))
        )
        row = {"id": id, "owner": self.user, "peer": other.user, "resource": other.resource or "",
               "xml": message.to_bytes().decode()}  # fmt: skip
        self.rows.append(row | marks)
        if len(self.rows) >= PAGE:
            self._flush()

    def _flush(self) -> None:
        self._make()
        rows, self.rows = self.rows, []
        if rows:
            xdb.save(_insert, rows)
            xdb.release()


def _insert(rows: list[dict[str, Any]]) -> None:
    """A message that is offline and archived comes twice: it is one row. Runs in the writer."""
    blank = {
        name: 0 if "Integer" in type(field).__name__ else "" for name, field in Message._meta.fields.items()
    }
    for row in rows:
        marks = {name: row[name] for name in ("spooled", "archived") if name in row}
        while (found := Message.select(Message.owner).where(Message.id == row["id"]).scalar()) is not None:
            if found == row["owner"] and Message.update(**marks).where(
                Message.id == row["id"], Message.xml == row["xml"]
            ).execute():  # fmt: skip
                break
            row["id"] += 64
        else:
            Message.insert(**(blank | row)).execute()


def _set_document(owner: str, namespace: str, text: str) -> None:
    table: type[Table] = next(each for each in xdb.owned_tables() if each._meta.table_name == "document")
    table.insert(owner=owner, namespace=namespace, xml=text).execute()


def _element(source: ET.Element) -> Element:
    """As our own kind of element."""
    namespace, _, name = source.tag.rpartition("}")
    made = Element(name, namespace.removeprefix("{"))
    for key_, value in source.attrib.items():
        if not key_.startswith("{"):
            made.attrs[key_] = value
        elif key_.startswith(XML):
            made.attrs["xml:" + key_.removeprefix(XML)] = value
    if source.text:
        made.append(source.text)
    for child in source:
        made.append(_element(child))
        if child.tail:
            made.append(child.tail)
    return made
