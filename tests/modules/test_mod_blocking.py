"""XEP-0191: Blocking Command."""

import pytest

from tests.client import subscribe_both

NS = "urn:xmpp:blocking"
PRIVACY = "jabber:iq:privacy"
ERRORS = f"{NS}:errors"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
UNAVAILABLE = f"<error type='cancel'><service-unavailable xmlns='{STANZAS}'/></error>"


def block(client, *jids, verb="block"):
    items = "".join(f"<item jid='{jid}'/>" for jid in jids)
    assert client.iq("set", f"<{verb} xmlns='{NS}'>{items}</{verb}>").get("type") == "result"


def blocklist(client):
    answer = client.iq("get", f"<blocklist xmlns='{NS}'/>")
    return [item.get("jid") for item in answer[0]]


def test_the_server_says_that_it_can(romeo):
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", romeo.domain)
    assert {NS, PRIVACY} <= {each.get("var") for each in info[0]}


def test_the_list_is_empty_at_first_and_kept(romeo):
    assert blocklist(romeo) == []
    block(romeo, "tybalt@example.org", "Iago@Shakespeare.lit")
    assert blocklist(romeo) == ["tybalt@example.org", "iago@shakespeare.lit"]
    block(romeo, "tybalt@example.org")
    assert len(blocklist(romeo)) == 2
    block(romeo, "tybalt@example.org", "nobody@example.org", verb="unblock")
    assert blocklist(romeo) == ["iago@shakespeare.lit"]
    block(romeo, verb="unblock")
    assert blocklist(romeo) == []


def test_resources_that_asked_for_the_list_hear_of_changes(romeo, make_client):
    asked, deaf = make_client(romeo.account), make_client(romeo.account)
    blocklist(asked)
    block(romeo, "tybalt@example.org", "paris@example.org")
    asked.gets(
        f"<iq type='set' to='{asked.jid}'><block xmlns='{NS}'><item jid='tybalt@example.org'/></block></iq>"
    )
    block(romeo, "tybalt@example.org", verb="unblock")
    asked.gets(f"<iq type='set'><unblock xmlns='{NS}'><item jid='tybalt@example.org'/></unblock></iq>")
    block(romeo, verb="unblock")
    asked.gets(f"<iq type='set'><unblock xmlns='{NS}'><item>!absent</item></unblock></iq>")
    deaf.nothing("<iq type='set'/>")


def test_bad_requests(romeo):
    for payload, condition in (
        (f"<block xmlns='{NS}'/>", "bad-request"),
        (f"<block xmlns='{NS}'><item/></block>", "bad-request"),
        (f"<bloc xmlns='{NS}'><item jid='a@b'/></bloc>", "bad-request"),
        (f"<block xmlns='{NS}'><item jid='@'/></block>", "jid-malformed"),
    ):
        answer = romeo.iq("set", payload)
        assert answer.find(f".//{{{STANZAS}}}{condition}") is not None, payload
    assert blocklist(romeo) == []


def test_a_full_list_refuses(romeo):
    jids = [f"u{number}@example.org" for number in range(1000)]
    block(romeo, *jids)
    answer = romeo.iq("set", f"<block xmlns='{NS}'><item jid='one@too.many'/></block>")
    assert answer.find(f".//{{{STANZAS}}}not-acceptable") is not None
    assert blocklist(romeo) == jids


def test_a_blocked_contact_meets_a_closed_door(romeo, juliet):
    block(juliet, romeo.bare)
    for to in (juliet.bare, juliet.jid):
        romeo.send(f"<message to='{to}' type='chat' id='m'><body>hi</body></message>")
        romeo.gets(f"<message type='error' id='m' from='{to}'>{UNAVAILABLE}</message>")
        romeo.send(f"<iq type='get' to='{to}' id='v'><query xmlns='jabber:iq:version'/></iq>")
        romeo.gets(f"<iq type='error' id='v' from='{to}'>{UNAVAILABLE}</iq>")
    romeo.send(f"<iq type='result' to='{juliet.jid}' id='r'/>")
    romeo.send(f"<message type='groupchat' to='{juliet.jid}'><body>all</body></message>")
    romeo.send(f"<message type='error' to='{juliet.jid}'><error type='cancel'/></message>")
    romeo.send(f"<message type='headline' to='{juliet.bare}'><body>news</body></message>")
    for type in ("", "type='unavailable'", "type='subscribe'", "type='probe'"):
        romeo.send(f"<presence to='{juliet.bare}' {type}/>")
    romeo.nothing("<message/>")
    romeo.nothing("<presence type='error'/>")
    juliet.nothing("<message/>")
    juliet.nothing(f"<presence from='{romeo.bare}...'/>")


def test_the_owner_is_told_not_to_write(romeo, juliet):
    block(juliet, romeo.bare)
    juliet.send(f"<message to='{romeo.jid}' id='m'><body>hi</body></message>")
    juliet.gets(
        f"<message type='error' id='m' from='{romeo.jid}'><error type='cancel'>"
        f"<not-acceptable xmlns='{STANZAS}'/><blocked xmlns='{ERRORS}'/></error></message>"
    )
    juliet.send(f"<presence type='subscribe' to='{romeo.bare}' id='p'/>")
    juliet.gets(f"<presence type='error' id='p'><error><blocked xmlns='{ERRORS}'/></error></presence>")
    romeo.nothing("<message/>")
    romeo.nothing("<presence type='subscribe'/>")


