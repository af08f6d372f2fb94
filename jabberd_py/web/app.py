"""The Flask application of a site: what holds for every page of every face (faces.py)."""

from __future__ import annotations

import hashlib
import hmac
import mimetypes
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from flask import Flask, Response, abort, g, redirect, request
from jinja2 import FileSystemLoader
from markupsafe import Markup
from werkzeug.exceptions import HTTPException

from .. import log
from ..commands import CommandError
from ..pages import Answer, Request
from ..xdb import StoreError, xdb
from . import context, errors, faces, filters, kept, prefix, qr, received, signin, totp
from .context import ACCOUNT, ADMIN, ANYONE
from .site import Web

logger = log.get(__name__)
audit = log.get("audit")
HERE = Path(__file__).parent
MOST = {ANYONE: 16 * 1024, ACCOUNT: 32 * 1024, ADMIN: 64 * 1024}
"""Bytes of a form, by who may send it. A view that takes a file says its own number (`context.takes`)."""
PARTS = 300
"""Fields of a form."""
FORM = "application/x-www-form-urlencoded"
OLD = "This form is too old. Nothing was done. Go back, load the page again, and send it once more."
CSP = "; ".join((
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' data:", "connect-src 'self'",
    "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'",
))  # fmt: skip
HEADERS = {
    "Content-Security-Policy": CSP,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send forms with `Origin: null`
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
SESSION, VISITOR = "jabberd", "jabberd-visitor"
"""Cookies: of who is signed in, and of who has opened a form and is not."""
PASSWORD, CODE = "_password", "_code"
"""Fields of a form that gives rights, once the sign-in is some time ago."""
SAFE = ("GET", "HEAD", "OPTIONS")
SCRIPTS = ("static", "chat.ticket")
"""What every script of this site may read."""


def make(web: Web) -> Flask:
    """The application. Blocks."""
    app = Flask(__name__, static_folder=None, template_folder=None)
    app.jinja_loader = FileSystemLoader(HERE / "templates")
    app.config.update(MAX_CONTENT_LENGTH=0, MAX_FORM_PARTS=PARTS, MAX_FORM_MEMORY_SIZE=MOST[ADMIN])
    app.extensions["web"] = web
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.auto_reload = False
    app.jinja_env.filters.update(filters.FILTERS)
    files = _files()
    app.jinja_env.globals.update(
        csrf=_csrf, told=_told, static=lambda name: f"/web/{name}?v={files[name][2]}", qr=qr.svg,
        is_administrator=context.is_administrator, may=context.may, host=web.host.domain,
        navigation=faces.navigation, also=faces.also, me=lambda: g.signed, asks=context.asks,
        second_factor=lambda: g.signed is not None and totp.has(g.signed.user), live=_live,
    )  # fmt: skip
    app.before_request(_enter)
    app.after_request(_leave)
    app.register_error_handler(Exception, _failed)

    @context.anyone
    def static(name: str) -> Response:
        if name not in files:
            abort(404)
        data, type, _ = files[name]
        return Response(
            data, headers={"Content-Type": type, "Cache-Control": "public, max-age=31536000, immutable"}
        )

    app.add_url_rule("/web/<path:name>", "static", static)
    for face in faces.FACES:
        app.register_blueprint(face)
    return app


def answer(app: Flask, http: Request) -> Answer:
    """One request. Blocks."""
    with app.request_context(http.environ):
        response = app.full_dispatch_request()
        headers = dict(response.headers)  # of Set-Cookie there is one at most
        if response.is_streamed:
            return Answer(response.status_code, response.iter_encoded(), headers)
        return Answer(response.status_code, response.get_data(), headers)


def _files() -> dict[str, tuple[bytes, str, str]]:
    """The static files: name -> (content, type, version)."""
    found = {}
    for file in sorted((HERE / "static").iterdir()):
        data = file.read_bytes()
        type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        if type.startswith("text/"):
            type += "; charset=utf-8"
        found[file.name] = data, type, hashlib.sha256(data).hexdigest()[:12]
    return found


# -- before and after each view ----------------------------------------------------------------------------


def _enter() -> Any:
    """Who asks? May he? Has he sent the form himself?"""
    g.told, g.signed, g.new_cookie = [], None, None
    view: Any = _view()
    _check_reader()
    access = getattr(view, "access", ADMIN) if request.endpoint else ANYONE
    if request.endpoint != "static":
        person = not request.path.endswith((".json", ".events"))
        g.signed = context.web().browsers.find(request.cookies.get(cookie_name(SESSION), ""), person)
    if access in (ACCOUNT, ADMIN) and g.signed is None:
        return _to_sign_in()
    if access == ADMIN and not context.is_administrator():
        if "refused" not in g.signed.notes:  # once for a session: more would wash other lines away
            g.signed.notes["refused"] = True
            audit.info(
                "console", by=g.signed.user, via="console", where=request.remote_addr, result="refused"
            )
        abort(403, "This page is for administrators of this server.")
    if request.method not in SAFE:
        _check_origin()
        file = getattr(view, "most", None)
        request.max_content_length = MOST[access] if file is None else file
        if file is None:
            _check_form()
            if g.signed is not None and request.form.get(PASSWORD):
                try:
                    signin.prove(request.form[PASSWORD], request.form.get(CODE, ""))
                except signin.Refused as refused:
                    g.unproven = str(refused)
        else:
            g.file = received.file(context.me().user, token())
    return None


def _view() -> Any:
    from flask import current_app

    return current_app.view_functions.get(request.endpoint or "")


def _to_sign_in() -> Any:
    if request.path.endswith(".json"):
        abort(401)
    wanted, said = request.full_path.rstrip("?"), {}
    if request.method not in SAFE:
        _check_origin()
        rule, shown = request.url_rule, kept.keep(request.cookies.get(cookie_name(SESSION), ""))
        again = rule is not None and "GET" in (rule.methods or ())
        wanted, said = shown or (wanted if again else ""), {"sent": "kept" if shown else "1"}
    said |= {"next": wanted} if wanted else {}
    return redirect("/sign-in" + ("?" + urlencode(said) if said else ""), 303)


def _check_reader() -> None:
    """Pages are for people: the browser has to show them. A script gets none (Fetch Metadata), nor the tokens in them: those of
    the chat are other people's, and come from the same site. A script of ours has the key of what it reads."""
    mode, dest = request.headers.get("Sec-Fetch-Mode", "navigate"), request.headers.get("Sec-Fetch-Dest")
    if request.endpoint in SCRIPTS or (mode == "navigate" and dest in (None, "document", "empty")):
        return
    if not hmac.compare_digest(request.args.get("key", "").encode(), _key(request.path).encode()):
        abort(Response("This page can be opened, but not read by a script.\n", 403, mimetype="text/plain"))


def _key(path: str) -> str:
    """What a script must show to read what is at this path. It belongs to the session."""
    basis = request.cookies.get(cookie_name(SESSION), "")
    return hmac.new(context.web().secret, f"{path} {basis}".encode(), "sha256").hexdigest()


def _live(path: str, **more: str) -> str:
    """The address from which a script of this page reads what is new."""
    return f"{path}?{urlencode(more | {'key': _key(unquote(path))})}"


def _check_origin() -> None:
    """Against forms of other sites: where the browser says the form comes from."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    foreign = site not in (None, "same-origin", "none")
    if site is None and origin is not None:
        foreign = urlsplit(origin).netloc.lower() != request.host.lower()
    if foreign:
        abort(403, "Another site has sent this form. Nothing was done.")


def _check_form() -> None:
    """The token of the form. The body is read only where a token can be right, and its fields are counted before they are read:
    many make the reader slow."""
    wanted = token()
    if "visitor" in g or request.mimetype != FORM:  # no form of ours has been seen there
        abort(403, OLD)
    xdb.release()
    if request.get_data().count(b"&") >= PARTS:
        abort(413, "This form has too many fields.")
    if not hmac.compare_digest(request.form.get("_token", "").encode(), wanted.encode()):
        abort(403, OLD)


def token() -> str:
    """What a form must send back: it belongs to the session, or to the cookie of a visitor, which is made if need be."""
    if g.signed is not None:
        basis = g.signed.id
    else:
        basis = request.cookies.get(cookie_name(VISITOR), "")
        if not 20 <= len(basis) <= 100:
            basis = g.setdefault("visitor", secrets.token_urlsafe(24))
            if g.new_cookie is None:
                g.new_cookie = (VISITOR, basis)
    return hmac.new(context.web().secret, basis.encode(), "sha256").hexdigest()


def cookie_name(name: str) -> str:
    """With a prefix that makes the browser take it by https only, for this host and all paths (RFC 6265bis section 4.1.3.2)."""
    return f"__Host-{name}" if context.encrypted() else name


def _leave(response: Response) -> Response:
    prefix.add(response)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if g.get("new_cookie") is not None:
        name, value = g.new_cookie
        response.set_cookie(
            cookie_name(name), value, max_age=None if value else 0, path="/", secure=context.encrypted(),
            httponly=True, samesite="Strict" if name == SESSION else "Lax",
        )  # fmt: skip
    return response


def _csrf() -> Markup:
    return Markup('<input type="hidden" name="_token" value="{}">').format(token())


def _told() -> list[tuple[str, str]]:
    """The messages for this page; they are shown once."""
    found: list[tuple[str, str]] = list(g.get("told", []))
    if g.get("signed") is not None:
        found += g.signed.told
        g.signed.told.clear()
    return found


# -- errors ---------------------------------------------------------------------------------------------------


def _failed(error: Exception) -> Any:
    """A page that says what is wrong."""
    headers: dict[str, str] = {}
    if isinstance(error, HTTPException):
        status, text = error.code or 500, error.description or ""
        if error.response is not None or status < 400:
            return error
        if status == 404 and text == type(error).description:
            text = "There is no such page here."
        headers = {name: value for name, value in error.get_headers() if name in ("Allow", "Retry-After")}
    elif isinstance(error, CommandError):
        status, text = filters.STATUS.get(error.kind, 409), str(error)
    elif isinstance(error, StoreError):
        status, text = 503, "The store cannot be read now. Try again in a moment."
    elif isinstance(error, OSError):
        raise error  # the browser is gone, or too slow
    else:
        logger.exception("a page failed", view=request.endpoint, exc_info=error)
        status, text = 500, "This page failed; the log says why."
    if request.path.endswith(".json"):
        return {"error": text}, status, headers
    return errors.page(status, text), status, headers
