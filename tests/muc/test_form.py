"""The form of a room (XEP-0045 section 10.2): every field of the registry, typed, validated, and partial submissions."""

from typing import Any

import pytest

from tests.client import Client
from tests.muc.conftest import DATA, MUC, OWNER, Room, condition

pytestmark = pytest.mark.topology("one host")

PROTECTED = "muc#roomconfig_passwordprotectedroom"
"""A password that is submitted alone switches it on."""

FIELDS: dict[str, tuple[str, list[str], list[str] | None]] = {
    "muc#maxhistoryfetch": ("text-single", ["5"], ["many"]),
    "muc#roomconfig_allowpm": ("list-single", ["participants"], ["everybody"]),
    "muc#roomconfig_allowinvites": ("boolean", ["1"], ["yes"]),
    "muc#roomconfig_changesubject": ("boolean", ["true"], ["2"]),
    "muc#roomconfig_enablelogging": ("boolean", ["1"], [""]),
    "muc#roomconfig_getmemberlist": ("list-multi", ["moderator", "visitor"], ["owner"]),
    "muc#roomconfig_lang": ("text-single", ["pt-BR"], ["not a language"]),
    "muc#roomconfig_pubsub": ("text-single", ["xmpp:pubsub.example.org?;node=coven"], ["http://example.org"]),
    "muc#roomconfig_maxusers": ("list-single", ["20"], ["some"]),
    "muc#roomconfig_membersonly": ("boolean", ["1"], ["maybe"]),
    "muc#roomconfig_moderatedroom": ("boolean", ["1"], ["0", "1"]),
    "muc#roomconfig_passwordprotectedroom": ("boolean", ["0"], ["1"]),  # without a password
    "muc#roomconfig_persistentroom": ("boolean", ["1"], ["-1"]),
    "muc#roomconfig_presencebroadcast": ("list-multi", ["moderator", "participant"], ["none"]),
    "muc#roomconfig_publicroom": ("boolean", ["false"], ["no"]),
    "muc#roomconfig_roomadmins": ("jid-multi", ["a@example.org", "b@example.org"], ["@"]),
    "muc#roomconfig_roomdesc": ("text-single", ["where witches meet"], ["x" * 3000]),
    "muc#roomconfig_roomname": ("text-single", ["A Dark Cave"], ["a", "b"]),
    "muc#roomconfig_roomowners": ("jid-multi", [], ["example.org"]),  # the owner is added
    "muc#roomconfig_roomsecret": ("text-private", ["cauldronburn"], ["x" * 300]),
    "muc#roomconfig_whois": ("list-single", ["anyone"], ["none"]),
    "muc#roominfo_contactjid": ("jid-multi", ["help@example.org"], ["@"]),
    "muc#roominfo_logs": ("text-single", ["https://example.org/logs"], ["here"]),
    "muc#roomconfig_enablearchiving": ("boolean", ["0"], ["x"]),
    "muc#roomconfig_allowregistration": ("boolean", ["0"], ["x"]),
    "muc#roomconfig_allowvoicerequests": ("boolean", ["0"], ["x"]),
    "muc#roomconfig_allowvisitornickchange": ("boolean", ["0"], ["x"]),
    "muc#roomconfig_allowvisitorstatus": ("boolean", ["0"], ["x"]),
    "muc#roomconfig_allow_subscription": ("boolean", ["1"], ["x"]),
    "muc#roomconfig_defaulthistorymessages": ("text-single", ["2"], ["-1"]),
    "x-muc#roomconfig_reservednick": ("boolean", ["1"], ["x"]),
    "x-muc#roomconfig_canchangenick": ("boolean", ["0"], ["x"]),
    "x-muc#roomconfig_membershiprequests": ("boolean", ["1"], ["x"]),
    "allow_query_users": ("boolean", ["0"], ["x"]),
}


def _form(room: Room, client: Client) -> dict[str, tuple[str, list[str]]]:
    answer = client.iq("get", f"<query xmlns='{OWNER}'/>", to=room.address)
    return {
        str(each.get("var")): (str(each.get("type")), [value.text or "" for value in each.findall(f"{{{DATA}}}value")])
        for each in answer.iter(f"{{{DATA}}}field")
    }  # fmt: skip


def _submit(room: Room, client: Client, fields: dict[str, list[str]]) -> str:
    inner = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
    for var, values in fields.items():
        texts = "".join(f"<value>{each}</value>" for each in values)
        inner += f"<field var='{var}'>{texts}</field>"
    form = f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'>{inner}</x></query>"
    return condition(client.iq("set", form, to=room.address))


def _same(type: str, values: list[str]) -> list[str]:
    return [{"true": "1", "false": "0"}.get(each, each) for each in values] if type == "boolean" else values


