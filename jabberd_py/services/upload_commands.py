"""What an administrator may ask about files of users."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nlargest
from typing import TYPE_CHECKING, Any, ClassVar

from peewee import fn

from ..arguments import Address, Size
from ..hooks import command
from ..net.turns import pause
from ..xdb import Document, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.ns import CLIENT
from ..xmpp.stamp import utc
from .files import DISK, Files, Trouble

OWN = "jabberd_py:upload-quota"
"""Where an account's own quota is kept: its bytes."""
MOST = 1000
"""Rows of an answer."""
PAGE, SLICE = 100, 1000
REQUEST = "urn:xmpp:http:upload:0"


class UploadCommands:
    """Of `Uploads`."""

    if TYPE_CHECKING:
        tables: ClassVar[tuple[Any, ...]]
        quota: int
        host: Any

        @property
        def files(self) -> Files: ...

        def forget(self, user: str) -> None: ...
        def request(self, stanza: Element) -> Element: ...
        def take(self, row: Any, pieces: Iterator[bytes]) -> None: ...

    def bring(self, jid: JID, name: str, size: int, pieces: Iterator[bytes]) -> bool:
        """Keeps a file that the owner of an account brings from elsewhere, with the limits of one that a client uploads. False:
        there is such a file already. Blocks. Raises StanzaError: there is no room for it; what ``pieces`` raises is raised."""
        table = self.tables[0]
        mine = (table.owner == jid.user) & (table.name == name) & (table.size == size) & table.done
        if table.select().where(mine).exists():
            return False
        wish = Element("request", REQUEST, filename=name, size=str(size))
        slot = self.request(Element("iq", CLIENT, wish, type="get", from_=jid.user))
        got: Any = slot.child("get", REQUEST)
        key = got.attrs["url"].rsplit("/", 2)[1]
        try:
            self.take(table.get(table.key == key), pieces)
        except Trouble as trouble:
            raise StanzaError("resource-constraint", str(trouble)) from None
        return True

    @command("uploads list")
    def list_accounts(self, limit: int = MOST) -> list[dict[str, Any]]:
        """Who has files here, the most bytes first, so many at most, and how many bytes an account may have."""
        if not 1 <= limit <= MOST:
            raise ValueError(f"limit: from 1 to {MOST}")
        found = self._totals(limit)
        own = Document.select(Document.owner, Document.xml).where(
            Document.namespace == OWN, Document.owner.in_([row[0] for row in found])
        )
        quotas = {row.owner: int(row.xml) for row in own}
        return [
            {"jid": owner, "files": count, "bytes": int(size), "quota_bytes": quotas.get(owner, self.quota)}
            for owner, count, size in found
        ]

    def _totals(self, limit: int) -> list[tuple[str, int, int]]:
        """(account, its files, their bytes) of those with most bytes. The files are read `SLICE` at a time, in
        turns with others. Blocks."""
        table, totals, last = self.tables[0], dict[str, tuple[int, int]](), 0
        mine = (
            table.done
            & table.owner.endswith("@" + self.host.domain)
            & (table.owner != "@" + self.host.domain)
        )
        while True:
            behind = table.id > last
            end = table.select(table.id).where(behind).order_by(table.id).offset(SLICE).limit(1).scalar()
            piece = behind if end is None else behind & (table.id <= end)
            rows = table.select(table.owner, fn.COUNT(table.id), fn.SUM(table.size)).where(mine, piece)
            for owner, count, size in rows.group_by(table.owner).tuples():
                before = totals.get(owner, (0, 0))
                totals[owner] = before[0] + count, before[1] + int(size)
            if end is None:
                break
            last = end
            xdb.release()
            pause()
        most = nlargest(limit, totals.items(), key=lambda each: each[1][1])
        return [(owner, count, size) for owner, (count, size) in most]

    def quota_of(self, user: str) -> int:
        """Bytes that the files of an account may have together: its own quota, or else the one of all."""
        own = xdb.get(user, OWN)
        return self.quota if own is None else int(own)

    @command("uploads quota", changes=True)
    def set_quota(self, jid: Address, quota: Size | None = None) -> dict[str, int]:
        """Give one account a quota of its own for its files, more or less than the others (`quota` of services.upload). Without
        a quota: the same as the others again."""
        self._mine(jid)
        xdb.set(jid.user, OWN, None if quota is None else str(quota))
        return {"quota_bytes": self.quota_of(jid.user)}

    @command("uploads usage")
    def usage(self, jid: Address) -> dict[str, Any]:
        """How many files an account has, how large they are together, and how large they may be."""
        self._mine(jid)
        table = self.tables[0]
        files = table.select(fn.COUNT(table.id), fn.SUM(table.size)).where(
            table.owner == jid.user, table.done
        )
        count, total = files.tuples()[0]
        quota = self.quota_of(jid.user)
        return {"jid": jid.user, "files": count, "bytes": int(total or 0), "quota_bytes": quota}

    def _mine(self, jid: JID) -> None:
        """Raises StanzaError: it is no account of this host."""
        if jid.domain != self.host.domain or not self.host.users.exists(jid.user):
            raise StanzaError("item-not-found", f"{jid.user} is no account of {self.host.domain}")

    @command("uploads show")
    def list_files(self, jid: Address) -> list[dict[str, Any]]:
        """The files of an account of this host, the newest first."""
        if jid.domain != self.host.domain:
            return []
        table = self.tables[0]
        rows = (
            table.select().where(table.owner == jid.user, table.done).order_by(table.made.desc()).limit(MOST)
        )
        return [
            {
                "name": row.name,
                "type": row.type,
                "bytes": row.size,
                "made": utc(row.made),
                "purpose": row.purpose,
            }
            for row in rows
        ]

    @command("uploads delete", changes=True)
    def remove_files(self, jid: Address) -> None:
        """Remove all files of an account."""
        if jid.domain != self.host.domain:
            raise StanzaError("item-not-found", f"{jid.user} is no account of {self.host.domain}")
        self.forget(jid.user)

    def owned(self, user: str) -> Iterator[tuple[Any, Iterator[bytes]]]:
        """The files of an account, the oldest first: the row, and its bytes in pieces. What cannot be read now is left out.
        Blocks. The pieces raise Trouble."""
        table, last = self.tables[0], 0
        mine = table.select().where(table.owner == user, table.done).order_by(table.id).limit(PAGE)
        while rows := list(mine.where(table.id > last)):
            for row in rows:
                try:
                    found = DISK.open(row.key, 0, row.size) or self.files.open(row.key, 0, row.size)
                except Trouble:
                    continue
                if found is not None:
                    yield row, found
            last = rows[-1].id
