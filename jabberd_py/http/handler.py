"""One request after the other on a connection: pywsgi's handler, which takes nothing that two servers could understand in two
ways (RFC 9112 section 11.2), bounds the head, believes proxies only, and logs."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any

from gevent.pywsgi import Input, WSGIHandler, _InvalidClientInput

from .. import log
from ..net.turns import queue
from ..pages import Answer, Refusal
from .connection import STEP, Connection
from .proxies import Proxies
from .repeats import Repeats

logger = log.get(__name__)

LINE = 8192
MOST = 100
"""Header fields of a request."""
LEFT = 64 * 1024
"""Bytes of a body that nobody wants which are read, so that the connection can go on."""
QUIET = "jabberd.quiet"
"""In the environ: the page is asked so often that the log shows the request at level debug only."""
_TARGET = re.compile(r"/[!-~]*|\*").fullmatch
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~\x80-\xff]*").fullmatch
_DIGITS = re.compile(r"[0-9]{1,15}").fullmatch


_secret = re.compile(r"(/(?:invite|password|setup|upload)/)[^/]+(/.*)?").sub


def _shown(path: str) -> str:
    """A path for the log: without the query, and without the token of a link, or the key and the name of a file."""
    return _secret(r"\1***", path.partition("?")[0][:200])


class Framing:
    """Reads what stands between chunks, byte by byte. A line feed alone ends no line here. For some proxies it does (RFC 9112
    section 2.2): the two would not agree where the next request begins."""

    def __init__(self, rfile: Any) -> None:
        self.rfile, self.last = rfile, b""

    def read(self, length: int) -> bytes:
        char: bytes = self.rfile.read(length)
        if char < b" " and char not in (b"\t", b"\r", b"") and self.last + char != b"\r\n":
            raise _InvalidClientInput(f"{char!r} between chunks")
        self.last = char
        return char


class Body(Input):
    """The body of a request. ``whole``: was all of it read, so that the next request can follow?"""

    whole = True

    def read(self, length: int | None = None) -> bytes:
        data: bytes = super().read(length)
        if self.position >= (self.content_length or 0) if not self.chunked_input else not data:
            self.rfile.relax()
        return data

    def _Input__read_chunk_length(self, rfile: Any) -> int:
        length: int = super()._Input__read_chunk_length(Framing(rfile))
        return length

    def _discard(self) -> None:
        """Reads the rest of the body, if it is small: then the connection can serve another request."""
        self.whole = False
        if self.socket is not None or (self.content_length or 0) - self.position > LEFT:
            return  # the client still waits for our 100, and may send the body or not
        if self.chunked_input:
            left = 0
            while data := self.read(16384):
                left += len(data)
                if left > LEFT:
                    return
        else:
            super()._discard()
        self.whole = True


class Site:
    """What all connections share: what `WSGIHandler` asks a server for."""

    secure_environ_class = dict

    def __init__(self, application: Callable[..., Any]) -> None:
        self.application = application
        self.environ = {
            "SERVER_SOFTWARE": "jabberd_py", "SCRIPT_NAME": "", "wsgi.version": (1, 0), "wsgi.multithread": False,
            "wsgi.multiprocess": False, "wsgi.run_once": False, "wsgi.errors": _Errors(),
        }  # fmt: skip
        self.max_header = 16 * 1024
        self.idle_timeout = 75.0
        self.proxies = Proxies([])
        self.prefix = ""
        """The path below which a proxy has all pages. It takes it away, or passes it on."""

    def get_environ(self) -> dict[str, Any]:
        return dict(self.environ)


class _Errors:
    """Where an application writes what went wrong."""

    @staticmethod
    def write(text: str) -> None:
        logger.warning("a page failed", said=text.strip())

    @staticmethod
    def flush() -> None:
        """Nothing waits."""


class Handler(WSGIHandler):
    """Serves a connection.

    upgrade   goes on with it as something else (a WebSocket), once `handle` has returned
    lines     of the head of the last request, with their ends
    repeated  what answers requests with a known head; None: no page has said so
    """

    def __init__(self, connection: Connection, address: str, site: Site) -> None:
        super().__init__(connection, (address, 0), site, connection)
        self.connection = connection
        self.upgrade: Callable[[], bool | None] | None = None
        self.repeated: Repeats | None = None
        self.lines: list[bytes] = []
        self.status: Any = None
        self._orig_status: str | None = None
        self.socket: Any = connection
        self.command = self.path = ""
        self.asker = address
        self.quiet = False

    # -- reading ---------------------------------------------------------------------------

    def read_requestline(self) -> str:
        """The request line. Waits for its first byte longer than for the rest of the head. When many requests come at the same
        time, those of one address perhaps, others have their turns in between."""
        connection = self.connection
        self.command = self.path = ""
        if not connection.came:
            connection.until(self.server.idle_timeout)
            connection._more()
        queue()
        connection.purse.stanzas -= 1
        connection.expect(connection.patience)
        line: bytes = connection.readline(LINE)
        if line in (b"\r\n", b"\n"):  # RFC 9112 section 2.2
            line = connection.readline(LINE)
        self.lines = [line]
        if line and not line.endswith(b"\n") and len(line) < LINE:
            return ""  # the end, in the middle
        return line.decode("latin-1")

    def read_request(self, raw_requestline: str) -> bool:
        self.requestline = raw_requestline.rstrip("\r\n")
        words = self.requestline.split(" ")
        if len(words) != 3 or not words[0].isalpha() or not _TARGET(words[1]):
            raise Refusal(400)
        self.command, self.path, self.request_version = words
        if self.request_version not in ("HTTP/1.1", "HTTP/1.0"):
            raise Refusal(505 if self.request_version.startswith("HTTP/") else 400)
        self.headers = self.MessageClass(io.BytesIO(self._head()), 0)
        self._measure()
        said = [each.strip().lower() for each in self.headers.get("connection", "").split(",")]
        self.close_connection = "close" in said or (
            self.request_version == "HTTP/1.0" and "keep-alive" not in said
        )
        self.connection.expect(self.connection.patience)
        return True

    def _head(self) -> bytes:
        head: list[bytes] = []
        left = self.server.max_header
        while (line := self.rfile.readline(LINE)) not in (b"\r\n", b"\n"):
            left -= len(line)
            if not line or not line.endswith(b"\n"):
                raise Refusal(431 if len(line) >= LINE else 408 if self.connection.late else 400)
            if left < 0 or len(head) >= MOST:
                raise Refusal(431)
            self.lines.append(line)
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if not _FIELD(line):
                raise Refusal(400)
            head.append(line)
        self.lines.append(line)
        return b"\r\n".join([*head, b"", b""])

    def _measure(self) -> None:
        """How long is the body? In one way only."""
        lengths, codings = (
            self.headers.get_all(name, []) for name in ("content-length", "transfer-encoding")
        )
        hosts = len(self.headers.get_all("host", []))
        if hosts > 1 or (not hosts and self.request_version == "HTTP/1.1"):
            raise Refusal(400)
        if codings:
            if lengths or self.request_version == "HTTP/1.0":
                raise Refusal(400)
            if [each.strip().lower() for each in codings] != ["chunked"]:
                raise Refusal(501)
        if len(lengths) > 1 or (lengths and not _DIGITS(lengths[0].strip())):
            raise Refusal(400)
        self.content_length = int(lengths[0]) if lengths else None

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        chunked = "HTTP_TRANSFER_ENCODING" in environ
        asked = environ.get("HTTP_EXPECT", "").lower() == "100-continue"
        self.wsgi_input = Body(self.rfile, self.content_length, self.socket if asked else None, chunked)
        if not chunked and not self.content_length:
            self.connection.relax()
        elif (self.content_length or 0) > STEP:
            self.connection.carry_much()
        environ["wsgi.input"], environ["wsgi.input_terminated"] = self.wsgi_input, True
        self.asker, secure = self.server.proxies.client(
            self.client_address[0], environ, self.connection.secure
        )
        environ["REMOTE_ADDR"] = self.asker
        prefix, path = self.server.prefix, environ["PATH_INFO"]
        if prefix and f"{path}/".startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path.removeprefix(prefix) or "/"
        environ["wsgi.url_scheme"] = "https" if secure else "http"
        environ["jabberd.handler"] = self
        return environ

    # -- requests with a known head --------------------------------------------------------------

    def repeats(self, answer: Callable[[bytes], Answer], most: int) -> None:
        """A page says: requests that are like this one, but for the body and its length, are answered by ``answer`` (see
        `Repeats`)."""
        plain = not self.close_connection and self.request_version == "HTTP/1.1"
        if plain and not self.wsgi_input.chunked_input and self.wsgi_input.socket is None:
            self.repeated = Repeats.of(self.lines, answer, most)

    def handle_one_request(self) -> Any:
        connection, repeated = self.connection, self.repeated
        if repeated is None:
            return super().handle_one_request()
        if not connection.came:
            connection.until(self.server.idle_timeout)
            if not connection._more():
                return None
        found = repeated.find(connection.came)
        if found is None:
            return super().handle_one_request()
        queue()
        connection.purse.stanzas -= 1
        start, size = found
        if len(connection.came) < start + size:
            connection.expect(connection.patience)
            while len(connection.came) < start + size:
                if not connection._more():
                    return self._handle_client_error(Refusal(408)) if connection.late else None
        body = connection.take_out(start, size)
        connection.relax()
        return self._answer_repeated(repeated, body)

    def _answer_repeated(self, repeated: Repeats, body: bytes) -> Any:
        try:
            answer = repeated.answer(body)
            data = repeated.written(answer)
            self.connection.sendall(data)
        except OSError:
            return None
        except Refusal as refusal:
            return self._handle_client_error(refusal)
        except Exception:
            logger.exception("a page failed", address=self.asker, path=_shown(self.path))
            return self._handle_client_error(Refusal(500))
        if logger.debugging:
            self.response_length, self._orig_status = len(data), answer.line
            self.log_request()
        return True

    # -- answering -----------------------------------------------------------------------------

    def _handle_client_error(self, ex: BaseException) -> tuple[str, bytes]:
        """Returns the status and the bytes of the whole answer to a broken request."""
        if not isinstance(ex, Refusal):
            ex = Refusal(408 if self.connection.late else 400)
        answer = ex.answer
        self.asker = self.client_address[0]
        body: bytes = answer.body  # type: ignore[assignment]
        head = f"HTTP/1.1 {answer.line}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        return answer.line, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def handle_one_response(self) -> None:
        super().handle_one_response()
        if not self.wsgi_input.whole:
            self.close_connection = True
        if self.upgrade is not None:
            self.socket = None
            self.close_connection = True

    def handle_error(self, t: type, v: BaseException, tb: Any) -> None:
        if isinstance(v, OSError) and (self.connection.closing or self.connection.fault is not None):
            self.close_connection = True  # it is the client who has gone, or was too slow
            if self.connection.late and not self.headers_sent:
                self.status, body = self._handle_client_error(Refusal(408))
                self._sendall(body)
        else:
            super().handle_error(t, v, tb)

    def finalize_headers(self) -> None:
        super().finalize_headers()
        if (
            self.close_connection
            and self.code != 101
            and not any(name.lower() == b"connection" for name, _ in self.response_headers)
        ):
            self.response_headers.append((b"Connection", b"close"))
        if self.command == "HEAD":
            self.response_use_chunked = False

    def _write(self, data: bytes) -> None:
        if self.command != "HEAD":
            super()._write(data)

    def log_request(self) -> None:
        status = str(self._orig_status or self.status or "").split(" ")[0]
        quiet = self.environ.get(QUIET) if getattr(self, "environ", None) else False
        (logger.debug if quiet else logger.info)(
            "request", address=self.asker, method=self.command, path=_shown(self.path), status=status,
            bytes=self.response_length, ms=round(1000 * (time.time() - self.time_start), 1),
        )  # fmt: skip

    def log_error(self, msg: str, *args: object) -> None:
        logger.debug("a request failed", address=self.asker, said=msg % args if args else msg)

    def _log_error(self, t: type, v: BaseException, tb: Any) -> None:
        logger.exception("a page failed", address=self.asker, path=_shown(self.path))
