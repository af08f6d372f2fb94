"""Finding other servers. What it costs is shared out among those who write to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from ..net.connect import ConnectError, connect, parse_route
from ..net.dnsrv import DNSError, Resolver, Target
from ..xmpp.errors import StanzaError
from .options import S2S
from .pair import Failure, Pair

AT_ONCE = 25
"""Servers that are found and reached at a time because one sender writes to them."""
SOON = 1.0
"""Seconds. A server that is not reached by then is still looked for, but the next one has its turn."""
SHARE = 4
"""One sender causes at most this part of all ``s2s.links``: one in so many."""


class Seekers:
    """Senders, by their bare address: an account, a room, a service. No I/O here.

    made     how many pairs there are because the sender was the first to write
    seeking  how many servers are being reached because he writes, for `SOON` at most
    lines    the pairs that wait for this. The newest comes first: who has written to many servers that do not answer holds up
             nobody else of the same service
    """

    def __init__(self) -> None:
        self.made: Counter[str] = Counter()
        self.seeking: Counter[str] = Counter()
        self.lines: dict[str, dict[Pair, None]] = {}

    def make(self, sender: str, most: int) -> None:
        """One more pair. Raises StanzaError: there are too many."""
        if self.made[sender] >= most:
            raise StanzaError("resource-constraint", f"{sender} writes to too many servers", type="wait")
        self.made[sender] += 1

    def enter(self, sender: str, pair: Pair) -> bool:
        """May the pair's server be looked for now? Else the pair waits in the sender's line, for ``s2s.patience`` at most."""
        if self.seeking[sender] < AT_ONCE:
            self.seeking[sender] += 1
            return True
        self.lines.setdefault(sender, {})[pair] = None
        pair.wait()
        return False

    def leave(self, sender: str) -> None:
        """One search is over: those who wait have their turns."""
        _less(self.seeking, sender)
        line = self.lines.get(sender)
        while line and self.seeking[sender] < AT_ONCE:
            pair, _ = line.popitem()
            if not line:
                del self.lines[sender]
            if pair.connection is None:
                pair.pump()

    def forget(self, pair: Pair) -> None:
        """The pair is gone."""
        _less(self.made, pair.seeker)


def _less(counter: Counter[str], key: str) -> None:
    counter[key] -= 1
    if counter[key] <= 0:
        del counter[key]


def find(resolver: Resolver, o: S2S, remote: str, step: Callable[[str, str], None]) -> tuple[Any, Target]:
    """Finds and connects to the server of ``remote``. Returns the socket and its target. Blocks. Raises Failure."""
    route = o.routes.get(remote)
    try:
        if route is not None:
            targets: tuple[Target, ...] = (resolver.target(*parse_route(route)),)
            step("route", f"{route}, by the configuration")
        else:
            found = resolver.services(remote)
            targets = found.targets
            step("DNS", found.text)
    except (DNSError, ValueError) as error:
        step("DNS", str(error))
        temporary = isinstance(error, DNSError) and error.temporary
        condition = "remote-server-timeout" if temporary else "remote-server-not-found"
        public = f"{remote} cannot be found now: the DNS does not answer" if temporary else None
        raise Failure(condition, f"{remote} cannot be found: {error}", not temporary, public) from None
    try:
        sock, target, tried = connect(targets, o.connect_timeout, o.connect_timeout / 2)
    except ConnectError as error:
        step("connect", str(error))
        public = None if route is None else f"{remote} cannot be reached"
        raise Failure(
            "remote-server-timeout", f"{remote} cannot be reached: {error}", public=public
        ) from None
    step("connect", f"{target}" + "".join(f"; {each}" for each in tried))
    return sock, target
