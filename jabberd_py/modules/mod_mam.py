"""XEP-0313: Message Archive Management, with XEP-0441 (preferences), XEP-0431 (full-text search) and the tombstones of
XEP-0424.

The archive and the spool share one table: `jsm/spool.py` stores what comes in when it is delivered. This module decides whose
messages are archived, stores what users send to other servers, answers queries, and removes old messages.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal, NamedTuple

from peewee import CharField, TextField

from .. import archive
from ..archive import stones
from ..archive.query import NS, Query
from ..archive.search import ArchiveText
from ..archive.stones import RETRACT
from ..arguments import AccountAddress, Lines
from ..hooks import Module, Option, command, duration, every, iq, on, optional
from ..jsm.answers import later
from ..jsm.notes import SENT
from ..jsm.session import Session
from ..jsm.worth import ARCHIVED, worth
from ..net.turns import fairly
from ..xdb import OWNER_LENGTH, Table, cached, spoilt, xdb
from ..xdb.numbers import next_id
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from ..xmpp.large import unfold
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

POLICIES = ("always", "roster", "never")
LISTED = 1000
"""Addresses in each of the two lists of a user's preferences."""


class ArchivePreferences(Table):
    """``policy``: of `POLICIES`. ``always`` and ``never``: JSON, addresses."""

    owner = CharField(max_length=OWNER_LENGTH, unique=True)
    policy = CharField(max_length=6)
    always = TextField()
    never = TextField()


class Preferences(NamedTuple):
    policy: str
    always: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()


def _weigh(chosen: Preferences | None) -> int:
    return 1 if chosen is None else 1 + len(chosen.always) + len(chosen.never)


@cached(size=200_000, weigh=_weigh)
def preferences(owner: str) -> Preferences | None:
    """The preferences of a user; None if the user has set none."""
    row = ArchivePreferences.get_or_none(ArchivePreferences.owner == owner)
    if row is None:
        return None
    try:
        always, never = (frozenset(map(str, json.loads(text))) for text in (row.always, row.never))
    except (ValueError, TypeError) as error:
        spoilt("archive_preferences", owner, error)
        return None
    return Preferences(row.policy, always, never) if row.policy in POLICIES else None


def _set_preferences(owner: str, policy: str, always: str, never: str) -> None:
    ArchivePreferences.delete().where(ArchivePreferences.owner == owner).execute()
    ArchivePreferences.create(owner=owner, policy=policy, always=always, never=never)


