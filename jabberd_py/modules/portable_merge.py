"""Reading the file of an account elsewhere (XEP-0227) into an account that is there.

What its owner could do by a client is done as such a request, with all limits, and all clients are told: contacts, profile,
private storage, nodes. Messages of the archive become rows. Nothing that is there already changes.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import IO, Any

from ..net import turns
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from .mod_roster import roster
from .portable_in import CLIENT, PIE, PRIVATE, ROSTER, VCARD, Reader, _element

PUBSUB = "http://jabber.org/protocol/pubsub"
PIECE = 64 * 1024
LONGEST = 1 << 20
"""Bytes without the end of an element."""
REQUESTS = 5000
"""What is not a message: contacts, items of nodes."""
_encoding = re.compile(rb"<\?xml[^>]*encoding=[\"'](?!utf-8[\"'])", re.IGNORECASE).search


class Merge(Reader):
    """The account ``user`` gets what the file says. ``counts``: what came, by kind; ``failed``: requests with an error."""

    def __init__(self, host: Any, user: str) -> None:
        self.host, self.user, self.origin, self.older = host, user, "", ""
        self.rows: list[dict[str, Any]] = []
        self.made, self.whole = True, False
        self.counts = {"contacts": 0, "nodes": 0, "other": 0, "archive": 0, "failed": 0}
        self.requests = 0

    def read(self, source: IO[bytes]) -> dict[str, int]:
        """Reads the file. Blocks, in turns with others. Raises ValueError: it is no such file, or it wants too much."""
        parser: Any = ET.XMLPullParser(("start", "end"))
        path, waiting, last = list[ET.Element](), 0, b""
        try:
            while data := source.read(PIECE):
                if not last and (
                    _encoding(data) or not data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
                ):
                    raise ValueError("the file is no XML in UTF-8")
                whole = last + data
                if b"<!DOCTYPE" in whole or b"<!ENTITY" in whole or b"\0" in data:
                    raise ValueError("the file has what no such file has: a document type, or a zero")
                last, waiting = data[-16:], waiting + len(data)
                parser.feed(data)
                for event, element in parser.read_events():
                    waiting = 0
                    self._event(event, element, path)
                if waiting > LONGEST:
                    raise ValueError("the file has a part that is too long")
                xdb.release()
                turns.pause()
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
            return
        path.pop()
        if len(path) >= 3 and self.take(element, path[3:]):
            path[-1].remove(element)

    # -- its parts --------------------------------------------------------------------------------------

    def _part(self, source: ET.Element) -> None:
        if source.tag.startswith(f"{{{PIE}}}"):
            return
        part = _element(source)
        if (part.name, part.ns) == ("query", ROSTER):
            for item in part.elements():
                if item.name == "item":
                    self._contact_of(item)
        elif (part.name, part.ns) == ("vCard", VCARD):
            if xdb.get(self.user, VCARD) is None:
                self._ask("other", part)
        elif (part.name, part.ns) == ("query", PRIVATE):
            for child in part.elements():
                self._ask("other", Element("query", PRIVATE, child))
        elif (part.name, part.ns) == ("pubsub", PUBSUB):
            for items in part.elements():
                for item in items.elements():
                    publish = Element("publish", PUBSUB, item, node=items.attrs.get("node", ""))
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

    def _offline(self, element: ET.Element) -> None:
        """They are in the archive, too, or were delivered elsewhere."""

    def _row(self, message: Element, number: str, stamp: str | None, **marks: int) -> None:
        """The address of then becomes that of now."""
        for name in ("from", "to"):
            jid = parse(message.attrs.get(name, self.older))
            if jid.user == self.older:
                message.attrs[name] = self.user + (f"/{jid.resource}" if jid.resource else "")
        super()._row(message, number, stamp, **marks)
