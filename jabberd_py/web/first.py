"""The page at `/`: where somebody is who has typed the name of the server."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template

from .context import anyone, web
from .webchat import installed

blueprint = Blueprint("first", __name__)


@blueprint.get("/")
@anyone
def index() -> str:
    """What this server is, and where to go on."""
    host = web().host
    setup, register = host.router.setup, host.modules.get("register")
    open_: Any = register is not None and register.strangers and not host.options.anonymous
    return render_template(
        "first.html", fresh=setup is not None and setup.usable, register=open_, asks=open_ and register.approval,
        chat=installed(host),
    )  # fmt: skip
