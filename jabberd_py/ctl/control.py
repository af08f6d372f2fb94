"""The control socket: JSON lines, for the server's own user (and root) only.

-> {"command": "accounts add", "args": {"jid": "romeo@example.org", "password": "secret"}}
<- {"progress": [3, 10, "..."]}         any number of them, from long commands
<- {"line": "..."}                      endlessly, from ``watch``
<- {"result": ...}                      at last; then the next request may come
<- {"error": "...", "kind": "failed"}   instead, `commands.CommandError.kind`; "argument": which one is wrong
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer

from .. import log
from ..commands import Caller, CommandError, NotAllowed, WrongArgument, typed
from ..heartbeat import heartbeat
from ..hooks import Progress
from ..net.turns import fairly
from ..xdb import xdb
from .backups import Backups
from .checks import Checks
from .commands import Commands
from .configuration import Configuration
from .history import EVERY, History
from .portable import Portable
from .setup import Setup
from .status import Status
from .storage import Storage
from .tracing import Tracing

if TYPE_CHECKING:
    from ..server import Server

logger = log.get(__name__)

OWNERS = (Commands, Configuration, Setup, Checks, Status, Portable, Tracing, Storage, Backups)
"""What the server as a whole can do."""
LONGEST = 1 << 20
"""Bytes of one request."""
CONNECTIONS = 32
PIECE = 64 * 1024
"""Bytes of a long answer that are sent at a time."""
PATIENCE = 30.0
"""Seconds that a client may leave unread what it was sent."""


class Control:
    """Serves the commands of the server and of all its instances on a Unix socket at ``path``."""

    def __init__(self, server: Server, path: str) -> None:
        self.path = Path(path)
        self.registry = server.router.commands
        for owner in OWNERS:
            self.registry.add(owner(server))
        history = History(server)
        self.registry.add(history)
        server.jobs.append(heartbeat.every(EVERY, history.sample))
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
            pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid not in (0, os.geteuid()):
                logger.warning("somebody else tried the control socket", uid=uid, process=pid)
                _send(
                    sock,
                    failure(
                        NotAllowed(f"only {' and '.join(sorted({user(os.geteuid()), 'root'}))} may do that")
                    ),
                )
                return
            caller = Caller(user(uid), "jabberctl", f"process {pid}", operator=True)
            with sock.makefile("rb") as lines:
                while line := lines.readline(LONGEST + 1):
                    if len(line) > LONGEST:
                        _send(sock, failure(WrongArgument(f"a request of more than {LONGEST} bytes")))
                        return
                    for answer in self._answers(caller, line, sock):
                        _send(sock, answer)
        except (OSError, gevent.Timeout):
            pass  # the client is gone, or does not read

    def _answers(self, caller: Caller, line: bytes, sock: socket.socket) -> Iterator[dict[str, Any]]:
        try:
            with xdb.unit():
                result = None
                for item in self._run(caller, line):
                    if isinstance(item, Progress):
                        yield {"progress": list(item)}
                    elif isinstance(item, log.Tail):
                        yield from _follow(item, sock)
                    else:
                        result = item
                yield {"result": result}
        except Exception as error:
            yield failure(typed(error))

    def _run(self, caller: Caller, line: bytes) -> Iterable[Any]:
        try:
            request = json.loads(line)
            name, args = request["command"], request.get("args") or {}
            if not isinstance(name, str) or not isinstance(args, dict):
                raise TypeError
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise WrongArgument('a request looks like {"command": "...", "args": {...}}') from None
        if name == "commands":
            return [self.registry.describe(caller)]
        return self.registry.run(caller, name, args)


def failure(error: CommandError) -> dict[str, Any]:
    """The last answer to a request that did not work."""
    answer = {"error": str(error), "kind": error.kind}
    return answer | ({"argument": error.argument} if error.argument is not None else {})


def user(uid: int) -> str:
    """The name of a user of this machine."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _send(sock: socket.socket, answer: dict[str, Any]) -> None:
    with gevent.Timeout(PATIENCE):
        for piece in _pieces(answer):
            sock.sendall(piece)


def _pieces(answer: dict[str, Any]) -> Iterator[bytes]:
    """The answer as a line of JSON. A long list is written row by row, in turns with others."""
    rows = answer.get("result")
    if not isinstance(rows, list):
        yield json.dumps(answer, default=str).encode() + b"\n"
        return
    written = b'{"result": ['
    for number, row in enumerate(fairly(rows)):
        written += (b", " if number else b"") + json.dumps(row, default=str).encode()
        if len(written) > PIECE:
            yield written
            written = b""
    yield written + b"]}\n"


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
