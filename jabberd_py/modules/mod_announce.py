"""Announcements: what administrators send to ``domain/announce/...`` (a custom of jabberd 1.x)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from gevent.pool import Pool

from .. import log
from ..arguments import Lines
from ..fanout import Fan
from ..hooks import HANDLED, Module, command, on
from ..net.turns import fairly
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse

logger = log.get(__name__)

PREFIX = "announce/"
AT_ONCE = 4
"""At most this many announcements are under way at a time."""
BUSY = StanzaError("resource-constraint", "other announcements are still on their way")


class Announce(Module):
    """Lets administrators write to all: a message to DOMAIN/announce/online reaches all who are online,
    .../announce/all every account, .../announce/motd is a message of the day (.../motd/delete removes it)."""

    @on("start")
    def start(self) -> None:
        self.pool = Pool(AT_ONCE)
        self.fan = Fan(self.host.router)

    @on("stop")
    def stop(self) -> None:
        self.pool.kill()

    @on("server", kind="message")
    def receive(self, stanza: Element) -> bool | None:
        resource = stanza.to.resource or ""
        if not f"{resource}/".startswith(PREFIX):
            return None
        if stanza.type == "error":
            return HANDLED
        if not self.host.is_admin(stanza.from_):
            raise StanzaError("forbidden")
        where = resource.removeprefix(PREFIX)
        if where == "online":
            self._send(self._letter(stanza), self._online())
        elif where == "all":
            self._send(self._letter(stanza), self._accounts())
        elif where in ("motd", "motd/update", "motd/delete"):
            self._motd(where, stanza)
        else:
            raise StanzaError("item-not-found", "there are: online, all, motd, motd/update, motd/delete")
        return HANDLED

    @command("announce", changes=True)
    def announce(self, text: Lines, all: bool = False) -> None:
        """Write to everybody who is online, or to all accounts."""
        message = Element("message", ns.CLIENT, Element("body", ns.CLIENT, text), from_=self.host.domain)
        self._send(message, self._accounts() if all else self._online())

    def _letter(self, stanza: Element) -> Element:
        """The message that is sent: from the domain, of type normal or headline. Raises StanzaError."""
        if not stanza.text_of("body", ns.CLIENT):
            raise StanzaError("bad-request", "an announcement has a body")
        letter = stanza.copy(from_=self.host.domain, to=None)
        if letter.type != "headline":
            letter.attrs.pop("type", None)
        return letter

    # -- to many --------------------------------------------------------------------------

    def _online(self) -> Iterator[str]:
        return (session.full for session in self.host.sessions if session.presence and session.priority >= 0)

    def _accounts(self) -> Iterator[str]:
        """Yields all accounts, read page by page."""
        for page in self.host.users.pages():
            yield from [account.owner for account in page]

    def _send(self, letter: Element, addresses: Iterator[str]) -> None:
        if len(self.fan.queue) >= AT_ONCE:
            raise BUSY
        self.fan.send((letter, _counted(addresses)))

    def _each(self, items: Iterator[Any], step: Callable[[Any], object]) -> None:
        """Sends to all in a greenlet of its own, in turns with others. Raises StanzaError if too many announcements are under
        way."""
        if self.pool.full():
            raise BUSY
        self.pool.spawn(_work, items, step)

    # -- the message of the day --------------------------------------------------------------

    def _motd(self, where: str, stanza: Element) -> None:
        motd = self.host.modules.get("motd")
        if motd is None:
            raise StanzaError("feature-not-implemented", "module motd is off")
        motd.set("" if where == "motd/delete" else self._letter(stanza).text_of("body", ns.CLIENT))
        if where == "motd":
            self._each((session for session in self.host.sessions if session.presence), motd.greet)


def _counted(addresses: Iterator[str]) -> Iterator[JID]:
    count = 0
    for address in addresses:
        yield parse(address)
        count += 1
    logger.info("announced", to=count)


def _work(items: Iterator[Any], step: Callable[[Any], object]) -> None:
    count = 0
    try:
        for item in fairly(items):
            step(item)
            count += 1
        logger.info("announced", to=count)
    except Exception:
        logger.exception("an announcement stopped half way", to=count)
