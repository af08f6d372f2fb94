"""What answers on port 80: the questions of an authority that speaks ACME (RFC 8555 section 8.3). All else is sent on to
https."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from ..pages import Refusal, Request
from ..xmpp.errors import StanzaError
from .routes import Routes

PATH = "/:@!$&'()*+,;=~-._"
"""Characters that stand for themselves in a path (RFC 3986 section 3.3)."""
CHALLENGES = "/.well-known/acme-challenge/"


class Gate:
    """A WSGI application. ``base``: what the addresses of a host's pages begin with."""

    def __init__(self, routes: Routes, base: Callable[[str], str]) -> None:
        self.routes, self.base = routes, base

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        request = Request(environ)
        if request.path.startswith(CHALLENGES):
            return self.routes(environ, start)
        answer = Refusal(404).answer
        ours = request.host in self.routes.router.instances  # the header is whatever somebody likes
        if request.method in ("GET", "HEAD") and ours and request.path.startswith("/"):
            with suppress(StanzaError):
                where = self.base(request.host) + quote(environ["PATH_INFO"], PATH, "latin-1")
                where += "?" + quote(request.query, f"{PATH}?%", "latin-1") if request.query else ""
                answer = Refusal(308, "by https", Location=where).answer
        start(answer.line, list(answer.headers.items()))
        return [answer.body] if isinstance(answer.body, bytes) else answer.body