def test_a_whole_domain_and_one_resource(romeo, juliet):
    block(juliet, f"{romeo.bare}/elsewhere")
    romeo.send(f"<message to='{juliet.bare}'><body>one</body></message>")
    juliet.gets("<message><body>one</body></message>")
    block(juliet, romeo.jid)
    romeo.send(f"<message to='{juliet.bare}' id='m'><body>two</body></message>")
    romeo.gets(f"<message type='error' id='m'>{UNAVAILABLE}</message>")
    block(juliet, verb="unblock")
    block(juliet, romeo.domain)
    romeo.send(f"<message to='{juliet.bare}' id='n'><body>three</body></message>")
    romeo.gets(f"<message type='error' id='n'>{UNAVAILABLE}</message>")


def test_ones_own_resources_and_server_are_never_blocked(romeo, make_client):
    other = make_client(romeo.account)
    block(romeo, romeo.bare, romeo.domain)
    romeo.send(f"<message to='{other.jid}'><body>to myself</body></message>")
    other.gets("<message><body>to myself</body></message>")
    assert romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", romeo.domain).get("type") == "result"


def test_presence_goes_and_comes_back(romeo, juliet):
    subscribe_both(romeo, juliet)
    block(juliet, romeo.bare)
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    juliet.send("<presence><show>away</show></presence>")
    romeo.send("<presence><show>dnd</show></presence>")
    juliet.sync()
    romeo.nothing(f"<presence from='{juliet.bare}...'/>")
    juliet.nothing(f"<presence from='{romeo.jid}'><show>dnd</show></presence>")
    block(juliet, romeo.bare, verb="unblock")
    romeo.gets(f"<presence type='!absent' from='{juliet.jid}'><show>away</show></presence>")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}'><show>dnd</show></presence>")
    romeo.send(f"<message to='{juliet.bare}'><body>again</body></message>")
    juliet.gets("<message><body>again</body></message>")


@pytest.mark.parametrize("available", [True, False])
def test_a_room_that_is_blocked_sees_the_user_leave(romeo, juliet, available):
    room = juliet.jid  # to the server a room is an address that has been sent presence
    if not available:
        romeo.send("<presence type='unavailable'/>")
    romeo.send(f"<presence to='{room}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}' to='{room}'/>")
    block(romeo, juliet.bare)
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}' to='{room}'/>")
    romeo.abort()
    juliet.nothing(f"<presence from='{romeo.jid}'/>")


def test_who_was_blocked_in_a_room_must_be_sent_presence_again(romeo, juliet):
    romeo.send(f"<presence to='{juliet.jid}'/>")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}'/>")
    block(romeo, juliet.domain)
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'/>")
    block(romeo, verb="unblock")
    juliet.nothing(f"<presence from='{romeo.jid}'/>")
    romeo.send(f"<presence to='{juliet.jid}'><show>chat</show></presence>")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}'><show>chat</show></presence>")
    romeo.abort()
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'/>")


def test_presence_sent_from_each_session_ends_at_the_block(romeo, juliet, make_client):
    other = make_client(romeo.account)
    for client in (romeo, other):
        client.send(f"<presence to='{juliet.jid}'/>")
    block(romeo, juliet.jid)
    for client in (romeo, other):
        juliet.gets(f"<presence type='unavailable' from='{client.jid}'/>")
    juliet.nothing("<presence type='unavailable'/>")


def test_strangers_see_nothing_of_it(romeo, juliet):
    block(juliet, romeo.bare)
    block(juliet, romeo.bare, verb="unblock")
    romeo.nothing(f"<presence from='{juliet.bare}...'/>")


def test_blocks_stand_first_in_the_default_privacy_list(romeo):
    answer = romeo.iq("set", f"<query xmlns='{PRIVACY}'><list name='mine'>"
                             "<item type='jid' value='tybalt@example.org' action='allow' order='1'/>"
                             "<item type='jid' value='paris@example.org' action='deny' order='7'/>"
                             "</list></query>")  # fmt: skip
    assert answer.get("type") == "result"
    assert blocklist(romeo) == []
    romeo.iq("set", f"<query xmlns='{PRIVACY}'><default name='mine'/></query>")
    assert blocklist(romeo) == ["paris@example.org"]
    block(romeo, "tybalt@example.org")
    answer = romeo.iq("get", f"<query xmlns='{PRIVACY}'><list name='mine'/></query>")
    items = [(i.get("order"), i.get("action"), i.get("value").partition("@")[0]) for i in answer[0][0]]
    assert items == [("1", "deny", "paris"), ("2", "deny", "tybalt"), ("3", "allow", "tybalt")]


def test_it_outlives_the_server(start_server):
    server = start_server()
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    from tests.client import Client

    client = Client(server.address()).login("romeo", "secret")
    block(client, "tybalt@example.org")
    server.kill9()
    server.start()
    again = Client(server.address()).login("romeo", "secret")
    assert blocklist(again) == ["tybalt@example.org"]
    again.close()
