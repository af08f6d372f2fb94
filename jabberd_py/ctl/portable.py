"""XEP-0227: Portable Import/Export Format for XMPP-IM Servers (version 1.1): a whole account as a file, and back.

Written and read in pieces: an archive of any size takes little memory.
"""

from __future__ import annotations

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..archive import messages
from ..arguments import AccountAddress, Address, Domain
from ..commands import Failed, NoSuchThing
from ..hooks import Progress, command
from ..jsm.users import Account, forget, pages
from ..modules import portable_out
from ..modules.portable_in import PAGE, PIE, Reader
from ..xdb import xdb

if TYPE_CHECKING:
    from ..jsm.host import Host
    from ..server import Server

INCLUDE = "{http://www.w3.org/2001/XInclude}include"
INCLUDES = 3
"""An <include/> stands in at most so many elements. A deeper one is part of what a user has stored."""

WINDOW = 1000
"""Accounts that are read at a time."""


class Portable:
    """Of a `Server`, or of `alone.Alone`."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @command("accounts export", changes=True, needs="store")
    def export(self, jid: Address, file: Path) -> Iterator[Any]:
        """Write a whole account to a new file (XEP-0227): keys, roster, vCard, private storage, privacy lists, nodes, offline
        messages and archive. The account may be of a domain that is no host any more."""
        user = jid.user
        account = Account.select().where(Account.owner == user).first()
        if account is None:
            raise NoSuchThing("there is no such account")
        for host in self.server.hosts:  # what has been delivered is not offline
            ticket = host.spool.marks.save() if host.domain == jid.domain else None
            if ticket is not None:
                ticket.wait()
        messages.sync()
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        count = 0
        with open(handle, "w", encoding="utf-8") as out:
            for text in portable_out.written(account, jid.node or "", jid.domain):
                out.write(text)
                count += 1
                if count % PAGE == 0:
                    xdb.release()
                    yield Progress(count, count + PAGE, user)
        yield {"jid": user, "file": str(file), "bytes": file.stat().st_size}

    @command("accounts import", changes=True, needs="store")
    def import_(self, file: Path, jid: AccountAddress | None = None) -> Iterator[Any]:
        """Read accounts from a file (XEP-0227), of this server or another. They must be new. With --jid, the only account in
        the file gets that address."""
        found = list[dict[str, Any]]()
        try:
            for each in self._read(file, None if jid is None else jid.user):
                yield Progress(len(found), len(found) + 1, each["jid"])
                found.append(each)
        except ET.ParseError as error:
            raise Failed(f"{file}: not XML: {error}") from None
        if not found:
            raise Failed(f"{file}: no account is in it (XEP-0227)")
        yield found

    def _read(self, file: Path, jid: str | None) -> Iterator[dict[str, Any]]:
        domain, reader, path = "", None, list[ET.Element]()
        try:
            for event, element in _events(Path(file), path):
                name = element.tag.rpartition("}")[2] if element.tag.startswith(f"{{{PIE}}}") else element.tag
                if event == "start":
                    path.append(element)
                    if name == "host":
                        domain = element.get("jid", "")
                    elif name == "user" and len(path) == 3:
                        if jid is not None and reader is not None:
                            raise Failed("there are several accounts in the file: import it without --jid")
                        user = element.get("name", "")
                        reader = Reader(
                            self._host, jid or f"{user}@{domain}", user, element.get("password"), domain
                        )
                    continue
                path.pop()
                if reader is not None and name == "user" and len(path) == 2:
                    yield reader.done()
                    element.clear()
                elif reader is not None and len(path) >= 3 and reader.take(element, path[3:]):
                    with suppress(ValueError):  # it is the root of a file of its own
                        path[-1].remove(element)
        except BaseException:
            if reader is not None:
                reader.undo()
            raise

    def _host(self, domain: str) -> Host:
        for each in self.server.hosts:
            if each.domain == domain:
                return each
        raise NoSuchThing(f"{domain} is not served here: --jid gives the account another address")

    @command("accounts unserved", needs="store")
    def unserved(self) -> list[dict[str, Any]]:
        """Accounts of domains that are no hosts any more: nobody can log in to them. `accounts export` and `accounts purge`."""
        counts = dict[str, int]()
        for page in pages(WINDOW):
            for account in page:
                domain = account.owner.rpartition("@")[2]
                if domain not in self.server.config.hosts:
                    counts[domain] = counts.get(domain, 0) + 1
        return [{"domain": domain, "accounts": count} for domain, count in sorted(counts.items())]

    @command("accounts purge", changes=True, needs="store")
    def purge(self, domain: Domain) -> Iterator[Any]:
        """Remove all accounts, with all their data, of a domain that is no host any more."""
        if domain in self.server.config.hosts:
            raise ValueError(f"{domain} is served here: take it out of the configuration first")
        rows: Any = Account.select(Account.owner).where(Account.owner.endswith(f"@{domain}")).tuples()
        owners = [owner for (owner,) in rows]
        if not owners:
            raise NoSuchThing(f"there is no account of {domain}")
        for number, owner in enumerate(owners, 1):
            xdb.delete_owner(owner, messages.sort_in)
            forget(owner)
            yield Progress(number, len(owners), owner)
        yield {"removed": len(owners)}


def _events(file: Path, path: list[ET.Element], depth: int = 0) -> Iterator[tuple[str, ET.Element]]:
    """What is in the file, and at their places the files that it includes (XEP-0227 section 6; ejabberd writes these).
    ``path``: the elements that have begun. Raises Failed."""
    with open(file, "rb") as source:
        for event, element in ET.iterparse(source, ("start", "end")):
            if element.tag != INCLUDE or len(path) > INCLUDES:
                yield event, element
            elif event == "end":
                name = element.get("href", "")
                other = file.parent / name
                if (
                    set(element.attrib) != {"href"}
                    or ":" in name
                    or not other.resolve().is_relative_to(file.parent.resolve())
                ):
                    raise Failed(f"{file}: includes {name[:100]!r}, which is no file beside it")
                if not other.is_file() or depth == INCLUDES:
                    raise Failed(f"{file}: includes {name[:100]!r}, which is not there")
                yield from _events(other, path, depth + 1)
