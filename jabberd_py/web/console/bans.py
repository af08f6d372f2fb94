"""With whom this server has no dealings, and with whom only."""

from __future__ import annotations

from typing import Any

from flask import render_template

from .. import forms
from ..context import administrator, may, run
from . import console


@console.route("/bans")
@administrator
def bans() -> str:
    """Who is banned, and a form to ban others."""
    return render_template(
        "console/bans.html", form=forms.form("blacklist add"), banned=_places(run("blacklist show")),
        only=_places(run("whitelist show")) if may("whitelist show") else {},
    )  # fmt: skip


def _places(shown: dict[str, Any]) -> dict[str, list[str]]:
    """Address -> the hosts and services that have it on their list; an empty name: the only place there is."""
    by_place: dict[str, Any] = {"": shown} if "jids" in shown else shown
    found: dict[str, list[str]] = {}
    for place, said in by_place.items():
        for address in said["jids"]:
            found.setdefault(address, []).append(place)
    return {
        address: [] if len(found[address]) == len(by_place) else found[address] for address in sorted(found)
    }
