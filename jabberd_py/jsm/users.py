"""Accounts and their keys. The store has no passwords, only SCRAM keys (RFC 5802), with which nobody can log in."""

from __future__ import annotations

import hmac
import itertools
import json
import re
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event
from peewee import BooleanField, CharField, FloatField, IntegrityError, TextField

from ..archive import messages
from ..net import turns
from ..service import Service
from ..xdb import OWNER_LENGTH, StoreError, Table, cached, spoilt, xdb
from ..xmpp import sasl
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.lookalikes import skeleton
from ..xmpp.prep import password_forms
from . import standing
from .tickets import Tickets

if TYPE_CHECKING:
    from .host import Host
    from .session import Session

HASHES = ("sha1", "sha256", "sha512")
ROUND = re.compile(r"[1-9][0-9]{3,6}").fullmatch
HEX = re.compile(r"(?:[0-9a-f]{2}){16,}").fullmatch
PAGE = 100
"""Accounts that are read at a time."""
PATIENCE = 5.0
"""Seconds in which the sessions of an account must end when the account is deleted."""
SECRET = "jabberd_py:sasl-secret"
ROUNDS = "jabberd_py:scram-iterations"


class Account(Table):
    """
    owner     the bare address
    keys      JSON: hash name -> [iterations, salt, stored key, server key, ...], bytes as base64. Clients may prepare a
              password in more than one way (`prep.password_forms`); for each further way two more keys follow
    disabled  True if nobody may log in
    created   Unix time
    """

    owner = CharField(max_length=OWNER_LENGTH)
    keys = TextField()
    disabled = BooleanField(default=False)
    created = FloatField()

    class Meta:
        indexes = ((("owner",), True),)


@xdb.prepared(str)
def _query(user: str) -> Any:
    return Account.select(Account.keys, Account.disabled).where(Account.owner == user)


@cached(size=1_000)
def _account(user: str) -> list[Any]:
    """[(keys, disabled)], or nothing. A login asks several times."""
    return list(_query(user))


@cached(size=50_000)
def exists(user: str) -> bool:
    return bool(_account(user))


def forget(user: str) -> None:
    """To be called after a commit that changes an account."""
    exists.forget(user)
    _account.forget(user)


def pages(size: int, *chosen: Any) -> Iterator[list[Account]]:
    """All accounts of the store, or those that are ``chosen``, by address and without their keys: so many at a time, in turns
    with others. Blocks."""
    fields, last = (Account.owner, Account.created, Account.disabled), ""
    while True:
        rows = Account.select(*fields).where(*chosen, Account.owner > last).order_by(Account.owner)
        page = list(rows.limit(size))
        if not page:
            return
        yield page
        last = page[-1].owner
        xdb.release()
        turns.pause()


