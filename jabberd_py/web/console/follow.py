"""What goes on, live: the log, and what goes over the streams of an account. Scripts read it as events (EventSource)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import gevent
from flask import Response, abort, render_template, request

from ... import log
from ...xdb import xdb
from .. import context
from ..context import administrator, may, run
from . import console

READERS, EACH = 20, 3
"""Browsers that follow at a time, and of these those of one session."""
LONGEST = 300.0
"""Seconds after which the browser has to come again."""
BEAT = 2.0
"""Seconds after which we look whether the browser is still there, and may see this."""
LINES = 200
LEVELS = ("info", "warning", "error")
_readers: list[str] = []


@console.route("/log.events")
@administrator
def follow() -> Response:
    """The log as it is written."""
    if not may("log show"):
        abort(403)
    level = request.args.get("level", "")
    return _events(
        "log show",
        log.tail(
            level if level in LEVELS else "info", limit=LINES, requests=request.args.get("requests") == "yes"
        ),
        request.args.get("text", "")[:200],
    )


@console.route("/users/<jid>/trace")
@administrator
def trace(jid: str) -> str:
    """The page that shows what goes over the streams of an account."""
    if not may("trace"):
        abort(403)
    return render_template("console/trace.html", jid=run("accounts show", jid=jid)["jid"])


@console.route("/users/<jid>/trace.events")
@administrator
def traced(jid: str) -> Response:
    """What goes over the streams of an account, without passwords and keys. The log keeps who has looked."""
    return _events("trace", run("trace", jid=jid), "")


def _events(command: str, tail: log.Tail, text: str) -> Response:
    """Lines as events, until the browser goes, may not run the command any more, or has been here for long enough."""
    signed, browsers = context.me(), context.web().browsers
    caller, registry = context.caller(), context.registry()
    if len(_readers) >= READERS or _readers.count(signed.id) >= EACH:
        abort(503, "Too many are looking at once.")
    wanted = text.casefold()

    def lines() -> Iterator[str]:
        _readers.append(signed.id)
        stop = gevent.spawn_later(LONGEST, tail.close)
        tail.beat, checked = BEAT, time.monotonic()
        try:
            with tail:
                yield ": hello\n\n"
                for line in tail:
                    if not browsers.has(signed):
                        return
                    if time.monotonic() - checked >= BEAT or not line:
                        checked = time.monotonic()
                        if not browsers.holds(signed) or not registry.permits(caller, command):
                            return
                        xdb.release()
                        yield ": still here\n\n"
                    if line and wanted in line.casefold():
                        yield f"data: {line.replace(chr(13), ' ').replace(chr(10), ' ')}\n\n"
        finally:
            _readers.remove(signed.id)
            stop.kill(block=False)

    return Response(lines(), mimetype="text/event-stream")
