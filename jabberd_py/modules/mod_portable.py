"""All data of an account as a file for its owner (XEP-0227); `accounts export` and `accounts import` are for administrators."""

from __future__ import annotations

import time
from collections.abc import Iterator
from os import SEEK_END
from typing import IO, Any

from ..archive import messages
from ..hooks import Module
from ..jsm.users import Account
from ..net import turns
from ..net.karma import Karma
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.protocols import XEP
from . import portable_out
from .portable_merge import Merge

AT_ONCE = 4
"""Files that are written at a time."""
LONGEST = 900.0
"""Seconds for a file: who reads slowly holds a place of `AT_ONCE`."""
PIECE = 64 * 1024
"""Characters that are sent at a time."""


BROUGHT, AGAIN = 128 << 20, (64 << 20) / 86400
"""Bytes of files that one account may bring, and so many more a second: 64 MiB a day."""


class Portable(Module):
    """Lets users download all that the server keeps for them, and bring what another server has kept."""

    protocols = (XEP(227, "1.1", "Portable Import/Export Format for XMPP-IM Servers"),)

    def __init__(self, host: Any, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.busy: set[str] = set()
        """Accounts whose file is being written."""
        self.brought = Karma(AGAIN, BROUGHT)

    def export(self, jid: JID, keys: bool) -> Iterator[bytes]:
        """The file, in pieces; ``keys``: with those of the password. Blocks between them, for `LONGEST` at most. Raises
        StanzaError: it is being written already, or too many are."""
        user = jid.user
        account = Account.select().where(Account.owner == user).first()
        if account is None:
            raise StanzaError("item-not-found", "there is no such account")
        if user in self.busy or len(self.busy) >= AT_ONCE:
            raise StanzaError(
                "resource-constraint", "such a file is being written already, try again later", type="wait"
            )
        pieces = self._pieces(account, jid, keys)
        next(pieces)  # from here on it is in `busy`, and leaves it however this ends
        return pieces

    def merge(self, jid: JID, source: IO[bytes]) -> dict[str, int]:
        """Reads the file of an account elsewhere into this one; how many parts of each kind came. Blocks, in turns with others.
        Raises ValueError (a wrong file), StanzaError (another file of the account is in work, or too many are)."""
        user = jid.user
        if user in self.busy or len(self.busy) >= AT_ONCE:
            raise StanzaError(
                "resource-constraint", "such a file is in work already, try again later", type="wait"
            )
        size = source.seek(0, SEEK_END)
        source.seek(0)
        if not self.brought.spend(user, size):
            raise StanzaError(
                "resource-constraint", "so much was imported today that it has to wait", type="wait"
            )
        self.busy.add(user)
        try:
            return Merge(self.host, user).read(source)
        finally:
            self.busy.discard(user)

    def _pieces(self, account: Account, jid: JID, keys: bool) -> Iterator[bytes]:
        """Nothing first, then the file."""
        self.busy.add(jid.user)
        try:
            yield b""
            until = time.monotonic() + LONGEST
            ticket = self.host.spool.marks.save()  # what has been delivered is not offline
            if ticket is not None:
                xdb.release()
                ticket.wait()
            messages.sync()
            held, size = list[str](), 0
            for text in portable_out.written(account, jid.node or "", jid.domain, keys):
                held.append(text)
                size += len(text)
                if size >= PIECE:
                    xdb.release()
                    yield "".join(held).encode()
                    held, size = [], 0
                    if time.monotonic() > until:
                        raise TimeoutError("the file is read too slowly")
                    turns.pause()
            yield "".join(held).encode()
        finally:
            self.busy.discard(jid.user)
            xdb.release()
