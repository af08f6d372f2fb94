"""The page around Converse.js. Who is signed in gets a ticket for the chat (jsm/tickets.py) instead of writing the password."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request

from ..xmpp.errors import StanzaError
from . import prefix
from .context import anyone, me, signed_in, web

blueprint = Blueprint("chat", __name__, url_prefix="/chat")
WEBSOCKET, BOSH = "/xmpp-websocket", "/http-bind"


@blueprint.route("")
@anyone
def index() -> Response:
    """Converse.js with its settings; who is not signed in does that first. It has a policy of its own: it makes styles.
    Pictures come from this server only, so that nobody learns who looks at a message."""
    if g.signed is None:
        return make_response(redirect("/sign-in?next=/chat", 303))
    host = web().host.domain
    paths = {"websocket": WEBSOCKET, "bosh": BOSH, "assets": "/chat/dist/", "tickets": "/chat/ticket.json"}
    settings = {name: prefix.path() + each for name, each in paths.items()} | {"domain": host}
    try:
        files = "{0.scheme}://{0.netloc}".format(urlsplit(web().host.router.base(host)))
    except StanzaError:
        files = ""
    response = make_response(render_template("chat.html", settings=settings))
    response.headers["Cross-Origin-Opener-Policy"] = (
        "unsafe-none"  # unlike other pages: it cannot reach into their windows
    )
    response.headers["Content-Security-Policy"] = "; ".join((
        "default-src 'none'", "script-src 'self' 'wasm-unsafe-eval'", "style-src 'self' 'unsafe-inline'",
        f"img-src 'self' data: blob: {files}", f"media-src 'self' blob: {files}", "font-src 'self' data:",
        f"connect-src 'self' wss://{request.host} {files}", "worker-src 'self'", "manifest-src 'self'", "form-action 'self'",
        "frame-ancestors 'none'", "base-uri 'none'",
    ))  # fmt: skip
    return response


@blueprint.route("/ticket.json")
@signed_in
def ticket() -> dict[str, str]:
    """A ticket for the account that is signed in; only for our own page."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        abort(403)
    return {"jid": me().user, "password": me().host.users.tickets.make(me().user)}
