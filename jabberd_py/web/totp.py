"""The second factor of a sign-in by browser: codes that an authenticator app makes (TOTP, RFC 6238; HOTP, RFC 4226)."""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import b32decode, b32encode
from urllib.parse import quote

from peewee import BigIntegerField, CharField

from ..jsm.users import Account
from ..net.karma import Karma
from ..xdb import OWNER_LENGTH, Table, xdb

STEP = 30
"""Seconds for which one code is shown."""
WRONG = Karma(1 / 900, 10)
"""Wrong codes of an account: after ten, one in a quarter of an hour. All others are refused without a look."""
AROUND = 1
"""A code may be so many steps old, or early: clocks differ."""
DIGITS = 6
SECRET_BYTES = 20


class SecondFactor(Table):
    """The second factor of ``owner``. ``used``: the step of the last code that was taken; older ones are refused."""

    owner = CharField(max_length=OWNER_LENGTH)
    secret = CharField(max_length=64)
    used = BigIntegerField()

    class Meta:
        indexes = ((("owner",), True),)


def fresh() -> str:
    """A new secret, in base32 as authenticator apps want it."""
    return b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def code(secret: str, step: int) -> str:
    """The code of that step (RFC 4226 section 5.3). Raises ValueError: the secret is no base32."""
    digest = hmac.digest(b32decode(secret), step.to_bytes(8), "sha1")
    at = digest[-1] & 15
    number = int.from_bytes(digest[at : at + 4]) & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def step_of(secret: str, said: str) -> int | None:
    """The step to which a code belongs, around now; None: it is wrong. Raises ValueError: the secret is no base32."""
    said = "".join(said.split())
    now, found = int(time.time()) // STEP, None
    for step in range(now - AROUND, now + AROUND + 1):
        if hmac.compare_digest(code(secret, step).encode(), said.encode()):
            found = step
    return found


def has(user: str) -> bool:
    """Does the account want a code? Blocks."""
    return bool(SecondFactor.select(SecondFactor.id).where(SecondFactor.owner == user).exists())


def passes(user: str, said: str) -> bool:
    """Is that a right code, and not used yet? It is used then. True for an account without a second factor. Wrong ones count
    (`WRONG`). Blocks until it is stored. Raises StoreError."""
    row = SecondFactor.get_or_none(SecondFactor.owner == user)
    if row is None:
        return True
    if WRONG.left(user) < 1:
        return False
    step = step_of(row.secret, said)
    if step is None:
        WRONG.spend(user)
    return step is not None and bool(xdb.save(_use, user, step))


def keep(user: str, secret: str, said: str) -> bool:
    """Sets the second factor of an account, if the code is one of that secret. Blocks until it is stored. Raises ValueError (no
    secret), StoreError."""
    if len(secret) > 64 or len(b32decode(secret)) < 16:
        raise ValueError("no secret of an authenticator app")
    step = step_of(secret, said)
    return step is not None and bool(xdb.save(_keep, user, secret, step))


def remove(user: str) -> bool:
    """Blocks until it is stored. False: there was none. Raises StoreError."""
    return bool(xdb.save(drop, user))


def address(user: str, secret: str, issuer: str) -> str:
    """What a QR code for an authenticator app says."""
    return f"otpauth://totp/{quote(issuer)}:{quote(user)}?secret={secret}&issuer={quote(issuer)}"


def drop(user: str) -> int:
    """`remove`, for the writer."""
    return int(SecondFactor.delete().where(SecondFactor.owner == user).execute())


def _use(user: str, step: int) -> int:
    """For the writer: two sign-ins with one code cannot both find it unused."""
    mine = (SecondFactor.owner == user) & (SecondFactor.used < step)
    return int(SecondFactor.update(used=step).where(mine).execute())


def _keep(user: str, secret: str, step: int) -> bool:
    """For the writer."""
    if not Account.select(Account.id).where(Account.owner == user).exists():
        return False
    SecondFactor.delete().where(SecondFactor.owner == user).execute()
    SecondFactor.insert(owner=user, secret=secret, used=step).execute()
    return True
