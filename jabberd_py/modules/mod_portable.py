"""All data of an account as a file for its owner (XEP-0227); `accounts export` and `accounts import` are for administrators."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from os import SEEK_END
from typing import IO, Any, NamedTuple

from ..archive import messages
from ..commands import Caller, CommandError, outcome
from ..hooks import Module
from ..jsm.users import Account
from ..net import turns
from ..net.karma import Karma
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.protocols import XEP
from . import portable_out, portable_zip
from .portable_in import ABOUT
from .portable_merge import Merge

AT_ONCE = 4
"""Files that are written at a time."""
LONGEST, SLOWEST = 900.0, 64 * 1024
"""Seconds for a file, and a second more for so many bytes of it: who reads slowly holds a place of `AT_ONCE`."""
PIECE = 64 * 1024
"""Characters that are sent at a time."""
MANY = 1000
"""Uploaded files of one archive that are taken."""
BROUGHT, AGAIN = 128 << 20, (64 << 20) / 86400
"""Bytes of files that one account may bring, and so many more a second: 64 MiB a day."""


class Brought(NamedTuple):
    """``counts``: what came from a file, by kind; ``left``: what did not, in words -> how often."""

    counts: dict[str, int]
    left: dict[str, int]


class Portable(Module):
    """Lets users download all that the server keeps for them, and bring what another server has kept."""

    protocols = (XEP(227, "1.1", "Portable Import/Export Format for XMPP-IM Servers"),)

    def __init__(self, host: Any, settings: Any = None) -> None:
        super().__init__(host, settings)
        self.busy: set[str] = set()
        """Accounts whose file is being written."""
        self.brought = Karma(AGAIN, BROUGHT)

    def export(self, jid: JID, keys: bool, files: bool = False) -> Iterator[bytes]:
        """The file, in pieces; ``keys``: with those of the password; ``files``: a zip archive, with what the account has
        uploaded. Blocks between them, for `LONGEST` at most. Raises StanzaError: it is being written, or too many are."""
        user = jid.user
        account = Account.select().where(Account.owner == user).first()
        if account is None:
            raise StanzaError("item-not-found", "there is no such account")
        if user in self.busy or len(self.busy) >= AT_ONCE:
            raise StanzaError(
                "resource-constraint", "such a file is being written already, try again later", type="wait"
            )
        pieces = self._pieces(account, jid, keys, files)
        next(pieces)  # from here on it is in `busy`, and leaves it however this ends
        return pieces

    def merge(self, jid: JID, source: IO[bytes]) -> Brought:
        """Reads the file of an account elsewhere into this one, or a zip archive with it. Blocks, in turns with others. Raises
        ValueError (a wrong file), StanzaError (another file of the account is in work, or too many are)."""
        user = jid.user
        if user in self.busy or len(self.busy) >= AT_ONCE:
            raise StanzaError(
                "resource-constraint", "such a file is in work already, try again later", type="wait"
            )
        size = source.seek(0, SEEK_END)
        source.seek(0)
        self.busy.add(user)
        try:
            with portable_zip.opened(source, size) as (file, length, files):
                if not self.brought.spend(user, length):
                    raise StanzaError(
                        "resource-constraint", "so much was imported today that it has to wait", type="wait"
                    )
                merge = Merge(self.host, user)
                merge.read(file)
                self._bring(jid.bare, files, merge)
                return Brought(merge.counts, merge.left)
        finally:
            self.busy.discard(user)

    def _bring(self, jid: JID, files: list[portable_zip.Member], merge: Merge) -> None:
        """The uploaded files, as far as the account has room. Blocks. Raises ValueError: the archive is damaged."""
        uploads, most = self._uploads(), MANY
        for each in files:
            reason = "this server keeps none" if uploads is None else "there are many" if not most else ""
            try:
                if not reason:
                    merge.counts["files"] += uploads.bring(jid, each.name, each.size, each.pieces())
                    most -= 1
            except StanzaError as error:
                reason = error.text or error.condition
            if reason:
                merge.leave(f"files: {reason}")
            xdb.release()

    def _pieces(self, account: Account, jid: JID, keys: bool, files: bool) -> Iterator[bytes]:
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
            document = _joined(
                portable_out.written(account, jid.node or "", jid.domain, keys, self._more(jid))
            )
            uploads = self._uploads() if files else None
            owned = () if uploads is None else uploads.owned(jid.user)
            for piece in portable_zip.written(document, owned) if files else document:
                xdb.release()
                yield piece
                until += len(piece) / SLOWEST
                if time.monotonic() > until:
                    raise TimeoutError("the file is read too slowly")
                turns.pause()
        finally:
            self.busy.discard(jid.user)
            xdb.release()

    def _more(self, jid: JID) -> Iterator[Element]:
        """Where the account is in use now, and its uploads."""
        for kind, command in (
            ("session", "sessions show"),
            ("token", "tokens list"),
            ("file", "uploads show"),
        ):
            for row in turns.fairly(self._run(command, jid=jid.user)):
                facts = {
                    name: str(value) for name, value in row.items() if isinstance(value, str | int | float)
                }
                yield Element(kind, ABOUT, **facts)

    def _run(self, command: str, **args: Any) -> list[dict[str, Any]]:
        """The rows of a command; none if there is no such command here."""
        try:
            caller = Caller("export", "web", operator=True)
            found: Any = outcome(self.host.router.commands.run(caller, command, args))
            return list(found or ())
        except CommandError:
            return []

    def _uploads(self) -> Any:
        """The upload service of this host, or None."""
        services: Iterable[Any] = self.host.router.instances.values()
        return next(
            (
                each
                for each in services
                if getattr(each, "host", None) is self.host and hasattr(each, "owned")
            ),
            None,
        )


def _joined(texts: Iterable[str]) -> Iterator[bytes]:
    """Pieces of some size."""
    held, size = list[str](), 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= PIECE:
            yield "".join(held).encode()
            held, size = [], 0
    yield "".join(held).encode()