class Users:
    """The accounts of one host. ``user`` is always the bare address of an account of this host, as text.

    rules  functions that a new password must pass; each gets the password and raises ValueError or StanzaError with a sentence
    tickets  passwords for one login (`Tickets`)
    voids    functions that are called in the transaction of every other password; each gets the account and ends what was given
             for the old one
    names  functions that the address of a new account must pass; they may block
    going  accounts that are just being deleted -> an event that is set when a session of the account has ended
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.rules: list[Callable[[str], None]] = []
        self.tickets = Tickets()
        self.voids: list[Callable[[str], object]] = []
        self.names: list[Callable[[str], None]] = []
        self.going: dict[str, Event] = {}
        self._secret: bytes | None = None
        self._rounds: list[int] | None = None

    def exists(self, user: str) -> bool:
        """Is there such an account? Also True for a guest (SASL ANONYMOUS) who has a session now. False for an account that is
        just being deleted. May block."""
        return (exists(user) or user in self.host.sessions.users) and user not in self.going

    def jid(self, user: str) -> JID:
        """Parses the address of a new account. Raises ValueError if this host cannot have such an account."""
        jid = parse(user)
        if jid.node is None or jid.resource is not None or jid.domain != self.host.domain:
            raise ValueError(f"{user} is not the address of a user of {self.host.domain}")
        if len(str(jid)) > OWNER_LENGTH:
            raise ValueError(f"an address of more than {OWNER_LENGTH} characters")
        return jid

    def check_stranger(self, user: str, reserved: Iterable[str] = (), here: bool = False) -> None:
        """Somebody who does not administer the server wants an account of that address. Its name must not be, or look like, one
        of those that are reserved, or that of an administrator of any host here: whoever has the account has the rights. Only
        the first administrator may register, from this machine (``here``): a server without one is being set up. Raises
        StanzaError (conflict, not-acceptable)."""
        if exists(user):
            raise StanzaError("conflict", "that account exists")
        admins = [parse(each) for host in self._hosts() for each in host.admins]
        theirs = [jid.node or "" for jid in admins if jid.domain == self.host.domain]
        if here and not any(exists(jid.user) for jid in admins):
            theirs = []
        if skeleton(parse(user).node or "") in map(skeleton, [*reserved, *theirs]):
            raise StanzaError("not-acceptable", "that name is reserved")

    def create(
        self, user: str, password: str, also: Callable[[str], object] | None = None, disabled: bool = False, free: bool = False,
    ) -> None:  # fmt: skip
        """Makes an account. Blocks until it is stored. ``also`` is called with the account's address in the same transaction:
        what it raises undoes that. A caller who gives it has a right to the name; others must keep to ``names``. ``free``: the
        password need not keep to ``rules``. Raises ValueError (bad address or password), StanzaError (conflict, or a rule's),
        StoreError."""
        user = str(self.jid(user))
        if not free:
            self.check_password(password)
        keys = self._derive(password)
        if exists(user):
            raise StanzaError("conflict", "that account exists")
        if also is None:
            for rule in self.names:
                rule(user)

        def store() -> None:
            Account.create(owner=user, keys=keys, created=time.time(), disabled=disabled)
            if also is not None:
                also(user)

        try:
            xdb.save(store)
        except IntegrityError:
            raise StanzaError("conflict", "that account exists") from None
        forget(user)
        self.host.hooks.tell("created", user)

    def set_password(
        self, user: str, password: str, also: Callable[[], object] | None = None, free: bool = False
    ) -> None:
        """Blocks until it is stored. ``also`` is called in the same transaction: what it raises undoes that. ``free``: the
        password need not keep to ``rules``. Raises ValueError (bad password), StanzaError (item-not-found, or a rule's),
        StoreError."""
        if not free:
            self.check_password(password)
        keys = self._derive(password)

        def store() -> int:
            if also is not None:
                also()
            for void in self.voids:
                void(user)
            count: int = Account.update(keys=keys).where(Account.owner == user).execute()
            return count

        changed = xdb.save(store)
        forget(user)
        self.tickets.forget(user)
        if not changed:
            raise StanzaError("item-not-found", "there is no such account")

    def check_password(self, password: str) -> None:
        """Raises ValueError or StanzaError: a rule is against it as a new one. Does not block."""
        for rule in self.rules:
            rule(password)

    def delete(self, user: str, asker: Session | None = None) -> None:
        """Deletes the account and all rows that it owns. First its sessions end, so that none of them writes anything later.
        ``asker``: the session whose stanza asks for this; it ends last. Blocks. Raises StanzaError (item-not-found,
        not-allowed), StoreError."""
        if user in self.going or not exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        self.check_admin_stays(user)
        self.going[user] = Event()
        try:
            self._end_sessions(user, asker)
            self.host.hooks.tell("deleting", user)
            for each in list(self.host.router.instances.values()):
                if isinstance(each, Service):  # rooms know the user, too
                    each.hooks.tell("deleting", user)
            for host in self._hosts():  # who takes the name of a deleted account administers nothing
                if user in host.more_admins:
                    host.name_admins([each for each in host.more_admins if each != user])
            self.host.spool.forget(user)  # else a mark might be written after the rows are gone
            xdb.delete_owner(
                user, messages.sort_in
            )  # a fresh row belongs to two owners until it is sorted in
            self.host.spool.forget(user)
        finally:
            forget(user)
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

    def disable(self, user: str, disabled: bool = True, also: Callable[[], object] | None = None) -> None:
        """Nobody can log in to a disabled account. Its sessions end, its data stays. ``also`` is called in the same
        transaction: what it raises undoes that. Blocks until it is stored. Raises StanzaError (item-not-found, not-allowed),
        StoreError."""
        if disabled:
            self.check_admin_stays(user)

        def store() -> int:
            if also is not None:
                also()
            count: int = Account.update(disabled=disabled).where(Account.owner == user).execute()
            return count

        changed = xdb.save(store)
        forget(user)
        if not changed and not exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        if disabled:
            self.host.kick(user, "not-authorized", self.why_disabled(user))

    def disabled(self, user: str) -> bool:
        rows = _account(user)
        return bool(rows and rows[0][1])

    def why_disabled(self, user: str) -> str:
        """The text for somebody who tries to log in to a disabled account."""
        row = standing.of(user)
        return "the account is disabled" if row is None else row.reason

    def has_account(self, user: str) -> bool:
        return exists(user)

    def check_admin_stays(self, user: str) -> None:
        """Raises StanzaError (not-allowed) if without this account nobody could administer this host, or another one here."""
        for host in self._hosts():
            others = [each for each in host.admins if each != user]
            if user in host.admins and not any(map(self._can_administer, others)):
                raise StanzaError("not-allowed", f"{user} is the last administrator of {host.domain}")

    def _can_administer(self, admin: str) -> bool:
        """Can that administrator log in? True for an address of another server, about which we know nothing."""
        home = next((each for each in self._hosts() if each.domain == parse(admin).domain), None)
        return home is None or (exists(admin) and admin not in home.users.going and not self.disabled(admin))

    def _hosts(self) -> list[Host]:
        """All hosts of this server."""
        found: list[Any] = [each for each in self.host.router.instances.values() if each.has_users]
        return found

    def pages(self) -> Iterator[list[Account]]:
        """Every account of this host, as of `pages`."""
        return pages(PAGE, Account.owner.endswith("@" + self.host.domain))

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
        """The keys of an account. If there is no such account, or if it has no keys for this hash, the keys are fake. Fake keys
        are always the same for one name, so a stranger cannot tell them from real ones."""
        fake = sasl.fake_keys(self.secret, user or "", hash_name, self._iterations(user or ""))
        found = self._kept(user).get(hash_name)
        if not found:
            return fake
        iterations, *texts = found
        salt, stored_key, server_key, *more = map(b64decode, texts)
        return sasl.ScramKeys(
            salt, iterations, stored_key, server_key, tuple(zip(more[::2], more[1::2], strict=True))
        )

    def row(self, user: str | None) -> list[Any]:
        """What the store has of the account, to be compared: it is another after every change. Empty where there is none."""
        return [] if user is None else _account(user)

    def _kept(self, user: str | None) -> dict[str, Any]:
        """The stored keys of an account, by hash. Empty if there is no such account, or if the keys are damaged."""
        rows = self.row(user)
        try:
            return dict(json.loads(rows[0][0])) if rows else {}
        except (ValueError, TypeError) as error:
            spoilt("account", user, error)
            return {}

    def verify(self, user: str | None, password: str) -> bool:
        """Is that the password, still when the answer is known? It takes the same time if there is no such account. Blocks:
        PBKDF2 runs in a thread."""
        row, kept = self.row(user), self._kept(user)
        name = next((each for each in ("sha256", "sha512", "sha1") if each in kept), "sha256")
        keys = self.keys(user, name)
        xdb.release()
        right = bool(gevent.get_hub().threadpool.apply(sasl.verify_plain, (keys, name, password)))
        right = right and self.row(user) == row
        if right and user is not None and not set(HASHES) <= set(kept):
            self._complete(user, kept, password)
        return right

    def _complete(self, user: str, kept: dict[str, Any], password: str) -> None:
        """An account that came from another server gets the keys that it has not, now that the password is known. Blocks."""
        try:
            keys = json.dumps(json.loads(self._derive(password)) | kept)
            mine = (Account.owner == user) & (Account.keys == json.dumps(kept))
            xdb.save(Account.update(keys=keys).where(mine).execute)
            forget(user)
        except (ValueError, StoreError):
            pass  # the next time

    @property
    def secret(self) -> bytes:
        """The secret from which fake salts are made. It is kept in the store: if it changed, two attempts to log in would show
        which accounts do not exist."""
        if self._secret is None:
            stored = xdb.get(self.host.domain, SECRET)
            if stored is None or not HEX(stored):
                stored = secrets.token_hex(32)
                xdb.set(self.host.domain, SECRET, stored)
            self._secret = bytes.fromhex(stored)
        return self._secret

    def _note_rounds(self, iterations: int) -> list[int]:
        """Remembers this number of PBKDF2 rounds. Returns all numbers that accounts of this host may have, because the option
        was changed over time."""
        if self._rounds is None:
            kept = (xdb.get(self.host.domain, ROUNDS) or "").split()
            self._rounds = [int(each) for each in kept if ROUND(each)]  # the row may be damaged
        if iterations not in self._rounds:
            self._rounds = [*self._rounds, iterations]
            xdb.set(self.host.domain, ROUNDS, " ".join(map(str, self._rounds)))
        return self._rounds

    def _iterations(self, user: str) -> int:
        """The number of rounds in fake keys: one of those that real accounts may have. If it were always the newest one, a
        stranger could tell that an account with an older number exists."""
        rounds = self._note_rounds(self.host.options.scram_iterations)
        digest = hmac.digest(self.secret, f"rounds\0{user}".encode(), "sha256")
        return rounds[int.from_bytes(digest[:4]) % len(rounds)]
