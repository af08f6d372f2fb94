"""Accounts and their keys. Passwords are kept only as SCRAM keys (RFC 5802): what is stored lets nobody log in."""

from __future__ import annotations

import hmac
import itertools
import json
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from peewee import BooleanField, CharField, FloatField, IntegrityError, TextField

from ..archive import messages
from ..service import Service
from ..xdb import OWNER_LENGTH, Table, cached, spoilt, xdb
from ..xmpp import sasl
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.prep import password_forms
from . import standing

if TYPE_CHECKING:
    from .host import Host
    from .session import Session

HASHES = ("sha1", "sha256", "sha512")
ROUND = re.compile(r"[1-9][0-9]{3,6}").fullmatch
HEX = re.compile(r"(?:[0-9a-f]{2}){16,}").fullmatch
PATIENCE = 5.0
"""Seconds that the sessions of an account which is deleted have to end in."""
SECRET = "jabberd_py:sasl-secret"
ROUNDS = "jabberd_py:scram-iterations"


class Account(Table):
    """``keys``: JSON, hash name to [iterations, salt, stored key, server key], the bytes as base64. A stored key and a
    server key follow for each further form that clients make of the password (`prep.password_forms`)."""

    owner = CharField(max_length=OWNER_LENGTH)
    keys = TextField()
    disabled = BooleanField(default=False)
    created = FloatField()

    class Meta:
        indexes = ((("owner",), True),)


@xdb.prepared(str)
def _account(user: str) -> Any:
    return Account.select(Account.keys, Account.disabled).where(Account.owner == user)


@cached(size=50_000)
def exists(user: str) -> bool:
    return bool(_account(user))


