"""The message of the day: each user gets it once."""

from __future__ import annotations

import hashlib

import gevent
from peewee import CharField

from ..arguments import Lines
from ..hooks import Module, Option, command, on
from ..jsm.session import Session
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, Table, cached, xdb
from ..xmpp import ns
from ..xmpp.element import Element

STORED = "jabberd_py:motd"
"""The domain keeps the text that an administrator has set under this namespace. If it is empty, there is no message."""


class MotdSeen(Table):
    """``owner`` has got the text with this digest."""

    owner = CharField(max_length=OWNER_LENGTH)
    digest = CharField(max_length=64)

    class Meta:
        indexes = ((("owner",), True),)


@cached
def seen(user: str) -> str | None:
    digest: str | None = MotdSeen.select(MotdSeen.digest).where(MotdSeen.owner == user).scalar()
    return digest


@cached
def stored(domain: str) -> str | None:
    return xdb.get(domain, STORED)


class Motd(Module):
    """Sends every user a message of the day, once, when they come online."""

    tables = (MotdSeen,)
    message = Option(
        str, "", "text of the message of the day; an administrator may set another one while the server runs"
    )

    @on("start")
    def start(self) -> None:
        self.marking: dict[str, str] = {}

    @property
    def text(self) -> str:
        """The message of today; empty if there is none."""
        text = stored(self.host.domain)
        return self.message if text is None else text

    @command("motd show")
    def show(self) -> dict[str, str]:
        """The message of the day of each host."""
        return {"text": self.text}

    @command("motd set", changes=True)
    def set(self, text: Lines, at_once: bool = False) -> None:
        """Set the message of the day: users get it when they next come online; with --at-once also those who are online.
        Empty: no message."""
        self._keep(text)
        if at_once:
            gevent.spawn(self._greet_all)

    def _greet_all(self) -> None:
        with xdb.unit():
            for session in fairly(list(self.host.sessions)):
                if session.presence is not None:
                    self.greet(session)

    @command("motd reset", changes=True)
    def reset(self) -> None:
        """Go back to the message of the configuration."""
        self._keep(None)

    def _keep(self, text: str | None) -> None:
        xdb.set(self.host.domain, STORED, text)
        stored.forget(self.host.domain)

    @on("available")
    def greet(self, session: Session) -> None:
        if session.priority < 0 or not (text := self.text):
            return
        digest = hashlib.sha256(text.encode()).hexdigest()
        if digest in (self.marking.get(session.user), seen(session.user)):
            return
        self.mark(session.user, text)
        body = Element("body", ns.CLIENT, text)
        message = Element("message", ns.CLIENT, body, from_=self.host.domain, to=session.full)
        self.host.router.deliver(message)

    def mark(self, user: str, text: str) -> None:
        """The user has got this text."""
        if not self.host.options.anonymous:
            digest = hashlib.sha256(text.encode()).hexdigest()
            self.marking[user] = digest  # another session may come before it is committed
            xdb.write(_mark, user, digest).then(lambda ticket: self._marked(user, digest))

    def _marked(self, user: str, digest: str) -> None:
        seen.forget(user)
        if self.marking.get(user) == digest:
            del self.marking[user]


def _mark(user: str, digest: str) -> None:
    MotdSeen.delete().where(MotdSeen.owner == user).execute()
    MotdSeen.insert(owner=user, digest=digest).execute()
