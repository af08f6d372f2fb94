"""A web client for tests: raw bytes on a socket, and answers taken apart."""

import socket
import ssl
from typing import Any, NamedTuple, Self

from tests.server import ServerProcess


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Web:
    """One connection. ``kind``: "http" or "https"; ``name``: what SNI and Host say; ``place``: the listener, if it is another;
    ``first``: what is sent before all else."""

    def __init__(
        self, server: ServerProcess, kind: str = "http", name: str = "localhost", alpn: str | None = "http/1.1",
        place: str | None = None, first: bytes = b"",
    ) -> None:  # fmt: skip
        self.name = name
        self.socket: Any = socket.create_connection(server.address(place or kind), 10)
        self.socket.sendall(first)
        if kind == "https":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if alpn:
                context.set_alpn_protocols([alpn])
            self.socket = context.wrap_socket(self.socket, server_hostname=name)
        self.buffer = b""

    def raw(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.name}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        self.raw("\r\n".join([*lines, "", ""]).encode() + (body or b""))
        return self.answer(bodiless=method == "HEAD")

    def get(self, path: str, **headers: str) -> Answer:
        return self.request("GET", path, **headers)

    def _more(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(self.buffer)
        self.buffer += data

    def head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}

    def answer(self, bodiless: bool = False) -> Answer:
        status, headers = self.head()
        body = b""
        if not bodiless and status not in (101, 204, 304) and status >= 200:
            if headers.get("transfer-encoding") == "chunked":
                while (size := self._chunk()) > 0:
                    body += self.take(size + 2)[:-2]
                self.take(2)
            else:
                body = self.take(int(headers["content-length"]))
        return Answer(status, headers, body)

    def _chunk(self) -> int:
        while b"\r\n" not in self.buffer:
            self._more()
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return int(line, 16)

    def take(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._more()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def ended(self) -> bool:
        """The server closes the connection."""
        try:
            while data := self.socket.recv(65536):
                self.buffer += data
        except ConnectionResetError:
            pass
        return not self.buffer

    def close(self) -> None:
        self.socket.close()
