"""Registrations that wait for an administrator (modules.register.approval)."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request
from werkzeug.wrappers import Response

from .context import act, administrator, run

blueprint = Blueprint("registrations", __name__)
PAGE = "/console/registrations"
MOST = 50
"""Registrations of a page."""
DONE = {
    "approve": ("registrations approve", "The account is approved: its owner can sign in."),
    "refuse": ("registrations refuse", "The registration is refused, and the account is gone."),
}


@blueprint.route(PAGE)
@administrator
def index() -> str:
    """Who waits, the oldest first."""
    return render_template("registrations.html", rows=run("registrations list")[:MOST])


@blueprint.route(PAGE, methods=["POST"])
@administrator
def decide() -> Response:
    command, done = DONE.get(request.form.get("do", "")) or abort(400)
    reason = request.form.get("reason", "")[:1000] or None
    return act(
        command,
        PAGE,
        done,
        jid=request.form.get("jid", ""),
        **({"reason": reason} if "refuse" in command else {}),
    )
