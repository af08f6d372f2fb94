"""The page on which one sets up, or removes, a second factor of one's own account."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request
from werkzeug.wrappers import Response

from ..commands import CommandError
from . import totp
from .context import asks, me, run, signed_in, tell, web
from .signin import Refused, check_password

blueprint = Blueprint("second", __name__, url_prefix="/account")
HERE = "/account/second-factor"


@blueprint.route("/second-factor", methods=["GET", "POST"])
@signed_in
def index() -> str | Response:
    """Shows a new secret, or says that there is one already."""
    jid, notes = me().user, me().notes
    on = run("totp show", jid=jid)["on"]
    if request.method == "POST":
        code = request.form.get("code", "")
        try:
            if asks("totp set"):
                check_password(me().host, me().user, request.form.get("old", ""))
                g.proved = True  # the code is shown to the command
            if on:
                run("totp remove", jid=jid, code=code)
                tell("The second factor is removed: your password is enough now.")
            else:
                run("totp set", jid=jid, secret=notes.get("totp", ""), code=code)
                notes.pop("totp", None)
                web().browsers.end_others(me())
                tell("Done: from now on a sign-in asks for a code, too.")
        except (CommandError, Refused) as error:
            tell(str(error), "error")
        return redirect(HERE, 303)
    if on:
        return render_template("second.html", on=True)
    secret = notes.setdefault("totp", totp.fresh())
    return render_template(
        "second.html", on=False, secret=secret, address=totp.address(jid, secret, web().host.domain)
    )
