"""Who gets what was sent to all of a room: those who were in then."""

from jabberd_py.muc.occupant import Occupant
from jabberd_py.muc.seats import Seat, Seats
from jabberd_py.xmpp.element import Element
from jabberd_py.xmpp.jid import parse


def seat(seats: Seats, name: str, role: str = "participant") -> Seat:
    made = Seat(parse(f"{name}@example.org/x"), Occupant(name, name, role), Element("presence"))
    seats.add(made)
    return made


def names(found: object) -> list[str]:
    return [each.node for each in found]  # type: ignore[attr-defined]


def test_a_snapshot_stays_as_it_was() -> None:
    seats = Seats()
    first, _ = seat(seats, "first"), seat(seats, "second")
    before = seats.snapshot()
    seats.remove(first)
    after = seats.snapshot()
    seat(seats, "third")
    assert names(before) == ["first", "second"] and len(before) == 2
    assert names(after) == ["second"] and len(after) == 1
    assert names(seats.snapshot()) == ["second", "third"] and len(seats) == 2


def test_it_is_the_same_until_somebody_comes_or_goes() -> None:
    seats = Seats()
    first = seat(seats, "first")
    found = [seats.snapshot(), seats.snapshot()]
    seat(seats, "second")
    found += [seats.snapshot(), seats.snapshot()]
    seats.remove(first)
    found += [seats.snapshot(), seats.snapshot()]
    assert [found[0] is found[1], found[2] is found[3], found[4] is found[5]] == [True] * 3
    assert [names(each) for each in found[::2]] == [["first"], ["first", "second"], ["second"]]


def test_thousands_who_have_come_and_gone_take_no_room() -> None:
    seats = Seats()
    stays = seat(seats, "stays")
    old = seats.snapshot()
    for number in range(5000):
        seats.remove(seat(seats, f"guest{number}"))
    assert len(seats.list) < 100
    assert names(seats.snapshot()) == names(old) == ["stays"]
    seats.remove(stays)
    assert names(old) == ["stays"]


def test_moderators_apart_by_the_role_they_have_now() -> None:
    seats = Seats()
    one, other, own = seat(seats, "one"), seat(seats, "other", "moderator"), seat(seats, "own")
    here = seats.snapshot()
    one.occupant.role, other.occupant.role = "moderator", "visitor"
    moderators, others = here.split(frozenset((own,)))
    assert (names(moderators), names(others)) == (["one"], ["other"])
