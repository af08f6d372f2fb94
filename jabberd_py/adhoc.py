"""Ad-hoc commands (XEP-0050): actions, pages and sessions. It is the same for everybody who offers commands: a host, a
service, a room."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, NamedTuple

from .xmpp import forms
from .xmpp.element import Element
from .xmpp.errors import StanzaError
from .xmpp.ns import DISCO_INFO, DISCO_ITEMS

NS = "http://jabber.org/protocol/commands"
ACTIONS = ("execute", "cancel", "prev", "next", "complete")
LIFETIME = 900.0
"""Seconds that a session lasts after its last stage."""
EACH = 10
"""Sessions of one user; the oldest goes."""
MOST = 5000
"""Sessions of all users."""
SWEEP = 60.0
"""Seconds between two looks for sessions that are over."""
FILLED = 200_000
"""Characters that a session remembers."""
LONGEST = 100
"""Characters of a session id."""
Values = dict[str, list[str]]
Work = Callable[[], Element]


class Dialogue(NamedTuple):
    """One command, as one user may run it.

    title      for people
    run        takes the values of all pages; returns the elements that are shown at the end; may block; raises StanzaError
    pages      functions that make the forms that are filled in one after the other; each takes the values so far
    form_type  of the forms
    short      the first page is enough: the others can be left out
    """

    title: str
    run: Callable[[Values], Iterable[Element]]
    pages: tuple[Callable[[Values], forms.Form], ...] = ()
    form_type: str | None = None
    short: bool = False


@dataclass
class Talk:
    """One session of a user who runs a command."""

    id: str
    user: str
    page: int = 0
    fresh: bool = True
    values: Values = field(default_factory=dict)
    time: float = 0.0


def note(text: str, type: str = "info") -> Element:
    """Section 4.3. ``type`` is "info", "warn" or "error"."""
    return Element("note", NS, text, type=type)


def refusal(specific: str, text: str, condition: str = "bad-request") -> StanzaError:
    """One of the errors of section 4.4."""
    return StanzaError(condition, text, Element(specific, NS))


def at_once(work: Work) -> Any:
    return work()


class Talks:
    """The sessions of all users with one that offers commands."""

    def __init__(self) -> None:
        self.secret = secrets.token_bytes(16)
        self.open: dict[str, OrderedDict[str, Talk]] = {}
        self.count = 0
        self.swept = 0.0

    def execute(self, request: Element, dialogue: Dialogue, how: Callable[[Work], Any] = at_once) -> Any:
        """For an @iq handler to return: the answer to a <command/>. ``how`` is given what runs the command: it may do so
        later. Raises StanzaError."""
        command: Any = request.payload
        action = command.attrs.get("action", "execute")
        if action not in ACTIONS:
            raise refusal("malformed-action", "there is no such action")
        talk = self._find(request)
        if action == "cancel":
            self._close(talk)
            return _answer(request, talk, "canceled")
        x = command.child("x", forms.NS)
        fresh, talk.fresh = talk.fresh, False
        if fresh and dialogue.pages and x is None and action == "execute":
            return self._show(request, talk, dialogue, 0)
        last = len(dialogue.pages) - 1
        if action == "execute":
            action = "complete" if talk.page >= last or dialogue.short else "next"
        if action == "prev":
            if talk.page == 0:
                raise refusal("bad-action", "this is the first page")
            return self._show(request, talk, dialogue, talk.page - 1)
        if action == "next" and talk.page >= last:
            raise refusal("bad-action", "there is no next page")
        if action == "complete" and talk.page < last and not dialogue.short:
            raise refusal("bad-action", "there are more pages")
        talk.values = _together(talk.values, _read(x, dialogue.form_type))
        if action == "next":
            return self._show(request, talk, dialogue, talk.page + 1)
        self._close(talk)
        try:
            return how(lambda: self._run(request, talk, dialogue))
        except StanzaError as error:
            self._keep_for(error, talk, dialogue)
            raise

    def _run(self, request: Element, talk: Talk, dialogue: Dialogue) -> Element:
        try:
            shown = [*dialogue.run(talk.values)]
        except StanzaError as error:
            self._keep_for(error, talk, dialogue)
            raise
        return _answer(request, talk, "completed", *shown)

    def _show(self, request: Element, talk: Talk, dialogue: Dialogue, page: int) -> Element:
        form = dialogue.pages[page](talk.values).element()
        talk.page = page
        self._keep(talk)
        last = len(dialogue.pages) - 1
        names = ["prev"] * (page > 0) + ["next"] * (page < last)
        names += ["complete"] * (page == last or dialogue.short)
        actions = Element("actions", NS, *(Element(name, NS) for name in names))
        actions.attrs["execute"] = "complete" if "complete" in names else "next"
        return _answer(request, talk, "executing", actions, form)

    # -- sessions ----------------------------------------------------------------------------------

    def _find(self, request: Element) -> Talk:
        """The session that a request names, or a new one. Raises StanzaError."""
        command: Any = request.payload
        sender: Any = request.from_
        id = command.attrs.get("sessionid")
        if id is None:
            number = secrets.token_hex(8)
            return Talk(f"{number}-{self._seal(number, request)}", sender.user)
        number, _, seal = id[:LONGEST].partition("-")
        if not (seal.isascii() and hmac.compare_digest(seal, self._seal(number, request))):
            raise refusal("bad-sessionid", "there was no such session")
        talk = self.open.get(sender.user, {}).get(id)
        if talk is None or talk.time + LIFETIME < time.monotonic():
            raise refusal("session-expired", "the session is over", "not-allowed")
        return talk

    def _seal(self, number: str, request: Element) -> str:
        """A session is between one requester and one responder, and about one command (section 3.3)."""
        command: Any = request.payload
        sender: Any = request.from_
        parts = (number, str(sender), str(request.to or sender.bare), command.attrs.get("node", ""))
        return hmac.digest(self.secret, "\0".join(parts).encode(), "sha256").hex()[:32]

    def _keep_for(self, error: StanzaError, talk: Talk, dialogue: Dialogue) -> None:
        """The user may send it again, without the mistake or later: what was filled in stays. Raises StanzaError."""
        if error.type in ("modify", "wait") and dialogue.pages:
            self._keep(talk)

    def _keep(self, talk: Talk) -> None:
        """Raises StanzaError if there are too many sessions."""
        now = time.monotonic()
        if now - self.swept > SWEEP:
            self.swept = now
            for each in [each for mine in self.open.values() for each in mine.values()]:
                if each.time + LIFETIME < now:
                    self._close(each)
        if self.count >= MOST and talk.id not in self.open.get(talk.user, {}):
            raise StanzaError("resource-constraint", "too many are giving commands", type="wait")
        self._close(talk)
        mine = self.open.setdefault(talk.user, OrderedDict())
        if len(mine) >= EACH:
            mine.popitem(last=False)
            self.count -= 1
        talk.time = now
        mine[talk.id] = talk
        self.count += 1

    def _close(self, talk: Talk) -> None:
        mine = self.open.get(talk.user)
        if mine is not None and mine.pop(talk.id, None) is not None:
            self.count -= 1
            if not mine:
                del self.open[talk.user]


def _answer(request: Element, talk: Talk, status: str, *children: Element) -> Element:
    command: Any = request.payload
    answer = Element("command", NS, *children, node=command.attrs["node"], sessionid=talk.id, status=status)
    answer.attrs["xml:lang"] = "en"
    return answer


def _read(x: Element | None, form_type: str | None) -> Values:
    """Section 3.5.1: "cancel" counts as "submit". Raises StanzaError."""
    if x is None:
        return {}
    try:
        if x.type not in ("submit", "cancel"):
            raise ValueError("a form is submitted")
        values = forms.read(x)
        if form_type is not None and values.get("FORM_TYPE", [form_type]) != [form_type]:
            raise ValueError(f"FORM_TYPE is not {form_type}")
    except ValueError as error:
        raise refusal("bad-payload", str(error)) from None
    values.pop("FORM_TYPE", None)
    return values


def _together(values: Values, more: Values) -> Values:
    """What was filled in on all pages. Its size has bounds. Raises StanzaError."""
    values = values | more
    texts = [*values, *chain.from_iterable(values.values())]
    if (
        len(values) > forms.MAX_FIELDS
        or len(texts) > forms.MAX_FIELDS + forms.MAX_VALUES
        or sum(map(len, texts)) > FILLED
    ):
        raise refusal("bad-payload", "too much was filled in")
    return values


# -- service discovery ---------------------------------------------------------------------------------


def listing(jid: str, titles: Mapping[str, str]) -> Element:
    """Section 2.2. ``jid``: who offers the commands; ``titles``: of the commands by node."""
    items = (Element("item", DISCO_ITEMS, jid=jid, node=node, name=title) for node, title in titles.items())
    return Element("query", DISCO_ITEMS, *items, node=NS)


def about(node: str, title: str, type: str = "command-node") -> Element:
    """Section 2.2: what service discovery tells of a command, or of the list of all."""
    query = Element("query", DISCO_INFO, node=node)
    query.append(Element("identity", DISCO_INFO, category="automation", type=type, name=title))
    return query.append(*(Element("feature", DISCO_INFO, var=var) for var in (NS, forms.NS)))
