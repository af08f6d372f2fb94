"""The first page: how the server is doing."""

from __future__ import annotations

from flask import render_template

from ..context import administrator, may, run
from . import console


@console.route("", strict_slashes=False)
@administrator
def overview() -> str:
    return render_template(
        "console/overview.html", status=run("status" if may("status") else "accounts count")
    )
