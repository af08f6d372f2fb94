"""What answers on port 80: the questions of an authority that speaks ACME (RFC 8555 section 8.3). All else is sent on to
https."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from ..pages import Refusal, Request
from ..xmpp.errors import StanzaError
from .routes import Routes

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
        if request.method in ("GET", "HEAD") and request.host in self.routes.router.instances:
            with suppress(StanzaError):  # only to a name of ours: the header is whatever somebody likes
                where = self.base(request.host) + environ.get("PATH_INFO", "/")
                answer = Refusal(308, "by https", Location=where).answer
        start(answer.line, list(answer.headers.items()))
        return [answer.body] if isinstance(answer.body, bytes) else answer.body
