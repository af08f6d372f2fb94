"""Stanzas that were sent to a client, never acknowledged, and are not in the store: what happens when its session ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..archive.stamps import has_id
from ..xmpp.element import from_text
from ..xmpp.errors import StanzaError
from .worth import missed

if TYPE_CHECKING:
    from .host import Host


def send_back(host: Host, user: str, data: bytes) -> None:
    """Requests get an error. A message goes to others or gets an error (RFC 6121 section 8.5.3.2). Presence is dropped.
    ``data``: the stanza as it was sent to the user."""
    stanza = from_text(data)
    if stanza.name == "iq" and stanza.type in ("get", "set"):
        host.router.bounce(stanza, StanzaError("recipient-unavailable"))
        return
    copied = stanza.attrs.get("from") == user or has_id(stanza, user)  # or it is in the store
    if stanza.name == "message" and not copied and missed(stanza):
        host.router.deliver(stanza)
