"""Who may register, and registrations that wait for an administrator (modules.register.approval)."""

from __future__ import annotations

import json

from flask import Blueprint, abort, render_template, request
from werkzeug.wrappers import Response

from .console.people import hosts
from .context import act, administrator, may, run

blueprint = Blueprint("registrations", __name__)
PAGE = "/console/registrations"
MOST = 50
"""Registrations of a page."""
DONE = {
    "approve": ("registrations approve", "The account is approved: its owner can sign in."),
    "refuse": ("registrations refuse", "The registration is refused, and the account is gone."),
}
MODES = {
    "nobody": ("Nobody: accounts are made by invitation, or by administrators", {"strangers": "no"}),
    "asked": ("Whoever an administrator approves", {"strangers": "yes", "approval": "yes"}),
    "everybody": ("Everybody", {"strangers": "yes", "approval": "no"}),
}
"""Who may register -> what it is called, and the options of modules.register."""
HOSTS = 20
"""Hosts whose state the page shows."""


@blueprint.route(PAGE)
@administrator
def index() -> str:
    """Who may register now, and who waits, the oldest first."""
    known = {host: mode(host) for host in hosts()[:HOSTS]} if may("config apply") else {}
    return render_template(
        "registrations.html", rows=run("registrations list")[:MOST], known=known, modes=MODES
    )


def mode(host: str) -> str:
    """Who may register on a host: a key of `MODES`."""
    rows = run("config show", place=_place(host))
    said = {row["option"].rpartition(".")[2]: row["value"] for row in rows}
    if not said["enabled"] or not said["strangers"]:
        return "nobody"
    return "asked" if said["approval"] else "everybody"


def _place(host: str) -> str:
    return f"hosts.{host}.modules.register"


@blueprint.route(f"{PAGE}/who", methods=["POST"])
@administrator
def who() -> Response:
    """Says who may register on a host."""
    host, wanted = request.form.get("host", ""), request.form.get("mode", "")
    if host not in hosts() or wanted not in MODES:
        abort(400)
    name, options = MODES[wanted]
    changes = {f"{_place(host)}.{option}": value for option, value in options.items()}
    done = f"Who may register on {host} now: {name[:1].lower()}{name[1:]}."
    if wanted != "nobody" and mode(host) == "nobody":
        rows = run("config show", place=_place(host))
        if not next(row["value"] for row in rows if row["option"].endswith(".enabled")):
            changes[f"{_place(host)}.enabled"] = "yes"
            done = f"Who may register on {host} after the next start of the server: {name[:1].lower()}{name[1:]}."
    return act("config apply", PAGE, done, changes=json.dumps(changes, ensure_ascii=False))


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