class Users:
    """The accounts of one host. ``user`` is a bare address as text, on this host."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.rules: list[Callable[[str], None]] = []
        """What a new password must pass: each raises ValueError or StanzaError with a sentence."""
        self.going: dict[str, Event] = {}
        """Accounts that are being deleted; the event tells when a session of theirs has ended."""
        self._secret: bytes | None = None
        self._rounds: list[int] | None = None

    def exists(self, user: str) -> bool:
        """Also True for one who is here now without an account (SASL ANONYMOUS). May block; what is said about ``going`` holds
        afterwards."""
        return (exists(user) or user in self.host.sessions.users) and user not in self.going

    def jid(self, user: str) -> JID:
        """The address of an account to be: raises ValueError where it would be none of ours."""
        jid = parse(user)
        if jid.node is None or jid.resource is not None or jid.domain != self.host.domain:
            raise ValueError(f"{user} is not the address of a user of {self.host.domain}")
        if len(str(jid)) > OWNER_LENGTH:
            raise ValueError(f"an address of more than {OWNER_LENGTH} characters")
        return jid

    def create(self, user: str, password: str) -> None:
        """Returns when the account is safely stored. Raises ValueError (bad address or password), StanzaError
        (conflict), StoreError."""
        user = str(self.jid(user))
        keys = self._derive(password)
        if exists(user):
            raise StanzaError("conflict", "that account exists")
        self._check(password)
        try:
            xdb.save(lambda: Account.create(owner=user, keys=keys, created=time.time()))
        except IntegrityError:
            raise StanzaError("conflict", "that account exists") from None
        exists.forget(user)
        self.host.hooks.tell("created", user)

    def set_password(self, user: str, password: str) -> None:
        """Raises ValueError, StanzaError (item-not-found), StoreError."""
        self._check(password)
        keys = self._derive(password)
        changed = xdb.save(lambda: Account.update(keys=keys).where(Account.owner == user).execute())
        if not changed:
            raise StanzaError("item-not-found", "there is no such account")

    def _check(self, password: str) -> None:
        for rule in self.rules:
            rule(password)

    def delete(self, user: str, asker: Session | None = None) -> None:
        """The account and all that it owns. First its sessions end, so that none of them writes anything afterwards; that of
        ``asker``, whose stanza asks for it, ends last. Blocks. Raises StanzaError (item-not-found,
        not-allowed), StoreError."""
        if user in self.going or not exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        self.check_admin_stays(user)
        self.going[user] = Event()
        try:
            self._end_sessions(user, asker)
            self.host.hooks.tell("deleting", user)
            for each in list(self.host.router.instances.values()):
                if isinstance(each, Service):  # rooms and the like know the user, too
                    each.hooks.tell("deleting", user)
            self.host.spool.forget(user)  # else a mark might be written behind it
            xdb.delete_owner(user, messages.sort_in)  # what is fresh is of two owners
            self.host.spool.forget(user)
        finally:
            exists.forget(user)
            del self.going[user]
        self.host.kick(user, "not-authorized", "the account is gone")

    def _end_sessions(self, user: str, asker: Session | None) -> None:
        deadline = time.monotonic() + PATIENCE
        for session in self.host.sessions.of(user):
            if session is not asker:
                session.transport.kick("not-authorized", "the account is gone")
        xdb.release()
        while left := [session for session in self.host.sessions.of(user) if session is not asker]:
            self.going[user].clear()
            if not self.going[user].wait(max(deadline - time.monotonic(), 0)):
                break
        for session in left:
            self.host.end(session)

    def disable(self, user: str, disabled: bool = True) -> None:
        """A disabled account keeps its data but cannot log in; its sessions end. Raises StanzaError (item-not-found,
        not-allowed), StoreError."""
        if disabled:
            self.check_admin_stays(user)
        changed = xdb.save(lambda: Account.update(disabled=disabled).where(Account.owner == user).execute())
        if not changed and not exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        if disabled:
            self.host.kick(user, "not-authorized", self.why_disabled(user))

    def disabled(self, user: str) -> bool:
        rows = _account(user)
        return bool(rows and rows[0][1])

    def why_disabled(self, user: str) -> str:
        """What the owner of a disabled account reads."""
        row = standing.of(user)
        return "the account is disabled" if row is None else row.reason

    def has_account(self, user: str) -> bool:
        return exists(user)

    def check_admin_stays(self, user: str) -> None:
        """Raises StanzaError (not-allowed): without this account nobody could administer the host any more."""
        admins = self.host.options.admins
        others = (each for each in admins if each != user)
        if user in admins and not any(self._can_administer(each) for each in others):
            raise StanzaError("not-allowed", f"{user} is the last administrator of {self.host.domain}")

    def _can_administer(self, admin: str) -> bool:
        """Is that an account that can log in? Of one elsewhere nothing is known."""
        return parse(admin).domain != self.host.domain or (exists(admin) and not self.disabled(admin))

    def all(self) -> list[Account]:
        """Every account of this host, by address."""
        rows = Account.select().where(Account.owner.endswith("@" + self.host.domain)).order_by(Account.owner)
        return list(rows)

    # -- keys ------------------------------------------------------------------------

    def _derive(self, password: str) -> str:
        password_forms(password)  # raises ValueError before any work
        iterations = self.host.options.scram_iterations
        self._note_rounds(iterations)
        keys = {}
        for name in HASHES:
            salt = secrets.token_bytes(sasl.SALT_BYTES)
            xdb.release()
            made = gevent.get_hub().threadpool.apply(sasl.derive, (name, password, salt, iterations))
            parts = [salt, *itertools.chain(*made.pairs)]
            keys[name] = [iterations, *(b64encode(part).decode() for part in parts)]
        return json.dumps(keys)

    def keys(self, user: str | None, hash_name: str) -> sasl.ScramKeys:
        """The keys of an account, or lasting fake ones where there is no such account: a stranger cannot tell. An account
        that lacks keys of this hash gets fake ones, too."""
        fake = sasl.fake_keys(self.secret, user or "", hash_name, self._iterations(user or ""))
        found = self._kept(user).get(hash_name)
        if not found:
            return fake
        iterations, *texts = found
        salt, stored_key, server_key, *more = map(b64decode, texts)
        return sasl.ScramKeys(
            salt, iterations, stored_key, server_key, tuple(zip(more[::2], more[1::2], strict=True))
        )

    def _kept(self, user: str | None) -> dict[str, Any]:
        """What the store has of an account's keys; nothing where it has no account, or they are damaged."""
        rows = _account(user) if user is not None else []
        try:
            return dict(json.loads(rows[0][0])) if rows else {}
        except (ValueError, TypeError) as error:
            spoilt("account", user, error)
            return {}

    def verify(self, user: str | None, password: str) -> bool:
        """Is that the password? Takes as long for a stranger. PBKDF2 runs on a thread, which this greenlet waits for."""
        kept = self._kept(user)
        name = next((each for each in ("sha256", "sha512", "sha1") if each in kept), "sha256")
        keys = self.keys(user, name)
        xdb.release()
        right = gevent.get_hub().threadpool.apply(sasl.verify_plain, (keys, name, password))
        return bool(right)

    @property
    def secret(self) -> bytes:
        """What fake salts are made from: it must last, or two tries would tell who does not exist."""
        if self._secret is None:
            stored = xdb.get(self.host.domain, SECRET)
            if stored is None or not HEX(stored):
                stored = secrets.token_hex(32)
                xdb.set(self.host.domain, SECRET, stored)
            self._secret = bytes.fromhex(stored)
        return self._secret

    def _note_rounds(self, iterations: int) -> list[int]:
        """Remembers that accounts may have so many rounds; all such numbers, as the option was changed over time."""
        if self._rounds is None:
            kept = (xdb.get(self.host.domain, ROUNDS) or "").split()
            self._rounds = [int(each) for each in kept if ROUND(each)]  # the row may be damaged
        if iterations not in self._rounds:
            self._rounds = [*self._rounds, iterations]
            xdb.set(self.host.domain, ROUNDS, " ".join(map(str, self._rounds)))
        return self._rounds

    def _iterations(self, user: str) -> int:
        """The rounds that a stranger's fake keys show: one of the numbers that accounts here may have. The newest alone would
        tell older accounts from strangers."""
        rounds = self._note_rounds(self.host.options.scram_iterations)
        digest = hmac.digest(self.secret, f"rounds\0{user}".encode(), "sha256")
        return rounds[int.from_bytes(digest[:4]) % len(rounds)]
