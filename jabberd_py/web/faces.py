"""The faces of a site, each a Flask Blueprint in a file or folder of its own, and what stands in the navigation."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlencode

from flask import Blueprint, current_app, g, request, url_for

from . import (
    account,
    arrive,
    chat,
    context,
    filters,
    first,
    invitations,
    kept,
    options,
    registrations,
    second,
    setup,
    signin,
)
from .console import console
from .webchat import installed

FACES: list[Blueprint] = [
    first.blueprint,
    signin.blueprint,
    arrive.blueprint,
    account.blueprint,
    second.blueprint,
    setup.blueprint,
    options.blueprint,
    invitations.blueprint,
    registrations.blueprint,
    kept.blueprint,
    chat.blueprint,
    console,
]


class Entry(NamedTuple):
    """A line of the navigation. It is shown if there is such an endpoint, and if who asks may run the command."""

    endpoint: str
    text: str
    command: str = ""


CONSOLE = [
    ("", [
        Entry("console.overview", "Overview"),
        Entry("console.doctor", "Doctor", "check"),
        Entry("console.logs", "Log", "log show"),
        Entry("console.audit", "Audit", "log audit"),
    ]),
    ("People", [
        Entry("console.users", "Users", "accounts list"),
        Entry("invitations.index", "Invitations"),
        Entry("registrations.index", "Registrations", "registrations list"),
        Entry("console.reports", "Reports", "reports list"),
        Entry("console.bans", "Bans", "blacklist show"),
        Entry("console.announce", "Announcements", "announce"),
    ]),
    ("Services", [
        Entry("console.hosts", "Hosts"),
        Entry("console.rooms", "Rooms", "rooms list"),
        Entry("console.nodes", "PubSub nodes", "nodes list"),
        Entry("console.uploads", "Files"),
        Entry("console.components", "Components", "components"),
    ]),
    ("Server", [
        Entry("console.federation", "Federation", "s2s"),
        Entry("console.certificates", "Certificates", "check certificates"),
        Entry("modules.index", "Modules and options", "config places"),
        Entry("console.store", "Store and backups", "check store"),
        Entry("console.commands", "All commands"),
    ]),
]  # fmt: skip
"""Group -> entries, for administrators."""
OWN = [("", [
    Entry("account.index", "My account"),
    Entry("second.index", "Second factor"),
    Entry("account.devices", "Devices"),
    Entry("account.data", "My data"),
    Entry("account.privacy", "Privacy"),
    Entry("invitations.mine", "Invitations"),
    Entry("chat.index", "Chat"),
    Entry("account.delete", "Delete account"),
])]  # fmt: skip
"""For everybody, of one's own account."""


ALSO: dict[str, tuple[str, ...]] = {
    "console.overview": ("stats",),
    "console.users": (
        "accounts count", "accounts stats", "sessions list", "accounts inactive", "accounts purge", "accounts unserved",
        "groups list", "groups add", "groups remove", "groups show", "messages send",
    ),
    "console.user": (
        "tokens list", "tokens add", "tokens remove", "sessions show", "invites account", "invites contact", "blocked list",
        "blocked add", "blocked remove", "archive show", "archive preferences", "archive change", "pep show", "pep purge",
        "pep delete", "totp set", "accounts disable", "accounts leave",
    ),
    "console.bans": ("blacklist show", "blacklist set", "whitelist show"),
    "console.doctor": (
        "check config", "check limits", "check clock", "check disk", "check dns", "check ports", "check store",
        "check certificates",
    ),
    "console.hosts": ("admins set", "setup dns", "webhooks list", "webhooks secret"),
    "modules.index": ("config show", "config set", "config unset"),
    "modules.place": ("restart",),
    "console.store": ("stop", "restart"),
}  # fmt: skip
"""Page -> what else can be done about its things: commands that have no place of their own on it."""


class Link(NamedTuple):
    href: str
    text: str
    current: bool


def navigation() -> list[tuple[str, list[Link]]]:
    """What the page shows beside itself: the console's, or one's own account's; nothing for strangers."""
    if g.get("signed") is None:
        return []
    groups = CONSOLE if request.path.startswith("/console") and context.is_administrator() else OWN
    found = [(title, [_link(each) for each in entries if _shown(each)]) for title, entries in groups]
    return [(title, links) for title, links in found if links]


def _shown(entry: Entry) -> bool:
    if entry.endpoint == "chat.index" and not installed(context.web().host):
        return False
    return entry.endpoint in current_app.view_functions and (not entry.command or context.may(entry.command))


def _link(entry: Entry) -> Link:
    href = url_for(entry.endpoint)
    below = href.count("/") > 1 and request.path.startswith(href.rstrip("/") + "/")
    return Link(href, entry.text, entry.endpoint == request.endpoint or below)


def also() -> list[Link]:
    """The further commands of the page (`ALSO`) that who asks may run; what the page is about is filled in."""
    about = {name: str(value) for name, value in (request.view_args or {}).items()}
    found = []
    for name in ALSO.get(request.endpoint or "", ()):
        if context.may(name) and not (bound := context.registry().find(name)[0]).local:
            given = {key: value for key, value in about.items() if key in bound.arguments}
            if bound.command.changes:
                given["back"] = request.path
            where = f"/console/do/{quote(name)}" + (f"?{urlencode(given)}" if given else "")
            found.append(Link(where, filters.command(name), False))
    return found
