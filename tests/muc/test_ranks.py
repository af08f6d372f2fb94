"""The tables of XEP-0045 section 5 on a real room: who may do what to whom, every cell, with its error."""

from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import Room, condition

AFFILIATIONS = ("outcast", "none", "member", "admin", "owner")
BY_OWNER = {
    (before, after)
    for before in AFFILIATIONS
    for after in AFFILIATIONS
    if {before, after} & {"admin", "owner"}
}

pytestmark = pytest.mark.topology("one host")


def test_sections_5_1_2_and_5_2_1_the_role_of_an_affiliation(
    room: Room, romeo: Client, make_client: Any
) -> None:
    expected = {"none": "visitor", "member": "participant", "admin": "moderator", "owner": "moderator"}
    room.open(romeo, "first", moderatedroom=True)
    for affiliation, role in expected.items():
        client = make_client()
        room.admin(romeo, f"affiliation='{affiliation}' jid='{client.bare}'")
        room.enter(client, affiliation)
        room.shows(romeo, affiliation, f"affiliation='{affiliation}' role='{role}'")
    room.setup(romeo, moderatedroom=False)
    room.shows(romeo, "none", "role='participant'")


def test_section_5_2_2_who_may_change_affiliations(room: Room, romeo: Client, make_client: Any) -> None:
    room.open(romeo, "owner")
    actors = {"owner": romeo}
    for affiliation in ("admin", "member", "none", "outcast"):
        actors[affiliation] = make_client()
        room.admin(romeo, f"affiliation='{affiliation}' jid='{actors[affiliation].bare}'")
    target, wrong = "target@example.org", []
    for actor, client in actors.items():
        for before in AFFILIATIONS:
            for after in AFFILIATIONS:
                if before == after:
                    continue
                room.admin(romeo, f"affiliation='{before}' jid='{target}'")
                found = condition(room.admin(client, f"affiliation='{after}' jid='{target}'"))
                if actor == "owner" or actor == "admin" and (before, after) not in BY_OWNER:
                    wanted = "result"
                elif actor == "admin" and after == "outcast":
                    wanted = "not-allowed"
                else:
                    wanted = "forbidden"
                if found != wanted:
                    wrong.append((actor, before, after, found, wanted))
    assert not wrong


def _wanted(role: str, actor: str, target: str, before: str, after: str) -> str:
    """By the text: sections 5.1.1, 5.1.3, 8.2 to 8.5, 9.6 and 9.7."""
    level = AFFILIATIONS.index
    admin = level(actor) >= level("admin")
    if role != "moderator" and not admin:
        return "forbidden"
    if after == "none":
        mere = before == "moderator" and not admin
        return "not-allowed" if mere or level(target) > level(actor) else "result"
    if before == "moderator":
        return "not-allowed" if not admin or level(target) >= level("admin") else "result"
    if after == "moderator":
        return "result" if admin else "forbidden"
    if after == "visitor":
        higher = level(target) > level(actor) or target == actor == "member"
        return "not-allowed" if higher else "result"
    return "result"


def test_section_5_1_3_who_may_change_roles(room: Room, romeo: Client, make_client: Any) -> None:
    room.open(romeo, "romeo")
    people: dict[str, Client] = {}

    def come(nick: str, affiliation: str) -> None:
        if nick not in people:
            people[nick] = make_client()
            room.admin(romeo, f"affiliation='{affiliation}' jid='{people[nick].bare}'")
        room.enter(people[nick], nick)

    actors = [("owner", "owner", "moderator"), ("admin", "admin", "moderator"), ("member", "member", "moderator"),
              ("member", "member2", "participant"), ("none", "none", "moderator"), ("none", "none2", "participant"),
              ("none", "none3", "visitor")]  # fmt: skip
    for affiliation, nick, role in actors:
        come(nick, affiliation)
        room.admin(romeo, f"nick='{nick}' role='{role}'")
    for affiliation in ("none", "member", "admin", "owner"):
        come(f"to {affiliation}", affiliation)
    wrong = []
    for actor, nick, role in actors:
        for target in ("none", "member", "admin", "owner"):
            for before in (
                ("visitor", "participant", "moderator") if target in ("none", "member") else ("moderator",)
            ):
                for after in ("none", "visitor", "participant", "moderator"):
                    if before == after:
                        continue
                    assert condition(room.admin(romeo, f"nick='to {target}' role='{before}'")) == "result"
                    found = condition(room.admin(people[nick], f"nick='to {target}' role='{after}'"))
                    wanted = _wanted(role, actor, target, before, after)
                    if found != wanted:
                        wrong.append((actor, role, target, before, after, found, wanted))
                    if after == "none" and found == "result":
                        come(f"to {target}", target)
    assert not wrong
