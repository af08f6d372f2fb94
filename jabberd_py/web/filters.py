"""How values look on a page: as jabberctl shows them (ctl/show.py), the unit told by the name of the field."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from ..converters import show_size
from ..net.turns import fairly
from ..words import amount, clean, moment, span
from ..xdb import xdb
from ..xmpp.stamp import utc

NAMES = {
    "jid": "Address", "url": "Link", "uri": "Link for chat programs", "landing_url": "Link", "ask": "Asked", "id": "Number",
    "jids": "Addresses", "bytes": "Size", "note": "Note", "address": "IP address", "tls": "TLS",
}  # fmt: skip
"""Fields of results -> what a person calls them."""
STATUS = {"wrong argument": 400, "not allowed": 403, "no such thing": 404, "conflict": 409}
"""Kind of a CommandError -> status of the page. All others are 409: as things are, the command cannot be done."""


def title(key: str) -> str:
    """The name of a field or a command, for a person."""
    text = NAMES.get(key) or clean(key.removesuffix("_seconds").removesuffix("_bytes").replace("_", " "))
    return text if "." in text else text[:1].upper() + text[1:]  # a domain stays as it is


def named(value: Any, key: str = "") -> str:
    """The value of a field, in the unit that its name tells."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if key.endswith("seconds"):
            return span(value)
        if key.endswith(("_bytes", "bytes")):
            return amount(value)
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "; ".join(named(each, key) for each in value) or "-"
    if isinstance(value, dict):
        return (
            ", ".join(
                f"{NAMES.get(name) or clean(name)}: {named(each, name)}" for name, each in value.items()
            )
            or "-"
        )
    return clean(moment(value) if isinstance(value, str) else value)


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """The fields of rows, in order."""
    return list(dict.fromkeys(key for row in rows for key in row))


def when(stamp: str | None) -> Markup:
    """A time of UTC (XEP-0082) as how long ago it was; the exact time is its title."""
    full = named(stamp)
    if stamp is None or not full.endswith(")"):
        return Markup("{}").format(full)
    short = full.rpartition("(")[2].rstrip(")").split()
    text = " ".join([*short[:2], "ago"] if short[-1] == "ago" else short[:3])
    return Markup('<time datetime="{}" title="{}">{}</time>').format(stamp, full, text)


