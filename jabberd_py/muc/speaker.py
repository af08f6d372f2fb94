"""Who has said a message of the room's archive (XEP-0313, "MUC Archives"): each message is kept with the real address of its
sender, as its last child. Who may not know that gets the message without it."""

from __future__ import annotations

from ..xmpp.element import Element, from_text
from ..xmpp.jid import JID
from ..xmpp.serialise import attributes
from .occupant import MUC, USER, Occupant, added
from .ranks import at_least
from .room import Room

SECRET = f"{MUC}#speaker"
"""The namespace of <x/> where the room did not show real addresses to all when the message was said: later, too, they are for
moderators only."""
STARTS, END = (f"<x xmlns='{USER}'>", f"<x xmlns='{SECRET}'>"), "</x></message>"


def signed(room: Room, occupant: Occupant, stanza: Element, by: str) -> Element:
    """The message as it is kept. ``by``: the full address of its sender."""
    ns = USER if room.service.open_to_all(room) else SECRET
    item = Element("item", ns, affiliation=room.affiliation(occupant.user), jid=by, role=occupant.role)
    return added(stanza, Element("x", ns, item).to_bytes(), f"{ns} x")


def unsigned(xml: str) -> tuple[str, str]:
    """The message as it was said, and the address of its sender, if all knew that. ``xml``: as it is kept."""
    start = _signature(xml)
    if start < 0:
        return xml, ""
    x = from_text(xml[start : -len("</message>")])
    item = x.child("item", USER)
    return f"{xml[:start]}</message>", "" if item is None else item.attrs.get("jid", "")


def _signature(xml: str) -> int:
    """Where it begins; -1: it has none."""
    start = xml.rfind("<x xmlns=") if xml.endswith(END) else -1
    return start if xml.startswith(STARTS, start) else -1


class Eyes:
    """What one reader of the archive may see of the messages, by the rights that they have when they ask."""

    def __init__(self, room: Room, asker: JID) -> None:
        self.all = room.role(asker) == "moderator" or at_least(room.power(asker), "admin")
        self.open = room.service.open_to_all(room)
        self.own = attributes({"jid": f"{asker.user}/"})[:-1]

    def __call__(self, xml: str) -> str:
        """The message, XML as it is kept, as the reader gets it."""
        start = _signature(xml)
        if start < 0:
            return xml
        x = xml[start:]
        if self.all or self.open and x.startswith(STARTS[0]) or self.own in x:
            return xml[:start] + x.replace(SECRET, USER, 1)
        return xml[:start] + "</message>"
