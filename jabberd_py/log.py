"""Structured logs: for a person on a terminal, or as JSON lines.

    log = get("c2s")                            # once, at the top of a file
    log = log.bind(session=session.id)          # every line of it then carries the session
    log.info("logged in", jid=str(jid), mechanism="SCRAM-SHA-256")

A call below the level costs a comparison, so pass values and format nothing. Level, format and stream may be
changed at any time, also for loggers bound before. What a peer sent is escaped: it cannot forge a line.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Self, TextIO

import gevent
from gevent.event import Event
from gevent.hub import Hub

from .words import bounded, clean

DEBUG, INFO, WARNING, ERROR = LEVELS = (10, 20, 30, 40)
NAMES = dict(zip(("debug", "info", "warning", "error"), LEVELS, strict=True))
COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[1;31m"}

REMEMBERED = 1000
"""Lines that a running server remembers."""
SHORT, FIELDS = 500, 50
"""Characters of a value, and values of a dict, that are remembered."""
REQUEST = "request"
"""What the web server's lines about each request say."""
Line = dict[str, Any]  # event, level, time (a Unix time), logger, exception, and what was bound or passed


# -- from a line to text ---------------------------------------------------------------------------------


def as_json(line: Line) -> str:
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(line["time"]))
    fields = {"time": f"{stamp}.{line['time'] % 1 * 1000:03.0f}Z"} | {
        k: v for k, v in line.items() if k != "time"
    }
    for name, value in fields.items():
        if not isinstance(value, bool | int | float | None):
            fields[name] = value if name == "exception" else bounded(value)
    return json.dumps(fields)  # its escapes leave nothing but printable ASCII


def as_text(line: Line, colour: bool = False) -> str:
    level, stamp = line["level"], time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line["time"]))
    on, dim, off = (COLOURS[level], "\x1b[2m", "\x1b[0m") if colour else ("", "", "")
    head = f"{dim}{stamp}{off} {on}{level:<7}{off} {line.get('logger', '')!s:<8} {clean(line['event'])}"
    rest = (k for k in line if k not in ("time", "level", "logger", "event", "exception"))
    pairs = "".join(f"  {dim}{clean(name)}={off}{quoted(line[name])}" for name in rest)
    trace = "".join("\n    | " + clean(each) for each in line.get("exception", "").splitlines())
    return head + pairs + trace


def quoted(value: Any) -> str:
    """Values with spaces or quotes stand in quotes, so that none can look like the next name=value."""
    text = clean(value)
    return text if text and not set(text) & set(" \"'=") else '"' + text.replace('"', '\\"') + '"'


RENDERERS: dict[str, Callable[[Line], str]] = {"text": as_text, "json": as_json}


# -- where lines go --------------------------------------------------------------------------------------


class _Output:
    """The stream of the process. None is today's ``sys.stderr``."""

    def __init__(self, level: int, format: str, stream: TextIO | None) -> None:
        self.level, self.format, self.stream = level, format, stream

    def write(self, line: Line) -> None:
        stream = self.stream or sys.stderr
        try:
            if self.format == "text":
                text = as_text(line, colour=stream.isatty())
            else:
                text = as_json(line)
            stream.write(text + "\n")
            stream.flush()
        except (OSError, ValueError):
            pass  # a closed terminal or a full disk must not stop the server


class Tail:
    """The live log from now on: a context and an iterator of lines, for one greenlet.

    Holds ``limit`` lines at most; a reader slower than that finds a line that says how many it missed.
    """

    def __init__(self, level: int, format: str, limit: int, requests: bool = True) -> None:
        self.level, self.limit, self.missed, self.requests = level, limit, 0, requests
        self.render, self.lines, self.open = RENDERERS[format], deque[Line](), True
        self.news, self.loop = Event(), gevent.get_hub().loop
        self.beat: float | None = None
        """Seconds after which there is an empty line, if there is no other."""

    def write(self, line: Line) -> None:
        if not self.requests and is_request(line):
            return
        if len(self.lines) >= self.limit:
            self.missed += 1
            return
        self.lines.append(line)
        if not self.news.is_set():  # lines come from worker threads too
            self.loop.run_callback_threadsafe(self.news.set)

    def __enter__(self) -> Self:
        _outputs.append(self)
        _adjust()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the iteration, after the lines that are there."""
        self.open = False
        if self in _outputs:
            _outputs.remove(self)
            _adjust()
        self.news.set()

    def __iter__(self) -> Iterator[str]:
        while True:
            self.news.clear()
            while self.lines:
                yield self.render(self.lines.popleft())
            if self.missed:
                missed, self.missed = self.missed, 0
                yield self.render(_line("warning", "lines missed", {"logger": "log", "count": missed}))
            elif not self.open:
                return
            elif not self.lines and not self.news.wait(self.beat):
                yield ""


class Recent:
    """Keeps the last lines that ``wants`` chooses, for a machine without a journal. Cuts long values."""

    def __init__(self, wants: Callable[[Line], bool]) -> None:
        self.level, self.wants = INFO, wants
        self.lines: deque[Line] = deque(maxlen=REMEMBERED)

    def write(self, line: Line) -> None:
        if self.wants(line):
            self.lines.append({name: _short(value) for name, value in line.items()})


def is_request(line: Line) -> bool:
    """Is it one of the web server's lines about each request?"""
    return bool(line["event"] == REQUEST)


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name)[:SHORT]: _short(each) for name, each in list(value.items())[:FIELDS]}
    return value if isinstance(value, bool | int | float | None) else bounded(value)[:SHORT]