def clock(when: float) -> str:
    """A Unix time as local time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


def rest(line: dict[str, Any]) -> str:
    """What a line of the log says beside its event."""
    known = ("time", "level", "logger", "event", "exception")
    return "  ".join(f"{clean(name)}={clean(value)}" for name, value in line.items() if name not in known)


CARD = {"FN": "", "NICKNAME": "nick ", "EMAIL": "", "TEL": "", "ORG": "", "TITLE": ""}
KINDS = {
    "urn:xmpp:avatar:metadata": "Avatar", "urn:xmpp:avatar:data": "Avatar (the picture)", "urn:xmpp:vcard4": "Profile",
    "urn:xmpp:bookmarks:1": "Bookmarks", "storage:bookmarks": "Bookmarks (older form)",
    "http://jabber.org/protocol/nick": "Nickname", "http://jabber.org/protocol/mood": "Mood",
    "http://jabber.org/protocol/tune": "Tune", "http://jabber.org/protocol/geoloc": "Place",
    "http://jabber.org/protocol/activity": "Activity", "urn:xmpp:omemo:2:devices": "Devices for encryption (OMEMO)",
    "eu.siacs.conversations.axolotl.devicelist": "Devices for encryption (OMEMO)", "urn:xmpp:mds:displayed:0": "What was read",
    "urn:xmpp:microblog:0": "Microblog",
}  # fmt: skip
"""Node of personal data -> what a person calls it."""


def card(values: dict[str, Any]) -> str:
    """Of a vCard, what tells who somebody is."""
    flat = {name: _flat(each) for name, each in values.items()}
    return ", ".join(f"{CARD[name]}{clean(flat[name])}" for name in CARD if flat.get(name)) or "-"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(filter(None, (_flat(each) for key, each in value.items() if not key.startswith("@"))))
    if isinstance(value, list | tuple):
        return " ".join(filter(None, map(_flat, value)))
    return "" if value is None else str(value)


def in_turns(rows: Iterable[Any]) -> Iterator[Any]:
    """Yields the rows; others have their turns in between, and no connection to the database is held meanwhile."""
    xdb.release()
    return fairly(rows)


def given(values: Any) -> Any:
    """Of a dict, what is not empty."""
    return (
        {name: each for name, each in values.items() if each not in ("", None, False)}
        if isinstance(values, dict)
        else values
    )


def code(text: str) -> Markup:
    """Text with what stands in backticks as code."""
    parts = str(text).split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts)
    )


WORDS = {
    "accounts add": "New account",
    "accounts passwd": "Set a new password",
    "accounts reset": "Link to set a password",
    "accounts count": "How many accounts there are",
    "accounts stats": "Accounts in figures",
    "accounts inactive": "Accounts that nobody has used lately",
    "accounts purge": "Delete accounts that nobody has used lately",
    "accounts unserved": "Accounts of hosts that are gone",
    "accounts leave": "Delete an account, as its owner does",
    "sessions list": "All devices that are connected",
    "sessions show": "Devices in detail",
    "groups list": "Contact groups",
    "groups add": "Put somebody into a contact group",
    "groups remove": "Take somebody out of a contact group",
    "groups show": "Who is in a contact group",
    "messages send": "Send a message",
    "tokens list": "Tokens of programs",
    "tokens add": "New token for a program",
    "tokens remove": "Remove a token",
    "pep show": "One kind of personal data",
    "pep purge": "Empty one kind of personal data",
    "pep delete": "Delete one kind of personal data",
    "archive show": "What the archive has",
    "archive preferences": "What the archive keeps",
    "archive change": "Change what the archive keeps",
    "blocked list": "Whom the account has blocked",
    "blocked add": "Block an address for the account",
    "blocked remove": "Unblock an address for the account",
    "invites account": "Invite somebody in the name of the account",
    "invites contact": "Invite a contact in the name of the account",
    "totp set": "Set a second factor up",
    "registrations approve": "Approve a registration",
    "registrations refuse": "Refuse a registration",
    "nodes show": "A node",
    "nodes purge": "Empty a node",
    "blacklist show": "Who is banned, host by host",
    "blacklist set": "All bans of a host as one list",
    "blacklist add": "Ban a server or an address",
    "blacklist remove": "Let in who was banned",
    "whitelist show": "The only servers that may write here",
    "whitelist set": "Let only some servers write here",
    "certificates order": "Get a certificate",
    "certificates renew": "Renew certificates now",
    "certificates show": "How getting certificates goes",
    "setup dns": "DNS records that a domain needs",
    "webhooks list": "Webhooks",
    "webhooks secret": "New secret of a webhook",
    "config set": "Set one option",
    "config unset": "Take one option out",
    "config show": "All options that are set",
    "stats": "Figures of the server",
    "accounts suspend": "Suspend an account",
    "accounts enable": "Let an account in again",
    "accounts delete": "Delete an account",
    "accounts kick": "Disconnect a device",
    "accounts disable": "Disable an account",
    "totp remove": "Remove the second factor",
    "rooms create": "New room",
    "rooms destroy": "Destroy a room",
    "rooms kick": "Throw somebody out of a room",
    "rooms archive": "What was said in a room",
    "rooms affiliation": "Set a role in a room",
    "rooms config": "Change a setting of a room",
    "motd reset": "Remove the message of the day",
    "welcome reset": "Remove the welcome",
    "reports clear": "Forget reports",
    "uploads quota": "Another quota for one account",
    "uploads delete": "Delete all files of an account",
    "nodes delete": "Delete a node",
    "backups delete": "Delete a backup",
    "backups make": "Make a backup",
    "reload": "Read the configuration again",
    "s2s retry": "Try a server again",
    "check federation": "Try the way to a server",
    "admins show": "Administrators",
    "admins set": "Set the administrators",
    "stop": "Stop the server",
    "restart": "Restart the server",
}
"""Commands that buttons of pages stand for, as a person would say it."""


DONE = {
    "accounts kick": "{jid} is disconnected. A program that was disconnected may come back at once by itself: Suspend, or a "
    "new password, keeps it out.",
    "accounts suspend": "{jid} is suspended: it is disconnected, and cannot sign in any more.",
    "accounts enable": "{jid} may sign in again.",
    "rooms create": "The room is made. It lasts, also when nobody is in.",
    "rooms config": "The setting is changed.",
    "blacklist add": "{address} is banned.",
    "blacklist remove": "{address} is banned no longer.",
    "uploads quota": "The quota of {jid} is changed.",
}
"""Command -> what is said when it is done; words in braces are arguments. Of others: its name, whom it was about, how many."""


_commands = re.compile("`?(" + "|".join(sorted(WORDS, key=len, reverse=True)) + ")`?(?! ?[=-])")


def helped(text: str) -> str:
    """The explanation of a command in the words of the pages: other commands and arguments as they are called there."""
    text = _commands.sub(lambda found: f'"{WORDS[found[1]]}"' if " " in found[1] else found[0], text)
    return re.sub(r"--(\w+)", lambda found: f'"{title(found[1])}"', text)


def command(name: str) -> str:
    return WORDS.get(name) or title(name)


FILTERS = {
    "card": card,
    "kind": lambda node: KINDS.get(node, node),
    "fairly": in_turns,
    "segment": lambda text: quote(text, safe="@"),
    "given": given,
    "code": code,
    "helped": helped,
    "command": command,
    "when": when,
    "clock": clock,
    "rest": rest,
    "title": title,
    "named": named,
    "columns": columns,
    "span": span,
    "amount": amount,
    "moment": moment,
    "written": show_size,
    "date": lambda when: moment(utc(when)),
}
