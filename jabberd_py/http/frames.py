"""The frames of WebSocket (RFC 6455 section 5), as a server reads and writes them; no I/O.

Not wsproto: it takes 24 µs for each frame that comes, twice of what everything else about a message costs. The tests speak
wsproto to this file."""

from __future__ import annotations

import struct

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
NORMAL, GOING_AWAY, PROTOCOL, UNSUPPORTED, NOT_UTF8, POLICY, TOO_BIG = (
    1000,
    1001,
    1002,
    1003,
    1007,
    1008,
    1009,
)
_CODES = (1000, 1001, 1002, 1003, *range(1007, 1015))
"""Codes below 3000 that a close frame may have (section 7.4)."""
FRAGMENTS = 1000
"""Frames that one message may have."""


class Broken(Exception):
    """The peer has broken the rules; ``code`` is for the close frame (section 7.4)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Frames:
    """What a client sends: bytes go in, messages and control frames come out."""

    __slots__ = ("buffer", "kind", "parts", "size")

    def __init__(self) -> None:
        self.buffer = b""
        self.kind = CONTINUATION  # of the message that is under way; this: none is
        self.parts: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes, limit: int, found: list[tuple[int, bytes]]) -> int:
        """Appends (opcode, payload) of each complete message and each control frame to ``found``. ``limit``: bytes that a
        message may have. Returns the number of frames. Raises Broken."""
        buffer = self.buffer + data if self.buffer else data
        at, end, count = 0, len(buffer), 0
        while end - at >= 2:
            first, second = buffer[at], buffer[at + 1]
            size, start = second & 127, at + 2
            if size > 125:
                if first & 8:
                    raise Broken(PROTOCOL, "a control frame of more than 125 bytes")
                wide = 2 if size == 126 else 8
                if end - start < wide:
                    break
                size = int.from_bytes(buffer[start : start + wide], "big")
                start += wide
                if size < (126 if wide == 2 else 65536):
                    raise Broken(PROTOCOL, "a length in more bytes than it needs")
            if first != 129 or second < 128 or self.kind:
                self._check(first, second)
            if self.size + size > limit:
                raise Broken(TOO_BIG, f"a message of more than {limit} bytes")
            start += 4
            if end - start < size:
                break
            at = start + size
            count += 1
            key = buffer[start - 4 : start] * (size // 4 + 1)
            mask = int.from_bytes(key[:size], "little")
            payload = (int.from_bytes(buffer[start:at], "little") ^ mask).to_bytes(size, "little")
            if first == 129:  # nearly every one: a whole text
                found.append((TEXT, payload))
            elif first & 8:
                found.append((first & 15, payload))
            else:
                self._fragment(first, payload, found)
        self.buffer = buffer[at:]
        return count

    def _check(self, first: int, second: int) -> None:
        opcode = first & 15
        if first & 0x70:
            raise Broken(PROTOCOL, "reserved bits are set, and no extension was agreed on")
        if not second & 0x80:
            raise Broken(PROTOCOL, "a frame that is not masked")
        if opcode not in (CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG):
            raise Broken(PROTOCOL, f"opcode {opcode}")
        if opcode & 8:
            if not first & 0x80:
                raise Broken(PROTOCOL, "a control frame in fragments")
        elif (opcode == CONTINUATION) != (self.kind != CONTINUATION):
            raise Broken(PROTOCOL, "fragments in the wrong order")

    def _fragment(self, first: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        self.kind = first & 15 or self.kind
        self.parts.append(payload)
        self.size += len(payload)
        if first & 0x80:
            found.append((self.kind, b"".join(self.parts)))
            self.kind, self.parts, self.size = CONTINUATION, [], 0
        elif len(self.parts) > FRAGMENTS:
            raise Broken(POLICY, "a message in too many fragments")


def head(opcode: int, size: int) -> bytes:
    """What stands before the payload of a whole frame of ours, which is not masked."""
    if 125 < size < 65536 and opcode == TEXT:  # nearly every one
        return b"\x81\x7e" + size.to_bytes(2, "big")
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size)
    return struct.pack("!BBQ", 0x80 | opcode, 127, size)


def closing(code: int, reason: str = "") -> bytes:
    """A close frame."""
    payload = code.to_bytes(2, "big") + reason.encode()[:123]
    return head(CLOSE, len(payload)) + payload


def closed(payload: bytes) -> int:
    """The code in a close frame of the peer; 0: there is none (section 5.5.1). Raises Broken."""
    if not payload:
        return 0
    code = int.from_bytes(payload[:2], "big")
    if len(payload) == 1 or not (code in _CODES or 3000 <= code < 5000):
        raise Broken(PROTOCOL, "no code for a close frame")
    try:
        payload[2:].decode()
    except UnicodeDecodeError:
        raise Broken(NOT_UTF8, "a reason that is not UTF-8") from None
    return code
