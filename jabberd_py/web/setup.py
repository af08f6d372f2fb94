"""Set-up in the browser: three pages, reached by the one-time link that the first start prints (ctl/setup.py does the work)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urlencode

from flask import Blueprint, abort, g, redirect, render_template, request
from werkzeug.wrappers import Response

from ..commands import Caller, CommandError, outcome
from . import context, names
from .context import anyone

blueprint = Blueprint("setup", __name__, url_prefix="/setup")
COOKIE = "jabberd-setup"
HERE = ("localhost", "127.0.0.1", "[::1]")
_server = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(:[0-9]{1,5})?").fullmatch
_socket = re.compile(r"/[A-Za-z0-9._/-]{1,100}").fullmatch
SOCKETS = {"mysql": "unix_socket", "postgresql": "host"}
"""Kind of database -> what its URL calls the path of a socket."""
FIELDS = {
    "domain": ("domain", "Domain"), "directory": ("directory", "Another authority"),
    "certificate": ("certificate", "File of the certificate"), "key": ("key", "File of the private key"),
    "server": ("server", "Server"), "admin": ("admin", "Name"), "password": ("secret", "Password"),
}  # fmt: skip
"""The argument that is wrong -> the name of its field, and what a person calls it."""
AFTER = ("setup.done", "setup.finish", "setup.enter", "setup.certificate")
"""Views that are there when the server is set up."""
CLIENTS = [
    ("Conversations", "Android", "https://conversations.im"), ("Monal", "iPhone, iPad, Mac", "https://monal-im.org"),
    ("Gajim", "Windows, Linux, Mac", "https://gajim.org"), ("Dino", "Linux", "https://dino.im"),
]  # fmt: skip


def meant() -> bool:
    """Does the request come from where the link was meant for? From this machine without a proxy between, or by TLS up to the
    server itself; under a name of ours, since a page of somebody else may have made the browser take us for that one (DNS
    rebinding)."""
    environ = request.environ
    port = request.host.rpartition(":")[2]
    name = (
        request.host.removesuffix(f":{port}")
        if port.isdigit() and not request.host.endswith("]")
        else request.host
    )
    if environ["jabberd.handler"].connection.secure:
        return (
            names.is_address(name)
            or name in (*HERE, *names.machine())
            or (name in context.web().host.router.instances)
        )
    return context.near() and name in HERE


def state() -> Any:
    return context.web().host.router.setup


@blueprint.before_request
def check() -> None:
    """Nobody else learns even that there is such a page."""
    setup = state()
    if setup is None or not setup.usable or not meant():
        abort(404)
    if request.endpoint != "setup.enter" and not setup.knows(request.cookies.get(_cookie(), "")):
        abort(404)
    if setup.done is not None and request.endpoint not in AFTER:
        abort(404)


def _cookie() -> str:
    return f"__Host-{COOKIE}" if context.encrypted() else COOKIE


@blueprint.route("/<token>", methods=["GET", "POST"])
@anyone
def enter(token: str) -> str | Response:
    """The link. Its page has one button, which uses it up: what only looks at the link, such as the preview of a chat, sends no
    form."""
    setup, address = state(), request.remote_addr or ""
    if not setup.right(token, address):
        abort(404)
    if request.method != "POST":
        return render_template("setup/open.html", token=token)
    session = setup.enter(token, address)
    if session is None:
        abort(404)
    g.new_cookie = (COOKIE, session)
    return redirect("/setup/domain", 303)


@blueprint.route("/domain", methods=["GET", "POST"])
@anyone
def domain() -> str | Response | tuple[str, int]:
    """The first page: domain and certificate."""
    setup, answers = state(), state().answers
    if request.method == "POST":
        _take("domain", "tls", "certificate", "key", "email", "directory")
        try:
            answers["domain"] = setup.domain(answers["domain"])
            if answers["tls"] not in ("self-signed", "files", "acme"):
                raise CommandError("choose a certificate", "tls")
            if answers["tls"] == "files":
                setup.files(answers["certificate"], answers["key"], answers["domain"])
            elif answers["tls"] == "acme":
                setup.acme(answers["domain"], answers["directory"])
        except CommandError as error:
            return _page("domain", 1, error)
        return redirect("/setup/database", 303)
    return _page("domain", 1)


@blueprint.route("/database", methods=["GET", "POST"])
@anyone
def database() -> str | Response | tuple[str, int]:
    """The second page: where the data are."""
    if "domain" not in state().answers:
        return redirect("/setup/domain", 303)
    if request.method == "POST":
        said = _database()
        if isinstance(said, CommandError):
            return _page("database", 2, said)
        return redirect("/setup/administrator", 303)
    return _page("database", 2)


@blueprint.post("/database/test")
@anyone
def test() -> str | tuple[str, int]:
    """The button: can the database be used?"""
    said = _database()
    if isinstance(said, CommandError):
        return _page("database", 2, said)
    return _page("database", 2, good=said)


def _database() -> str | CommandError:
    """Takes the form, and tries it. Returns what to tell."""
    setup, answers = state(), state().answers
    _take("kind", "server", "name", "user")
    answers.pop("url", None)
    answers["password"] = request.form.get("password", "")[:200] or answers.get("password", "")
    if answers["kind"] not in SOCKETS:
        answers["url"] = ""
        return "SQLite needs nothing else: the data are in a file of the data folder."
    where, name = answers["server"] or "localhost", quote(answers["name"] or "jabberd", safe="")
    socket = _socket(where) is not None
    if not socket and not _server(where):
        return CommandError(
            "a name or an address, and a port if need be, such as db.example.org:3306; or the path of a socket",
            "server",
        )
    who = ":".join(
        quote(answers[each], safe="") for each in ("user", "password") if answers["user"] and answers[each]
    )
    place = f"/{name}?{SOCKETS[answers['kind']]}={quote(where)}" if socket else f"{where}/{name}"
    answers["url"] = f"{answers['kind']}://{who and who + '@'}{place}"
    try:
        text: str = setup.try_database(answers["url"])
        return text
    except CommandError as error:
        return error


@blueprint.route("/administrator", methods=["GET", "POST"])
@anyone
def administrator() -> str | Response | tuple[str, int]:
    """The third page: the first administrator; then all is done at once."""
    answers = state().answers
    if "domain" not in answers or "url" not in answers:
        return redirect("/setup/domain", 303)
    if request.method == "POST":
        _take("admin")
        password, again = request.form.get("secret", ""), request.form.get("again", "")
        if password != again:
            return _page("administrator", 3, CommandError("the two are not the same", "password"))
        caller = Caller("set-up", "browser", request.remote_addr or "", operator=True)
        args = {each: answers[each] for each in ("domain", "admin", "tls") if answers.get(each)}
        more = {"files": ("certificate", "key"), "acme": ("email", "directory")}.get(answers["tls"], ())
        args |= {each: answers[each] for each in more}
        if answers["url"]:
            args["database"] = answers["url"]
        try:
            answers["result"] = outcome(
                context.registry().run(caller, "setup", args | {"password": password})
            )
        except CommandError as error:
            return _page("administrator", 3, error)
        from ..words import clean

        answers["strength"] = clean(state().strength(password))
        return redirect("/setup/done", 303)
    return _page("administrator", 3)


@blueprint.get("/done")
@anyone
def done() -> str:
    """What to do next."""
    setup = state()
    if setup.done is None:
        abort(404)
    administrator = setup.answers["result"]["administrator"]
    acme = setup.certificate() if setup.answers["tls"] == "acme" else None
    return render_template(
        "setup/done.html", acme=acme, answers=setup.answers, domain=setup.done,
        administrator=administrator, uri=f"xmpp:{quote(administrator, safe='@[:]')}",
        records=setup.records(setup.done), clients=CLIENTS, console=f"{context.web().host.router.base(setup.done)}/console",
    )  # fmt: skip


@blueprint.post("/certificate")
@anyone
def certificate() -> Response:
    """The button: asks the authority once more."""
    if state().done is None:
        abort(404)
    state().order()
    return redirect("/setup/done", 303)


@blueprint.get("/finish")
@anyone
def finish() -> Response:
    """Closes the set-up for good."""
    if state().done is None:
        abort(404)
    administrator = state().answers.get("result", {}).get("administrator", "")
    state().close()
    return redirect(f"/sign-in?{urlencode({'address': administrator})}", 303)


def _take(*names: str) -> None:
    for name in names:
        state().answers[name] = request.form.get(name, "")[:500].strip()


def _page(name: str, step: int, error: CommandError | None = None, good: str = "") -> Any:
    wrong = FIELDS.get((error and error.argument) or "")
    page = render_template(
        f"setup/{name}.html", page=name, step=step, answers=state().answers, wrong=wrong, good=good,
        least=state().shortest,
        error=error and str(error).removeprefix(f"{error.argument}:").strip(),
    )  # fmt: skip
    return (page, 400) if error is not None else page
