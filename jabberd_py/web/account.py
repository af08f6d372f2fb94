"""One's own account."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, abort, g, redirect, render_template, request
from werkzeug.wrappers import Response

from .. import log
from ..commands import CommandError, NoSuchThing
from ..jsm import tickets
from ..words import clean
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from .arrive import clients
from .context import act, me, proven, run, shortest, signed_in, takes, tell, web
from .signin import Refused, check_password, prove

blueprint = Blueprint("account", __name__, url_prefix="/account")
audit = log.get("audit")
LARGEST = 32 << 20
"""Bytes of a file that is imported."""
WORDS = {
    "contacts": "contacts", "nodes": "items of nodes", "other": "parts of profile and settings",
    "archive": "messages of the archive", "offline": "unread messages, which are in the archive now",
    "files": "uploaded files", "failed": "refused",
}  # fmt: skip
"""What is imported, for people."""


@blueprint.route("", methods=["GET", "POST"])
@signed_in
def index() -> str | Response | tuple[str, int]:
    """The address, programs to chat with, and another password."""
    error = ""
    if request.method == "POST":
        try:
            _change_password()
            return redirect("/account", 303)
        except (Refused, CommandError, ValueError) as wrong:
            error = str(wrong)
    facts = run("accounts show", jid=me().user)
    page = render_template(
        "account/index.html", facts=facts, error=error, clients=clients(), least=shortest(me().host)
    )
    return (page, 400) if error else page


def _change_password() -> None:
    """Raises Refused, CommandError, ValueError."""
    password = request.form.get("password", "")
    if password != request.form.get("again", ""):
        raise ValueError("The two new passwords are different.")
    old = request.form.get("old", "")
    if proven():
        check_password(me().host, me().user, old)
    else:
        prove(old, request.form.get("_code", ""))
    run("accounts passwd", jid=me().user, password=password)
    web().browsers.renew(me())
    others = bool(request.form.get("others"))
    ended, removed = (_kick(), _drop_tokens()) if others else (0, 0)
    tell("Your password is changed." + (f" {ended} chat programs were signed out." if ended else "")
         + (f" {removed} tokens of programs were removed." if removed else ""))  # fmt: skip


def _kick() -> int:
    try:
        return int(run("accounts kick", jid=me().user, reason="the password was changed")["sessions"])
    except CommandError:  # none is connected
        return 0


def _drop_tokens() -> int:
    tokens: Any = me().host.modules.get("tokens")
    return 0 if tokens is None else int(xdb.save(tokens.drop, me().user))


@blueprint.route("/devices")
@signed_in
def devices() -> str:
    """Where the account is in use: chat programs, browsers, programs with a token."""
    user = me().user
    return render_template(
        "account/devices.html", sessions=run("sessions show", jid=user), browsers=web().browsers.of(user), here=me(),
        tokens=run("tokens list", jid=user),
    )  # fmt: skip


@blueprint.route("/devices/end", methods=["POST"])
@signed_in
def end() -> Response:
    """Ends one session, or all; of chat programs, browsers or programs with a token."""
    user, id = me().user, request.form.get("id", "")
    back = "/account/devices"
    match request.form.get("kind"):
        case "program":
            return act(
                "accounts kick",
                back,
                "The program is signed out.",
                jid=f"{user}/{id}",
                reason="signed out by its user",
            )
        case "programs":
            return act(
                "accounts kick",
                back,
                "All programs are signed out.",
                jid=user,
                reason="signed out by its user",
            )
        case "token":
            return act("tokens remove", back, "The token is removed.", jid=user, id=id)
        case "browsers":
            tickets.end_sessions(me().host, user)
            tell(f"{web().browsers.end_others(me())} other browsers are signed out.")
            audit.info(
                "sign-out", by=user, via="console", where=request.remote_addr, result="all other browsers"
            )
    return redirect(back, 303)


# -- who reaches one, and what is kept ------------------------------------------------------------------------


@blueprint.route("/privacy", methods=["GET", "POST"])
@signed_in
def privacy() -> str | Response:
    """Blocked addresses, and what the archive keeps."""
    user, form, back = me().user, request.form, "/account/privacy"
    if request.method == "POST":
        match form.get("do"):
            case "block":
                address = _address(form.get("address", "").strip())
                done = f"{address} is blocked." if "@" in address else f"Everybody at {address} is blocked."
                return act("blocked add", back, clean(done), jid=user, address=address)
            case "unblock":
                return act(
                    "blocked remove",
                    back,
                    "The address is unblocked.",
                    jid=user,
                    address=form.get("address", ""),
                )
            case "keep":
                more = {name: form.get(name, "") for name in ("default", "always", "never")}
                return act("archive change", back, "Saved.", jid=user, **more)
        return redirect(back, 303)
    return render_template(
        "account/privacy.html", blocked=_ask("blocked list"), archive=_ask("archive preferences"),
        choices=("always", "roster", "never"),
    )  # fmt: skip


def _address(said: str) -> str:
    """A name alone is somebody of this host; a domain stands for everybody there."""
    alone = bool(said) and not set(said) & set("@.:/") and said not in web().host.router.instances
    return f"{said}@{me().jid.domain}" if alone else said


def _ask(command: str) -> Any:
    """The result of a command about one's own account; None if its module is switched off."""
    try:
        return run(command, jid=me().user)
    except NoSuchThing:
        return None


