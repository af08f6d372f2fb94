"""Pages that say what is wrong, and where to go from there."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlencode

from flask import g, render_template, request

from . import context

TITLES = {400: "That does not work", 403: "Not allowed", 404: "There is nothing here", 409: "That does not work now",
          413: "That is too much", 500: "This page failed", 503: "Not now"}  # fmt: skip
GONE = {
    "/console/users/": (
        "No account has this address. Is it written right? It may have been deleted.",
        "users",
        "All users",
    ),
    "/console/rooms/": (
        "No room has this address. It may have ended when the last one left it.",
        "rooms",
        "All rooms",
    ),
    "/console/options/": ("The configuration has no such place.", "options/", "All options"),
}
"""Where a page of the console begins -> what it means that there is none, and the list to look in."""


class Advice(NamedTuple):
    """``text``: what to do; ``links``: (address, text); ``other``: offer to sign in as somebody else."""

    text: str = ""
    links: tuple[tuple[str, str], ...] = ()
    other: bool = False


def page(status: int, text: str) -> str:
    """``text``: what is wrong."""
    return render_template(
        "error.html",
        title=TITLES.get(status, "That does not work"),
        text=text,
        status=status,
        advice=_advice(status),
    )


def _advice(status: int) -> Advice:
    signed = g.get("signed")
    if signed is None:
        return Advice(links=(("/", "First page"), ("/sign-in", "Sign in")))
    if not context.is_administrator():
        mine = (("/account", "My account"),)
        if status == 403 and request.path.startswith("/console"):
            return Advice(
                f"You are signed in as {signed.user}, who administers no host here. An administrator can change that (Hosts, "
                "Change the administrators), and so can the configuration (admins of the host). Or sign in with the address "
                "of an administrator.", mine, other=True,
            )  # fmt: skip
        return Advice(links=mine)
    first = ("/console", "Overview")
    for begin, (text, place, name) in GONE.items():
        if status == 404 and request.path.startswith(begin):
            links = [(f"/console/{place}", name), first]
            if place == "users":
                said = request.path.removeprefix(begin).partition("/")[0]
                local, _, domain = said.partition("@")
                links.insert(
                    0,
                    (
                        f"/console/users?{urlencode({'text': local, 'host': domain})}",
                        "Look for a similar one",
                    ),
                )
            return Advice(text, tuple(links))
    if status == 403:
        return Advice(
            "You administer a part of this server, and this belongs to another part, or to the server as a whole.",
            (first,),
        )
    return Advice(links=(first,))
