"""The cable between a client and the server, which a test can cut."""

import contextlib
import socket

import gevent
from gevent.server import StreamServer


class Wire:
    """Listens on `port` and passes every connection on to `server`; the port stays, so that clients come back.

    `dead = True`: both ends believe in the connections, but nothing arrives any more; later ones are dead too.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self.server, self.dead = server, False
        self.ends: list[socket.socket] = []
        self.listener = StreamServer(("127.0.0.1", 0), self._carry)
        self.listener.start()

    @property
    def port(self) -> int:
        return self.listener.server_port

    def _carry(self, client: socket.socket, _: object) -> None:
        ends = client, socket.create_connection(self.server)
        self.ends += ends
        gevent.joinall([gevent.spawn(self._pump, *ends), gevent.spawn(self._pump, *reversed(ends))])

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if not self.dead:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def cut(self) -> None:
        """Both ends see their connection break; the next one works."""
        ends, self.ends, self.dead = self.ends, [], False
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.cut()
        self.listener.stop()
