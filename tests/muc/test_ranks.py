"""The tables of XEP-0045 section 5 on a real room: who may do what to whom, every cell, with its error."""

from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import MUC, OWNER, USER, Room, condition

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


def _presence(room: Room, client: Client, to: str, inner: str = "") -> str:
    """ "result" if the own presence comes back, else the condition of the error."""

    def answers(element: Any) -> bool:
        own = element.find(f"{{{USER}}}x/{{{USER}}}status[@code='110']") is not None
        return bool(element.get("from") == f"{room}/{to}" and (own or element.get("type") == "error"))

    client.inbox.clear()
    client.send(f"<presence to='{room}/{to}'>{inner}</presence>")
    return condition(client.take(answers, "<presence/>", 10))


def _message(room: Room, client: Client, to: str, kind: str, inner: str) -> str:
    client.inbox.clear()
    client.send(f"<message to='{to}' type='{kind}' id='m'>{inner}</message>")
    client.sync(room.service)
    errors = [each for each in client.inbox if each.get("type") == "error"]
    return condition(errors[0]) if errors else "result"


def test_section_5_1_1_privileges_of_roles(room: Room, romeo: Client, make_client: Any) -> None:
    """The rows that a stanza can ask for, with the exact answer for each role."""
    people = {role: make_client() for role in ("none", "visitor", "participant", "moderator")}
    room.open(romeo, "owner", moderatedroom=True)
    room.enter(make_client(), "somebody")
    for role, client in people.items():
        if role != "none":
            room.enter(client, role)
            room.admin(romeo, f"nick='{role}' role='{role}'")
    invite = f"<x xmlns='{USER}'><invite to='{romeo.bare}'/></x>"
    table = {
        "messages to all": ("not-acceptable", "forbidden", "result", "result"),
        "private messages": ("not-acceptable", "result", "result", "result"),
        "invite": ("not-acceptable", "result", "result", "result"),
        "subject": ("not-acceptable", "forbidden", "forbidden", "result"),
        "availability": ("forbidden", "result", "result", "result"),
        "nick": ("forbidden", "result", "result", "result"),
        "grant voice": ("forbidden", "forbidden", "forbidden", "result"),
        "revoke voice": ("forbidden", "forbidden", "forbidden", "result"),
        "kick": ("forbidden", "forbidden", "forbidden", "result"),
    }
    room.admin(romeo, f"affiliation='outcast' jid='{people['none'].bare}'")
    wrong = []
    for right, row in table.items():
        for (role, client), wanted in zip(people.items(), row, strict=True):
            room.admin(romeo, "nick='somebody' role='visitor'")
            match right:
                case "messages to all":
                    found = _message(room, client, room.address, "groupchat", "<body>hi</body>")
                case "private messages":
                    found = _message(room, client, f"{room}/owner", "chat", "<body>hi</body>")
                case "invite":
                    found = _message(room, client, room.address, "normal", invite)
                case "subject":
                    found = _message(room, client, room.address, "groupchat", "<subject>mine</subject>")
                case "availability":
                    found = _presence(room, client, role, "<show>xa</show>")
                case "nick":
                    found = _presence(room, client, f"{role} too")
                case "grant voice":
                    found = condition(room.admin(client, "nick='somebody' role='participant'"))
                case "revoke voice":
                    room.admin(romeo, "nick='somebody' role='participant'")
                    found = condition(room.admin(client, "nick='somebody' role='visitor'"))
                case _:
                    found = condition(room.admin(client, "nick='somebody' role='none'"))
            if found != wanted:
                wrong.append((right, role, found, wanted))
    assert not wrong


def test_section_5_2_1_privileges_of_affiliations(room: Room, romeo: Client, make_client: Any) -> None:
    """Every row of the table, with the exact answer for each affiliation."""
    people = {each: romeo if each == "owner" else make_client() for each in AFFILIATIONS}
    closed = Room(room.service).open(romeo, "owner", membersonly=True)
    room.open(romeo, "owner")
    for where in (room, closed):
        for each in ("outcast", "member", "admin"):
            where.admin(romeo, f"affiliation='{each}' jid='{people[each].bare}'")
    register = "<query xmlns='jabber:iq:register'/>"
    form = f"<query xmlns='{OWNER}'/>"
    table = {
        "enter an open room": ("forbidden", *["result"] * 4),
        "register": ("forbidden", *["result"] * 4),
        "list of members": ("forbidden", "forbidden", "forbidden", "result", "result"),
        "list of members, non-anonymous": ("forbidden", "forbidden", "result", "result", "result"),
        "enter a members-only room": ("forbidden", "registration-required", *["result"] * 3),
        "ban": ("forbidden", "forbidden", "forbidden", "result", "result"),
        "edit the list of members": ("forbidden", "forbidden", "forbidden", "result", "result"),
        "make a moderator": ("forbidden", "forbidden", "forbidden", "result", "result"),
        "edit the list of admins": ("forbidden", "forbidden", "forbidden", "forbidden", "result"),
        "edit the list of owners": ("forbidden", "forbidden", "forbidden", "forbidden", "result"),
        "configure": ("forbidden", "forbidden", "forbidden", "forbidden", "result"),
        "destroy": ("forbidden", "forbidden", "forbidden", "forbidden", "result"),
    }
    room.enter(make_client(), "somebody")
    wrong = []
    for right, row in table.items():
        if right.endswith("non-anonymous"):
            room.setup(romeo, whois="anyone")
        for (who, client), wanted in zip(people.items(), row, strict=True):
            match right:
                case "enter an open room" | "enter a members-only room":
                    where = room if right == "enter an open room" else closed
                    found = _presence(where, client, who, f"<x xmlns='{MUC}'/>")
                case "register":
                    found = condition(client.iq("get", register, to=room.address))
                case "list of members" | "list of members, non-anonymous":
                    found = condition(room.admin(client, "affiliation='member'", kind="get"))
                case "ban":
                    found = condition(room.admin(client, f"affiliation='outcast' jid='{who}@example.org'"))
                case "edit the list of members":
                    found = condition(room.admin(client, f"affiliation='member' jid='{who}@example.com'"))
                case "make a moderator":
                    room.admin(romeo, "nick='somebody' role='participant'")
                    found = condition(room.admin(client, "nick='somebody' role='moderator'"))
                case "edit the list of admins":
                    found = condition(room.admin(client, f"affiliation='admin' jid='{who}@example.net'"))
                case "edit the list of owners":
                    found = condition(room.admin(client, f"affiliation='owner' jid='{who}@example.edu'"))
                case "configure":
                    found = condition(client.iq("get", form, to=room.address))
                case _:
                    found = condition(
                        client.iq("set", form.replace("/>", "><destroy/></query>"), to=room.address)
                    )
            if found != wanted:
                wrong.append((right, who, found, wanted))
    assert not wrong
