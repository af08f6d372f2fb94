"""Members who are away get what is said at their bare address, into archive and offline store."""

from typing import Any
from xml.etree.ElementTree import Element

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, Room, condition
from tests.muc.test_occupants import REGISTER

OFFLINE = "{http://tigase.org/protocol/muc}offline"
MAM = "urn:xmpp:mam:2"
ONE = pytest.mark.topology("one host")


def register(room: Room, client: Client, nick: str, offline: str) -> Element:
    values = {"FORM_TYPE": f"{MUC}#register", "muc#register_roomnick": nick, OFFLINE: offline}
    fields = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in values.items())
    form = f"<query xmlns='{REGISTER}'><x xmlns='{DATA}' type='submit'>{fields}</x></query>"
    return client.iq("set", form, to=room.address)


def archived(client: Client, groupchat: str) -> list[str | None]:
    """The bodies in the archive of the account. ``groupchat``: of the query's field include-groupchat."""
    fields = {"FORM_TYPE": MAM, "include-groupchat": groupchat}
    inner = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    client.inbox.clear()
    answer = client.iq("set", f"<query xmlns='{MAM}'><x xmlns='{DATA}' type='submit'>{inner}</x></query>")
    assert condition(answer) == "result"
    found = [each.findtext(".//{jabber:client}body") for each in client.inbox]
    client.inbox.clear()
    return [each for each in found if each]


def says(room: Room, client: Client, text: str) -> None:
    room.say(client, text)
    client.gets(f"<message from='{room}/first'><body>{text}</body></message>")


def test_who_has_registered_so_gets_messages_while_away(
    room: Room, romeo: Client, juliet: Client, make_client: Any
) -> None:
    room.open(romeo, "first", persistentroom=True)
    form = juliet.iq("get", f"<query xmlns='{REGISTER}'/>", to=room.address)
    field = form.find(f".//{{{DATA}}}field[@var='{OFFLINE}']")
    assert field is not None and field.get("type") == "boolean"
    assert condition(register(room, juliet, "second", "1")) == "result"
    says(room, romeo, "one")
    juliet.gets(
        f"<message from='{room}/first' to='{juliet.bare}' type='groupchat'><body>one</body></message>"
    )
    room.enter(juliet, "second")
    says(room, romeo, "two")  # to her session, and to that only
    juliet.gets(f"<message from='{room}/first' to='{juliet.jid}' type='groupchat'><body>two</body></message>")
    juliet.nothing(f"<message to='{juliet.bare}'><body>two</body></message>")
    juliet.close()
    room.shows(romeo, "second", gone=True)
    says(room, romeo, "three")
    room.say(romeo, "", "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
    romeo.sync(room.service)
    romeo.sync(juliet.domain)
    juliet = make_client(juliet.account)
    late = juliet.gets(
        f"<message from='{room}/first' type='groupchat'><body>three</body><delay xmlns='urn:xmpp:delay'/></message>"
    )
    assert late is not None
    juliet.inbox.clear()
    juliet.iq("set", f"<query xmlns='{MAM}'/>")
    kept = [each.findtext(".//{jabber:client}body") for each in juliet.inbox]
    assert [each for each in kept if each] == ["one", "three"]
    assert archived(juliet, "true") == ["one", "three"] and archived(juliet, "false") == []
    assert condition(register(room, juliet, "second", "0")) == "result"
    says(room, romeo, "four")
    juliet.nothing("<message><body>four</body></message>")


def test_without_such_a_registration_a_room_cannot_send_to_the_bare_address(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first")
    juliet.send(f"<message to='{romeo.bare}' type='groupchat' id='g'><body>spam</body></message>")
    assert condition(juliet.gets("<message type='error' id='g'/>")) == "service-unavailable"
    romeo.nothing("<message><body>spam</body></message>")


@ONE
def test_an_account_reads_its_archive_without_what_rooms_said(
    room: Room, romeo: Client, juliet: Client
) -> None:
    """XEP-0313 section 4.1.6: whatever stands in a message, only its type counts."""
    room.open(romeo, "a&gt; type=&apos;chat&apos;")
    register(room, juliet, "second", "1")
    room.say(romeo, "public")
    juliet.gets("<message type='groupchat'><body>public</body></message>")
    tricky = "<message xmlns='jabber:client' type='groupchat'/>"
    for kind in ("chat", "normal"):
        romeo.send(
            f"<message to='{juliet.bare}' type='{kind}'><body>type='groupchat' {kind}</body>{tricky}</message>"
        )
        juliet.gets(f"<message type='{kind}'><body>...</body></message>")
    private = ["type='groupchat' chat", "type='groupchat' normal"]
    assert archived(juliet, "false") == private
    assert archived(juliet, "1") == ["public", *private]


@ONE
def test_who_is_no_member_any_more_gets_nothing(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    register(room, juliet, "second", "true")
    says(room, romeo, "one")
    juliet.gets("<message><body>one</body></message>")
    room.admin(romeo, f"affiliation='none' jid='{juliet.bare}'")
    says(room, romeo, "two")
    register(room, juliet, "second", "1")
    assert condition(register(room, juliet, "second", "perhaps")) == "bad-request"
    juliet.iq("set", f"<query xmlns='{REGISTER}'><remove/></query>", to=room.address)
    says(room, romeo, "three")
    juliet.nothing("<message><body>...</body></message>")
