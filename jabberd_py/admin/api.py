"""The API: the commands as JSON over HTTP, below ``/api/v1``. Programs show a token (tokens.py)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import gevent

from .. import log
from ..commands import Bound, Caller, CommandError, Conflict, outcome, typed
from ..hooks import Answer, Module, Option, Refusal, Request, duration, http, size
from ..jsm.host import Host
from ..net.karma import Karma, neighbourhood
from ..net.networks import loopback
from ..xdb import StoreError
from ..xmpp.jid import parse
from . import tokens
from .openapi import document
from .problem import NO_STORE, Problem
from .routes import AGAIN, Route, Table

logger = log.get(__name__)
BASE = "/api/v1"
AT_ONCE, EACH = 32, 8
"""Requests that are worked on at a time: of all, of one token."""
PAGE, LONGEST_PAGE = 100, 1000
FIELDS = 50
DEPTH = 40


class Api(Module):
    """Commands as JSON over HTTP, for programs with a token (`jabberctl tokens add`)."""

    body = Option(size, "64 KiB", "largest body of a request", min=1024)
    timeout = Option(duration, "60s", "time for one command", min=1)
    wrong_tokens = Option(int, 10, "wrong tokens that one address (IPv6: /64) may show in a row", min=1)
    refill = Option(duration, "30s", "time after which an address may show one wrong token more", min=1)

    def __init__(self, host: Any, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.karma = Karma(1 / self.refill, self.wrong_tokens)
        self.running: dict[str, int] = {}
        self.table: tuple[tuple[str, ...], Table] = ((), Table([]))

    def configure(self, settings: Mapping[str, Any]) -> None:
        super().configure(settings)
        self.karma.limit(1 / self.refill, self.wrong_tokens)

    @http(BASE, "GET", "POST", "PUT", "DELETE", below=True)
    def answer(self, request: Request) -> Answer:
        """Never raises. Blocks."""
        try:
            return self._answer(request)
        except Problem as problem:
            return problem.answer
        except Refusal as refusal:
            return Problem(refusal.status, refusal.text).answer
        except OSError:
            raise  # the client is gone, or too slow
        except StoreError:
            return Problem(503, "the store cannot be read", {"Retry-After": "10"}).answer
        except Exception:
            logger.exception("a request to the API failed", path=request.path[:200])
            return Problem(503, "this request failed, see the log", {"Retry-After": "60"}).answer

    def _base(self) -> str:
        """The path of the API, as a program sees it."""
        return urlsplit(self.host.router.base(self.host.domain)).path + BASE

    def _answer(self, request: Request) -> Answer:
        token = self._token(request)
        if not request.below or request.below == "/openapi.json":
            if request.method not in ("GET", "HEAD"):
                raise Problem(405, headers={"Allow": "GET, HEAD"})
            return _json(200, document(self._routes(self._caller(token, request)), self._base()))
        methods, item = self._all().find(request.below)
        if not methods:
            raise Problem(404, "there is no such path")
        route = methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            raise Problem(405, headers={"Allow": ", ".join(sorted(methods))})
        args = self._arguments(request, route)
        if route.item is not None and args.setdefault(route.item, item) != item:
            raise Problem(400, f"{route.item} stands in the path", argument=route.item)
        bound = self.host.router.commands.find(route.name)[0]
        if not tokens.allows(token.scopes, bound) or self._beyond(token, bound, args):
            self.host.router.commands.refused(self._caller(token, request), route.name)
            raise Problem(403, f"the token has no scope for '{route.name}'", kind="not allowed")
        page = _page(args) if route.method == "GET" else None
        status, result = self._work(request, token, route, args)
        if page is None or not isinstance(result, list):
            return _json(status, {"result": result})
        limit, start = page
        more = start + limit < len(result)
        following = {**args, "limit": limit, "cursor": start + limit}
        if route.item is not None:
            following.pop(route.item)
        next = f"{quote(request.path, safe='/@')}?{urlencode(following)}" if more else None
        return _json(status, {"result": result[start : start + limit], "total": len(result), "next": next})

    # -- who asks ------------------------------------------------------------------------------------

    def _token(self, request: Request) -> tokens.Token:
        """Raises Problem."""
        if not request.secure and not loopback(request.address):
            raise Problem(403, "only by https")
        scheme, _, text = request.header("Authorization").partition(" ")
        token = tokens.find(text.strip()) if scheme.lower() == "bearer" and text else None
        if token is not None:
            host = self.host.router.instances.get(parse(token.owner).domain)
            if (
                isinstance(host, Host)
                and host.users.exists(token.owner)
                and not host.users.disabled(token.owner)
            ):
                return token
        if text:
            if not self.karma.spend(neighbourhood(request.address)):
                raise Problem(429, "too many wrong tokens", {"Retry-After": str(int(self.refill) or 1)})
            logger.warning("a wrong token", address=request.address)
        raise Problem(
            401, "show a token: Authorization: Bearer TOKEN", {"WWW-Authenticate": 'Bearer realm="jabberd"'}
        )

    def _caller(self, token: tokens.Token, request: Request) -> Caller:
        return Caller(token.owner, "http", request.address, parse(token.owner))

    def _beyond(self, token: tokens.Token, bound: Bound, args: Mapping[str, Any]) -> bool:
        """Would the token get by it what its scopes do not cover? A command that gives rights (the password, or the name of an
        account) is not for its own account, nor for an administrator's, without the scope ``*``."""
        account = bound.account
        if not bound.command.rights or account is None or tokens.whole(token.scopes):
            return False
        router = self.host.router
        try:
            jid = account.convert(args.get(account.name))
        except ValueError:
            return False  # the command says what is wrong
        return jid.user == token.owner or bool(router.administered(jid))

    # -- routes and requests ---------------------------------------------------------------------------------

    def _all(self) -> Table:
        """The routes of all commands."""
        names = tuple(self.host.router.commands.names())
        if self.table[0] != names:
            self.table = names, self._routes(Caller("", "http", operator=True))
        return self.table[1]

    def _routes(self, caller: Caller) -> Table:
        return Table(each for each in self.host.router.commands.describe(caller) if not each["local"])

    def _arguments(self, request: Request, route: Route) -> dict[str, Any]:
        """Raises Problem, Refusal, OSError."""
        if not route.in_body:
            return _query(request)
        if request.query:
            raise Problem(400, "arguments stand in the body")
        data = request.body(self.body)
        if not data:
            return {}
        if request.type.partition(";")[0].strip().lower() != "application/json":
            raise Problem(415, "the body is application/json")
        return _read(data)

    # -- the work --------------------------------------------------------------------------------------

    def _work(
        self, request: Request, token: tokens.Token, route: Route, args: dict[str, Any]
    ) -> tuple[int, Any]:
        """Status and result. Raises Problem."""
        running = self.running
        if sum(running.values()) >= AT_ONCE or running.get(token.key, 0) >= EACH:
            raise Problem(503, "too many requests at a time", {"Retry-After": "1"})
        running[token.key] = running.get(token.key, 0) + 1
        try:
            with gevent.Timeout(self.timeout):
                return self._run(request, self._caller(token, request), route, args)
        except CommandError as error:
            raise Problem.of(error) from None
        except gevent.Timeout:
            raise Problem(504, "the command was broken off: it took too long") from None
        finally:
            running[token.key] -= 1
            if not running[token.key]:
                del running[token.key]

    def _run(self, request: Request, caller: Caller, route: Route, args: dict[str, Any]) -> tuple[int, Any]:
        run = self.host.router.commands.run
        try:
            result = outcome(run(caller, route.name, args))
            return 201 if route.method == "PUT" and route.item is not None else 200, result
        except Conflict as error:
            if request.method != "PUT" or route.name not in AGAIN:
                raise
            if request.header("If-None-Match"):
                raise Problem(412, str(error), kind=error.kind) from None
        name = AGAIN[route.name]
        known = self.host.router.commands.find(name)[0].arguments
        again = outcome(run(caller, name, {key: args[key] for key in known if key in args}))
        return 200, {route.item: args[route.item or ""]} if again is None else again


