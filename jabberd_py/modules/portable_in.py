"""Reading accounts that are written in XEP-0227: see portable_out.py."""

from __future__ import annotations

import json
import secrets
import time
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ..archive.messages import Message
from ..commands import Failed
from ..jsm.users import Account, exists, forget
from ..xdb import Table, xdb
from ..xdb.cache import forget_owner
from ..xdb.numbers import NODES, at, when
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.stamp import parse as parse_stamp
from . import mod_mam, mod_privacy
from .mod_last import LastActivity
from .mod_private import Private, key
from .mod_roster import RosterItem, RosterVersion
from .portable_keys import SIZES, of_password, once
from .portable_nodes import OWNER, PUBSUB, Nodes

if TYPE_CHECKING:
    from ..jsm.host import Host

PIE = "urn:xmpp:pie:0"
SCRAM, MAM_FILE = f"{PIE}#scram", f"{PIE}#mam"
CLIENT, ROSTER, PRIVATE, PRIVACY, VCARD = (
    "jabber:client", "jabber:iq:roster", "jabber:iq:private", "jabber:iq:privacy", "vcard-temp")  # fmt: skip
MAM, FORWARD, DELAY, SID = "urn:xmpp:mam:2", "urn:xmpp:forward:0", "urn:xmpp:delay", "urn:xmpp:sid:0"
LAST, BLOCKING, ARCHIVED = "jabber:iq:last", "urn:xmpp:blocking", "urn:xmpp:mam:tmp"
ABOUT = "jabberd_py:about"
"""Of an element of ours, with what XEP-0227 has no place for."""
OFFLINE, IN_ARCHIVE, SECRET = (
    f"{{{PIE}}}offline-messages",
    f"{{{MAM_FILE}}}archive",
    f"{{{SCRAM}}}scram-credentials",
)
IN_NODES, OF_NODES = f"{{{PUBSUB}}}pubsub", f"{{{OWNER}}}pubsub"
KINDS = 20
"""At most so many kinds of data that are not imported are named."""
HASHES = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256", "sha512": "SCRAM-SHA-512"}
PAGE = 200
"""Messages that are read or written at a time."""
PLACES = 8
"""Numbers that are tried for a message whose own is taken. If all are, it is left out: looking on would hold the writer."""
XML = "{http://www.w3.org/XML/1998/namespace}"


