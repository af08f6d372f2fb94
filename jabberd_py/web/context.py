"""What every view may use: who asks, and the commands that he may run. A page knows nothing that a command does not tell it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar, cast

from flask import abort, current_app, g, redirect, request
from werkzeug.wrappers import Response

from ..commands import Caller, CommandError, NotProven, Registry, outcome
from ..jsm.host import Host
from ..net.networks import loopback
from .browsers import Signed
from .site import Web

V = TypeVar("V", bound=Callable[..., Any])
_path = re.compile(r"/(?![/\\])[!-\[\]-~]*").fullmatch
ANYONE, ACCOUNT, ADMIN = "anyone", "account", "admin"
PROXIED = (
    "HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_SERVER", "HTTP_CF_CONNECTING_IP",
)  # fmt: skip
"""Headers of proxies, as WSGI names them."""


def web() -> Web:
    """The module whose pages these are; ``web().host`` is the host."""
    return cast(Web, current_app.extensions["web"])


# -- who may see a view: `app` asks for it, and takes a view that says nothing for one of administrators ---------------


def anyone(view: V) -> V:
    """Strangers may see it."""
    view.__dict__["access"] = ANYONE
    return view


def signed_in(view: V) -> V:
    """Whoever is signed in may see it."""
    view.__dict__["access"] = ACCOUNT
    return view


def administrator(view: V) -> V:
    """Administrators of at least one host may see it. What they may do there, each command says."""
    view.__dict__["access"] = ADMIN
    return view


def takes(most: int) -> Callable[[V], V]:
    """Its form has a file, named `file`, and may have so many bytes. The view finds the file in `g.file` (received.py), no
    other field, and is one of who is signed in."""

    def mark(view: V) -> V:
        view.__dict__["most"] = most
        return view

    return mark


# -- who asks ---------------------------------------------------------------------------------------------


def me() -> Signed:
    """The session of whoever asks. Ends the request with 401 if nobody is signed in."""
    if g.signed is None:
        abort(401)
    return cast(Signed, g.signed)


def is_administrator() -> bool:
    return g.signed is not None and bool(web().host.router.administered(g.signed.jid))


def caller() -> Caller:
    """Who asks, for commands and the log."""
    where = request.remote_addr or ""
    if g.signed is None:
        return Caller("a visitor", "web", where)
    return Caller(g.signed.user, "console", where, g.signed.jid, proven=proven())


def proven() -> bool:
    """Has who asks signed in, or shown the password again, within `confirm`, or with this form?"""
    return bool(g.get("proved")) or time.time() - me().proved < web().confirm


def asks(command: str) -> bool:
    """Does a form of that command have to ask for the password again?"""
    return g.signed is not None and not proven() and registry().find(command)[0].command.rights


def registry() -> Registry:
    commands: Registry = web().host.router.commands
    return commands


def run(command: str, /, **args: Any) -> Any:
    """The result of a command, run as who asks. Arguments that are None are left out. Blocks. Raises CommandError: then the
    answer is a page that says what is wrong."""
    given = {name: value for name, value in args.items() if value is not None}
    try:
        return outcome(registry().run(caller(), command, given))
    except NotProven as error:
        raise NotProven(g.get("unproven") or str(error)) from None


def may(command: str) -> bool:
    """Is there such a command, and may who asks run it somewhere?"""
    return registry().permits(caller(), command)


def shortest(host: Host) -> int:
    """Characters that a new password has at least on that host; 1 if nothing is said about that."""
    module: Any = host.modules.get("passwords")
    return 1 if module is None else int(module.shortest)


def tell(text: str, kind: str = "done") -> None:
    """Says it on top of the next page: "done", "hint" or "error"."""
    told = g.told if g.signed is None else g.signed.told
    told.append((kind, text))
    del told[:-10]


def act(command: str, /, back: str, done: str, **args: Any) -> Response:
    """Runs a command that a button stands for, says what came of it, and goes back to a page."""
    try:
        run(command, **args)
    except CommandError as error:
        tell(str(error), "error")
    else:
        tell(done)
    return redirect(back, 303)


def local(path: str | None, default: str) -> str:
    """A path of this site that came from outside; ``default`` where it leads elsewhere."""
    return path if path and len(path) < 2000 and _path(path) else default


def near() -> bool:
    """Does the request come from this machine, without a proxy between? Behind one, everybody would be here."""
    between = any(each in request.environ for each in PROXIED)
    # nginx, unless told otherwise, says nothing but HTTP/1.0; no browser does
    return (
        not between
        and request.environ["SERVER_PROTOCOL"] != "HTTP/1.0"
        and loopback(request.remote_addr or "")
    )


def encrypted() -> bool:
    """Do we know that the browser has come by https? To a port without TLS, a proxy on this machine must have said so."""
    environ = request.environ
    said = "HTTP_X_FORWARDED_PROTO" in environ or "HTTP_FORWARDED" in environ
    return environ["wsgi.url_scheme"] == "https" and (said or environ["jabberd.handler"].connection.secure)