def _query(request: Request) -> dict[str, Any]:
    """Raises Problem."""
    try:
        pairs = parse_qsl(
            request.query, keep_blank_values=True, strict_parsing=bool(request.query), errors="strict",
            max_num_fields=FIELDS,
        )  # fmt: skip
    except ValueError:
        raise Problem(400, "the query cannot be read") from None
    args = dict(pairs)
    if len(args) < len(pairs):
        raise Problem(400, "an argument is there twice")
    return args


def _read(data: bytes) -> dict[str, Any]:
    """The object in a body. Raises Problem."""
    try:
        value = json.loads(data.decode(), parse_constant=_no_number)
        json.dumps(value, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError):
        raise Problem(400, "the body is no JSON") from None
    if not isinstance(value, dict) or _deep(value, DEPTH):
        raise Problem(400, "the body is an object of arguments")
    return value


def _no_number(text: str) -> None:
    raise ValueError(text)


def _deep(value: Any, left: int) -> bool:
    """Is it nested deeper than that?"""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return left < 0 or any(_deep(each, left - 1) for each in inner if isinstance(each, dict | list))


def _page(args: dict[str, Any]) -> tuple[int, int]:
    """(rows of a page, where it begins). Raises Problem."""
    found = []
    for name, default, least, most in (("limit", PAGE, 1, LONGEST_PAGE), ("cursor", 0, 0, 10**9)):
        text = args.pop(name, str(default))
        if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
            raise Problem(400, f"{name}: a number from {least} to {most}", argument=name)
        found.append(int(text))
    return found[0], found[1]


def _json(status: int, value: Any) -> Answer:
    try:
        body = json.dumps(value, default=str, ensure_ascii=False).encode()
    except ValueError as error:
        raise Problem.of(typed(error)) from None
    return Answer(status, body + b"\n", {"Content-Type": "application/json", **NO_STORE})
