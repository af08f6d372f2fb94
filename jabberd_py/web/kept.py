"""Forms that arrive when their sender is signed out. What was written is shown again after the sign-in, without passwords."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from contextlib import suppress
from typing import NamedTuple

from flask import Blueprint, abort, render_template, request
from werkzeug.exceptions import HTTPException

from ..xdb import xdb
from .context import me, signed_in, web

blueprint = Blueprint("kept", __name__, url_prefix="/kept")
MOST, LIFETIME, LARGEST = 100, 1800.0, 16 * 1024
"""Forms of all people, seconds that one is kept, and its bytes."""
FIELDS = 40
SECRET = ("password", "again", "old", "secret", "code")
"""Fields that are not kept, nor are those that begin with an underscore."""
NEVER = ("/sign-in", "/setup", "/console/options")
"""Beginnings of pages whose forms are not kept: their fields may be secrets, or belong to the page as it was."""


class Kept(NamedTuple):
    """A form. ``user``: whose it is; empty: the server has forgotten that. ``until``: a time of the monotonic clock."""

    path: str
    fields: list[tuple[str, str]]
    user: str
    until: float


_all: OrderedDict[str, Kept] = OrderedDict()


def keep(cookie: str) -> str:
    """Keeps the form that this request sends. ``cookie``: of the session that has ended. Returns the page where it is shown;
    empty if it is not kept. Blocks until the form has come."""
    if (
        not cookie
        or request.path.startswith(NEVER)
        or request.mimetype != "application/x-www-form-urlencoded"
    ):
        return ""
    request.max_content_length = LARGEST
    xdb.release()
    with suppress(HTTPException):  # it is too large
        if request.get_data().count(b"&") < FIELDS:
            said = [(name, text) for name, text in request.form.items(multi=True) if _open(name)]
            id = secrets.token_urlsafe(24)
            user = web().browsers.left(cookie)
            _all[id] = Kept(request.full_path.rstrip("?"), said, user, time.monotonic() + LIFETIME)
            if len(_all) > MOST:
                _all.popitem(last=False)
            return f"/kept/{id}"
    return ""


def _open(name: str) -> bool:
    return name not in SECRET and not name.startswith("_")


@blueprint.get("/<id>")
@signed_in
def show(id: str) -> str:
    """The form, as it was sent."""
    found = _all.get(id)
    if found is None or found.until < time.monotonic() or found.user not in ("", me().user):
        abort(404)
    return render_template("kept.html", kept=found)
