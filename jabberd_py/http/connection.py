"""One connection of the web server: a `Stream` that carries HTTP. pywsgi sees it as a socket and as a file.

One rule ends what is too slow: the head of a request, and each `STEP` bytes of what comes or goes then, must pass within
`patience` seconds."""

from __future__ import annotations

import socket

from gevent.event import Event

from ..heartbeat import heartbeat
from ..net.channel import Channel, Secure
from ..net.karma import Rates
from ..net.stream import Closed, Stream
from ..xmpp.errors import StreamError
from ..xmpp.parser import Limits

STEP = 64 * 1024
CAP = 512 * 1024
"""Bytes that may wait for a client; whoever sends more waits meanwhile."""
NOTHING = Limits()


class Connection(Stream):
    """Both a socket and its file for reading: `sendall`, `close`, `read`, `readline`. What ends the connection is an end of
    file to who reads, and an OSError to who writes.

    came      bytes that were received and not read yet
    step      bytes that may still come before `patience` is renewed
    head      bytes that the head of the request may still have; None: it is no head that is read
    """

    __slots__ = ("came", "step", "head", "patience", "closed", "late")

    def __init__(self, sock: socket.socket, patience: float, rates: Rates) -> None:
        super().__init__(sock, NOTHING, CAP, patience, rates)
        self.came = bytearray()
        self.step = STEP
        self.head: int | None = None
        self.patience = patience
        self.closed = False
        self.late = False
        """Was it ended because the client was too slow?"""

    def take(self, data: bytes) -> None:
        self.came += data
        self.step -= len(data)
        if self.step <= 0:
            self.expect(self.patience)

    def expect(self, seconds: float) -> None:
        """So long the client has for the next `STEP` bytes."""
        self.step = STEP
        self.until(seconds)

    def relax(self) -> None:
        """Nothing is expected of the client: it is our turn."""
        self.login_deadline = None
        heartbeat.cancel(self)

    def carry_much(self) -> None:
        """A large body is to come or to go."""
        if isinstance(self.channel, Channel):
            self.channel.carry_much()

    # -- a file for reading ------------------------------------------------------------------

    def makefile(self, mode: str, size: int) -> Connection:
        """Itself."""
        return self

    def _more(self) -> bool:
        """Waits for more bytes. False: there will be none."""
        try:
            self.take(self.recv())
        except (Closed, StreamError) as error:
            self.fault = error
            self.late = self.late or isinstance(error, StreamError)
            return False
        return True

    @property
    def first(self) -> bytes:
        """The first byte that waits to be read; empty at the end. Blocks."""
        if not self.came:
            self._more()
        return bytes(self.came[:1])

    def _cut(self, size: int) -> bytes:
        found = bytes(self.came[:size])
        del self.came[:size]
        return found

    def take_out(self, start: int, size: int) -> bytes:
        """The ``size`` bytes behind the first ``start`` bytes; they are there. What stands before is dropped."""
        found = bytes(self.came[start : start + size])
        del self.came[: start + size]
        return found

    def readline(self, limit: int = STEP) -> bytes:
        """Up to a line feed, ``limit`` bytes or the end."""
        looked = 0
        while (at := self.came.find(b"\n", looked, limit)) < 0:
            looked = len(self.came)
            if looked >= limit or not self._more():
                return self._cut(limit)
        return self._cut(at + 1)

    def read(self, size: int = STEP) -> bytes:  # type: ignore[override]
        """``size`` bytes; less at the end."""
        while len(self.came) < size and self._more():
            pass
        return self._cut(size)

    def read_some(self, size: int) -> bytes:
        """What there is, ``size`` bytes at most; waits for the first one."""
        if not self.came:
            self._more()
        return self._cut(size)

    # -- a socket --------------------------------------------------------------------------------

    def sendall(self, data: bytes) -> None:
        """Queues the bytes. Blocks while much waits for the client. Raises OSError."""
        if len(data) > STEP:
            self.carry_much()
        for at in range(0, len(data), STEP):
            if self.closing:
                raise BrokenPipeError("the connection is closed")
            self.send(bytes(data[at : at + STEP]))
            while not self.closing and self.size + len(self.rest) > self.cap // 2:
                self.flush()
                if self.rest:
                    self._wait()

    def _wait(self) -> None:
        taken = self.taken
        self.until(2 * self.patience)  # ours comes first
        self.drained = self.drained or Event()
        self.drained.wait(self.patience)
        self.relax()
        if self.taken == taken:
            self.cut_off("the client does not read")

    def hand_over(self) -> tuple[socket.socket, Secure | None, bytes]:
        """The connection goes on as something else: its socket, its TLS, and what was received already. This is of no more use
        then. Raises Closed."""
        self.flush()
        if self.watcher is None or self.closing or self.rest:
            raise Closed("the client does not read")
        sock, channel, came = self.sock, self.channel, bytes(self.came)
        self.sock = _Gone()  # type: ignore[assignment]
        self.abort()
        return sock, channel, came


class _Gone:
    """In the place of a socket that somebody else has now."""

    def close(self) -> None:
        """Is not ours."""
