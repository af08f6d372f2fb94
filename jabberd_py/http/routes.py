"""Which page answers a request: the server's own, then those of the Instance that the header Host names, of what stands beside
it, and of all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..instance import Instance
from ..net.channel import Channel
from ..pages import Answer, Handler, Page, Refusal, Request, upwards
from ..router import Router
from ..xdb import StoreError, xdb
from .handler import QUIET

CORS = {"Access-Control-Allow-Origin": "*"}
PREFLIGHT = {
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Range, If-None-Match",
    "Access-Control-Expose-Headers": "Content-Length, Content-Range, ETag",
    "Access-Control-Max-Age": "86400",
}
SAFE = {"X-Content-Type-Options": "nosniff"}
Found = tuple[Page, Handler]


class Routes:
    """The WSGI application of the web server."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.own: dict[str, Found] = {}
        self.quiet: set[str] = set()
        self.hsts = 0
        """Seconds, `HTTPOptions.hsts`."""

    def add(self, page: Page, handler: Handler, quiet: bool = False) -> None:
        """A page of the server itself. ``quiet``: asked so often that its requests are logged at level debug."""
        page.check()
        self.own[page.path] = (page, handler)
        if quiet:
            self.quiet.add(page.path)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        answer = self.answer(Request(environ))
        headers = SAFE | dict(answer.headers)
        channel = environ["jabberd.handler"].connection.channel
        if self.hsts and isinstance(channel, Channel) and channel.signed:
            headers["Strict-Transport-Security"] = f"max-age={self.hsts}"
        start(answer.line, list(headers.items()))
        return [answer.body] if isinstance(answer.body, bytes) else answer.body

    def answer(self, request: Request) -> Answer:
        """Finds the page and asks it. Blocks."""
        found = self._find(request)
        if found is None:
            return Refusal(404).answer
        page, handler = found
        extra = CORS if page.cors else {}
        if page.path in self.quiet:
            request.environ[QUIET] = True
        if not page.allows(request.method):
            if request.method != "OPTIONS":
                answer = Refusal(405, Allow=page.allowed).answer
                return answer._replace(headers=extra | dict(answer.headers))
            if page.cors:
                extra = CORS | PREFLIGHT | {"Access-Control-Allow-Methods": page.allowed}
            return Answer(204, headers={"Allow": page.allowed, **extra})
        try:
            with xdb.unit():
                answer = handler(request)
        except Refusal as refusal:
            answer = refusal.answer
        except StoreError:
            answer = Refusal(503).answer
        return answer._replace(headers=extra | dict(answer.headers)) if extra else answer

    def _find(self, request: Request) -> Found | None:
        if "\0" in request.path or any(part in (".", "..") for part in request.path.split("/")):
            return None
        for pages in self._places(request.host):
            found = pages.get(request.path) or _above(pages, request.path)
            if found is not None:
                request.below = request.path[len(found[0].path) :]
                return found
        return None

    def _places(self, host: str) -> Iterator[dict[str, Found]]:
        yield self.own
        instances = self.router.instances
        named = instances.get(host)
        if named is not None:
            yield named.pages
        for each in instances.values():
            if each is not named and beside(each, named):
                yield each.pages
        for each in instances.values():
            if each is not named and not beside(each, named):
                yield each.pages


def _above(pages: dict[str, Found], path: str) -> Found | None:
    """The page that answers for what is below it."""
    for each in upwards(path):
        found = pages.get(each)
        if found is not None and found[0].below:
            return found
    return None


def beside(instance: Instance, host: Instance | None) -> bool:
    """Is it a service of that host?"""
    return host is not None and getattr(instance, "host", None) is host