class Reader:
    """One account that is being read. It is made when all but its messages is known."""

    page = PAGE
    late_keys = False
    """Did keys of the password come when the account was made already?"""
    same = (-1, 0)
    """The millisecond of the last message, and how many before it had the same."""

    def __init__(self, host: Any, jid: str, name: str, password: str | None, origin: str) -> None:
        """``name``: that of the account in the file; ``origin``: its domain there."""
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
        if password is not None and (old := of_password(password)):
            self.password, self.keys = None, old
        self.rows: list[dict[str, Any]] = []
        self.made = self.known = self.whole = False
        self.counts = {"roster": 0, "offline": 0, "archive": 0, "nodes": 0, "failed": 0}
        self.left: dict[str, int] = {}
        """What is not imported, in words -> how often."""
        self.parts: list[Element] = []
        self.older = str(parse(f"{name}@{origin}")) if origin else self.user
        self.nodes = Nodes(self._ask, self.user, self.older)

    def take(self, element: ET.Element, path: list[ET.Element]) -> bool:
        """An element that has ended, ``path`` are those around it within <user/>. True: it is dealt with."""
        kind = path[0].tag if path else element.tag
        if not path:
            self._part(element)
        elif len(path) == 1 and kind == OFFLINE:
            self._offline(element)
        elif len(path) == 1 and kind == IN_ARCHIVE:
            self._archived(element)
        elif len(path) == 1 and kind == OF_NODES:
            self._make()
            self.nodes.about(_element(element))
        elif len(path) == 2 and kind == IN_NODES:
            self._make()
            self.nodes.item(path[1].get("node", ""), _element(element))
        else:
            return False
        return True

    def done(self) -> dict[str, Any]:
        self._flush()
        late, self.parts = self.parts, []
        if late:  # behind the messages
            xdb.save(self._store, late)
        if self.late_keys:
            self.known = True
            xdb.save(Account.update(keys=json.dumps(self.keys)).where(Account.owner == self.user).execute)
        forget_owner(self.user)
        self.whole = True
        self.host.hooks.tell("imported", self.user)
        return {
            "jid": self.user,
            **self.counts,
            "password": self._password() if self.known else "none: set one",
            "not imported": said(self.left),
        }

    def _password(self) -> str:
        """With what the password can be used. Keys that we have not are made at the first sign-in that shows the password."""
        if len(self.keys) == len(HASHES):
            return "as before"
        names = " and ".join(HASHES[name] for name in sorted(self.keys))
        return f"as before, with {names} only, until its owner has signed in on the web page once"

    def undo(self) -> None:
        """The file turned out to be wrong: half an account goes again. One that is whole stays."""
        if self.made and not self.whole:
            xdb.delete_owner(self.user)
            forget(self.user)

    def _part(self, element: ET.Element) -> None:
        if element.tag == SECRET:
            names = {mechanism: name for name, mechanism in HASHES.items()}
            name = names.get(element.get("mechanism", ""))
            parts = [
                element.findtext(f"{{{SCRAM}}}{part}") or "" for part in ("salt", "stored-key", "server-key")
            ]
            rounds = element.findtext(f"{{{SCRAM}}}iter-count") or ""
            if name is not None and all(parts) and rounds.strip().isdecimal():
                self.keys[name] = [int(rounds), *once(SIZES[name], *map(str.strip, parts))]
                self.late_keys |= self.made
            else:
                self._leave(f"keys of a password ({element.get('mechanism', '')[:40]})")
        elif element.tag not in (OFFLINE, IN_ARCHIVE, IN_NODES, OF_NODES):
            self.parts.append(_element(_stanza(element)))

    def _leave(self, what: str) -> None:
        """That is not imported."""
        if what in self.left or len(self.left) < KINDS:
            self.left[what] = self.left.get(what, 0) + 1

    def _ask(self, kind: str, type: str, payload: Element) -> Element:
        """A request of the account to itself. It counts as ``kind``, if it does something."""
        try:
            answer = self.host.ask(Element("iq", CLIENT, payload, type=type, from_=self.user, to=self.user))
        except StanzaError as error:
            answer = Element("iq", CLIENT, error.element(), type="error")
        if answer.type == "error" and type == "set" and kind:
            self.counts["failed"] += 1
        elif kind:
            self.counts[kind] += 1
        return answer

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
        about = next((part for part in parts if part.ns == ABOUT), None)
        created = _moment("" if about is None else about.attrs.get("created", ""))
        Account.create(owner=self.user, keys=json.dumps(self.keys), created=created)
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
            elif (part.name, part.ns) == ("blocklist", BLOCKING):
                blocked = [str(parse(item.attrs.get("jid", ""))) for item in part.elements()]
                mod_privacy._store(user, lambda old, blocked=blocked: blocking(old, blocked))  # type: ignore[misc]
            elif (part.name, part.ns) == ("prefs", MAM) and part.attrs.get("default") in mod_mam.POLICIES:
                lists_ = (
                    json.dumps(mod_mam._addresses(part.child(name, MAM))) for name in ("always", "never")
                )
                mod_mam._set_preferences(user, part.attrs["default"], *lists_)
            elif (part.name, part.ns) == ("query", LAST) and part.attrs.get("seconds", "").isdecimal():
                ended = time.time() - int(part.attrs["seconds"][:10])
                LastActivity.delete().where(LastActivity.owner == user).execute()
                LastActivity.create(owner=user, ended=max(ended, 0.0), status=part.text)
            elif part.ns != ABOUT:
                self._leave(f"{part.name[:40]} ({part.ns[:100]})")

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
        message = _element(_stanza(element))
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
        message.take("archived", ARCHIVED)  # ejabberd's
        self._row(message, number, stamp, spooled=1)
        self.counts["offline"] += 1

    def _archived(self, element: ET.Element) -> None:
        forwarded = element.find(f"{{{FORWARD}}}forwarded")
        inner = None if forwarded is None else forwarded.find("{*}message")
        delay = None if forwarded is None else forwarded.find(f"{{{DELAY}}}delay")
        if inner is not None:
            self._row(
                _element(_stanza(inner)),
                element.get("id", ""),
                None if delay is None else delay.get("stamp"),
                archived=1,
            )
            self.counts["archive"] += 1

    def _row(self, message: Element, number: str, stamp: str | None, **marks: int) -> None:
        for name in ("from", "to"):  # the address of then becomes that of now
            jid = parse(message.attrs.get(name, self.older))
            if jid.user == self.older:
                message.attrs[name] = self.user + (f"/{jid.resource}" if jid.resource else "")
        sender, to = parse(message.attrs["from"]), parse(message.attrs["to"])
        other = to if sender.user == self.user else sender
        moment = time.time() if stamp is None else parse_stamp(stamp)
        moment = min(max(moment, 0.0), time.time())  # a number of the future would make all new ones larger
        near = number.isdecimal() and len(number) < 20 and abs(when(int(number)) - moment) < 1
        id = int(number) if near else at(int(moment * 1000)) + self._place(int(moment * 1000)) * NODES
        row = {"id": id, "owner": self.user, "peer": other.user, "resource": other.resource or "",
               "xml": message.to_bytes().decode()}  # fmt: skip
        self.rows.append(row | marks)
        if len(self.rows) >= self.page:
            self._flush()

    def _place(self, moment: int) -> int:
        """The place of a message within its millisecond: in the order of the file, and elsewhere than those of others. Other
        servers write whole seconds."""
        last, count = self.same
        self.same = moment, count + 1 if last == moment else 0
        return _chance(self.user, 1 << 12) + self.same[1]

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
            row["id"] += (
                NODES if n < PLACES // 2 else _chance(f"{row['owner']} {n} {row['xml']}", 1 << 13) * NODES
            )


def blocking(old: Any, blocked: list[str]) -> Any:
    """The lists of an account, with these addresses blocked, too."""
    more = [jid for jid in dict.fromkeys(blocked) if jid not in old.blocked]
    return old.blocking([*old.blocked, *more]) if more else old


def said(left: dict[str, int]) -> str:
    """What is not imported, for people."""
    return ", ".join(what if count == 1 else f"{what} ({count} times)" for what, count in left.items())


def _moment(text: str) -> float:
    """A time of the past; now, if the text says none."""
    try:
        return min(max(parse_stamp(text), 0.0), time.time())
    except ValueError:
        return time.time()


def _stanza(element: ET.Element) -> ET.Element:
    """A stanza with its own namespace: Prosody lets it have that of what is around it."""
    if element.tag in (f"{{{PIE}}}message", f"{{{PIE}}}presence"):
        for each in element.iter():
            each.tag = each.tag.replace(f"{{{PIE}}}", f"{{{CLIENT}}}")
    return element


def _chance(text: str, most: int) -> int:
    """A number below ``most``, always the same for a text."""
    return crc32(text.encode()) % most


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
