"""Sign in and out: an XMPP address and its password, checked against the SCRAM keys of the store, and a code where the account
wants one."""

from __future__ import annotations

import secrets
import time
from typing import Any

import gevent
from flask import Blueprint, g, redirect, render_template, request
from werkzeug.wrappers import Response

from .. import log
from ..jsm import tickets
from ..jsm.host import Host
from ..net.karma import Karma, neighbourhood
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.jid import parse
from .context import anyone, encrypted, is_administrator, local, me, near, signed_in, tell, web

blueprint = Blueprint("signin", __name__)
audit = log.get("audit")
AT_ONCE = 8
"""Passwords that are checked at a time: each takes a thread for some milliseconds."""
BLUR = 0.05
"""At most this many seconds the answer to a wrong password is delayed, at random, so that its time tells nothing."""
WRONG = "The address, the password or the code is not right."
LATER = "Too many attempts. Wait a minute, then try again."
PLAIN = "Passwords are taken by https only, or from the machine itself. Open this page with https://."
_checking = 0
_unheard = Karma(1 / 60, 1)
"""Attempts that were refused without a look at the password: of an address, one a minute has a line in the audit."""


class Refused(Exception):
    """The text is for the person, the reason for the log."""

    def __init__(self, text: str, reason: str, status: int = 403) -> None:
        super().__init__(text)
        self.reason, self.status, self.heard = reason, status, status != 429 and text != PLAIN


@blueprint.route("/sign-in", methods=["GET", "POST"])
@anyone
def sign_in() -> str | Response | tuple[str, int]:
    """The form, and what it sends."""
    wanted = local(request.values.get("next"), "")
    open_ = encrypted() or request.environ["wsgi.url_scheme"] == "https" or near()
    if request.method != "POST":
        if g.signed is not None:
            return redirect(wanted or _home(), 303)
        return render_template(
            "signin.html", next=wanted, address=request.args.get("address", "")[:300], error="" if open_ else PLAIN,
            usable=open_, ended=_ended(), sent=request.args.get("sent"),
        )  # fmt: skip
    said = request.form.get("address", "")[:2000].strip()
    try:
        if not open_:
            raise Refused(PLAIN, "not by https")
        host, user, back, kept = _check(said, request.form.get("password", ""), request.form.get("code", ""))
    except Refused as refused:
        if refused.heard or _unheard.spend(neighbourhood(request.remote_addr or "")):
            where = request.remote_addr
            audit.info(
                "sign-in", by="", account=said[:300], via="console", where=where, result=refused.reason
            )
        page = render_template("signin.html", next=wanted, address=said, error=str(refused), usable=open_)
        return page, refused.status
    browsers = web().browsers
    if g.signed is not None:
        browsers.end(g.signed)
    cookie = browsers.begin(host, user, request.remote_addr or "", request.user_agent.string, kept)
    g.signed = browsers.find(cookie)
    g.new_cookie = ("jabberd", cookie)
    if back:
        tell("Your account is back: it is not deleted. If you want it to go, delete it again.")
    audit.info("sign-in", by=user, via="console", where=request.remote_addr, result="done")
    return redirect(wanted or _home(), 303)


@blueprint.route("/sign-out", methods=["GET", "POST"])
@signed_in
def sign_out() -> str | Response:
    """Ends this session; with a GET the page asks first."""
    if request.method != "POST":
        return render_template("signout.html")
    web().browsers.end(g.signed)
    tickets.end_sessions(g.signed.host, g.signed.user)
    audit.info("sign-out", by=g.signed.user, via="console", where=request.remote_addr, result="done")
    g.signed, g.new_cookie = None, ("jabberd", "")
    tell("You are signed out.")
    answer = redirect("/sign-in", 303)
    answer.headers["Clear-Site-Data"] = '"storage"'  # what the chat has kept in the browser
    return answer


def _ended() -> bool:
    """Has the browser been signed in before? Then its time was over, or the server was started again."""
    return any(request.cookies.get(name) for name in ("__Host-jabberd", "jabberd"))


