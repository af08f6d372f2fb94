"""Requests whose head is the same as one before on their connection, but for the length of the body. A client of BOSH sends
little else, and to read its heads again and again would cost more than all else about its messages."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from wsgiref.handlers import format_date_time

from ..pages import Answer

_length = re.compile(rb"(content-length:[ \t]*)[0-9]+\r\n", re.IGNORECASE).fullmatch
_now = 0
_date = b""


class Repeats:
    """``before`` and ``after``: the parts of the head around the value of Content-Length. ``answer``: is given the body of a
    request, of ``most`` bytes at most, and returns the answer; it may block and raise Refusal."""

    __slots__ = ("before", "after", "answer", "most", "said", "head")

    def __init__(self, before: bytes, after: bytes, answer: Callable[[bytes], Answer], most: int) -> None:
        self.before, self.after, self.answer, self.most = before, after, answer, most
        self.said: Mapping[str, str] | None = None
        self.head = b""

    @classmethod
    def of(cls, lines: Sequence[bytes], answer: Callable[[bytes], Answer], most: int) -> Repeats | None:
        """``lines``: of a head that was found to be right, with their ends. None: it has a shape that is not looked for."""
        found = [(at, match) for at, line in enumerate(lines) if (match := _length(line))]
        if len(found) != 1 or not all(line.endswith(b"\r\n") for line in lines):
            return None
        at, match = found[0]
        before, after = b"".join(lines[:at]) + match[1], b"".join([b"\r\n", *lines[at + 1 :]])
        return cls(before, after, answer, most)

    def find(self, came: bytearray) -> tuple[int, int] | None:
        """``came`` begins with a request. Returns where its body begins and how long it is. None: the head is another one, or
        not all of it is there, or the body is too long."""
        if not came.startswith(self.before):
            return None
        at = len(self.before)
        end = came.find(b"\r", at, at + 10)
        digits = came[at:end]
        if end < 0 or not digits.isdigit() or not came.startswith(self.after, end):
            return None
        size = int(digits)
        return (end + len(self.after), size) if size <= self.most else None

    def written(self, answer: Answer) -> bytes:
        """The whole answer, whose body is bytes."""
        if answer.headers is not self.said:
            lines = [
                f"HTTP/1.1 {answer.line}",
                *(f"{name}: {value}" for name, value in answer.headers.items()),
            ]
            self.said, self.head = answer.headers, "\r\n".join(lines).encode("latin-1")
        body = answer.body
        assert isinstance(body, bytes)
        return b"%b\r\nDate: %b\r\nContent-Length: %d\r\n\r\n%b" % (self.head, _today(), len(body), body)


def _today() -> bytes:
    """The header Date, made once a second."""
    global _now, _date
    now = int(time.time())
    if now != _now:
        _now, _date = now, format_date_time(now).encode()
    return _date