class Archive(Module):
    """Keeps the messages that users send and receive. All their clients can read them."""

    protocols = (
        XEP(313, "1.1.3", "Message Archive Management"),
        XEP(424, "0.4.2", "Message Retraction", missing="all but tombstones"),
        XEP(431, "0.2.0", "Full Text Search in MAM"),
        XEP(441, "0.2.0", "Message Archive Management Preferences"),
    )
    features = (RETRACT,)
    account_features = (
        NS, archive.EXTENDED, archive.GROUPCHAT_FIELD, archive.GROUPCHAT_AVAILABLE, archive.FULLTEXT, RETRACT,
        f"{RETRACT}#tombstone",
    )  # fmt: skip
    needs = ("roster",)
    tables = (ArchivePreferences, ArchiveText)
    archive = Option(
        str, "always", "whose messages are kept for users who do not say: with everybody, contacts, nobody",
        choices=POLICIES,
    )  # fmt: skip
    page = Option(int, 50, "messages in a page for those who do not ask for so many", min=1)
    largest_page = Option(int, 250, "most messages in a page", min=1, max=1000)
    keep = Option[float | None](optional(duration), None, "age at which messages go; none: they stay")
    keep_most = Option[int | None](
        optional(int), None, "messages kept for one user; with more, the oldest go; none: no limit", min=0
    )

    active = False
    policy = "never"

    @on("start", "reload")
    def start(self) -> None:
        self.policy = self.archive
        self.active = not self.host.options.anonymous
        if self.active:
            self.host.spool.wants = self.wants

    # -- what is kept ------------------------------------------------------------------------

    def wants(self, user: str, peer: str) -> bool:
        """Does the user want messages from or to that address kept (XEP-0441 section 2.3)?"""
        chosen = preferences(user)
        policy = self.policy
        if chosen is not None:
            policy, always, never = chosen
            if always or never:
                for jid in (peer, peer.partition("/")[0]):
                    if jid in never or jid in always:
                        return jid not in never
        if policy != "roster":
            return policy == "always"
        item = self.host["roster"].item(user, peer.partition("/")[0])
        return item is not None and item.listed

    @on("out", kind="message")
    def assign_id(self, session: Session, stanza: Element) -> None:
        """A copy for one's other clients names the row before it is there (mod_carbons)."""
        if session.note(SENT) is not None:
            del session.notes[SENT]  # the last one was not routed
        if not self.active or not worth(stanza) & ARCHIVED:
            return
        to = stanza.to
        if to is None or to.user == session.user:
            return  # to oneself: it is kept when it arrives
        if self.wants(session.user, str(to)):
            session.notes[SENT] = next_id()

    @on("sent")
    def sent(self, session: Session, stanza: Element) -> None:
        """If the recipient is on this server, the row was already written on delivery (`jsm/spool.py`)."""
        if stanza.name != "message":
            return
        id = session.note(SENT)
        if id is not None:
            del session.notes[SENT]
            self.host.spool.archive(session.user, stanza, id, session)
        if f"{RETRACT} retract" in stanza.kids:
            session.work += stones.WORK
        if f"{RETRACT} retract" in stanza.kids and stanza.to.user != session.user:
            self._bury(session.user, stanza.to.user, stanza.to.resource, True, stanza)

    @on("received", "offline")
    def received(self, user: str, stanza: Element, sessions: Any = None) -> None:
        if f"{RETRACT} retract" in stanza.kids and stanza.from_ is not None:
            sender = stanza.from_
            self._bury(user, sender.user, sender.resource, sender.user == user, stanza)

    def _bury(self, user: str, peer: str, resource: str | None, sent: bool, stanza: Element) -> None:
        unfold(stanza, fairly)
        original, id = stanza.child("retract", RETRACT).attrs.get("id"), stanza.id
        if original and id:
            stamp = utc(time.time())
            stones.retract(stones.Retraction(user, peer, resource or "", sent, original, id, stamp))

    # -- queries -----------------------------------------------------------------------------

    @iq("get", NS, "query", to="self")
    def form(self, request: Element) -> Element:
        return archive.form()

    @iq("get", NS, "metadata", to="self")
    def ends(self, request: Element) -> Element:
        return archive.metadata(request.from_.user)

    @iq("set", NS, "query", to="self")
    def query(self, request: Element) -> Any:
        payload: Any = request.payload
        query = archive.read(payload)
        return later(self.host, request, lambda session: self._send(session, query))

    @iq("get", NS, "query", to="user")
    @iq("set", NS, "query", to="user")
    @iq("get", NS, "metadata", to="user")
    @iq("get", NS, "prefs", to="user")
    @iq("set", NS, "prefs", to="user")
    def forbid(self, request: Element) -> None:
        raise StanzaError("forbidden")

    def _send(self, session: Session, query: Query) -> Element:
        """The results to the session; returns what ends them."""
        limit = query.page.limit(self.page, self.largest_page)
        reader = archive.Reader(
            session.full, lambda result: self.host.deliver_to(session, result), session.pace
        )
        fin, results = archive.answer(session.user, query, reader, limit)
        session.work += results // 10  # karma: many results cost more than the one query
        return fin

    # -- preferences (XEP-0441) ----------------------------------------------------------------

    @iq("get", NS, "prefs", to="self")
    def preferences(self, request: Element) -> Element:
        policy, always, never = preferences(request.from_.user) or Preferences(self.archive)
        prefs = Element("prefs", NS, default=policy)
        for name, jids in (("always", always), ("never", never)):
            listed = Element(name, NS, *(Element("jid", NS, jid) for jid in fairly(sorted(jids))))
            listed.serialise(fairly)
            prefs.append(listed)
        return prefs

    @iq("set", NS, "prefs", to="self")
    def set_preferences(self, request: Element) -> Element:
        user, prefs = request.from_.user, request.payload
        if self.host.options.anonymous:
            raise StanzaError("not-allowed", "guests keep nothing here")
        policy = prefs.attrs.get("default")
        if policy not in POLICIES:
            raise StanzaError("bad-request", "default is always, roster or never")
        always, never = (_addresses(prefs.child(name, NS)) for name in ("always", "never"))
        xdb.save(_set_preferences, user, policy, json.dumps(always), json.dumps(never))
        preferences.forget(user)
        return self.preferences(request)

    @command("archive preferences", access="owner")
    def show_preferences(self, jid: AccountAddress) -> dict[str, Any]:
        """What the archive of an account keeps."""
        policy, always, never = preferences(jid.user) or Preferences(self.archive)
        return {"default": policy, "always": sorted(always), "never": sorted(never)}

    @command("archive change", access="owner", changes=True)
    def change_preferences(
        self,
        jid: AccountAddress,
        default: Literal["always", "roster", "never"],
        always: Lines = "",
        never: Lines = "",
    ) -> None:
        """Say what the archive of an account keeps: the messages with everybody, with contacts, or with nobody; and the
        exceptions, one address a line."""
        if not self.host.users.has_account(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
        lists = [Element(name, NS, *(Element("jid", NS, each) for each in text.split()))
                 for name, text in (("always", always), ("never", never))]  # fmt: skip
        texts = [json.dumps(_addresses(each)) for each in lists]
        xdb.save(_set_preferences, jid.user, default, *texts)
        preferences.forget(jid.user)

    # -- retention -----------------------------------------------------------------------------

    @every(3600)
    def trim(self) -> None:
        """Removes what is too old or too much."""
        keep = self.settings.get("keep", self.host.options.retention)
        archive.trim(self.host.domain, keep, self.keep_most)


def _addresses(element: Element | None) -> list[str]:
    """The addresses in <always/> or <never/>; none if the element is missing."""
    texts = [] if element is None else [jid.text for jid in element.all("jid", NS)]
    if len(texts) > LISTED:
        raise StanzaError("policy-violation", f"a list may have {LISTED} addresses")
    try:
        return list(dict.fromkeys(str(parse(text)) for text in fairly(texts)))
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
