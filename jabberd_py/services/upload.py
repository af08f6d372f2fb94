"""HTTP File Upload (XEP-0363): users put files here, and whoever has a file's address may get it.

A *slot* is a row of `Upload`: its key stands in the address, nobody can guess it, and it can be used once and soon. The files
lie in the data folder or in a bucket (files.py, s3.py), each under its key."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterator
from typing import Any
from unicodedata import category
from urllib.parse import quote

import gevent
from peewee import BigIntegerField, BooleanField, CharField, TextField, fn

from .. import log
from ..hooks import Answer, Option, Refusal, Request, duration, every, http, iq, on, optional, size
from ..service import Service
from ..xdb import Table, xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.forms import Form
from ..xmpp.jid import parse as parse_jid
from ..xmpp.protocols import XEP
from ..xmpp.stamp import parse, utc
from .files import DISK, PIECE, Files, Trouble
from .s3 import EXAMPLE, S3, Bucket, s3
from .upload_commands import UploadCommands

logger = log.get(__name__)
NS = "urn:xmpp:http:upload:0"
PURPOSE = "urn:xmpp:http:upload:purpose:0"
FLEETING = ("message", "ephemeral")
"""Purposes of files that `expire`."""
INVISIBLE = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of Unicode that no name of a file has: control characters, ends of lines."""
YEAR = 365 * 86400
ENCRYPTED = 16
"""Bytes that encryption (XEP-0454) adds to a file."""
NAME = 255
DAY = 86400
NOBODY = "@"
"""With a domain behind it: the owner of the files of deleted accounts, until they are removed."""
PATIENCE = 5.0
"""Seconds that the end of an account waits for its files."""
SLOTS = 50
"""Slots of one account that wait for their files."""
_type = re.compile(r"[a-z0-9][a-z0-9.+-]*/[a-z0-9][a-z0-9.+-]*").fullmatch
_shown = re.compile(r"(?:audio|video)/.*|image/(?!svg).*|text/plain").fullmatch
"""Types that a browser may show; all others are saved as a file."""
_kept = re.compile(r"application/(?!.*(?:script|xml|html|json|css|wasm)).*").fullmatch
"""Types of files that are saved and that no page can run. All others go out as bytes, so that no user's file is our script."""
PARTS = ("script", "style", "xslt", "worker", "sharedworker", "serviceworker", "audioworklet", "paintworklet", "manifest",
         "object", "embed", "frame", "iframe")  # fmt: skip
"""What a file cannot be in a page (Sec-Fetch-Dest)."""
_range = re.compile(r"bytes=(\d{0,18})-(\d{0,18})").fullmatch
"""Of a header that asks for one part; one that asks for several gets the whole file."""
SAFE = {
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}


class Upload(Table):
    """A slot, or once it is ``done`` a file. ``made``: Unix time of the slot. ``until``: Unix time from which on nobody may get
    it, as its owner wants; 0: none."""

    key = CharField(max_length=64, unique=True)
    name = TextField()
    type = TextField()
    size = BigIntegerField()
    made = BigIntegerField(index=True)
    done = BooleanField(default=False)
    purpose = CharField(max_length=20, default="message")
    until = BigIntegerField(default=0)


