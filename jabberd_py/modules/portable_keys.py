"""Keys of passwords (SCRAM) as other servers write them."""

from __future__ import annotations

import re
from base64 import b64decode
from typing import Any

SIZES = {"sha1": 20, "sha256": 32, "sha512": 64}
"""Bytes of a key."""
_old = re.compile(r"scram:([^,]+),([^,]+),([^,]+),(\d{1,9})").fullmatch


def of_password(password: str) -> dict[str, list[Any]]:
    """Keys as ejabberd has written them in place of a password, until version 21: stored key, server key, salt, rounds."""
    found = _old(password)
    if found is None:
        return {}
    stored, server, salt, rounds = found.groups()
    for name, size in SIZES.items():
        keys = once(size, salt, stored, server)
        try:
            if len(b64decode(keys[-1], validate=True)) == size:
                return {name: [int(rounds), *keys]}
        except ValueError:
            break
    return {}


def once(size: int, *texts: str) -> list[str]:
    """Salt and keys as base64. ejabberd 23 writes base64 of base64, which the length of a key tells."""
    try:
        found = [b64decode(text, validate=True) for text in texts]
        if len(found[-1]) != size and len(b64decode(found[-1], validate=True)) == size:
            return [each.decode() for each in found]
    except ValueError:
        pass
    return list(texts)