def test_each_field_alone_is_typed_validated_and_changes_nothing_else(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    wrong = []
    for var, (type, good, bad) in FIELDS.items():
        good = [*good, romeo.bare] if var.endswith("roomowners") else good
        before = _form(room, romeo)
        refused = "result" if bad is None else _submit(room, romeo, {var: bad})
        kept = _form(room, romeo) == before
        taken = _submit(room, romeo, {var: good})
        after = _form(room, romeo)
        own = {var, PROTECTED} if var == "muc#roomconfig_roomsecret" else {var}
        rest = all(after[each] == before[each] for each in before if each not in own)
        if (refused, kept, taken, after.get(var), rest) != (
            "not-acceptable", True, "result", (type, _same(type, good)), True,
        ):  # fmt: skip
            wrong.append((var, refused, kept, taken, after.get(var), rest))
    assert not wrong
    assert set(_form(room, romeo)) >= set(FIELDS) | {"FORM_TYPE"}


def test_one_bad_field_among_good_ones_changes_nothing(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    before = _form(room, romeo)
    fields = {"muc#roomconfig_roomname": ["Cave"], "muc#roomconfig_whois": ["nobody"]}
    assert _submit(room, romeo, fields) == "not-acceptable"
    assert _form(room, romeo) == before


def test_xep_0122_bounds_of_numbers(room: Room, romeo: Client) -> None:
    room.open(romeo, "first")
    answer = romeo.iq("get", f"<query xmlns='{OWNER}'/>", to=room.address)
    field = answer.find(f".//{{{DATA}}}field[@var='muc#maxhistoryfetch']")
    space = "{http://jabber.org/protocol/xdata-validate}"
    assert (
        field is not None and field.find(f"{space}validate[@datatype='xs:integer']/{space}range") is not None
    )
    for value in ("-1", "1001", "1e1", "٣", "5 5"):
        assert _submit(room, romeo, {"muc#maxhistoryfetch": [value]}) == "not-acceptable"


def test_whose_presence_is_shown_may_change_while_they_are_in(
    room: Room, romeo: Client, juliet: Client, nurse: Client
) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    room.shows(romeo, "second")
    room.setup(romeo, presencebroadcast=["moderator"])
    room.shows(romeo, "second", gone=True)
    room.enter(nurse, "third")
    romeo.nothing(f"<presence from='{room}/third'/>")
    room.setup(romeo, presencebroadcast=["moderator", "participant", "visitor"])
    room.shows(romeo, "second", "role='participant'")
    room.shows(juliet, "third", "role='participant'")


def test_requests_to_other_occupants_may_be_forbidden(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first")
    room.enter(juliet, "second")
    assert _submit(room, romeo, {"allow_query_users": ["0"]}) == "result"
    version: Any = "<query xmlns='jabber:iq:version'/>"
    assert condition(juliet.iq("get", version, to=f"{room}/first")) == "forbidden"
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    assert condition(juliet.iq("get", ping, to=f"{room}/second")) == "result"  # oneself: XEP-0410
    romeo.iq("set", "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>")
    card = juliet.iq(
        "get", "<vCard xmlns='vcard-temp'/>", to=f"{room}/first"
    )  # processone/ejabberd#4489: of the account
    assert card.findtext(".//{vcard-temp}FN") == "Romeo" and card.get("from") == f"{room}/first"


def test_the_status_texts_of_visitors_are_not_shown_where_the_room_says_so(
    room: Room, romeo: Client, juliet: Client
) -> None:
    room.open(romeo, "first", moderatedroom=True, allowvisitorstatus=False)
    hidden, status = (
        "<show>away</show><status>!absent</status>",
        "<show>away</show><status>buy my things</status>",
    )
    room.enter(juliet, "second", more=status)
    room.shows(romeo, "second", more=hidden)
    for x in ("", f"<x xmlns='{MUC}'/>"):  # also of who enters anew
        juliet.send(f"<presence to='{room}/second'><status>again</status><show>away</show>{x}</presence>")
        room.shows(juliet, "second", "", 110, more=hidden)
    juliet.send(f"<presence to='{room}/second' type='unavailable'>{status}</presence>")
    room.shows(romeo, "second", gone=True, more="<status>!absent</status>")
    room.admin(romeo, f"jid='{juliet.bare}' affiliation='member'")
    room.enter(juliet, "second", more=status)
    room.shows(romeo, "second", more=status)


def test_how_much_history_those_get_who_do_not_say(room: Room, romeo: Client, juliet: Client) -> None:
    room.open(romeo, "first", defaulthistorymessages=2)
    for body in ("one", "two", "three"):
        room.say(romeo, body)
        romeo.gets(f"<message><body>{body}</body></message>")
    for asked, wanted in (("", ["two", "three"]), ("<history maxstanzas='3'/>", ["one", "two", "three"])):
        room.ask(juliet, "second", asked)
        juliet.gets(f"<message from='{room}'><subject/></message>")
        said = [each.findtext("{jabber:client}body") for each in juliet.inbox]
        assert [each for each in said if each] == wanted
        juliet.send(f"<presence to='{room}/second' type='unavailable'/>")
        room.shows(juliet, "second", "", 110, gone=True)
        juliet.inbox.clear()
