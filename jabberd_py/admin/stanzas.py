"""Messages for programs: sent in the name of an account, and read from its archive, as JSON (xmltodict)."""

from __future__ import annotations

import json
import secrets
from typing import Annotated, Any, Literal
from xml.parsers.expat import ExpatError

import xmltodict

from ..archive import pages
from ..archive.query import LAST, Query
from ..arguments import AccountAddress, Address, Private
from ..converters import Converter
from ..hooks import Module, command
from ..net.turns import share
from ..xdb import xdb
from ..xdb.numbers import when
from ..xdb.plain import plain
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT
from ..xmpp.rsm import Page
from ..xmpp.stamp import utc

DEPTH = 20
MOST = 500
"""Messages of an archive that are shown at once."""
SHOWN = 1_000_000
"""Characters of them."""
LONGEST = 64 * 1024
"""Characters of a message that a program sends."""
ELEMENT = 64
"""What an element costs beside its characters: it takes time."""
ATTRIBUTES = {"type", "id", "xml:lang"}
"""The attributes of a message that a program may set. The others say who writes to whom; the server sets them."""


def stanza(value: Any) -> Element:
    """What stands in a message, as xmltodict reads and writes it: ``{"body": "hello", "@type": "chat"}``. Raises ValueError."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be JSON") from None
    if not isinstance(value, dict) or _deep(value, DEPTH):
        raise ValueError('must be an object, such as {"body": "hello"}')
    if _cost(value) > LONGEST:
        raise ValueError("is too large")
    try:
        xml = xmltodict.unparse({"message": {"@xmlns": CLIENT} | value}, full_document=False)
        found = from_text(xml)
    except (ValueError, TypeError, AttributeError, ExpatError, RecursionError):
        raise ValueError("is no XML as xmltodict writes it") from None
    if (found.name, found.ns) != ("message", CLIENT) or len(xml) > LONGEST:
        raise ValueError("is no message")
    if others := found.attrs.keys() - ATTRIBUTES:
        raise ValueError(f"a message here has no attribute {min(others)[:40]}")
    return found


Stanza = Annotated[Element, Converter("stanza", "a message", stanza, str)]


def _deep(value: Any, left: int) -> bool:
    """Is it nested deeper than that, or is something in it that is no JSON?"""
    if isinstance(value, dict):
        return left == 0 or any(
            not isinstance(key, str) or _deep(each, left - 1) for key, each in value.items()
        )
    if isinstance(value, list):
        return left == 0 or any(_deep(each, left - 1) for each in value)
    return not (value is None or isinstance(value, str | int | float))


def _cost(value: Any, name: str = "message") -> int:
    """About how many characters its XML will have: each item of a list repeats the name."""
    if isinstance(value, list):
        return sum(_cost(each, name) for each in value)
    if isinstance(value, dict):
        inner = sum(_cost(each, key) for key, each in value.items())
    else:
        inner = len(str(value))
    return inner + 2 * len(name) + ELEMENT


class Stanzas(Module):
    """Sends messages and reads archives, for programs."""

    needs = ("mam",)

    @command("messages send", access="owner", changes=True)
    def send(
        self,
        jid: AccountAddress,
        to: Address,
        body: Private = "",
        type: Literal["chat", "normal", "headline", "groupchat"] = "chat",
        stanza: Stanza | None = None,
    ) -> dict[str, str]:
        """Send a message in the name of an account: a text, or all that stands in the message as JSON of xmltodict. It meets
        the same filters as from a client of the account."""
        if (stanza is None) == (not body):
            raise ValueError("body: either a text or a stanza")
        if not self.host.users.exists(jid.user):
            raise StanzaError("item-not-found", "there is no such account")
        message = stanza if stanza is not None else Element("message", CLIENT, Element("body", CLIENT, body))
        message.attrs.setdefault("type", type)
        if message.attrs["type"] not in ("chat", "normal", "headline", "groupchat"):
            raise ValueError("type: must be chat, normal, headline or groupchat")
        message.attrs.setdefault("id", secrets.token_hex(8))
        message.attrs |= {"from": jid.user, "to": str(to)}
        self.host.say(message)
        return {"id": message.attrs["id"]}

    @command("archive show", access="owner", changes=True)
    def show(
        self, jid: AccountAddress, peer: Address | None = None, last: int = 50, before: str = ""
    ) -> list[dict[str, Any]]:
        """The last messages of an account's archive, as JSON of xmltodict; with a peer, those with that address; those before
        the message with that id. Of long messages fewer are shown, the newest. The log keeps who read it."""
        user = jid.user
        if not self.host.users.exists(user):
            raise StanzaError("item-not-found", "there is no such account")
        if not 1 <= last <= MOST:
            raise ValueError(f"last: must be from 1 to {MOST}")
        query = Query(None, 0, LAST, peer, None, None, None, "", False, Page(before=before))
        ids = pages.page(user, query, last).ids
        shown, size, began = list[dict[str, Any]](), 0, 0.0
        for id, xml in pages.rows(user, ids[::-1]):
            size += len(xml)
            if shown and size > SHOWN:
                break
            shown.append({"id": str(id), "time": utc(when(id)), "stanza": plain("message", user, xml)})
            xdb.release()
            began = share(began)
        return shown[::-1]
