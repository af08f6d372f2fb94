"""XEP-0045 sections 8 and 9: moderators and admins. Tests are named by the numbers of the examples."""

import pytest

from tests.client import Client
from tests.muc.conftest import ADMIN, USER, Room, condition

ONE = pytest.mark.topology("one host")


def test_example_84_to_88_the_subject(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    romeo.send(f"<message to='{room}' type='groupchat'><subject>Fire Burn</subject></message>")
    for each in (romeo, juliet):
        each.gets(f"<message from='{room}/first' type='groupchat'><subject>Fire Burn</subject></message>")
    juliet.send(f"<message to='{room}' type='groupchat' id='s'><subject>Oh, do shut up</subject></message>")
    assert condition(juliet.gets("<message type='error' id='s'/>")) == "forbidden"
    juliet.send(
        f"<message to='{room}' type='groupchat'><subject>no subject</subject><body>as there is a body</body></message>"
    )
    romeo.gets("<message><subject>no subject</subject><body>as there is a body</body></message>")
    romeo.send(f"<message to='{room}' type='groupchat'><subject/></message>")
    juliet.gets(f"<message from='{room}/first'><subject/><body>!absent</body></message>")
    room.setup(romeo, changesubject=True)
    juliet.send(f"<message to='{room}' type='groupchat'><subject>Mine</subject></message>")
    romeo.gets(f"<message from='{room}/second'><subject>Mine</subject></message>")


def test_example_89_to_92_a_kick(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    room.admin(romeo, "nick='second' role='none'|Avaunt, you cullion!")
    why = "<actor nick='first'/><reason>Avaunt, you cullion!</reason>"
    room.shows(juliet, "second", f"affiliation='none' role='none'|{why}", 307, 110, gone=True)
    room.shows(nurse, "second", f"role='none'|{why}", 307, gone=True)
    room.enter(juliet, "second")


def test_example_93_kick_somebody_higher(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.admin(romeo, f"affiliation='admin' jid='{juliet.bare}'")
    room.enter(juliet, "second")
    assert condition(room.admin(juliet, "nick='first' role='none'")) == "not-allowed"


def test_example_94_to_101_voice(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", moderatedroom=True)
    room.enter(juliet, "second")
    room.admin(romeo, "nick='second' role='participant'|a worthy witch")
    room.shows(juliet, "second", "role='participant'|<reason>a worthy witch</reason>", 110)
    room.say(juliet, "at last")
    romeo.gets("<message><body>at last</body></message>")
    room.admin(romeo, "nick='second' role='visitor'")
    room.shows(juliet, "second", "role='visitor'", 110)
    voices = room.admin(romeo, "role='participant'", kind="get")  # examples 103 and 104
    assert len(voices[0]) == 0
    moderators = room.admin(romeo, "role='moderator'", kind="get")  # examples 146 and 147
    assert [each.attrib for each in moderators[0]] == [
        {"affiliation": "owner", "jid": romeo.jid, "nick": "first", "role": "moderator"}
    ]
    assert condition(room.admin(juliet, "role='participant'", kind="get")) == "forbidden"


def test_example_110_to_119_a_ban_and_its_list(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    room.admin(romeo, f"affiliation='outcast' jid='{juliet.jid}'|Treason")
    room.shows(
        juliet, "second", "affiliation='outcast' role='none'|<reason>Treason</reason>", 301, 110, gone=True
    )
    room.shows(nurse, "second", "affiliation='outcast' role='none'", 301, gone=True)
    room.refused(juliet, "second", "forbidden")
    banned = room.admin(romeo, "affiliation='outcast'", kind="get")
    assert [each.attrib for each in banned[0]] == [{"affiliation": "outcast", "jid": juliet.bare}]
    assert banned[0][0].findtext(f"{{{ADMIN}}}reason") == "Treason"
    room.admin(romeo, f"affiliation='none' jid='{juliet.bare}'")
    room.enter(juliet, "second")


@ONE
def test_example_115_ban_an_owner_or_oneself(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.admin(romeo, f"affiliation='admin' jid='{juliet.bare}'")
    assert condition(room.admin(juliet, f"affiliation='outcast' jid='{romeo.bare}'")) == "not-allowed"
    assert condition(room.admin(juliet, f"affiliation='outcast' jid='{juliet.bare}'")) == "conflict"
    assert condition(room.admin(romeo, f"affiliation='outcast' jid='{romeo.bare}'")) == "conflict"


def test_a_domain_is_banned(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    if juliet.domain == romeo.domain:
        assert condition(room.admin(romeo, f"affiliation='outcast' jid='{romeo.domain}'")) == "conflict"
        return
    room.enter(juliet, "second")
    room.admin(romeo, f"affiliation='outcast' jid='{juliet.domain}'")
    room.shows(juliet, "second", "affiliation='outcast'", 301, 110, gone=True)
    room.refused(juliet, "second", "forbidden")


@ONE
def test_all_or_nothing(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    answer = room.admin(
        romeo, "affiliation='member' jid='a@example.org'", f"affiliation='outcast' jid='{romeo.bare}'"
    )
    assert condition(answer) == "conflict"
    assert len(room.admin(romeo, "affiliation='member'", kind="get")[0]) == 0


@ONE
@pytest.mark.parametrize(
    ("item", "error"),
    [("affiliation='member' role='visitor' jid='a@b.example'", "bad-request"), ("jid='a@b.example'", "bad-request"),
     ("affiliation='member'", "bad-request"), ("affiliation='king' jid='a@b.example'", "bad-request"),
     ("affiliation='member' jid='@'", "jid-malformed"), ("role='visitor'", "bad-request"),
     ("role='visitor' nick='nobody'", "item-not-found"), ("role='king' nick='first'", "bad-request")],
)  # fmt: skip
def test_wrong_requests(room: Room, romeo: Client, item: str, error: str) -> None:
    room.open(romeo, "first")
    assert condition(room.admin(romeo, item)) == error


def test_example_120_to_128_membership(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}'|A worthy witch indeed!")
    room.shows(
        nurse, "second", "affiliation='member' role='participant'|<reason>A worthy witch indeed!</reason>"
    )
    room.admin(romeo, f"affiliation='member' jid='{nurse.bare}'")
    room.shows(nurse, "third", "affiliation='member'", 110)
    members = room.admin(romeo, "affiliation='member'", kind="get")  # examples 129 and 130
    assert {(each.get("jid"), each.get("nick")) for each in members[0]} == {
        (juliet.bare, "second"),
        (nurse.bare, "third"),
    }
    room.setup(romeo, membersonly=True)
    room.admin(romeo, f"affiliation='none' jid='{juliet.bare}'")
    room.shows(juliet, "second", "affiliation='none' role='none'", 321, 110, gone=True)
    room.shows(nurse, "second", "affiliation='none' role='none'", 321, gone=True)


@ONE
def test_example_135_a_mere_member_invites(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", membersonly=True)
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}'")
    room.enter(juliet, "second")
    invite = f"<message to='{room}' id='i'><x xmlns='{USER}'><invite to='hecate@example.org'/></x></message>"
    juliet.send(invite)
    assert condition(juliet.gets("<message type='error' id='i'/>")) == "forbidden"
    room.setup(romeo, allowinvites=True)
    juliet.send(invite)
    juliet.sync()
    members = room.admin(romeo, "affiliation='member'", kind="get")
    assert "hecate@example.org" in {each.get("jid") for each in members[0]}


def test_example_137_to_145_moderators(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.enter(nurse, "third")
    room.admin(romeo, "nick='second' role='moderator'")
    room.shows(juliet, "second", "role='moderator'", 110)
    room.shows(juliet, "third", f"jid='{nurse.jid}'")  # a moderator sees addresses
    room.admin(romeo, "nick='second' role='participant'")
    room.shows(juliet, "second", "role='participant'", 110)
    room.admin(romeo, f"affiliation='admin' jid='{juliet.bare}'")
    room.shows(juliet, "second", "affiliation='admin' role='moderator'", 110)
    assert condition(room.admin(romeo, "nick='second' role='participant'")) == "not-allowed"


@ONE
def test_who_gets_the_lists(room: Room, romeo: Client, juliet: Client, nurse: Client) -> None:
    room.open(romeo, "first")
    room.admin(romeo, f"affiliation='member' jid='{juliet.bare}'")
    room.enter(juliet, "second")
    lists = ("owner", "admin", "member", "outcast")
    assert [condition(room.admin(juliet, f"affiliation='{each}'", kind="get")) for each in lists] == [
        "forbidden"
    ] * 4
    room.setup(romeo, whois="anyone")
    found = [condition(room.admin(juliet, f"affiliation='{each}'", kind="get")) for each in lists]
    assert found == ["result"] * 3 + ["forbidden"]
    assert condition(room.admin(nurse, "affiliation='member'", kind="get")) == "forbidden"


@ONE
def test_what_a_moderator_said_of_somebody_outlives_a_visit(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.admin(romeo, "nick='second' role='visitor'")
    juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
    room.enter(juliet, "third")
    room.shows(romeo, "third", "role='visitor'")
