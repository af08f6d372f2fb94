"""An Instance with users: where a session's stanzas set out and where those for users arrive."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from .. import log
from ..archive.stamps import claimed, genuine
from ..cluster import cluster
from ..hooks import HANDLED, Option, Section, duration, list_of, optional
from ..instance import Instance
from ..net.turns import Pace, fairly
from ..options import brief
from ..router import Router, unexpected
from ..xdb import xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, StreamError, error_reply
from ..xmpp.jid import JID, parse
from ..xmpp.syntax import checked
from . import delivery
from .session import Nobody, Session, Transport
from .sessions import Sessions, highest
from .spool import Spool
from .stream import ClientStream
from .users import Users

if TYPE_CHECKING:
    from ..fanout import Bundle, Copies

logger = log.get(__name__)


def bare_address(text: Any) -> str:
    """The address of an account, prepared."""
    try:
        address = parse(str(text))
    except ValueError as error:
        raise ValueError(f"{brief(text)} is no address: {error}") from None
    if not address.node:
        name = brief(text, quoted=False)
        raise ValueError(f"{brief(text)} is no account's address, it has no @: write {name}@DOMAIN")
    if address.resource:
        raise ValueError(f"{brief(text)}: an account's address ends before the /")
    return str(address)


ADMINS = "jabberd_py:admins"
DIRECT = frozenset(("groupchat", "headline"))
SHOWN = frozenset((None, "unavailable"))
"""Types of messages and of presence that a session gets or nobody does: nothing keeps them."""


class HostOptions(Section):
    """A domain with users."""

    admins = Option[list[str]](
        list_of(bare_address), [], "bare addresses of those who may administer this host"
    )
    anonymous = Option(
        bool, False, "let anybody in without an account (SASL ANONYMOUS); such a host has no accounts"
    )
    retention = Option[float | None](
        optional(duration),
        None,
        "age at which everything goes: messages, what was said in rooms, and files, where 'keep' of mam, 'keep_for' of the "
        "archive of rooms and 'expire' of upload do not say otherwise; none: as these say",
        min="1h",
    )
    sessions_per_user = Option(int, 20, "resources one account may have connected at a time", min=1)
    scram_iterations = Option(int, 4096, "PBKDF2 rounds for new passwords", min=4096, max=1_000_000)


class Host(Instance):
    """One domain's users. ``sessions`` and ``users`` are theirs; modules hook in between. ``unbound``: streams that have
    authenticated, and have no session yet."""

    targets = ("server", "self", "user")
    has_users = True

    def __init__(self, router: Router, domain: str, options: HostOptions) -> None:
        super().__init__(router, domain)
        self.options = options
        self.jid = parse(domain)
        self.sessions = Sessions()
        self.unbound: set[ClientStream] = set()
        self.users = Users(self)
        self.spool = Spool(self)
        self.member: Callable[[str, str], bool] | None = None
        """Does the user want messages of that room at the bare address (a module says so)?"""
        self.marks = self.spool.marks
        self.more_admins: list[str] = []
        """Administrators beside those of the configuration."""
        # of RFC 3921; older clients insist on it
        self.add_iq(("server", "set", ns.SESSION, "session"), lambda request: None)

    # -- sessions --------------------------------------------------------------------

    def bind(self, node: str, resource: str | None, transport: Transport, id: str) -> Session:
        """A new session for an authenticated user (RFC 6120 section 7). An older session of the same resource is ended
        with ``conflict``. Raises StanzaError: bad-request, resource-constraint."""
        try:
            jid = parse(f"{node}@{self.domain}").with_resource(resource or secrets.token_urlsafe(9))
        except ValueError as error:
            raise StanzaError("bad-request", str(error)) from None
        if not cluster.claim(jid.user):
            raise StanzaError("resource-constraint", "the account is in use at another server of the cluster")
        if not self.options.anonymous and not self.users.exists(jid.user):
            raise StanzaError("not-authorized", "the account is gone")
        old = self.sessions.find(jid)
        if old is not None:
            self.end(old)
            old.transport.kick("conflict", "another client took this resource")
        others = self.sessions.of(jid.user)
        lost = [session for session in others if not session.connected]
        if (
            len(others) >= self.options.sessions_per_user and lost
        ):  # a client that never resumes locks nobody out
            min(lost, key=lambda session: session.began_at).transport.kick("resource-constraint")
            others = self.sessions.of(jid.user)
        if len(others) >= self.options.sessions_per_user:
            raise StanzaError("resource-constraint", "too many sessions of this account")
        if jid.user in self.users.going:  # since the older session was ended
            raise StanzaError("not-authorized", "the account is gone")
        session = Session(self, jid, transport, id, time.time())
        self.sessions.add(session)
        self.hooks.tell("session", session)
        return session

    def end(self, session: Session) -> None:
        """A session is over: its contacts are told. Safe to call twice."""
        if self.sessions.find(session.jid) is not session:
            return
        try:
            self.hooks.tell("end", session)
        finally:
            self.sessions.remove(session)
            self.marks.gone(session.user)
            going = self.users.going.get(session.user)
            if going is not None:
                going.set()

    def kick(self, user: str, condition: str, text: str | None = None) -> int:
        """Ends all sessions of a user with a stream error; says how many there were. Streams that have authenticated end, too:
        they must not bind a resource of the next owner of the name."""
        sessions = self.sessions.of(user)
        self.users.tickets.forget(user)
        for stream in [stream for stream in self.unbound if stream.user == user]:
            stream.kick(condition, text)
        for session in sessions:
            session.transport.kick(condition, text)
        return len(sessions)

    # -- from a session ----------------------------------------------------------------

    def send(self, session: Session, stanza: Element) -> None:
        """Handles a stanza from a client. Raises StreamError if the stream must end; all other faults are answered."""
        attrs = stanza.attrs
        claimed = attrs.get("from")
        if claimed is not None and claimed != session.full and not _same(claimed, session.jid):
            raise StreamError("invalid-from")
        attrs["from"] = session.full
        try:
            self._route(session, stanza)
        except StanzaError as error:
            self.refuse(session, stanza, error)
        except Exception as error:
            self.refuse(session, stanza, unexpected(error))

    def say(self, stanza: Element) -> None:
        """Sends a stanza in the name of an account or of this domain, for somebody with that privilege, such as a component. It
        meets the same events as a stanza from a client. Raises StanzaError if a filter would stop the account itself."""
        sender = stanza.from_
        assert sender is not None
        if sender.node is None:
            self.router.deliver(stanza)
        else:
            self._route(Session(self, sender, Nobody(), "", time.time()), stanza)

    def _route(self, session: Session, stanza: Element) -> None:
        name, chains = stanza.name, self.hooks.chains
        if name != "message":
            stanza = checked(stanza)
        elif "to" in stanza.attrs:  # all that `checked` asks of a message: saves every one a call
            try:
                parse(stanza.attrs["to"])
            except ValueError as error:
                raise StanzaError("jid-malformed", str(error)) from None
        attrs = stanza.attrs
        stanza.session = session
        for handler in chains["filter_out"][name]:
            if handler(session, stanza) is HANDLED:
                return
        for handler in chains["out"][name]:
            if handler(session, stanza) is HANDLED:
                return
        if "to" in attrs:
            self.router.deliver(stanza)
            if self.hooks.told["sent"]:
                self.hooks.tell("sent", session, stanza)
        elif name == "iq":
            self.answer_account(stanza)
        elif name == "message":
            attrs["to"] = session.user
            self.router.deliver(stanza)

    def lets_out(self, session: Session, stanza: Element) -> bool:
        """Do the filters allow the session to send this? For stanzas that the server sends in its name: event
        ``filter_out``."""
        try:
            return self.hooks.call("filter_out", session, stanza) is not HANDLED
        except StanzaError:
            return False

    def refuse(self, session: Session, stanza: Element, error: StanzaError) -> None:
        """Sends an error to the session directly. If it were routed, a filter might stop the address that it comes from."""
        answer = error_reply(stanza, error)
        if answer is not None:
            if error.condition == "jid-malformed":
                answer.attrs["from"] = self.domain
            session.send(answer)

    def _send(self, request: Element) -> None:
        with xdb.unit():
            try:
                self.say(request)
            except StanzaError as error:
                self.router.bounce(request, error)

    # -- for this domain ------------------------------------------------------------------

    def deliver_node(self, stanza: Element, to: JID) -> None:
        if stanza.name == "iq" and to.resource is None:
            self.answer_account(stanza)
        else:
            delivery.deliver(self, stanza, to)

    deliver_presence = delivery.deliver_presence

    def has_session(self, jid: JID) -> bool | None:
        return self.sessions.find(jid) is not None if cluster.here(jid.user) else None

    def shuns(self, remote: str) -> bool:
        lists: Any = self.modules.get("blocklists")
        return lists is not None and bool(lists.shuns(remote))

    def presence_of(self, jid: JID) -> list[str] | None:
        if not cluster.here(jid.user):
            return None
        return [
            session.presence.text_of("show") or "online"
            for session in self.sessions.available(jid.user)
            if jid.resource in (None, session.jid.resource) and session.presence is not None
        ]

    def pace(self, jid: JID) -> Pace:
        session = self.sessions.find(jid)
        return fairly if session is None else session.pace

    def deliver_copies(self, bundle: Bundle, to: JID) -> None:
        """What is never kept, and is for a session of ours, goes straight there (RFC 6121 section 8.5.3.1). Presence is a
        service's, not a contact's: event ``presence`` is not told. All readers share one Element, until a handler stops it."""
        # each copy comes by here: calls are written out
        mine = self.sessions.users.get(to.user)
        session = None if mine is None or to.resource is None else mine.get(to.resource)
        if session is None:
            super().deliver_copies(bundle, to)
            return
        user, full, quoted = session.user, session.full, session.quoted or session.quote()
        for copies in bundle:
            if copies.noted[0] is not self:
                copies.noted = self._note(copies)
            _, special, filter_in, in_ = copies.noted
            if special is not None and special(copies, session):
                continue
            copy = copies.shared
            copy.attrs["to"] = full
            try:
                for handler in filter_in:
                    if handler(user, copy) is HANDLED:
                        break
                else:
                    for handler in in_:
                        if handler(session, copy) is HANDLED:
                            break
                    else:
                        if session.sm is None:
                            session.transport.send(copies.start + quoted + copies.rest)
                        else:
                            session.sm.push(copy, copies.start + quoted + copies.rest)
                        continue
            except Exception as error:
                self.router.bounce(copy, error if isinstance(error, StanzaError) else unexpected(error))
            copies.part()

    def _note(self, copies: Copies) -> tuple[Host, Callable[..., bool] | None, list[Any], list[Any]]:
        """What all copies have in common here: what else than the usual is to be done, and the handlers that they meet."""
        name, type, chains = copies.name, copies.attrs.get("type"), self.hooks.chains
        direct = type in DIRECT if name == "message" else name == "presence" and type in SHOWN
        direct = direct and not chains["deliver"][name]
        names = frozenset(each for each in claimed(copies.shared) if f"@{each}".endswith("@" + self.domain))
        special = partial(self._specially, direct, names) if names or not direct else None
        return self, special, chains["filter_in"][name], chains["in"][name]

    def _specially(
        self, direct: bool, names: frozenset[str | None], copies: Copies, session: Session
    ) -> bool:
        """Delivers a copy that may not go straight to the session, or speaks in the account's name. False: it is as usual."""
        if direct and session.user not in names and self.domain not in names:
            return False
        copy = copies.element(session.full)
        self.router.deliver(genuine(copy, session.user) if direct else copy)
        return True

    def answer_account(self, request: Element) -> None:
        """An IQ for an account, which the server answers on its behalf (RFC 6121 section 8.5.2.1.3)."""
        to, sender = request.to, request.from_
        assert sender is not None
        if to is None or to.user == sender.user:
            target = "self"
            if to is None and request.type in ("get", "set"):
                namespace = request.kids[0].rpartition(" ")[0]
                if not self.knows("self", request.type, namespace):
                    target = "server"  # older clients address nobody where they mean the server
        else:
            if self.hooks.call("filter_in", to.user, request) is HANDLED:
                return
            target = "user"
        self.answer(target, request)

    def admits(self, user: str, stanza: Element) -> bool:
        """Do the filters let a stanza that has waited through to the user? Event ``filter_in``; may block."""
        try:
            return self.hooks.call("filter_in", user, stanza) is not HANDLED
        except StanzaError:
            return False

    def permits(self, session: Session, message: Element) -> bool:
        """May a message to the bare address go to this session? Event ``filter_session``; may block."""
        handlers = self.hooks.chains["filter_session"]["message"]
        return all(handler(session, message) is not HANDLED for handler in handlers)

    def takers(self, user: str, message: Element) -> list[Session]:
        """The sessions that get a message to the bare address: of those that may have it, the ones of the highest
        priority, if that is not negative (RFC 6121 section 8.5.2.1.1; XEP-0016: a session's list holds for it). May block."""
        willing = self.sessions.willing(user)
        if self.hooks.chains["filter_session"]["message"]:
            willing = [session for session in willing if self.permits(session, message)]
        return highest(willing)

    def deliver_to(self, session: Session, stanza: Element) -> bool:
        """Gives a stanza to a session: event ``in``, then the client. False: a handler has stopped it."""
        for handler in self.hooks.chains["in"][stanza.name]:
            if handler(session, stanza) is HANDLED:
                return False
        session.send(stanza)
        return True

    def deliver_reply(self, stanza: Element, to: JID) -> None:
        session = self.sessions.find(to)
        if session is not None:
            self.deliver_to(session, stanza)
            if stanza.name == "message":  # an error: what a stream brings is told, too
                self.hooks.tell("received", to.user, stanza, [session])
        elif to.node is None:
            self.deliver(stanza, to)
        elif to.resource is None and stanza.name == "iq":
            self.answered(stanza)

    # -- for modules -------------------------------------------------------------------------

    @property
    def admins(self) -> list[str]:
        return [*self.options.admins, *self.more_admins]

    def name_admins(self, jids: list[str]) -> None:
        """These, and those of the configuration, administer the host. Blocks until it is stored. Raises StoreError."""
        xdb.set(self.domain, ADMINS, "\n".join(jids) or None)
        self.more_admins = jids

    def push(self, session: Session, type: str, payload: Element) -> None:
        """An IQ from the account to one of its own sessions (a roster push, say)."""
        request = Element("iq", ns.CLIENT, payload, type=type)
        request.attrs |= {"id": secrets.token_hex(6), "to": session.full}
        session.send(request)

    def info(self) -> dict[str, Any]:
        return {"domain": self.domain, "sessions": self.sessions.count}


def _same(claimed: str, jid: JID) -> bool:
    try:
        parsed = parse(claimed)
    except ValueError:
        return False
    return parsed == jid or parsed == jid.bare
