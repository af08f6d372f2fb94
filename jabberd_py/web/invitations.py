"""Invitations: of the server in the console, and one's own."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request
from werkzeug.wrappers import Response

from ..commands import CommandError
from . import forms
from .context import act, administrator, me, run, signed_in, tell, web

blueprint = Blueprint("invitations", __name__)
SHOWN = 100
"""The newest invitations; jabberctl shows all."""
ALL, MINE = "/console/invitations", "/account/invitations"
HINTS = {
    "name": "Only this name can be taken with the link. Empty: the new user chooses one",
    "uses": "How many accounts can be made with the link",
    "lifetime": "Such as 12h or 7d. Empty: as the server says",
    "group": "The new account and all members of this group are in each other's contact lists",
    "rooms": "Chat rooms that the new account becomes a member of, separated by spaces. Make them first, under Rooms",
    "note": "For you, to know the invitation again",
}


@blueprint.route(ALL, methods=["GET", "POST"])
@administrator
def index() -> str | Response | tuple[str, int]:
    """All invitations of the server, and a form for a new one."""
    form, made, status = (
        forms.form("invites add", HINTS, {"group": "Contact group", "rooms": "Chat rooms"}),
        None,
        200,
    )
    if request.method == "POST":
        try:
            made = form.run()
        except CommandError:
            status = 400
    page = render_template("invitations/all.html", form=form, made=_made(made), rows=_rows())
    return (page, status) if status != 200 else page


def _rows() -> list[dict[str, Any]]:
    """The newest first; those that can be used still come before the others."""
    rows: list[dict[str, Any]] = run("invites list", limit=SHOWN)
    rows.reverse()
    return sorted(rows, key=lambda row: str(row["state"] != "open"))


def _made(result: Any) -> list[dict[str, Any]]:
    """One for each host, if no host was chosen."""
    if result is None:
        return []
    return [result] if "uri" in result else list(result.values())


@blueprint.route(f"{ALL}/revoke", methods=["POST"])
@administrator
def revoke() -> Response:
    return act("invites revoke", ALL, "The invitation is revoked.", id=request.form.get("id", ""))


@blueprint.route(MINE, methods=["GET", "POST"])
@signed_in
def mine() -> str | Response | tuple[str, int]:
    """One's own invitations."""
    user, made, status = me().user, None, 200
    if request.method == "POST":
        name = "invites account" if request.form.get("kind") == "account" else "invites contact"
        try:
            made = run(name, jid=user)
        except CommandError as error:
            tell(str(error), "error")
            status = 409
    module = web().host.router.instances[me().jid.domain].modules.get("invites")
    allowed = "nobody" if module is None else module.users
    if module is not None and me().host.is_admin(me().jid):
        allowed = "accounts"
    rows = run("invites list", jid=user, limit=SHOWN) if module is not None else []
    page = render_template(
        "invitations/mine.html", made=_made(made), rows=list(reversed(rows)), allowed=allowed
    )
    return (page, status) if status != 200 else page


@blueprint.route(f"{MINE}/revoke", methods=["POST"])
@signed_in
def revoke_mine() -> Response:
    return act(
        "invites revoke", MINE, "The invitation is revoked.", id=request.form.get("id", ""), jid=me().user
    )
