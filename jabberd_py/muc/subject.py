"""The room's subject (XEP-0045 sections 7.2.15 and 8.1)."""

from __future__ import annotations

import time

from ..hooks import Option, on
from ..xmpp import forms
from ..xmpp.element import Element, from_text
from ..xmpp.errors import StanzaError
from ..xmpp.ns import CLIENT, DELAY
from ..xmpp.stamp import utc
from .feature import Feature
from .fields import Field
from .occupant import Occupant
from .room import Room


def changes(stanza: Element) -> bool:
    """Only a message with a subject, and neither body nor thread, changes the subject."""
    return stanza.has("subject") and not stanza.has("body") and not stanza.has("thread")


LANGUAGES = 20


class Subject(Feature):
    """What is talked about now; the last thing that those get who enter."""

    needs = ("hidden",)
    anyone = Field("muc#roomconfig_changesubject", "boolean", False, "Participants may change the subject")
    length = Option(int, 2000, "characters of a subject", min=1)

    @on("saying", kind="message")
    def check(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if not changes(stanza):
            return
        if occupant.role != "moderator" and not (self.anyone(room) and occupant.role == "participant"):
            raise StanzaError("forbidden", "moderators change the subject")
        subjects = stanza.all("subject", CLIENT)
        if (
            len({each.attrs.get("xml:lang", "") for each in subjects}) < len(subjects)
            or len(subjects) > LANGUAGES
        ):
            raise StanzaError(
                "bad-request", f"one subject for each of {LANGUAGES} languages (RFC 6121 section 5.2.4)"
            )
        if sum(len(each.text) for each in subjects) > self.length:
            raise StanzaError("policy-violation", f"a subject may have {self.length} characters")

    @on("said")
    def keep(self, room: Room, occupant: Occupant, stanza: Element) -> None:
        if changes(stanza):
            texts = [[each.text, each.attrs.get("xml:lang", "")] for each in stanza.all("subject", CLIENT)]
            badge = occupant.badge[0].decode()
            room.notes["subject"] = {
                "texts": texts,
                "by": stanza.attrs["from"],
                "when": time.time(),
                "badge": badge,
            }
            room.save()

    @on("entered")
    def show(self, room: Room, occupant: Occupant, full: str, stanza: Element) -> None:
        """Always, be it empty: so clients know that they have got everything."""
        kept = room.notes.get("subject")
        message = Element("message", CLIENT, from_=room.address, to=full, type="groupchat")
        if kept is None:
            message.append(Element("subject", CLIENT))
        else:
            for text, lang in kept["texts"]:
                subject = Element("subject", CLIENT, *([text] if text else []))
                if lang:
                    subject.attrs["xml:lang"] = lang
                message.append(subject)
            message.append(Element("delay", DELAY, from_=room.address, stamp=utc(kept["when"])))
            if kept["badge"]:
                message.append(from_text(kept["badge"]))
            message.attrs["from"] = kept["by"]
        room.sending.one(message)

    def room_info(self, room: Room, form: forms.Form) -> None:
        kept = room.notes.get("subject")
        if kept is not None and self.host["hidden"].says(room):
            form.field("muc#roominfo_subject", None, None, kept["texts"][0][0])
        for var in ("muc#roominfo_subjectmod", self.anyone.var):
            form.field(var, "boolean", None, self.anyone(room))
