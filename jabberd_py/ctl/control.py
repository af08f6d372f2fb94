"""The control socket: JSON lines, for the server's own user (and root) only.

-> {"command": "accounts add", "args": {"jid": "romeo@example.org", "password": "secret"}}
<- {"progress": [3, 10, "..."]}         any number of them, from long commands
<- {"line": "..."}                      endlessly, from ``watch``
<- {"result": ...} or {"error": "..."}  at last; then the next request may come
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from .. import log
from ..hooks import Progress
from ..xdb import StoreError, xdb
from ..xmpp.errors import StanzaError
from .commands import Commands
from .registry import CommandError, Registry

if TYPE_CHECKING:
    from ..server import Server

logger = log.get(__name__)

LONGEST = 1 << 20
"""Bytes of one request."""
CONNECTIONS = 32
PATIENCE = 30.0
"""Seconds that a client may leave unread what it was sent."""


class Control:
    """Serves the commands of the server and of all its instances on a Unix socket at ``path``."""

    def __init__(self, server: Server, path: str) -> None:
        self.path = Path(path)
        self.registry = Registry(server.router, Commands(server))
        self.listener: StreamServer | None = None

    def start(self) -> None:
        """Raises ValueError, one line, where the socket cannot be had."""
        try:
            self.listener = StreamServer(self._bind(), self._serve, spawn=Pool(CONNECTIONS))
        except OSError as error:
            raise ValueError(f"control socket {self.path}: {error.strerror or error}") from None
        self.listener.start()

    def stop(self) -> None:
        """Connections are cut, the file goes. Safe to call twice."""
        listener, self.listener = self.listener, None
        if listener is not None:
            self.path.unlink(missing_ok=True)
            listener.stop(timeout=0)

    def _bind(self) -> socket.socket:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_stale()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o177)  # 0600 from the first moment; nothing switches greenlets in between
        try:
            sock.bind(str(self.path))
        except OSError:
            sock.close()
            raise
        finally:
            os.umask(before)
        sock.listen(CONNECTIONS)
        return sock

    def _remove_stale(self) -> None:
        """What a killed server left behind goes; a socket where somebody listens stays."""
        try:
            if not stat.S_ISSOCK(self.path.lstat().st_mode):
                raise ValueError(f"control socket {self.path}: something else is there")
        except FileNotFoundError:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(5)
            try:
                probe.connect(str(self.path))
            except OSError as error:
                if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
                    self.path.unlink(missing_ok=True)
                    return
            raise ValueError(f"control socket {self.path}: another server listens there")

    # -- one connection ----------------------------------------------------------------------

    def _serve(self, sock: socket.socket, address: object) -> None:
        try:
            _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid not in (0, os.geteuid()):
                logger.warning("somebody else tried the control socket", uid=uid)
                _send(sock, {"error": "only the server's own user may do that"})
                return
            with sock.makefile("rb") as lines:
                while line := lines.readline(LONGEST + 1):
                    if len(line) > LONGEST:
                        _send(sock, {"error": f"a request of more than {LONGEST} bytes"})
                        return
                    for answer in self._answers(line, sock):
                        _send(sock, answer)
        except (OSError, gevent.Timeout):
            pass  # the client is gone, or does not read

    def _answers(self, line: bytes, sock: socket.socket) -> Iterator[dict[str, Any]]:
        try:
            with xdb.unit():
                result = self._run(line)
                if isinstance(result, log.Tail):
                    yield from _follow(result, sock)
                    result = None
                elif isinstance(result, Iterator):
                    items, result = result, None
                    for item in items:
                        if isinstance(item, Progress):
                            yield {"progress": list(item)}
                        else:
                            result = item
                yield {"result": result}
        except (CommandError, StanzaError, StoreError, ValueError, OSError) as error:
            yield {"error": one_line(error)}
        except Exception as error:
            logger.exception("a command failed")
            yield {"error": f"the command failed, see the log: {one_line(error) or type(error).__name__}"}

    def _run(self, line: bytes) -> Any:
        try:
            request = json.loads(line)
            name, args = request["command"], request.get("args") or {}
            if not isinstance(name, str) or not isinstance(args, dict):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise CommandError('a request looks like {"command": "...", "args": {...}}') from None
        if name == "commands":
            return self.registry.describe()
        return self.registry.run(name, args)


def _send(sock: socket.socket, answer: dict[str, Any]) -> None:
    with gevent.Timeout(PATIENCE):
        sock.sendall(json.dumps(answer, default=str).encode() + b"\n")


def _follow(tail: log.Tail, sock: socket.socket) -> Iterator[dict[str, Any]]:
    """The live log, until the client hangs up or says anything."""

    def wait() -> None:
        try:
            sock.recv(1, socket.MSG_PEEK)
        finally:
            tail.close()

    with tail:
        waiter = gevent.spawn(wait)
        try:
            for line in tail:
                yield {"line": line}
        finally:
            waiter.kill()


def one_line(error: BaseException) -> str:
    """What went wrong, for a person."""
    if isinstance(error, StanzaError):
        return error.text or error.condition
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return log.clean(" ".join(str(error).split()))
