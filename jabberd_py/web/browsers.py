"""Who is signed in by browser. A session is known by a random number in a cookie; all else about it is here, in memory: a
restart signs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from ..jsm.host import Host
from ..xmpp.jid import JID, parse

EACH, ALL = 10, 5000
"""Sessions of one account, and of all. The one that was idle the longest makes room for a new one."""
BROWSERS = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "Mac"),
    ("Linux", "Linux"),
)
"""A word of the User-Agent -> its name; the first counts."""
TOLD = 10
"""Messages that wait for the next page."""


@dataclass
class Signed:
    """A session.

    id       the hash of the cookie: who reads the memory or a log cannot use it
    jid      the bare address of the account
    kept     the row of the account at sign-in: another password, or a suspended account, ends the session
    address  IP address at sign-in; ``agent``: the browser, as it names itself
    began, used, proved  Unix times: of the sign-in, of the last request, and when its user last showed the password
    told     messages for the next page: (kind, text), kind "done", "hint" or "error"
    notes    what a face remembers between two pages, under its own name
    """

    id: str
    jid: JID
    host: Host
    kept: list[Any]
    address: str
    agent: str
    began: float
    used: float
    proved: float
    told: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def user(self) -> str:
        return self.jid.user

    @property
    def name(self) -> str:
        """The browser, for people: "Chrome on Linux"; as it names itself where we do not know it."""
        program, system = (
            next((name for word, name in known if word in self.agent), "") for known in (BROWSERS, SYSTEMS)
        )
        return f"{program} on {system}" if program and system else self.agent or "-"


class Browsers:
    """Who is signed in at one site. ``idle``, ``longest``: seconds, after the last request and after the sign-in."""

    def __init__(self) -> None:
        self.idle = self.longest = 0.0
        self._all: dict[str, Signed] = {}
        self._left: OrderedDict[str, str] = OrderedDict()

    def begin(self, host: Host, user: str, address: str, agent: str, kept: list[Any] | None = None) -> str:
        """A new session, always under a new number. ``kept``: the account's row when the password was checked; where another
        password has come since, the session is over at once. Returns the value of the cookie."""
        self.sweep()
        mine = [each for each in self._all.values() if each.user == user]
        for full, most in ((mine, EACH), (list(self._all.values()), ALL)):
            if len(full) >= most:
                self.end(min(full, key=lambda each: each.used))
        cookie, now = secrets.token_urlsafe(32), time.time()
        id = hashed(cookie)
        kept = host.users.row(user) if kept is None else kept
        self._all[id] = Signed(id, parse(user), host, kept, address, agent[:200], now, now, now)
        return cookie

    def find(self, cookie: str, use: bool = True) -> Signed | None:
        """The session of that cookie. None: there is none, or it is over. ``use``: a person uses it now, and not a script of a
        page that was left open. May block."""
        found = self._all.get(hashed(cookie))
        if found is None:
            return None
        if not self.holds(found):
            return None
        if use:
            found.used = time.time()
        return found

    def holds(self, session: Signed) -> bool:
        """Is it still there, and its account as at the sign-in? Ends it if not. May block."""
        gone = session.host.router.instances.get(session.host.domain) is not session.host
        if gone or self._over(session, time.time()) or session.host.users.row(session.user) != session.kept:
            self.end(session)
        return self.has(session)

    def end(self, session: Signed) -> None:
        self._all.pop(session.id, None)
        self._left[session.id] = session.user
        if len(self._left) > ALL:
            self._left.popitem(last=False)
        session.host.users.tickets.forget(session.user)

    def left(self, cookie: str) -> str:
        """Whose session that was, which has ended. Empty: nobody knows."""
        return self._left.get(hashed(cookie), "")

    def has(self, session: Signed) -> bool:
        """Is it still there?"""
        return self._all.get(session.id) is session

    def end_others(self, session: Signed) -> int:
        """Signs the account out everywhere else. Returns in how many places."""
        others = [each for each in self.of(session.user) if each is not session]
        for each in others:
            self.end(each)
        return len(others)

    def of(self, user: str) -> list[Signed]:
        self.sweep()
        return [each for each in self._all.values() if each.user == user]

    def renew(self, session: Signed) -> None:
        """The password was changed in this session: it goes on, and all others of the account end. May block."""
        session.kept = session.host.users.row(session.user)
        self.end_others(session)

    def sweep(self) -> None:
        """Forgets those that are over."""
        now = time.time()
        for each in [each for each in self._all.values() if self._over(each, now)]:
            self.end(each)

    def _over(self, session: Signed, now: float) -> bool:
        return now - session.used > self.idle or now - session.began > self.longest


def hashed(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
