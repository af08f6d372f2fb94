"""One's own account."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from ..commands import CommandError
from .arrive import clients
from .context import act, me, run, signed_in, tell, web
from .signin import Refused, check_password

blueprint = Blueprint("account", __name__, url_prefix="/account")


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
    page = render_template("account/index.html", facts=facts, error=error, clients=clients())
    return (page, 400) if error else page


def _change_password() -> None:
    """Raises Refused, CommandError, ValueError."""
    password = request.form.get("password", "")
    if password != request.form.get("again", ""):
        raise ValueError("The two new passwords are different.")
    check_password(me().host, me().user, request.form.get("old", ""))
    run("accounts passwd", jid=me().user, password=password)
    web().sessions.renew(me())
    ended = _kick() if request.form.get("others") else 0
    tell("Your password is changed." + (f" {ended} chat programs were signed out." if ended else ""))


def _kick() -> int:
    try:
        return int(run("accounts kick", jid=me().user, reason="the password was changed")["sessions"])
    except CommandError:  # none is connected
        return 0


@blueprint.route("/devices")
@signed_in
def devices() -> str:
    """Where the account is in use: chat programs, browsers, programs with a token."""
    user = me().user
    return render_template(
        "account/devices.html", sessions=run("sessions show", jid=user), browsers=web().sessions.of(user), here=me(),
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
            tell(f"{web().sessions.end_others(me())} other browsers are signed out.")
    return redirect(back, 303)
