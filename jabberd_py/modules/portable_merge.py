"""Reading the file of an account elsewhere (XEP-0227) into an account that is there.

What its owner could do by a client is done as such a request, with all limits, and all clients are told: contacts, profile,
private storage, nodes, blocked addresses, preferences. Messages become rows of the archive. Nothing that is there already
changes. What is not imported is said in words (`left`).
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
from . import mod_mam
from .mod_privacy import lists_of, read
from .mod_roster import roster
from .portable_in import (
    ABOUT,
    BLOCKING,
    CLIENT,
    IN_ARCHIVE,
    IN_NODES,
    LAST,
    MAM,
    OF_NODES,
    OFFLINE,
    PIE,
    PRIVACY,
    PRIVATE,
    ROSTER,
    SECRET,
    VCARD,
    Reader,
    _element,
    blocking,
)
from .portable_nodes import PUBSUB, Nodes

PIECE = 4 * 1024
LONGEST, LARGEST = 256 << 10, 2000
"""Bytes and elements of one part: a message, a contact, an item of a node."""
REQUESTS = 5000
"""What is not a message: contacts, items of nodes."""
OLDEST, NEWEST = 915_148_800.0, 60.0
"""Messages are from after the year 1998, and at least so many seconds old: their numbers are no places of new ones."""
AROUND = 100_000
"""Elements outside of parts."""
PAGE = 50
"""Messages that are written at a time."""
IN_QUERY, IN_PRIVATE, CARD = f"{{{ROSTER}}}query", f"{{{PRIVATE}}}query", f"{{{VCARD}}}vCard"
PREFS, RULES, BLOCKED = f"{{{MAM}}}prefs", f"{{{PRIVACY}}}query", f"{{{BLOCKING}}}blocklist"
WHOLE = (CARD, PREFS, RULES, BLOCKED)
"""Parts that are children of <user/>."""
HOLDERS = (IN_QUERY, IN_PRIVATE, IN_ARCHIVE, OFFLINE, IN_NODES, OF_NODES)
"""Children of <user/> that have parts."""
LEFT = {
    SECRET: "the password: this account keeps its own",
    f"{{{CLIENT}}}presence": "people who wait for your answer: they have to ask again",
    f"{{{LAST}}}query": "",
    f"{{{ABOUT}}}account": "when the account was made, its rooms and devices: they stay where they are",
}
"""What no owner can bring, in words; nothing is said where they are empty."""
_encoding = re.compile(rb"<\?xml[^>]*encoding=[\"'](?!utf-8[\"'])", re.IGNORECASE).search


class Merge(Reader):
    """The account ``user`` gets what the file says. ``counts``: what came, by kind; ``failed``: requests with an error."""

    page = PAGE

    def __init__(self, host: Any, user: str) -> None:
        self.host, self.user, self.origin, self.older = host, user, "", ""
        self.rows: list[dict[str, Any]] = []
        self.made, self.whole = True, False
        self.counts = {
            "contacts": 0,
            "nodes": 0,
            "other": 0,
            "archive": 0,
            "offline": 0,
            "files": 0,
            "failed": 0,
        }
        self.left: dict[str, int] = {}
        self.requests = self.around = 0
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
                self.nodes = Nodes(self._ask, self.user, self.older)
            elif len(path) > 100:
                raise ValueError("the file is too deep")
            elif self.older and not self.part and len(path) > 3 and _is_part(element, path[3:-1]):
                self.part = len(path)
            elif self.older and len(path) == 4 and element.tag not in HOLDERS:
                self._leave(LEFT.get(element.tag, f"{name[:100]}: nothing that is known here"))
            self.held += 1 if self.part else 0
            self.around += 0 if self.part else 1
            if self.around > AROUND:
                raise ValueError("the file has too much that is not known here")
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
        if kind in (IN_ARCHIVE, OFFLINE):
            try:
                (self._archived if kind == IN_ARCHIVE else self._offline)(source)
            except ValueError:
                self.counts["failed"] += 1
            return
        part = _element(source)
        if kind == IN_QUERY:
            self._contact_of(part)
        elif kind == IN_PRIVATE:
            self._request("other", Element("query", PRIVATE, part))
        elif kind == OF_NODES:
            self.nodes.about(part)
        elif kind == IN_NODES:
            self.nodes.item(around[1].get("node", ""), part)
        elif kind in (RULES, BLOCKED):
            self._rules(part)
        elif kind == CARD and xdb.get(self.user, VCARD) is not None:
            self._leave("your profile: there is one here")
        elif kind == PREFS and mod_mam.preferences(self.user) is not None:
            self._leave("what the archive keeps: you have chosen that here")
        else:
            self._request("other", part)

    def _rules(self, part: Element) -> None:
        """Privacy lists, if there are none here, and blocked addresses. Beside lists that are here, only the latter come."""
        try:
            there = lists_of(self.user)
            if part.name == "blocklist":
                blocked = [str(parse(item.attrs.get("jid", ""))) for item in part.elements()]
            else:
                lists = read(part)
                blocked = lists.blocked
                if there is None or not there.lists:
                    self.host["privacy"].alter(self.user, lambda _: self.host["privacy"].bounded(lists, True))
                elif set(lists.lists) - set(there.lists):
                    self._leave("privacy lists: there are some here; blocked addresses are taken")
            self.host["privacy"].alter(
                self.user, lambda old: self.host["privacy"].bounded(blocking(old, blocked))
            )
            self.counts["other"] += 1
        except (StanzaError, ValueError):
            self.counts["failed"] += 1

    def _contact_of(self, item: Element) -> None:
        """The subscription stays elsewhere: the owner asks for it anew."""
        if item.attrs.get("subscription") in ("to", "from", "both"):
            self._leave("who sees whom: ask your contacts again")
        try:
            jid = str(parse(item.attrs.get("jid", "")).bare)
        except ValueError:  # old gateways had such addresses
            self.counts["failed"] += 1
            return
        known = roster(self.user).get(jid)
        if jid == self.user or (known is not None and known.listed):
            return
        groups = (Element("group", ROSTER, each.text) for each in item.elements() if each.name == "group")
        one = Element("item", ROSTER, *groups, jid=jid, name=item.attrs.get("name") or None)
        self._request("contacts", Element("query", ROSTER, one))

    def _request(self, kind: str, payload: Element) -> None:
        self._ask(kind, "set", payload)

    def _ask(self, kind: str, type: str, payload: Element) -> Element:
        self.requests += 1
        if self.requests > REQUESTS:
            raise ValueError(f"more than {REQUESTS} contacts and items")
        return super()._ask(kind, type, payload)

    def leave(self, what: str) -> None:
        """Notes that a part of the data is not imported. ``what``: a sentence for people."""
        self._leave(what)

    def _leave(self, what: str) -> None:
        if what:
            super()._leave(what)

    def _row(self, message: Element, number: str, stamp: str | None, **marks: int) -> None:
        """What had not been read when the file was written stands in the archive here, too. Raises ValueError: the message
        cannot have been sent at its time."""
        if stamp is None or not OLDEST < parse_stamp(stamp) < time.time() - NEWEST:
            raise ValueError("stamp")
        super()._row(message, number, stamp, archived=1)


def _is_part(element: ET.Element, around: list[ET.Element]) -> bool:
    """Is it something that is read as a whole? What is in no such part is nothing that is taken, or holds parts."""
    match [each.tag for each in around]:
        case []:
            return element.tag in WHOLE
        case [kind]:
            return kind in (IN_PRIVATE, IN_ARCHIVE, OFFLINE, OF_NODES) or (
                kind == IN_QUERY and element.tag == f"{{{ROSTER}}}item"
            )
        case [kind, items]:
            return kind == IN_NODES and items == f"{{{PUBSUB}}}items"
    return False