def _home() -> str:
    return "/console" if is_administrator() and web().console else "/account"


def _check(said: str, password: str, code: str) -> tuple[Host, str, bool, list[Any]]:
    """The host and the bare address of who signs in; True if that has undone the deletion of the account; its row in the store.
    Unknown accounts take the same time and get the same text. Blocks. Raises Refused."""
    global _checking
    guard, here, address = web().guard, web().host, request.remote_addr or ""
    back, (host, user) = False, _account(said)
    if guard.refuses(user, address):
        raise Refused(LATER, "too many wrong passwords", 429)
    wait = guard.wait(user, address)
    if wait is None or _checking >= AT_ONCE:
        raise Refused(LATER, "too many at a time", 429)
    if wait:
        xdb.release()
        gevent.sleep(wait)
    _checking += 1
    try:
        right = (host or here).users.verify(user if host is not None else None, password)
    except ValueError:
        right = False  # no password could be that
    finally:
        _checking -= 1
    if guard.refuses(user, address):
        raise Refused(
            LATER, "too many wrong passwords", 429
        )  # many may have begun before the first one failed
    exists = host is not None and user is not None and host.users.exists(user)
    kept = host.users.row(user) if host is not None else []
    if not right or host is None or user is None or not exists:
        reason = "wrong password" if exists else "no such account"
    elif host.users.disabled(user) and not _left(host, user):
        raise Refused(_why(host, user), "the account is disabled")
    elif not web().passes(user, code):
        reason = "wrong code"
    else:
        if host.users.disabled(user):
            back = True
            try:
                host["standing"].stay(user)
            except StanzaError:
                raise Refused(_why(host, user), "the account is disabled") from None
        now = host.users.row(user)
        if kept and now and now[0][0] == kept[0][0]:
            guard.succeeded(user, address)
            return host, user, back, now
        reason = "wrong password"  # it was changed while the code was looked at
    guard.failed(user, address)
    xdb.release()
    gevent.sleep(BLUR * secrets.randbelow(1000) / 1000)
    raise Refused(WRONG, reason)


def _why(host: Host, user: str) -> str:
    """For the owner of an account that is disabled."""
    return f"Your account cannot be used now: {host.users.why_disabled(user)}."


def _left(host: Host, user: str) -> bool:
    """Was it disabled by its owner, who undoes that by signing in?"""
    return "standing" in host.modules and bool(host["standing"].left(user))


def check_password(host: Host, user: str, password: str) -> None:
    """Is that the password of who is signed in? Wrong ones count. Blocks. Raises Refused."""
    guard, address = web().guard, request.remote_addr or ""
    if guard.refuses(user, address):
        raise Refused(LATER, "too many wrong passwords", 429)
    try:
        right = host.users.verify(user, password)
    except ValueError:
        right = False
    if not right:
        guard.failed(user, address)
        audit.info("password", by=user, via="console", where=address, result="wrong password")
        raise Refused("The password of now is not right.", "wrong password")


def prove(password: str, code: str) -> None:
    """Who is signed in shows again that it is he, with all that a sign-in wants; that holds for `Web.confirm`. Blocks. Raises
    Refused."""
    user = me().user
    check_password(me().host, user, password)
    if not web().passes(user, code):
        web().guard.failed(user, request.remote_addr or "")
        audit.info("password", by=user, via="console", where=request.remote_addr, result="wrong code")
        raise Refused("The code of your authenticator app is not right, or was used already.", "wrong code")
    me().proved, g.proved = time.time(), True


def _account(said: str) -> tuple[Host | None, str | None]:
    """The host and the bare address; a name alone is one of this host. None: no account can be called that."""
    try:
        jid = parse(said if "@" in said else f"{said}@{web().host.domain}")
    except ValueError:
        return None, None
    if jid.node is None:
        return None, None
    host = web().host.router.instances.get(jid.domain)
    return (host if isinstance(host, Host) and not host.options.anonymous else None), jid.user
