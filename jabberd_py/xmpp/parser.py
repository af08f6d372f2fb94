"""A stream's input: bytes go in, elements come out.

Parsers are *borrowed*: a worker (worker.py) stands inside a stream root, a stream holds it only while it is in the middle of a
stanza, and gives it back to a pool of workers that stand inside the same root. An idle session costs no parser."""

from __future__ import annotations

from . import ns
from .element import RECYCLE, ROOT, Element
from .errors import StreamError
from .root import Root
from .worker import Careful, Close, Header, Limits, Skipped, Worker

__all__ = ["Close", "Header", "Limits", "Parser", "Skipped", "reread"]

_POOLED = 32


class Parser:
    """One stream's input: feed it bytes, it gives a `Header`, then stanzas, then a `Close`. ``content``: the content namespace
    that is spoken there."""

    __slots__ = ("limits", "content", "root", "worker")

    def __init__(self, limits: Limits, content: str = ns.CLIENT) -> None:
        self.limits = limits
        self.content = content
        self.root: Root | None = None
        self.worker: Worker | None = None

    def feed(self, data: bytes) -> tuple[list[Element], StreamError | None]:
        """The elements that ``data`` completed, and the fault that ended the stream behind them."""
        worker = self.worker
        if worker is None:
            data = data.lstrip()  # white space keep-alives never reach a parser
            if not data:
                return [], None
            worker = self._borrow()
        fault = None
        try:
            try:
                worker.feed(data)
            except Careful:
                worker, pending = self._replaced(worker, True)
                worker.feed(pending)
        except StreamError as error:
            fault = error
        out, worker.out = worker.out, []
        root = self.root = worker.root
        self.worker = worker
        if fault is not None:
            worker.drop()
            self.worker = None
        elif root is not None:
            if worker.base > RECYCLE and worker.depth and not worker.excess:
                worker = self.worker = self._renewed(worker)
            if root.standard and worker.depth == 1 and not worker.buffer:  # between two stanzas
                self.worker = None
                if len(root.pool) < _POOLED and not worker.careful:
                    root.pool.append(worker)
                else:
                    worker.drop()
        return out, fault

    def _borrow(self) -> Worker:
        root = self.root
        if root is None or not root.pool:
            return Worker(self.limits, self.content, root)
        worker: Worker = root.pool.pop()
        worker.limits = self.limits
        return worker

    def _renewed(self, worker: Worker) -> Worker:
        """Whatever the peer does: expat keeps all names it has met, and must not grow for ever."""
        fresh, pending = self._replaced(worker, worker.careful)
        if pending:
            fresh.feed(pending)
        return fresh

    def _replaced(self, worker: Worker, careful: bool) -> tuple[Worker, bytes]:
        """Another worker, and what it is still to be fed."""
        fresh = Worker(self.limits, self.content, worker.root, careful)
        fresh.out, worker.out = worker.out, []
        pending = bytes(worker.buffer[worker.done - worker.base :])
        worker.drop()
        return fresh, pending

    @property
    def pending(self) -> int:
        """Bytes of an unfinished stanza."""
        return 0 if self.worker is None else len(self.worker.buffer)

    def reset(self) -> None:
        """The stream restarts (after TLS or SASL): a new header is awaited."""
        if self.worker is not None:
            self.worker.drop()
        self.root = self.worker = None


_OURS = Limits(bytes=1 << 30, depth=10_000, attributes=10_000, elements=1 << 30)
"""What we have stored was within the limits when it came."""
_reader: Parser | None = None


def reread(xml: bytes) -> Element:
    """A stanza of our own (from the store), as it would come from a stream: its tree is not built unless somebody asks.
    Raises ValueError where it is not one whole element."""
    global _reader
    reader, _reader = _reader, None  # taken while in use: a text that is broken spoils only itself
    if reader is None:
        reader = Parser(_OURS)
        reader.feed(ROOT)
    elements, fault = reader.feed(xml)
    if fault is not None:
        raise ValueError(fault.text or fault.condition)
    if len(elements) != 1 or reader.worker is not None or isinstance(elements[0], Close):
        reader.reset()
        raise ValueError("one element was expected")
    _reader = reader
    return elements[0]
