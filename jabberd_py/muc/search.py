"""XEP-0433: Extended Channel Search: people find public rooms by words."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from ..hooks import Option, iq, on
from ..jsm import answers
from ..net.karma import Karma
from ..net.turns import fairly
from ..xmpp import forms, rsm
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP
from . import store
from .feature import Feature
from .room import Room

NS, ORDER, ERROR = (f"urn:xmpp:channel-search:0:{each}" for each in ("search", "order", "error"))
PARAMS = "urn:xmpp:channel-search:0:search-params"
ADDRESS, USERS = f"{{{ORDER}}}address", f"{{{ORDER}}}nusers"
TYPE = "xep-0045"
SHORTEST, LONGEST = 3, 200
"""Bytes of a word, characters of all of them."""
CHUNK, MOST_READ = 200, 20_000
"""Rooms that are read from the store at a time, and for one page."""


class Wanted(NamedTuple):
    """What is searched for. ``words``: in lower case; none means all rooms. ``least``: occupants at least."""

    words: tuple[str, ...]
    address: bool
    name: bool
    description: bool
    least: int
    key: str


class Search(Feature):
    """Searches the public rooms of this service."""

    protocols = (XEP(433, "0.1.0", "Extended Channel Search"),)
    needs = ("description", "hidden", "members", "password", "whois")
    features = (NS,)
    everything = Option(bool, True, "may all public rooms be asked for at once?")
    page = Option(int, 50, "rooms on one page of the results", min=1, max=500)
    rate = Option(float, 0.5, "searches a second of one user, in the long run", min=0.001)
    burst = Option(int, 20, "searches of one user at once", min=1)

    @on("start", "reload")
    def start(self) -> None:
        self.karma = Karma(self.rate, self.burst)

    @iq("get", NS, "search")
    def search(self, request: Element) -> Any:
        search: Any = request.payload
        x = search.child("x", forms.NS)
        if x is None:
            return Element("search", NS, self.form().element())
        wanted = self._wanted(x)
        try:
            page = rsm.read(search) or rsm.Page()
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        if page.index is not None or page.before is not None:
            raise StanzaError("feature-not-implemented", "pages go forward only")
        if wanted is None:
            return Element("result", NS)
        if not self.karma.spend(request.from_.user):
            after = str(max(1, round(1 / self.rate)))
            late = Element("rate-limit", ERROR)
            late.attrs["retry-after"] = after
            raise StanzaError("resource-constraint", f"search again in {after} seconds", late, type="wait")
        limit = page.limit(self.page, self.page)
        return answers.for_anybody(
            self.host.router, request, lambda reader: self._answer(wanted, page.after, limit)
        )

    def form(self) -> forms.Form:
        return (
            forms.Form("form", form_type=PARAMS)
            .field("q", "text-single", "Search for")
            .field("all", "boolean", "Return all entries (ignore search terms)", False)
            .field("sinname", "boolean", "Search in name", True)
            .field("sindescription", "boolean", "Search in description", True)
            .field("sinaddr", "boolean", "Search in address", True)
            .field("min_users", "text-single", "Minimum number of users", "1")
            .field("types", "list-multi", "Service types", TYPE, [(TYPE, "XEP-0045 Multi User Chats")])
            .field("key", "list-single", "Sort results by", USERS, [(USERS, "Number of online users"), (ADDRESS, "Address")])
        )  # fmt: skip

    def _wanted(self, x: Element) -> Wanted | None:
        """What the form says. None: rooms of other kinds. Raises StanzaError."""
        try:
            fields = forms.read(x, PARAMS)
            one = {var: values[0] if values else "" for var, values in fields.items()}
            flags = {
                var: forms.boolean([one.get(var) or default])
                for var, default in (
                    ("all", "0"),
                    ("sinname", "1"),
                    ("sindescription", "1"),
                    ("sinaddr", "1"),
                )
            }
            if "sinaddress" in one:
                flags["sinaddr"] = forms.boolean([one["sinaddress"]])
            least = one.get("min_users") or "1"
            if not (least.isascii() and least.isdigit() and len(least) < 10):
                raise ValueError("min_users is a number")
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        if one.get("key", USERS) not in (USERS, ADDRESS):
            raise StanzaError(
                "feature-not-implemented", None, Element("invalid-sort-key", ERROR), type="modify"
            )
        words = self._words(one.get("q", ""), flags["all"])
        if TYPE not in fields.get("types", [TYPE]):
            return None
        where = flags["sinaddr"], flags["sinname"], flags["sindescription"]
        return Wanted(words, *where, int(least), one.get("key", USERS))

    def _words(self, text: str, everything: bool) -> tuple[str, ...]:
        """Raises StanzaError."""
        if everything and text.strip():
            both = Element("conflicting-fields", ERROR, *(Element("var", ERROR, var) for var in ("all", "q")))
            raise StanzaError("bad-request", "Cannot both return all results and search by keywords.", both)
        if everything and not self.everything:
            no = Element("full-set-retrieval-rejected", ERROR)
            raise StanzaError("not-allowed", "Retrieval of the full database is not allowed.", no)
        if everything:
            return ()
        if not text.strip():
            none = Element("no-search-conditions", ERROR)
            raise StanzaError("bad-request", "search for what?", none, type="cancel")
        words = tuple(each.casefold() for each in text[:LONGEST].split() if len(each.encode()) >= SHORTEST)
        if not words:
            short = Element("invalid-search-terms", ERROR)
            raise StanzaError("bad-request", "Search terms must have at least three characters.", short)
        return words

    # -- the results -----------------------------------------------------------------------------------

    def _answer(self, wanted: Wanted, after: str | None, limit: int) -> Element:
        """Blocks."""
        result, first, last = Element("result", NS), None, None
        for mark, room in islice(self._found(wanted, after), limit):
            first, last = first or mark, mark
            result.append(self._item(room))
        return result.append(rsm.answer(first, last))

    def _found(self, wanted: Wanted, after: str | None) -> Iterator[tuple[str, Room]]:
        """(mark, room) in order, those behind the mark ``after``. The mark is the address; of rooms that are ordered by their
        occupants these stand before it."""
        if wanted.key == ADDRESS and not wanted.least:
            yield from ((room.address, room) for room in self._kept(wanted, after or ""))
            return
        by_users = wanted.key == USERS
        found = []
        for room in fairly(list(self.host.rooms.values())):
            number = len(room.occupants)
            if number >= max(wanted.least, 1) and self.host["hidden"].says(room) and self._fits(wanted, room):
                found.append((-number if by_users else 0, room.address, room))
        behind = _mark(after) if by_users else (0, after or "")
        for number, address, room in sorted(found, key=lambda each: each[:2]):
            if after is None or (number, address) > behind:
                yield (f"{-number} {address}" if by_users else address), room
        if not wanted.least:
            for room in self._kept(wanted, behind[1] if after and behind[0] == 0 else ""):
                if not room.occupants:
                    yield f"0 {room.address}", room

    def _kept(self, wanted: Wanted, after: str) -> Iterator[Room]:
        """Rooms by address, also those that are not awake."""
        for _ in range(MOST_READ // CHUNK):
            rows = store.profiles(self.host.domain, CHUNK, after)
            for address, config, created in fairly(rows):
                room = self.host.rooms.get(address)
                if room is None:
                    room = Room(self.host, address, created)
                    room.config = config
                if self._fits(wanted, room):
                    yield room
            if len(rows) < CHUNK:
                return
            after = rows[-1][0]

    def _fits(self, wanted: Wanted, room: Room) -> bool:
        if not wanted.words:
            return True
        about = self.host["description"]
        texts = [room.address] if wanted.address else []
        texts += [about.title(room)] if wanted.name else []
        texts += [about.text(room)] if wanted.description else []
        whole = "\n".join(texts).casefold()
        return all(word in whole for word in wanted.words)

    def _item(self, room: Room) -> Element:
        service, about = self.host, self.host["description"]
        closed = service["members"].says(room) or service["password"].of(room) is not None
        known = service["whois"].says(room)
        texts = {
            "name": about.title(room) or room.jid.node, "description": about.text(room), "language": about.lang(room),
            "nusers": str(len(room.occupants)), "service-type": TYPE, "is-open": "false" if closed else "true",
            "anonymity-mode": "{urn:xmpp:channel-search:0:anonymity}none" if known else "muc_semianonymous",
        }  # fmt: skip
        kids = (Element(name, NS, text) for name, text in texts.items() if text)
        return Element("item", NS, *kids, address=room.address)


def _mark(text: str | None) -> tuple[int, str]:
    """Raises StanzaError."""
    number, _, address = (text or "0 ").partition(" ")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        raise StanzaError("item-not-found", "there is no such page")
    return -int(number), address
