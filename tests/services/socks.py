"""A client of a SOCKS5 proxy, as a user of XEP-0065 needs one."""

import hashlib
import socket
from typing import Self

from tests.server import ServerProcess


def digest(sid: str, requester: str, target: str) -> str:
    return hashlib.sha1(f"{sid}{requester}{target}".encode()).hexdigest()


class Socks:
    """One connection to the port of the server's proxies."""

    def __init__(self, server: ServerProcess) -> None:
        self.socket = socket.create_connection(server.address("bytestreams"), 10)

    def take(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            data = self.socket.recv(size - len(found))
            if not data:
                raise EOFError(found)
            found += data
        return found

    def greet(self) -> Self:
        self.socket.sendall(b"\x05\x01\x00")
        assert self.take(2) == b"\x05\x00"
        return self

    def ask(self, name: str, command: int = 1) -> int:
        """Says the name; the status of the answer, which repeats the name and the port (XEP-0065)."""
        named = b"\x03%c%b\x00\x00" % (len(name), name.encode())
        self.socket.sendall(b"\x05%c\x00%b" % (command, named))
        head = self.take(3)
        assert head[::2] == b"\x05\x00" and self.take(len(named)) == named
        return head[1]

    def connect(self, name: str) -> Self:
        assert self.greet().ask(name) == 0
        return self

    def ended(self) -> bool:
        """The proxy closes the connection, and says no more."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.socket.close()
