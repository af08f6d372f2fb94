"""What a room is called, what it is about (XEP-0045 sections 6.4 and 10)."""

from __future__ import annotations

from typing import Any

from ..xmpp import forms
from .feature import Feature
from .fields import Field
from .room import Room


class Description(Feature):
    """The room's name, description, language and the like."""

    room_name = Field("muc#roomconfig_roomname", "text-single", "", "Name of the room", most=200)
    text = Field("muc#roomconfig_roomdesc", "text-single", "", "Description of the room", most=2000)
    lang = Field(
        "muc#roomconfig_lang", "text-single", "", "Language spoken here, such as en",
        most=40, like="[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*",
    )  # fmt: skip
    pubsub = Field(
        "muc#roomconfig_pubsub", "text-single", "", "Its pubsub node, an XMPP URI", like=r"xmpp:\S+"
    )
    logs = Field("muc#roominfo_logs", "text-single", "", "URL of its logs", like=r"[a-z][a-z0-9+.-]*:\S+")
    contacts = Field[list[str]](
        "muc#roominfo_contactjid", "jid-multi", [], "Whom to ask about the room", most=20
    )

    def title(self, room: Room) -> str:
        return self.room_name(room)

    def room_info(self, room: Room, form: forms.Form) -> None:
        """Fields of `muc#roominfo` (XEP-0128)."""
        info: dict[str, Any] = {
            "muc#roominfo_description": self.text(room), "muc#roominfo_lang": self.lang(room),
            "muc#roominfo_pubsub": self.pubsub(room), "muc#roomconfig_pubsub": self.pubsub(room),
            "muc#roominfo_contactjid": self.contacts(room), "muc#roominfo_logs": self.logs(room),
        }  # fmt: skip
        for var, value in info.items():
            if value:
                form.field(var, None, None, value)
