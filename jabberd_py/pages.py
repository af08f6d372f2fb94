"""What a page of the web server is to a Module or a Service: an `@http` method takes a `Request` and returns an `Answer`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any, NamedTuple

from .xmpp.prep import domainprep

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")
BODY = 64 * 1024
DEEPEST = 8
"""Segments of the path of a page that answers for what is below it."""


class Refusal(Exception):
    """The request is answered with this status; ``text`` is for a person."""

    def __init__(self, status: int, text: str = "", **headers: str) -> None:
        super().__init__(text)
        self.status, self.text = status, text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    @property
    def answer(self) -> Answer:
        text = f"{self.text or HTTPStatus(self.status).phrase}\n"
        return Answer(
            self.status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"} | self.headers
        )


class Answer(NamedTuple):
    """``body``: bytes, or pieces of it, which are sent one by one as the client reads; they need a ``Content-Length``, or they
    are sent in chunks."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    headers: Mapping[str, str] = {}

    @property
    def line(self) -> str:
        """Such as ``404 Not Found``."""
        return f"{self.status} {HTTPStatus(self.status).phrase}"


class Request:
    """One request. ``environ`` is WSGI's.

    method   such as ``GET``
    path     as the client has sent it, decoded, without the query
    below    what of the path stands behind the page's own; empty, or it begins with ``/``
    address  IP address of the client, also behind a trusted proxy
    secure   can nobody on the way read it?
    host     the domain of the header Host, without a port, written as our domains are (`domainprep`): browsers send A-labels
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        self.environ = environ
        self.method: str = environ["REQUEST_METHOD"]
        path: str = environ["PATH_INFO"]  # decoded, each byte a character (PEP 3333)
        self.path = path.encode("latin-1").decode("utf-8", "replace")
        self.below = ""
        self.address: str = environ["REMOTE_ADDR"]
        self.secure: bool = environ["wsgi.url_scheme"] == "https"
        name = environ.get("HTTP_HOST", "").lower()
        self.host = name.partition("]")[0] + "]" if name.startswith("[") else name.partition(":")[0]
        with suppress(ValueError):
            self.host = domainprep(self.host)

    def header(self, name: str) -> str:
        """Empty if there is none."""
        value: str = self.environ.get("HTTP_" + name.upper().replace("-", "_"), "")
        return value

    @property
    def query(self) -> str:
        text: str = self.environ.get("QUERY_STRING", "")
        return text

    @property
    def type(self) -> str:
        """The header Content-Type."""
        text: str = self.environ.get("CONTENT_TYPE", "")
        return text

    @property
    def length(self) -> int | None:
        """Bytes of the body; None: the client sends it in chunks."""
        if "HTTP_TRANSFER_ENCODING" in self.environ:
            return None
        return int(self.environ.get("CONTENT_LENGTH") or 0)

    def read(self, size: int) -> bytes:
        """At most so many bytes more of the body; empty at its end. Blocks. Raises OSError: the client is gone, or too slow."""
        data: bytes = self.environ["wsgi.input"].read(size)
        return data

    def body(self, most: int) -> bytes:
        """The whole body. Blocks. Raises Refusal (413) if there is more than ``most`` bytes, OSError like `read`."""
        if (self.length or 0) > most:
            raise Refusal(413)
        data = self.read(most + 1)
        if len(data) > most:
            raise Refusal(413)
        return data


class Page(NamedTuple):
    """What `@http` says of a method. The page answers for ``path``, and for what is below it if ``below``. ``cors``: scripts of
    other sites may use it, without cookies."""

    path: str
    methods: tuple[str, ...] = ("GET",)
    below: bool = False
    cors: bool = False

    def check(self) -> None:
        """Raises ValueError."""
        if not self.path.startswith("/") or (self.path.endswith("/") and self.path != "/"):
            raise ValueError(f"@http({self.path!r}): a path begins with a slash and does not end with one")
        if wrong := [each for each in self.methods if each not in METHODS]:
            raise ValueError(f"@http({self.path!r}): no method {wrong[0]!r}; there are {', '.join(METHODS)}")
        if self.below and self.path.count("/") > DEEPEST:
            raise ValueError(f"@http({self.path!r}, below=True): at most {DEEPEST} segments")

    def allows(self, method: str) -> bool:
        return method in self.methods or (method == "HEAD" and "GET" in self.methods)

    @property
    def allowed(self) -> str:
        """The header Allow."""
        return ", ".join(
            dict.fromkeys([*self.methods, *(["HEAD"] if "GET" in self.methods else []), "OPTIONS"])
        )


def upwards(path: str) -> Iterator[str]:
    """The path and the paths above it, the longest first; of a deeper one only those of `DEEPEST` segments and fewer."""
    parts = path.split("/", DEEPEST + 1)[: DEEPEST + 1]
    for end in range(len(parts), 0, -1):
        yield "/".join(parts[:end])


Handler = Callable[[Request], Answer]