_recent, _requests = Recent(lambda line: not is_request(line)), Recent(is_request)
_audit = Recent(lambda line: line.get("logger") == "audit")
_main = _Output(WARNING, "text", None)
_outputs: list[_Output | Tail | Recent] = [_main]
_threshold = WARNING  # the lowest level that any output wants


def _adjust() -> None:
    global _threshold
    _threshold = min(output.level for output in _outputs)
    # no debug lines of libraries: peewee's have every value that goes into the database
    logging.getLogger().setLevel(max(INFO, _threshold))


def _line(level: str, event: Any, fields: dict[str, Any]) -> Line:
    first = {"time": time.time(), "level": level, "event": event}
    return first | fields | first  # a field replaces none of them


def _emit(line: Line) -> None:
    level = NAMES[line["level"]]
    for output in tuple(_outputs):
        if level >= output.level:
            output.write(line)


# -- loggers ---------------------------------------------------------------------------------------------


class Logger:
    """Carries what was bound to it (``bind`` makes a new one) into each line.

    A field ``exc_info`` adds a traceback: an exception, or True for the one that is being handled. An exception with the
    attribute ``told`` is in the log already: what it made fail is told at level debug, without a traceback.
    """

    __slots__ = ("fields",)

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields

    def bind(self, **fields: Any) -> Logger:
        """A logger that carries these, too."""
        return Logger(self.fields | fields)

    def _line(self, level: str, event: str, fields: dict[str, Any]) -> None:
        if exc_info := fields.pop("exc_info", None):
            error = sys.exception() if exc_info is True else exc_info
            if getattr(error, "told", False):
                level, fields["reason"] = "debug", str(error)
            else:
                fields["exception"] = _traceback(error)
        _emit(_line(level, event, self.fields | fields))

    def debug(self, event: str, **fields: Any) -> None:
        if _threshold <= DEBUG:
            self._line("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        if _threshold <= INFO:
            self._line("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        if _threshold <= WARNING:
            self._line("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._line("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """An error with the traceback of the exception being handled."""
        self._line("error", event, {"exc_info": True} | fields)

    @property
    def debugging(self) -> bool:
        """Whether debug lines go anywhere: ask before collecting what is costly to collect."""
        return _threshold <= DEBUG


def _traceback(error: BaseException | None) -> str:
    return "" if error is None else "".join(traceback.format_exception(error)).rstrip()


def get(name: str) -> Logger:
    """The logger of a part of the server; it may be asked for before ``setup``."""
    return Logger({"logger": name})


# -- what others write ------------------------------------------------------------------------------------


class _Bridge(logging.Handler):
    """Lines of libraries that use the standard library's logging, and Python's warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            level = next((name for name, number in NAMES.items() if record.levelno <= number), "error")
            fields: dict[str, Any] = {"logger": record.name}
            if record.exc_info and record.exc_info[1]:
                fields["exception"] = _traceback(record.exc_info[1])
            _emit(_line(level, record.getMessage(), fields))
        except Exception:
            self.handleError(record)


_lost = get("python")


def _lost_error(error: BaseException | None, where: object) -> None:
    _lost.error("nobody caught an exception", where=where, exc_info=error)


def _greenlet_error(error: BaseException | None, where: object) -> None:
    """Of a thread pool (a pair) gevent tells as well; there the error is raised where the result is waited for."""
    if not isinstance(where, tuple):
        _lost_error(error, where)


def _catch_all() -> None:
    """What Python and gevent would print by themselves becomes lines of the log."""
    logging.getLogger().addHandler(_Bridge())
    logging.captureWarnings(True)
    logging.getLogger("peewee").setLevel(
        logging.WARNING
    )  # its SQL has keys and tokens in it, also at level debug
    threading.excepthook = lambda lost: _lost_error(lost.exc_value, lost.thread)
    sys.unraisablehook = lambda lost: _lost_error(lost.exc_value, lost.err_msg or lost.object)
    Hub.print_exception = lambda hub, where, kind, error, trace: _greenlet_error(error, where)


def setup(level: str = "info", format: str = "text", stream: TextIO | None = None) -> None:
    """(Re)configure: ``level`` debug, info, warning or error; ``format`` text or json. No stream: stderr."""
    if level not in NAMES or format not in RENDERERS:
        raise ValueError(f"no such log level or format: {level}, {format}")
    _main.level, _main.format, _main.stream = NAMES[level], format, stream
    if not any(isinstance(handler, _Bridge) for handler in logging.getLogger().handlers):
        _catch_all()
    _adjust()


def remember() -> None:
    """From now on the last lines are remembered, from level info on."""
    for each in (_recent, _requests, _audit):
        if each not in _outputs:
            _outputs.append(each)
    _adjust()


def recent(level: str = "info", requests: bool = False) -> list[Line]:
    """The last lines, from that level on, the newest last. ``requests``: also those about requests to the web server."""
    lines = [line for line in _recent.lines if NAMES[line["level"]] >= NAMES[level]]
    if requests and NAMES[level] <= INFO:
        lines = sorted([*lines, *_requests.lines], key=lambda line: float(line["time"]))
    return lines


def audited() -> list[Line]:
    """The last lines about who has changed what, the newest last."""
    return list(_audit.lines)


def is_json() -> bool:
    """Whether the process shall write nothing but JSON."""
    return _main.format == "json"


def tail(level: str = "debug", format: str = "text", limit: int = 1000, requests: bool = True) -> Tail:
    """The live log, also below the level of the process: ``with tail() as lines: for line in lines: ...``. ``requests``: also
    those to the web server."""
    return Tail(NAMES[level], format, limit, requests)
