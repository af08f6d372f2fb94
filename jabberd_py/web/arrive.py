"""Pages for people who are not signed in: an invitation, registration, a new password."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import Blueprint, abort, g, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from .. import log
from ..xmpp.errors import StanzaError
from .context import anyone, encrypted, near, shortest, tell, web
from .webchat import installed

blueprint = Blueprint("arrive", __name__)
audit = log.get("audit")
PLAIN = "Passwords are taken by https only, or from the machine itself. Open this page with https://."
OVER = "This link cannot be used: it is wrong, it was used already, or its time is over. Ask for another one."


class Client(NamedTuple):
    """A program to recommend. ``systems``: where it runs."""

    name: str
    url: str
    systems: tuple[str, ...]


CLIENTS = (
    Client("Conversations", "https://conversations.im/", ("Android",)),
    Client("Cheogram", "https://cheogram.com/", ("Android",)),
    Client("Monal", "https://monal-im.org/", ("iPhone", "Mac")),
    Client("Siskin", "https://siskin.im/", ("iPhone",)),
    Client("Gajim", "https://gajim.org/download/", ("Windows", "Linux", "Mac")),
    Client("Dino", "https://dino.im/", ("Linux",)),
)
SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPhone"), ("Android", "Android"), ("Windows", "Windows"),
           ("Mac OS", "Mac"), ("Linux", "Linux"))  # fmt: skip
"""A word of the User-Agent -> the system; the first counts."""


def clients() -> dict[str, Any]:
    """The programs for the visitor's system, and the others. For templates."""
    agent = request.user_agent.string
    system = next((name for word, name in SYSTEMS if word in agent), "")
    fitting = [each for each in CLIENTS if system in each.systems]
    others = [each for each in CLIENTS if each not in fitting]
    return {
        "system": system,
        "fitting": fitting,
        "others": others,
        "chat": "/chat" if installed(web().host) else "",
    }


def safe() -> bool:
    """May a password be sent to this page?"""
    return encrypted() or request.environ["wsgi.url_scheme"] == "https" or near()


def _address() -> str:
    return request.remote_addr or ""


def _feature(name: str) -> Any:
    """A module of the host. Ends the request with 404 if it is switched off."""
    module = web().host.modules.get(name)
    if module is None:
        abort(404)
    return module


def _copied(token: str) -> str:
    """The token, without a sign of the sentence in which the link stood."""
    return token.rstrip(".,;:!?)]>'\"")


def _found(name: str, token: str) -> Any:
    """The link of that token. Ends the request: there is none (404), or too many wrong ones came from there (429)."""
    try:
        link = _feature(name).find(token, _address())
    except StanzaError as error:
        abort(429, error.text)
    if link is None:
        abort(404, OVER)
    return link


def _welcome(user: str) -> Response:
    """Signs in who has just made an account."""
    browsers = web().browsers
    if g.signed is not None:
        browsers.end(g.signed)
    cookie = browsers.begin(web().host, user, _address(), request.user_agent.string)
    g.signed, g.new_cookie = browsers.find(cookie), ("jabberd", cookie)
    audit.info("sign-in", by=user, via="console", where=_address(), result="a new account")
    tell(f"Your account is made. Your address is {user}.")
    return redirect("/account", 303)


def _password() -> str:
    """What was written twice. Raises ValueError."""
    password = request.form.get("password", "")
    if not safe():
        raise ValueError(PLAIN)
    if password != request.form.get("again", ""):
        raise ValueError("The two passwords are different.")
    return password


def _text(error: Exception) -> str:
    text = (error.text or error.condition) if isinstance(error, StanzaError) else str(error)
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else ".")


@blueprint.route("/invite/<token>", methods=["GET", "POST"])
@anyone
def invite(token: str) -> Response:
    """What an invitation is for, and how to go on; the form makes an account."""
    token = _copied(token)
    link = _found("arrivals", token)
    invites, arrivals = _feature("invites"), _feature("arrivals")
    error, name, mine = "", link.name or request.form.get("name", "")[:300], _here()
    if request.method == "POST":
        try:
            if request.form.get("accept") and mine:
                arrivals.join(link, mine)
                tell("The invitation is accepted: your chat programs show what came of it.")
                return redirect("/account", 303)
            return _welcome(arrivals.accept(link, name, _password(), _address()))
        except (ValueError, StanzaError) as wrong:
            error = _text(wrong)
    page = render_template(
        "arrive/invite.html", link=link, uri=invites.uri(link, token), name=name, error=error, usable=safe(), clients=clients(),
        mine=mine, least=shortest(web().host),
    )  # fmt: skip
    response = make_response(page, 400 if error else 200)
    # programs that scan the picture of this page find the invitation
    response.headers["Link"] = f'<{invites.uri(link, token)}>; rel="alternate"'
    return response


def _here() -> str:
    """The account at this host with which the visitor is signed in; empty: none."""
    return g.signed.user if g.signed is not None and g.signed.host is web().host else ""


@blueprint.route("/register", methods=["GET", "POST"])
@anyone
def register() -> str | Response | tuple[str, int]:
    """Registration where it is open."""
    module = _feature("register")
    if not module.strangers or web().host.options.anonymous:
        abort(404)
    said = {key: request.form.get(key, "")[:5000] for key in ("name", "challenge", "answer", "reason")}
    error = ""
    if request.method == "POST":
        try:
            wish = module.wish(said["name"], _password(), said["challenge"], said["answer"], said["reason"])
            user = module.register(wish, _address(), near())
            if module.approval:
                return render_template("arrive/waits.html", user=user)
            return _welcome(user)
        except (ValueError, StanzaError) as wrong:
            error = _text(wrong)
    challenge, question = module.question() if module.questions else ("", "")
    page = render_template(
        "arrive/register.html", said=said, error=error, usable=safe(), challenge=challenge, question=question,
        reason=module.approval, least=shortest(web().host), text=module.instructions, clients=clients(),
    )  # fmt: skip
    return (page, 400) if error else page


@blueprint.route("/password/<token>", methods=["GET", "POST"])
@anyone
def password(token: str) -> str | tuple[str, int]:
    """A new password, by a link of an administrator."""
    link = _found("forgotten", _copied(token))
    forgotten, error = _feature("forgotten"), ""
    first = "logins" in web().host.modules and not web().host["logins"].last([link.owner])
    if request.method == "POST":
        try:
            forgotten.use(link, _password(), _address())
            return render_template("arrive/changed.html", user=link.owner, first=first, clients=clients())
        except (ValueError, StanzaError) as wrong:
            error = _text(wrong)
    page = render_template(
        "arrive/password.html", link=link, first=first, error=error, usable=safe(), least=shortest(web().host)
    )
    return (page, 400) if error else page
