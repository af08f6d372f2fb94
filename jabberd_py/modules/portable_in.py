"""Reading accounts that are written in XEP-0227: see portable_out.py."""

from __future__ import annotations

import json
import secrets
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

from ..archive.messages import Message
from ..commands import Failed
from ..jsm.users import Account, exists, forget
from ..xdb import Table, xdb
from ..xdb.cache import forget_owner
from ..xdb.numbers import NODES, at, when
from ..xmpp.element import Element
from ..xmpp.jid import parse
from ..xmpp.stamp import parse as parse_stamp
from . import mod_privacy
from .mod_private import Private, key
from .mod_roster import RosterItem, RosterVersion

if TYPE_CHECKING:
    from ..jsm.host import Host

PIE = "urn:xmpp:pie:0"
SCRAM, MAM_FILE = f"{PIE}#scram", f"{PIE}#mam"
CLIENT, ROSTER, PRIVATE, PRIVACY, VCARD = (
    "jabber:client", "jabber:iq:roster", "jabber:iq:private", "jabber:iq:privacy", "vcard-temp")  # fmt: skip
MAM, FORWARD, DELAY, SID = "urn:xmpp:mam:2", "urn:xmpp:forward:0", "urn:xmpp:delay", "urn:xmpp:sid:0"
HASHES = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}
PAGE = 200
"""Messages that are read or written at a time."""
PLACES = 8
"""Numbers that are tried for a message whose own is taken. If all are, it is left out: looking on would hold the writer."""
XML = "{http://www.w3.org/XML/1998/namespace}"


class Reader:
    """One account that is being read. It is made when all but its messages is known."""

    page = PAGE
    same = (-1, 0)
    """The millisecond of the last message, and how many before it had the same."""

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
        self.made = self.known = self.whole = False
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
        self.whole = True
        self.host.hooks.tell("imported", self.user)
        return {
            "jid": self.user,
            **self.counts,
            "password": "as before" if self.known else "none: set one",
        }

    def undo(self) -> None:
        """The file turned out to be wrong: half an account goes again. One that is whole stays."""
        if self.made and not self.whole:
            xdb.delete_owner(self.user)
            forget(self.user)

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
        # what the other server has added: ours will say it again
        for each in message.take("delay", DELAY, lambda delay: delay.attrs.get("from") == self.origin):
            stamp = each.attrs.get("stamp", stamp)
        if own is not None:
            message.take("stanza-id", SID, lambda each: each.attrs.get("id") == number)
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
        moment = min(max(moment, 0.0), time.time())  # a number of the future would make all new ones larger
        near = number.isdecimal() and len(number) < 20 and abs(when(int(number)) - moment) < 1
        id = int(number) if near else at(int(moment * 1000)) + self._again(int(moment * 1000)) * NODES
        row = {"id": id, "owner": self.user, "peer": other.user, "resource": other.resource or "",
               "xml": message.to_bytes().decode()}  # fmt: skip
        self.rows.append(row | marks)
        if len(self.rows) >= self.page:
            self._flush()

    def _again(self, moment: int) -> int:
        """How many messages before this one have the same millisecond."""
        last, count = self.same
        self.same = moment, count + 1 if last == moment else 0
        return self.same[1]

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
        for n in range(PLACES):
            found = Message.select(Message.owner).where(Message.id == row["id"]).scalar()
            if found is None:
                Message.insert(**(blank | row)).execute()
                break
            if found == row["owner"] and Message.update(**marks).where(
                Message.id == row["id"], Message.xml == row["xml"]
            ).execute():  # fmt: skip
                break
            row["id"] += NODES if n < PLACES // 2 else secrets.randbelow(1 << 13) * NODES


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
