"""Reading the file of an account elsewhere (XEP-0227) into an account that is there.

What its owner could do by a client is done as such a request, with all limits, and all clients are told: contacts, profile,
private storage, nodes. Messages of the archive become rows. Nothing that is there already changes.
"""

from __future__ import annotations

import re
import time
import xml.etree.ElementTree as ET
from typing import IO, Any

from ..net import turns
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.stamp import parse as parse_stamp
from .mod_roster import roster
from .portable_in import CLIENT, MAM_FILE, PIE, PRIVATE, ROSTER, VCARD, Reader, _element

PUBSUB = "http://jabber.org/protocol/pubsub"
PIECE = 4 * 1024
LONGEST, LARGEST = 256 << 10, 2000
"""Bytes and elements of one part: a message, a contact, an item of a node."""
REQUESTS = 5000
"""What is not a message: contacts, items of nodes."""
OLDEST, NEWEST = 915_148_800.0, 60.0
"""Messages are from after the year 1998, and at least so many seconds old: their numbers are no places of new ones."""
PAGE = 50
"""Messages that are written at a time."""
IN_QUERY, IN_PRIVATE, IN_ARCHIVE = f"{{{ROSTER}}}query", f"{{{PRIVATE}}}query", f"{{{MAM_FILE}}}archive"
CARD, NODES = f"{{{VCARD}}}vCard", f"{{{PUBSUB}}}pubsub"
_encoding = re.compile(rb"<\?xml[^>]*encoding=[\"'](?!utf-8[\"'])", re.IGNORECASE).search


class Merge(Reader):
    """The account ``user`` gets what the file says. ``counts``: what came, by kind; ``failed``: requests with an error."""

    page = PAGE

    def __init__(self, host: Any, user: str) -> None:
        self.host, self.user, self.origin, self.older = host, user, "", ""
        self.rows: list[dict[str, Any]] = []
        self.made, self.whole = True, False
        self.counts = {"contacts": 0, "nodes": 0, "other": 0, "archive": 0, "failed": 0}
        self.requests = 0
        self.part = self.held = self.waiting = 0
        """The depth of the part that is being read (0: none), its elements, and the bytes since the end of the last."""

    def read(self, source: IO[bytes]) -> dict[str, int]:
        """Reads the file. Blocks, in turns with others. Raises ValueError: it is no such file, or it wants too much."""
        parser: Any = ET.XMLPullParser(("start", "end"))
        path, last, turn = list[ET.Element](), b"", 0.0
        try:
            while data := source.read(PIECE):
                if not last and (
                    _encoding(data) or not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
                ):
                    raise ValueError("the file is no XML in UTF-8")
                whole = last + data
                if b"<!DOCTYPE" in whole or b"<!ENTITY" in whole or b"\0" in data:
                    raise ValueError("the file has what no such file has: a document type, or a zero")
                last, self.waiting = data[-16:], self.waiting + len(data)
                parser.feed(data)
                for event, element in parser.read_events():
                    self._event(event, element, path)
                    turn = turns.share(turn)
                if self.waiting > LONGEST or self.held > LARGEST:
                    raise ValueError("the file has a part that is too long")
                xdb.release()
            parser.close()
        except ET.ParseError as error:
            raise ValueError(f"the file is no XML: {error}") from None
        self._flush()
        if not self.older:
            raise ValueError("no account is in the file (XEP-0227)")
        return self.counts

    def _event(self, event: Any, element: Any, path: list[ET.Element]) -> None:
        name = element.tag.removeprefix(f"{{{PIE}}}")
        if event == "start":
            path.append(element)
            if len(path) == 2 and name == "host":
                self.origin = element.get("jid", "")
            elif len(path) == 3 and name == "user":
                if self.older:
                    raise ValueError("there are several accounts in the file")
                self.older = str(parse(f"{element.get('name', '')}@{self.origin}"))
            elif len(path) > 100:
                raise ValueError("the file is too deep")
            elif self.older and not self.part and len(path) > 3 and _is_part(element, path[3:-1]):
                self.part = len(path)
            self.held += 1 if self.part else 0
            return
        path.pop()
        if self.part == len(path) + 1:
            self._take(element, path[3:])
            self.part = 0
        if not self.part:
            self.held = self.waiting = 0
            if path:
                path[-1].remove(element)

    # -- its parts --------------------------------------------------------------------------------------

    def _take(self, source: ET.Element, around: list[ET.Element]) -> None:
        """One part has been read."""
        kind = around[0].tag if around else source.tag
        if kind == IN_ARCHIVE:
            try:
                self._archived(source)
            except ValueError:
                self.counts["failed"] += 1
            return
        part = _element(source)
        if kind == IN_QUERY:
            self._contact_of(part)
        elif kind == CARD and xdb.get(self.user, VCARD) is None:
            self._ask("other", part)
        elif kind == IN_PRIVATE:
            self._ask("other", Element("query", PRIVATE, part))
        elif kind == NODES:
            publish = Element("publish", PUBSUB, part, node=around[1].get("node", ""))
            self._ask("nodes", Element("pubsub", PUBSUB, publish))

    def _contact_of(self, item: Element) -> None:
        """The subscription stays elsewhere: the owner asks for it anew."""
        jid = str(parse(item.attrs.get("jid", "")).bare)
        known = roster(self.user).get(jid)
        if jid == self.user or (known is not None and known.listed):
            return
        groups = (Element("group", ROSTER, each.text) for each in item.elements() if each.name == "group")
        one = Element("item", ROSTER, *groups, jid=jid, name=item.attrs.get("name") or None)
        self._ask("contacts", Element("query", ROSTER, one))

    def _ask(self, kind: str, payload: Element) -> None:
        """A request of the account to itself."""
        self.requests += 1
        if self.requests > REQUESTS:
            raise ValueError(f"more than {REQUESTS} contacts and items")
        try:
            answer = self.host.ask(Element("iq", CLIENT, payload, type="set", from_=self.user, to=self.user))
            self.counts[kind if answer.type == "result" else "failed"] += 1
        except StanzaError:
            self.counts["failed"] += 1

    def _row(self, message: Element, number: str, stamp: str | None, **marks: int) -> None:
        """The address of then becomes that of now. Raises ValueError: the message cannot have been sent at its time."""
        if stamp is None or not OLDEST < parse_stamp(stamp) < time.time() - NEWEST:
            raise ValueError("stamp")
        for name in ("from", "to"):
            jid = parse(message.attrs.get(name, self.older))
            if jid.user == self.older:
                message.attrs[name] = self.user + (f"/{jid.resource}" if jid.resource else "")
        super()._row(message, number, stamp, **marks)


def _is_part(element: ET.Element, around: list[ET.Element]) -> bool:
    """Is it something that is read as a whole? What is in no such part is nothing that is taken, or holds parts."""
    match [each.tag for each in around]:
        case []:
            return element.tag == CARD
        case [kind]:
            return kind in (IN_PRIVATE, IN_ARCHIVE) or (
                kind == IN_QUERY and element.tag == f"{{{ROSTER}}}item"
            )
        case [kind, items]:
            return kind == NODES and items == f"{{{PUBSUB}}}items"
    return False