# -- the end --------------------------------------------------------------------------------------------------


@blueprint.route("/delete", methods=["GET", "POST"])
@signed_in
def delete() -> str | Response | tuple[str, int]:
    """Deletes the account, after some days in which its owner can come back."""
    error = ""
    if request.method == "POST":
        try:
            check_password(me().host, me().user, request.form.get("old", ""))
            left = run("accounts leave", jid=me().user)
            web().browsers.end_others(me())
            web().browsers.end(me())
            g.signed, g.new_cookie = None, ("jabberd", "")
            return render_template("account/left.html", left=left)
        except (Refused, CommandError) as wrong:
            error = str(wrong)
    page = render_template("account/delete.html", error=error)
    return (page, 400) if error else page


# -- all data -------------------------------------------------------------------------------------------------


@blueprint.route("/data")
@signed_in
def data() -> str:
    """Offers a file with everything, and takes one of another server."""
    return render_template("account/data.html", most=LARGEST)


@blueprint.route("/data/import", methods=["POST"])
@takes(LARGEST)
@signed_in
def bring() -> Response:
    """Reads such a file of an account elsewhere."""
    portable: Any = me().host.modules.get("portable")
    if portable is None:
        abort(404)
    try:
        with g.file as file:
            brought = portable.merge(me().jid, file)
    except (ValueError, StanzaError) as error:
        tell(str(error) if isinstance(error, ValueError) else error.text or error.condition, "error")
    else:
        came = [f"{WORDS[name]}: {count}" for name, count in brought.counts.items() if count]
        tell(f"Imported: {', '.join(came) or 'nothing'}.")
        if brought.left:
            tell("Not imported: " + "; ".join(brought.left) + ".", "hint")
    audit.info("import", by=me().user, via="console", where=request.remote_addr, result="done")
    return redirect("/account/data", 303)


@blueprint.route("/data/export", methods=["POST"])
@signed_in
def export() -> Response:
    """The file (XEP-0227), sent while it is written. It has the keys of the password only for who knows the password."""
    portable: Any = me().host.modules.get("portable")
    if portable is None:
        abort(404)
    jid, old, files = me().jid, request.form.get("old", ""), bool(request.form.get("files"))
    try:
        if old:
            check_password(me().host, me().user, old)
        pieces = portable.export(jid, keys=bool(old), files=files)
    except Refused as wrong:
        tell(str(wrong), "error")
        return redirect("/account/data", 303)
    except StanzaError as error:
        abort(429, error.text)
    audit.info("export", by=me().user, via="console", where=request.remote_addr, result="begun")
    kind, name = (
        ("application/zip", "account.zip") if files else ("application/xml; charset=utf-8", "account.xml")
    )
    return Response(
        pieces, headers={"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
    )