class Uploads(UploadCommands, Service):
    """Users upload files over HTTP, and send each other the addresses (XEP-0363)."""

    name = "upload"
    category, type, title = "store", "file", "Files"
    protocols = (XEP(363, "1.2.0", "HTTP File Upload"),)
    tables = (Upload,)

    prefix = Option(
        str, "upload", "label before the host's name that makes its address, unless 'address' says otherwise"
    )
    max_size = Option(size, "100 MiB", "largest file", min=1)
    quota = Option(size, "1 GiB", "bytes that the files of one account may have together", min=1)
    per_day = Option(size, "500 MiB", "bytes that one account may upload in 24 hours", min=1)
    expire = Option(duration, "30d", "age at which a file is removed; 0 is never")
    profile_max_size = Option(
        size, "1 MiB", "largest file for a profile (an avatar, say); these do not expire", min=1
    )
    profile_quota = Option(
        size, "10 MiB", "bytes that the files of one account for its profile may have together"
    )
    permanent_quota = Option(
        size,
        0,
        "bytes that one account may keep for ever (blogs); 0: nobody may, and clients are not offered it",
    )
    slot = Option(duration, "5m", "time to begin an upload in", min=1)
    s3 = Option[S3 | None](
        optional(s3),
        None,
        f"keeps the files in an S3-compatible store: {EXAMPLE}, then region, and private: yes if the endpoint is in our own "
        "network; none: in the data folder",
        secret=True,
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.running: dict[str, str] = {}
        """Key -> owner, of the files that are just coming."""

    @property
    def age(self) -> float:
        """Seconds after which a file is removed; 0: never."""
        usual = self.host.options.retention
        return float(self.settings.get("expire", self.expire if usual is None else usual))

    @property
    def files(self) -> Files:
        """Where new files go. Those that came before there was a bucket are on the disk still."""
        return DISK if self.s3 is None else Bucket(self.s3)

    def disco_forms(self) -> list[Element]:
        return [Form("result", form_type=NS).field("max-file-size", value=str(self.max_size)).element()]

    @property
    def purposes(self) -> dict[str, int]:
        """Section "Upload purpose": purpose -> bytes that an account may have for it. The first two share theirs."""
        found = {
            "message": self.quota, "ephemeral": self.quota, "profile": self.profile_quota, "permanent": self.permanent_quota,
        }  # fmt: skip
        return {purpose: most for purpose, most in found.items() if most}

    @property
    def features(self) -> tuple[str, ...]:  # type: ignore[override]
        return tuple(f"{PURPOSE}#{each}" for each in self.purposes)

    # -- slots --------------------------------------------------------------------------------

    @iq("get", NS, "request")
    def request(self, stanza: Element) -> Element:
        """Section 5. Blocks."""
        sender, wish = stanza.from_, stanza.payload
        assert sender is not None and wish is not None
        if sender.domain != self.host.domain or sender.node is None:
            raise StanzaError("forbidden", f"only for accounts of {self.host.domain}")
        name, kind = wish.attrs.get("filename", ""), wish.attrs.get("content-type", "").lower()
        number = wish.attrs.get("size", "")
        if not (number.isascii() and number.isdigit() and len(number) < 19 and int(number) > 0):
            raise StanzaError("bad-request", "a file has a size")
        if (
            not 0 < len(name) <= NAME
            or "/" in name
            or name in (".", "..")
            or not INVISIBLE.isdisjoint(map(category, name))
        ):
            raise StanzaError("bad-request", "no name for a file")
        length = int(number)
        purpose, until = self._purpose(wish)
        largest = min(self.max_size, self.profile_max_size) if purpose == "profile" else self.max_size
        if length > largest + ENCRYPTED:
            limit = Element("max-file-size", NS, str(largest))
            raise StanzaError("not-acceptable", "the file is too large", Element("file-too-large", NS, limit))
        key = secrets.token_urlsafe(24)
        kind = kind if _type(kind) and len(kind) < 128 else ""
        slot = {"owner": sender.user, "key": key, "name": name, "type": kind, "size": length}
        slot |= {"purpose": purpose, "until": until}
        most = self.quota_of(sender.user) if purpose in FLEETING else self.purposes[purpose]
        xdb.save(
            self._reserve, slot, most, [each for each, owner in self.running.items() if owner == sender.user]
        )
        if not self.host.options.anonymous and not self.host.users.exists(sender.user):
            xdb.save(_forget, [key])  # the account was deleted meanwhile
            raise StanzaError("forbidden", "the account is gone")
        url = f"{self.router.base(self.host.domain)}/upload/{key}/{quote(name)}"
        return Element("slot", NS, Element("put", NS, url=url), Element("get", NS, url=url))

    def _purpose(self, wish: Element) -> tuple[str, int]:
        """What the file is for, and until when it may be there (0: no matter). Raises StanzaError."""
        named = next((each for each in wish.elements() if each.ns == PURPOSE), None)
        if named is None:
            return "message", 0
        if named.name not in self.purposes:
            raise StanzaError(
                "feature-not-implemented", f"no files are kept for the purpose {named.name!r:.30}"
            )
        if named.name != "ephemeral":
            return named.name, 0
        try:
            until = int(parse(named.attrs.get("expire-before", "")))
        except ValueError:
            raise StanzaError("bad-request", "expire-before is a date and time") from None
        if until <= time.time():
            raise StanzaError("bad-request", "expire-before is over")
        return named.name, until

    def _reserve(self, slot: dict[str, Any], most: int, running: list[str]) -> None:
        """In the writer's transaction, so two slots cannot share what is left for one. ``most``: bytes that it may have in all.
        Raises StanzaError. What waits for its file counts like a file, and so does what comes just now (``running``: keys),
        however long it takes."""
        now = int(time.time())
        user, length, purpose = slot["owner"], slot["size"], slot["purpose"]
        there = Upload.done | (Upload.made > now - self.slot) | Upload.key.in_(running)
        mine = (Upload.owner == user) & there
        alike = FLEETING if purpose in FLEETING else (purpose,)
        total = Upload.select(fn.SUM(Upload.size)).where(mine & Upload.purpose.in_(alike)).scalar() or 0
        today = Upload.select(fn.SUM(Upload.size)).where(mine & (Upload.made > now - DAY)).scalar() or 0
        waiting = Upload.select().where(mine & ~Upload.done).count()
        if total + length > most:
            raise StanzaError("resource-constraint", "your files have no more room")
        if today + length > self.per_day or waiting >= SLOTS:
            soon = now + (int(self.slot) if waiting >= SLOTS else DAY)
            raise StanzaError(
                "resource-constraint", "that is much for today", Element("retry", NS, stamp=utc(soon))
            )
        Upload.insert(made=now, **slot).execute()

    # -- files ----------------------------------------------------------------------------------

    @http("/upload", "GET", "PUT", below=True, cors=True)
    def file(self, request: Request) -> Answer:
        """A file comes, or goes. Any upload service of the server may be asked: who is behind a proxy has one name for all.
        Blocks. Raises Refusal."""
        _, _, rest = request.below.partition("/")
        key, _, name = rest.partition("/")
        row = Upload.get_or_none(Upload.key == key) if 0 < len(key) < 64 else None
        xdb.release()
        if row is None or row.name != name or row.owner.startswith(NOBODY):
            raise Refusal(404)
        service = self._serves(row.owner)
        return service._put(request, row) if request.method == "PUT" else service._get(request, row)

    def _put(self, request: Request, row: Upload) -> Answer:
        if row.done or row.key in self.running or row.made < time.time() - self.slot:
            raise Refusal(403, "this slot is used, or too old")
        if request.length is None:
            raise Refusal(411)
        if request.length != row.size:
            raise Refusal(413 if request.length > row.size else 400, f"the slot is for {row.size} bytes")
        if row.type and request.type and request.type.partition(";")[0].strip().lower() != row.type:
            raise Refusal(415, f"the slot is for {row.type}")
        try:
            self.take(row, _pieces(request, row.size))
        except Trouble as trouble:
            logger.error("an upload failed", user=row.owner, size=row.size, reason=str(trouble))
            raise Refusal(trouble.status) from None
        logger.info("uploaded", user=row.owner, size=row.size, address=request.address)
        owner = self.router.instances.get(parse_jid(row.owner).domain)
        if owner is not None:  # any upload service may be asked
            owner.hooks.tell("uploaded", row.owner, row.size)
        return Answer(201)

    def take(self, row: Upload, pieces: Iterator[bytes]) -> None:
        """The file of a slot. Blocks. Raises Trouble; what ``pieces`` raises is raised."""
        files = self.files
        self.running[row.key] = row.owner
        try:
            files.put(row.key, row.size, pieces)
            if not xdb.save(_complete, row.key, row.owner):
                files.remove(row.key)
                raise Trouble(404, "the account is gone")
        finally:
            self.running.pop(row.key, None)

    def _get(self, request: Request, row: Upload) -> Answer:
        left = self._left(row)
        if not row.done or left <= 0:
            raise Refusal(404)
        if request.header("Sec-Fetch-Dest").lower() in PARTS:
            raise Refusal(403, "a file of a user is no part of a page")
        kind = row.type if _shown(row.type) or _kept(row.type) else "application/octet-stream"
        shown = "inline" if _shown(kind) else "attachment"
        tag = f'"{row.key}"'
        headers = {
            "Content-Type": "text/plain; charset=utf-8" if kind == "text/plain" else kind,
            "Content-Disposition": f"{shown}; filename*=UTF-8''{quote(row.name, safe='')}",
            "ETag": tag, "Accept-Ranges": "bytes",
            "Cache-Control": f"private, max-age={int(min(left, YEAR))}, immutable", **SAFE,
        }  # fmt: skip
        if tag in request.header("If-None-Match"):
            return Answer(304, headers=headers)
        start, end, status = 0, row.size, 200
        asked = _range(request.header("Range").strip()) if request.header("If-Range") in ("", tag) else None
        if asked is not None and (asked[1] or asked[2]):
            start, end = _cut(asked[1], asked[2], row.size)
            status, headers["Content-Range"] = 206, f"bytes {start}-{end - 1}/{row.size}"
        headers["Content-Length"] = str(end - start)
        try:
            found = DISK.open(row.key, start, end) or self.files.open(row.key, start, end)
        except Trouble as trouble:
            logger.error("a file cannot be read", user=row.owner, reason=str(trouble))
            raise Refusal(trouble.status) from None
        if found is None:
            raise Refusal(404)
        return Answer(status, iter(()) if request.method == "HEAD" else found, headers)

    def _left(self, row: Upload) -> float:
        """Seconds that the file may still be there."""
        now = time.time()
        left = row.until - now if row.until else float("inf")
        return min(left, row.made + self.age - now) if self.age and row.purpose in FLEETING else left

    # -- the end ----------------------------------------------------------------------------------

    @on("deleting")
    def forget(self, user: str) -> None:
        """An account goes, with its files: nobody gets them any more. Blocks until they are removed, but not for long; the
        rest waits for `sweep`."""
        if Upload.select().where(Upload.owner == user).exists():
            nobody = NOBODY + user.rpartition("@")[2]
            xdb.save(_orphan, user, nobody)
            gevent.spawn(self._clear, Upload.owner == nobody).join(PATIENCE)

    @every(600)
    def sweep(self) -> None:
        """Removes what is too old."""
        now = int(time.time())
        old = ~Upload.done & (Upload.made < now - self.slot - DAY)
        old |= (Upload.until > 0) & (Upload.until <= now)
        if self.age:
            old |= Upload.purpose.in_(FLEETING) & (Upload.made < now - self.age)
        self._clear(Upload.owner.endswith("@" + self.host.domain) & old)

    def _clear(self, which: Any) -> None:
        """Removes these files, then their rows. What cannot be removed now stays for the next time. Blocks, never raises."""
        last = 0
        query = Upload.select().where(which).order_by(Upload.id).limit(200)
        try:
            while rows := list(query.where(Upload.id > last)):
                xdb.release()
                if gone := [row.key for row in rows if self._remove(row)]:
                    xdb.save(_forget, gone)
                last = rows[-1].id
        except Exception as error:
            logger.warning("files cannot be removed", reason=str(error))
        finally:
            xdb.release()

    def _remove(self, row: Upload) -> bool:
        try:
            for each in {DISK, self._serves(row.owner).files}:
                each.remove(row.key)
        except Trouble as trouble:
            logger.warning("a file cannot be removed", key=row.key, reason=str(trouble))
            return False
        return True

    def _serves(self, owner: str) -> Uploads:
        """The service with whose options the files of that account are kept; this one if its host has none any more."""
        domain = owner.rpartition("@")[2]
        if domain == self.host.domain:
            return self
        found = (each for each in self.router.instances.values() if isinstance(each, Uploads))
        return next((each for each in found if each.host.domain == domain), self)


def _pieces(request: Request, left: int) -> Iterator[bytes]:
    while left:
        piece = request.read(min(PIECE, left))
        if not piece:
            raise ConnectionResetError("the client is gone")
        left -= len(piece)
        yield piece


def _cut(first: str, last: str, size: int) -> tuple[int, int]:
    """The part of a file that a header Range asks for, as (begin, end). Raises Refusal: there is nothing of it."""
    if first:
        start, end = int(first), min(size, int(last) + 1) if last else size
    else:
        start, end = max(0, size - int(last)), size
    if start >= end:
        raise Refusal(416, Content_Range=f"bytes */{size}")
    return start, end


def _complete(key: str, owner: str) -> int:
    done: int = Upload.update(done=True).where((Upload.key == key) & (Upload.owner == owner)).execute()
    return done


def _orphan(user: str, nobody: str) -> None:
    Upload.update(owner=nobody, until=1).where(Upload.owner == user).execute()


def _forget(keys: list[str]) -> None:
    Upload.delete().where(Upload.key.in_(keys)).execute()
