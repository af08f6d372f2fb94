"""Five people in a room do what comes into their minds: after each step everybody sees what there is to see."""

import uuid
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.muc.conftest import DATA, MUC, OWNER
from tests.muc.guest import Guest, Seen

NICKS = ("thirdwitch", "ThirdWitch", "hag", "crone", "the king", "x")
SHOWS = (None, "away", "dnd")
ROLE_OF = {"none": "participant", "member": "participant", "admin": "moderator", "owner": "moderator"}
RANKS = ("none", "visitor", "participant", "moderator")
FIELDS = ("moderatedroom", "membersonly", "whois")


class Sitting:
    """An occupant of the model: whose, and full address -> <show/>; the one that spoke last comes last."""

    def __init__(self, user: str, role: str) -> None:
        self.user, self.role = user, role
        self.sessions: dict[str, str | None] = {}

    def says(self, full: str, show: str | None) -> None:
        self.sessions.pop(full, None)
        self.sessions[full] = show

    @property
    def shown(self) -> str:
        return list(self.sessions)[-1]


class Crowd(RuleBasedStateMachine):
    """``guests``: seven sessions of five people, which all machines share."""

    guests: list[Guest]
    service: str
    everybody = st.integers(0, 6)

    def __init__(self) -> None:
        super().__init__()
        self.room = f"{uuid.uuid4().hex}@{self.service}"
        self.affiliations: dict[str, str] = {}
        self.voice: dict[str, str] = {}
        self.config: dict[str, Any] = {"moderatedroom": False, "membersonly": False, "whois": False}
        self.seats: dict[str, Sitting] = {}  # nick -> who has it
        self.saw: set[str] = set()  # sessions that could see addresses since they came
        for each in self.guests:
            each.room = self.room
            each.forget()
        first = self.guests[0]
        self.affiliations[first.bare] = "owner"
        self._enter(first, "founder", None)
        assert self._submit(first, persistentroom=True) == "result"

    def teardown(self) -> None:
        for each in self.guests:
            if each.cut:
                each.resume()
        owner = next(each for each in self.guests if self.affiliation(each.bare) == "owner")
        assert owner.iq("set", f"<query xmlns='{OWNER}'><destroy/></query>") == "result"
        for each in self.guests:
            each.until(lambda: each.nick is None, "the room is gone")  # noqa: B023
            each.settle()
            each.errors.clear()
            each.answers.clear()

    # -- the model

    def affiliation(self, user: str) -> str:
        return self.affiliations.get(user, "none")

    def ranked(self, user: str) -> str:
        affiliation = self.affiliation(user)
        if affiliation == "none":
            return self.voice.get(user) or ("visitor" if self.config["moderatedroom"] else "participant")
        return ROLE_OF[affiliation]

    def seat(self, guest: Guest) -> str | None:
        return next((nick for nick, each in self.seats.items() if guest.jid in each.sessions), None)

    def rival(self, nick: str) -> str | None:
        """The nick that is in use and looks like that one."""
        return next((each for each in self.seats if each.casefold() == nick.casefold()), None)

    def out(self, nick: str) -> None:
        self.saw.difference_update(self.seats.pop(nick).sessions)

    def _submit(self, guest: Guest, **fields: Any) -> str:
        inner = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
        for name, value in fields.items():
            text = ("anyone" if value else "moderators") if name == "whois" else int(value)
            inner += f"<field var='muc#roomconfig_{name}'><value>{text}</value></field>"
        return guest.iq("set", f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'>{inner}</x></query>")

    def _refused(self, guest: Guest, id: str, error: str) -> None:
        guest.until(lambda: id in guest.errors, f"it should be refused: {error}")
        assert guest.errors[id] == error, (guest, guest.errors[id], error)

    def _enter(self, guest: Guest, nick: str, show: str | None) -> None:
        known, id = self.seats.get(nick), guest.enter(nick, show=show)
        affiliation = self.affiliation(guest.bare)
        if affiliation == "outcast":
            return self._refused(guest, id, "forbidden")
        if self.config["membersonly"] and affiliation == "none":
            return self._refused(guest, id, "registration-required")
        if known is None or known.user != guest.bare:
            if self.rival(nick):
                return self._refused(guest, id, "conflict")
            known = self.seats[nick] = Sitting(guest.bare, self.ranked(guest.bare))
        known.says(guest.jid, show)
        guest.until(lambda: guest.nick == nick, f"it enters as {nick}")
        return None

    # -- what people do

    @rule(who=everybody, nick=st.sampled_from(NICKS), show=st.sampled_from(SHOWS))
    def enters(self, who: int, nick: str, show: str | None) -> None:
        guest = self.guests[who]
        if not guest.cut and self.seat(guest) is None:
            self._enter(guest, nick, show)
        self.look()

    @rule(who=everybody)
    def enters_again(self, who: int) -> None:
        guest = self.guests[who]
        nick = self.seat(guest)
        if not guest.cut and nick is not None:
            guest.view.clear()  # the client has lost track
            guest.nick = None
            guest.enter(nick)
            self.seats[nick].says(guest.jid, None)
            guest.until(lambda: guest.nick == nick, "it enters again")
        self.look()

    @rule(who=everybody)
    def leaves(self, who: int) -> None:
        guest = self.guests[who]
        nick = self.seat(guest)
        if not guest.cut and nick is not None:
            guest.presence(nick, type="unavailable")
            self._left(guest.jid, nick)
            guest.until(lambda: guest.nick is None, "it leaves")
        self.look()

    def _left(self, full: str, nick: str) -> None:
        del self.seats[nick].sessions[full]
        self.saw.discard(full)
        if not self.seats[nick].sessions:
            del self.seats[nick]

    @rule(who=everybody, nick=st.sampled_from(NICKS), cut=st.booleans())
    def takes_another_nick(self, who: int, nick: str, cut: bool) -> None:
        """Perhaps the line breaks at that moment; then nobody knows whether it was heard, and it is said again."""
        guest = self.guests[who]
        old = self.seat(guest)
        if not guest.cut and old is not None and old != nick:
            id, other = guest.presence(nick), self.rival(nick)
            if cut:
                guest.lose()
                guest.resume()
            if other not in (None, old) and self.seats[other].user != guest.bare:
                self._refused(guest, id, "conflict")
            else:
                seat = self.seats.pop(old)
                if other not in (None, old):
                    joined, nick = self.seats[other], other
                    for full, show in seat.sessions.items():
                        joined.says(full, show)
                    seat = joined
                seat.says(guest.jid, None)
                self.seats[nick] = seat
                guest.until(lambda: guest.nick == nick, f"it is {nick} now")
        self.look()

    @rule(who=everybody, show=st.sampled_from(SHOWS))
    def changes_presence(self, who: int, show: str | None) -> None:
        guest = self.guests[who]
        nick = self.seat(guest)
        if not guest.cut and nick is not None:
            guest.presence(nick, show=show)
            self.seats[nick].says(guest.jid, show)
        self.look()

    @rule(who=everybody)
    def speaks(self, who: int) -> None:
        guest = self.guests[who]
        nick = self.seat(guest)
        if not guest.cut:
            id = guest.say(f"hear me {guest.client.fresh()}")
            if nick is None:
                self._refused(guest, id, "not-acceptable")
            elif self.seats[nick].role == "visitor":
                self._refused(guest, id, "forbidden")
        self.look()

    @rule(who=everybody, nick=st.sampled_from(("founder", *NICKS)), role=st.sampled_from(RANKS))
    def gives_a_role(self, who: int, nick: str, role: str) -> None:
        guest, target = self.guests[who], self.seats.get(nick)
        if not guest.cut:
            answer = guest.admin(nick=nick, role=role)
            mine = {each.role for each in self.seats.values() if each.user == guest.bare}
            if target is None:
                assert answer == "item-not-found"
            elif self.affiliation(guest.bare) not in ("admin", "owner") and "moderator" not in mine:
                assert answer == "forbidden"
            elif self.affiliation(guest.bare) == "owner" and self.affiliation(target.user) != "owner":
                assert answer == "result" or role in ("visitor", "participant")
            if answer == "result" and target is not None and role != target.role:
                if role in ("visitor", "participant"):
                    self.voice[target.user] = role
                if role == "none":
                    self.out(nick)
                else:
                    target.role = role
        self.look()

    @rule(who=everybody, whom=everybody, affiliation=st.sampled_from(("outcast", *ROLE_OF)))
    def gives_an_affiliation(self, who: int, whom: int, affiliation: str) -> None:
        guest, user = self.guests[who], self.guests[whom].bare
        if not guest.cut:
            before = self.affiliation(user)
            answer = guest.admin(jid=user, affiliation=affiliation)
            if self.affiliation(guest.bare) not in ("admin", "owner"):
                assert answer == "forbidden"
            elif self.affiliation(guest.bare) == "owner" and user != guest.bare:
                assert answer == "result"
            if answer == "result" and affiliation != before:
                self._affiliate(user, before, affiliation)
        self.look()

    def _affiliate(self, user: str, before: str, after: str) -> None:
        self.affiliations[user] = after
        for nick, seat in list(self.seats.items()):
            if seat.user != user:
                continue
            if after == "outcast" or after == "none" and self.config["membersonly"]:
                self.out(nick)
                continue
            role = self.ranked(user)
            lower = RANKS.index(role) < RANKS.index(seat.role)
            if not (lower and after != "none" and before not in ("admin", "owner")):
                seat.role = role

    @rule(who=everybody, field=st.sampled_from(FIELDS), value=st.booleans())
    def sets_the_room_up(self, who: int, field: str, value: bool) -> None:
        guest = self.guests[who]
        if not guest.cut:
            answer = self._submit(guest, **{field: value})
            assert answer == ("result" if self.affiliation(guest.bare) == "owner" else "forbidden")
            if answer == "result" and self.config[field] != value:
                self.config[field] = value
                if field == "moderatedroom":
                    self.voice.clear()
                for nick, seat in list(self.seats.items()):
                    if field == "membersonly" and value and self.affiliation(seat.user) == "none":
                        self.out(nick)
                    if field == "moderatedroom" and seat.role in ("visitor", "participant"):
                        seat.role = self.ranked(seat.user)
        self.look()

    @rule(who=everybody)
    def loses_the_line(self, who: int) -> None:
        if not self.guests[who].cut:
            self.guests[who].lose()
        self.look()

    @rule(who=everybody)
    def comes_back(self, who: int) -> None:
        guest = self.guests[who]
        if guest.cut:
            guest.resume()
        self.look()

    @rule(who=everybody)
    def starts_anew(self, who: int) -> None:
        """The client has forgotten its session, and logs in under the same resource: the old one is gone."""
        guest = self.guests[who]
        if not guest.cut:
            guest.lose()
        guest.login()
        nick = self.seat(guest)
        if nick is not None:
            self._left(guest.jid, nick)
        self.look()

    # -- what people see

    def look(self) -> None:
        for guest in self.guests:
            if not guest.cut:
                guest.settle()
        for guest in self.guests:
            if not guest.cut:
                self._compare(guest)

    def _compare(self, guest: Guest) -> None:
        nick = self.seat(guest)
        assert guest.nick == nick, f"{guest} should be there as {nick}"
        if nick is None:
            assert not guest.view, f"{guest} sees a room that it is not in"
            return
        if self.seats[nick].role == "moderator" or self.config["whois"]:
            self.saw.add(guest.jid)
        addresses = self.seats[nick].role == "moderator" or self.config["whois"]
        want, got = {}, {}
        for each, seat in self.seats.items():
            seen = guest.view.get(each)
            jid = seat.shown if addresses or each == nick else None
            if not addresses and guest.jid in self.saw and seen is not None:
                jid = seen.jid  # what it has seen, it has seen
            want[each] = Seen(self.affiliation(seat.user), seat.role, jid, seat.sessions[seat.shown])
        got = guest.view
        assert got == want, f"{guest} sees\n{got}\ninstead of\n{want}"


def run(service: str, people: list[Any], examples: int, steps: int, derandomize: bool = True) -> None:
    sessions = [(people[0], "desk"), (people[0], "phone"), (people[1], "desk"), (people[1], "phone")]
    sessions += [(each, "desk") for each in people[2:]]
    Crowd.service = service
    Crowd.guests = [
        Guest(each.place.server, each.place.domain, each.user, resource) for each, resource in sessions
    ]
    try:
        run_state_machine_as_test(
            Crowd,
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                derandomize=derandomize,
                deadline=None,
                database=None,
                phases=(Phase.generate,),
            ),
        )
    finally:
        for each in Crowd.guests:
            each.client.close()


@pytest.mark.topology("one host")
def test_everybody_sees_the_same(topology: Any, service: str, account: Any) -> None:
    names = ("romeo", "juliet", "nurse", "tybalt", "paris")
    run(service, [account(name, topology.romeo) for name in names], 6, 20)


@pytest.mark.topology("two servers")
def test_everybody_sees_the_same_on_two_servers(topology: Any, service: str, account: Any) -> None:
    places = {
        "romeo": topology.romeo,
        "juliet": topology.juliet,
        "nurse": topology.juliet,
        "tybalt": topology.romeo,
    }
    run(service, [account(*each) for each in places.items()] + [account("paris", topology.juliet)], 2, 15)
