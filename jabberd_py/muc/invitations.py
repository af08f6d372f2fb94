"""Invitations through the room, and what is answered to them (XEP-0045 section 7.8.2)."""

from __future__ import annotations

from ..hooks import HANDLED, Option, on
from ..net.karma import Karma
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from . import changes
from .feature import Feature
from .fields import Field
from .occupant import USER, Occupant
from .ranks import at_least
from .room import Room
from .traffic import GONE, conditions

CONFERENCE = "jabber:x:conference"
NOBODY = GONE - {"remote-server-not-found", "remote-server-timeout"}
REMEMBERED = 500
"""Invitations of one room that may be declined."""


class Invitations(Feature):
    """Occupants invite others; the room passes it on, and what they say to it."""

    needs = ("members", "password")
    anyone = Field(
        "muc#roomconfig_allowinvites", "boolean", False, "Members may invite others to a members-only room"
    )
    at_once = Option(int, 20, "people that one invites at once", min=1)
    reason = Option(int, 2000, "characters of a reason", min=0)
    rate = Option(float, 0.2, "invitations a second of one occupant, in the long run", min=0.001)

    def room_features(self, room: Room) -> list[str]:
        return ["http://jabber.org/protocol/muc#invite"] if self.anyone(room) else []

    @on("start", "reload")
    def start(self) -> None:
        self.karma = Karma(self.rate, self.at_once * 2)

    @on("addressed", kind="message")
    def passed_on(self, room: Room, occupant: Occupant | None, stanza: Element) -> bool | None:
        if stanza.type not in (None, "normal") or not stanza.has("x", USER):
            return None
        x = stanza.child("x", USER)
        invites, declined = x.all("invite", USER), x.child("decline", USER)
        if invites:
            self._invite(room, occupant, stanza, invites)
        elif declined is not None:
            self._decline(room, stanza, declined)
        else:
            return None
        return HANDLED

    def _invite(self, room: Room, occupant: Occupant | None, stanza: Element, invites: list[Element]) -> None:
        if occupant is None:
            raise StanzaError("not-acceptable", "you are not in this room")
        power = room.power(stanza.from_)
        only = self.host["members"].says(room)
        if only and not at_least(power, "admin") and not (self.anyone(room) and at_least(power, "member")):
            raise StanzaError("forbidden", "admins invite to this room")
        if len(invites) > self.at_once or not self.karma.spend(occupant.user, len(invites)):
            raise StanzaError("resource-constraint", "too many invitations", type="wait")
        for invite, to in [(invite, _address(invite)) for invite in invites]:
            if only and room.affiliation(to.user) == "none":
                self.host.check_list(room, to.user)
                room.memory["inviting"] = to.user  # one invitation is enough
                changes.affiliate(room, to.user, "member", occupant.nick)
                del room.memory["inviting"]
            self.send(
                room, to, str(stanza.from_), self._text(invite), invite.child("continue", USER), stanza.id
            )
            sent: dict[tuple[str, str], str] = room.memory.setdefault("invitations", {})
            sent[to.user, stanza.from_.user] = stanza.id or ""
            if len(sent) > REMEMBERED:
                del sent[next(iter(sent))]

    def send(
        self,
        room: Room,
        to: JID,
        by: str,
        reason: str = "",
        more: Element | None = None,
        id: str | None = None,
    ) -> None:
        """An invitation; ``by``: the address of who invites, or of the room. ``id``: of the message that asked for it."""
        password = self.host["password"].of(room)
        invite = Element("invite", USER, Element("reason", USER, reason) if reason else None, more, from_=by)
        x = Element("x", USER, invite, Element("password", USER, password) if password else None)
        older = Element(
            "x", CONFERENCE, reason or None, jid=room.address, password=password, reason=reason or None
        )
        room.sending.one(Element("message", CLIENT, x, older, from_=room.address, to=to, id=id))

    def _decline(self, room: Room, stanza: Element, declined: Element) -> None:
        """Only who was invited, and only to who invited: the room is no way to write to strangers."""
        to = _address(declined)
        target = room.occupants.get(to.resource or "") if to.user == room.address else None
        user = to.user if target is None else target.user
        sent: dict[tuple[str, str], str] = room.memory.get("invitations", {})
        if (stanza.from_.user, user) not in sent:
            raise StanzaError("item-not-found", "there is no such invitation")
        del sent[stanza.from_.user, user]
        reason = self._text(declined)
        said = Element(
            "decline", USER, Element("reason", USER, reason) if reason else None, from_=stanza.from_.user
        )
        full = [each for occupant in room.of(user) for each in occupant.sessions]
        for each in full or [user]:
            room.sending.one(
                Element("message", CLIENT, Element("x", USER, said), from_=room.address, to=each)
            )

    @on("returned")
    def returned(self, room: Room, stanza: Element) -> None:
        """There is no such address: who has invited it learns so (section 7.8.2)."""
        jid, sent = stanza.from_, room.memory.get("invitations", {})
        if jid is None or not conditions(stanza) & NOBODY:
            return
        for invited, by in [each for each in sent if each[0] == jid.user]:
            id = sent.pop((invited, by))
            error = StanzaError("item-not-found", "there is no such address").element()
            x = Element("x", USER, Element("invite", USER, to=invited))
            bounced = Element("message", CLIENT, x, error, from_=room.address, type="error", id=id or None)
            room.sending.all(bounced, [each for occupant in room.of(by) for each in occupant.sessions])

    def _text(self, element: Element) -> str:
        return (element.text_of("reason", USER) or "")[: self.reason]

    @on("affiliating")
    def welcome(self, room: Room, change: changes.Change) -> None:
        """Section 9.5: who was made a member of a members-only room learns of it. Of many at a time the last do not."""
        new = change.after == "member" and change.before == "none" and not room.of(change.user)
        if (
            new
            and self.host["members"].says(room)
            and room.memory.get("inviting") != change.user
            and self.karma.spend(next(iter(room.owners()), room.address))
        ):
            self.send(room, parse(change.user), room.address)


def _address(element: Element) -> JID:
    """Whom it is for. Raises StanzaError."""
    try:
        return parse(element.attrs["to"])
    except KeyError:
        raise StanzaError("bad-request", "whom?") from None
    except ValueError as error:
        raise StanzaError("jid-malformed", str(error)) from None
