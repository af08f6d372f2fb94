"""A bucket of an S3-compatible store, and as much of its protocol as files need: an object is put, got and deleted.

Requests are signed by hand (AWS Signature Version 4, header ``Authorization``); boto3 would be 15 MB and know much that nobody
asks here. The signature does not cover the body ("UNSIGNED-PAYLOAD"): so a file passes through in small pieces."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from hmac import digest
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import gevent

from ..converters import converter, nearest
from ..net import webclient
from .files import PIECE, Trouble

PATIENCE = 20.0
"""Seconds that the store has for each step."""
LARGEST = 5 << 30
"""Bytes of the largest object that one request can put."""
UNSIGNED = "UNSIGNED-PAYLOAD"
EXAMPLE = "{endpoint: https://s3.example.org, bucket: files, key: its access key, secret: its secret key}"
_bucket = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
_code = re.compile(rb"<Code>(\w{1,60})</Code>").search


class S3(NamedTuple):
    """The option ``s3``. ``key``, ``secret``: access key and secret key. ``private``: may the endpoint be in our own network,
    and without TLS?"""

    endpoint: str
    bucket: str
    key: str
    secret: str
    region: str = "us-east-1"
    private: bool = False


def s3(value: Any) -> S3:
    """A mapping with the names of `S3`. Raises ValueError."""
    if isinstance(value, S3):
        return value
    names = S3._fields
    if not isinstance(value, Mapping):
        raise ValueError(f"must be such as {EXAMPLE}, not {value!r:.60}")
    if wrong := [each for each in value if each not in names]:
        raise ValueError(f"has no {wrong[0]!r:.60}" + nearest(str(wrong[0]), names))
    if missing := [each for each in names[:4] if not value.get(each)]:
        raise ValueError(f"lacks {missing[0]!r}")
    try:
        private = converter(bool)(value.get("private", False))
    except ValueError as error:
        raise ValueError(f"private {error}") from None
    said = {key: str(each) for key, each in value.items() if key != "private"}
    try:
        endpoint = urlsplit(webclient.url(said["endpoint"]))
    except ValueError as error:
        raise ValueError(f"endpoint {error}") from None
    if endpoint.query:
        raise ValueError("endpoint has no query")
    if endpoint.scheme == "http" and not private:
        raise ValueError("endpoint must be https, unless private is yes")
    if not _bucket(said["bucket"]):
        raise ValueError(f"bucket is no name of a bucket: {said['bucket']!r:.60}")
    for name in ("key", "secret", "region"):
        if not re.fullmatch("[!-~]+", said.get(name, "x")):
            raise ValueError(f"{name} must be of plain characters")
    return S3(**said | {"endpoint": said["endpoint"].rstrip("/")}, private=private)


def signed(
    place: S3, method: str, path: str, headers: Mapping[str, str], now: float, body: str = UNSIGNED
) -> dict[str, str]:
    """The headers with a signature (AWS Signature Version 4). ``path``: encoded. ``now``: Unix time. ``body``: its hash."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    host = urlsplit(place.endpoint).netloc
    headers = {**headers, "host": host, "x-amz-content-sha256": body, "x-amz-date": stamp}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    whole = f"{method}\n{path}\n\n{lines}\n{names}\n{body}"
    scope = f"{stamp[:8]}/{place.region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{sha256(whole.encode()).hexdigest()}"
    key = b"AWS4" + place.secret.encode()
    for word in scope.split("/"):
        key = digest(key, word.encode(), "sha256")
    signature = digest(key, text.encode(), "sha256").hex()
    said = f"AWS4-HMAC-SHA256 Credential={place.key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "authorization": said}


class Bucket:
    """A store of files, see `files.Files`. Each request has a connection of its own."""

    def __init__(self, place: S3) -> None:
        self.place = place

    def put(self, key: str, size: int, pieces: Iterable[bytes]) -> None:
        if size > LARGEST:
            raise Trouble(413, "too large for one object")
        with closing(self._begin("PUT", key, {"content-length": str(size)})) as connection:
            for piece in pieces:
                try:
                    with _step():
                        connection.send(piece)
                except Trouble:  # it may have answered already, and says why
                    _answer(connection)
                    raise
            _answer(connection, 200)

    def open(self, key: str, start: int, end: int) -> Iterator[bytes] | None:
        with ExitStack() as failed:
            connection = failed.enter_context(
                closing(self._begin("GET", key, {"range": f"bytes={start}-{end - 1}"}))
            )
            answer = _answer(connection, 200, 206, 404)
            if answer.status == 200 and start:
                raise Trouble(502, "it gives no parts of files")
            if answer.status == 404:
                return None
            return _read(failed.pop_all(), answer, end - start)

    def remove(self, key: str) -> None:
        with closing(self._begin("DELETE", key, {})) as connection:
            _answer(connection, 200, 204, 404)

    def _begin(self, method: str, key: str, headers: Mapping[str, str]) -> http.client.HTTPConnection:
        """A request without its body. Raises Trouble."""
        place = self.place
        path = quote(f"{urlsplit(place.endpoint).path}/{place.bucket}/{key}")
        with _step(), ExitStack() as failed:
            connection = failed.enter_context(
                closing(webclient.connect(place.endpoint, PATIENCE, place.private))
            )
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in signed(place, method, path, headers, time.time()).items():
                connection.putheader(name, value)
            connection.endheaders()
            failed.pop_all()
        return connection


@contextmanager
def _step() -> Iterator[None]:
    """What the store does within: it has `PATIENCE` seconds. What goes wrong is Trouble."""
    try:
        with gevent.Timeout(PATIENCE, TimeoutError("no answer in time")):
            yield
    except (webclient.Refused, OSError, http.client.HTTPException, ValueError) as error:
        raise Trouble(502, " ".join(str(error).split())[:200] or type(error).__name__) from None


def _answer(connection: http.client.HTTPConnection, *fine: int) -> http.client.HTTPResponse:
    """Raises Trouble for every status that is not ``fine``; redirections are none of them."""
    with _step():
        answer = connection.getresponse()
        if answer.status in fine:
            return answer
        found = _code(answer.read(4096))
    code = found[1].decode() if found else ""
    status = 507 if answer.status == 507 or "Quota" in code else 502
    raise Trouble(status, f"status {answer.status} {code}".rstrip())


def _read(connection: ExitStack, answer: http.client.HTTPResponse, left: int) -> Iterator[bytes]:
    with connection, closing(answer):
        while left:
            with _step():
                piece = answer.read(min(PIECE, left))
            if not piece:
                raise Trouble(502, "it ended before the file did")
            left -= len(piece)
            yield piece
