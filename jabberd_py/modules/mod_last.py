"""XEP-0012: Last Activity."""

from __future__ import annotations

import time

from peewee import CharField, FloatField, TextField

from ..hooks import Module, iq, on
from ..jsm.notes import STATUS
from ..jsm.session import Session
from ..jsm.users import exists
from ..xdb import OWNER_LENGTH, Table, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP
from .trust import may_see

NS = "jabber:iq:last"
STATUS_LENGTH = 1024


class LastActivity(Table):
    """When the last session of ``owner`` has ended (Unix time), and the status of its last presence."""

    owner = CharField(max_length=OWNER_LENGTH)
    ended = FloatField()
    status = TextField()

    class Meta:
        indexes = ((("owner",), True),)


class Last(Module):
    """Tells contacts how long a user has been away, and everybody how long the server has been running."""

    protocols = (XEP(12, "2.0", "Last Activity"),)
    anywhere = True
    features = (NS,)
    account_features = (NS,)
    tables = (LastActivity,)

    @on("start")
    def start(self) -> None:
        self.started = time.monotonic()
        self.leaving: dict[str, tuple[float, str]] = {}  # rows that are not committed yet

    @iq("get", NS, "query")
    def uptime(self, request: Element) -> Element:
        return Element("query", NS, seconds=int(time.monotonic() - self.started))

    @iq("get", NS, "query", to="self")
    @iq("get", NS, "query", to="user")
    def last(self, request: Element) -> Element:
        user = str((request.to or request.from_).bare)
        self._check(user, request)
        if self.host.sessions.of(user):
            return Element("query", NS, seconds=0)
        last = self.leaving.get(user)
        if last is None:
            row = LastActivity.select().where(LastActivity.owner == user).first()
            if row is None:
                raise StanzaError("item-not-found", "not seen yet")
            last = row.ended, row.status
        return Element("query", NS, last[1], seconds=max(0, int(time.time() - last[0])))

    @on("filter_in", kind="iq")
    def protect(self, user: str, stanza: Element) -> None:
        """Only somebody who may see the user's presence may send this request to a client of the user (section 4)."""
        if stanza.type == "get" and stanza.has("query", NS):
            self._check(user, stanza)

    def _check(self, user: str, request: Element) -> None:
        if not may_see(self.host, user, request.from_):
            raise StanzaError("forbidden")

    # -- what is remembered ---------------------------------------------------------------

    @on("filter_out", kind="presence")
    def listen(self, session: Session, stanza: Element) -> None:
        """Notes the status. (The presence module hears presence later, and ends the chain.)"""
        if "to" in stanza.attrs:
            return
        if stanza.type == "unavailable":
            session.notes[STATUS] = (stanza.text_of("status") or "")[:STATUS_LENGTH]
        elif session.note(STATUS) is not None:
            del session.notes[STATUS]

    @on("end")
    def remember(self, session: Session) -> None:
        """A session ends. Does not wait for the store: until this returns, no other session can have its resource."""
        # not for guests, and not for an account that has just been removed
        if self.host.sessions.of(session.user) == [session] and exists(session.user):
            user, last = session.user, (time.time(), session.note(STATUS) or "")
            self.leaving[user] = last
            xdb.write(_store, user, *last).then(lambda ticket: self._stored(user, last))

    def _stored(self, user: str, last: tuple[float, str]) -> None:
        if self.leaving.get(user) is last:
            del self.leaving[user]


def _store(user: str, ended: float, status: str) -> None:
    LastActivity.delete().where(LastActivity.owner == user).execute()
    LastActivity.insert(owner=user, ended=ended, status=status).execute()
