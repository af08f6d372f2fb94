"""XEP-0160: Offline Messages, and XEP-0013: Flexible Offline Message Retrieval."""

import gevent
import pytest

from tests.client import Client
from tests.conftest import CONFIG

NS = "http://jabber.org/protocol/offline"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
HINTS = "urn:xmpp:hints"
SM = "urn:xmpp:sm:3"


@pytest.fixture
def absent(account):
    return account("absent")


def tell(client, to, *texts):
    for text in texts:
        client.send(f"<message to='{to.bare}' type='chat'><body>{text}</body></message>")
    client.sync()


def headers(client):
    answer = client.iq("get", f"<query xmlns='{ITEMS}' node='{NS}'/>")
    assert answer[0].get("node") == NS
    return [(item.get("node"), item.get("name")) for item in answer[0]]


def fails(answer, condition):
    assert answer.find(f".//{{{STANZAS}}}{condition}") is not None


def offline(client, kind, content):
    return client.iq(kind, f"<offline xmlns='{NS}'>{content}</offline>")


def test_they_come_in_order_once(romeo, absent, make_client):
    tell(romeo, absent, "one", "two", "three")
    client = make_client(absent, available=False)
    client.nothing("<message/>")
    client.available()
    for text in ("one", "two", "three"):
        got = client.gets("<message/>")
        assert got.findtext("{jabber:client}body") == text
        assert got.get("from") == romeo.jid
        assert got.find("{urn:xmpp:sid:0}stanza-id").get("by") == absent.bare
    make_client(absent).nothing("<message/>")


def test_a_negative_priority_does_not_take_them(romeo, absent, make_client):
    tell(romeo, absent, "one")
    client = make_client(absent, available=False)
    client.available(-1)
    client.nothing("<message/>")
    client.available(0)
    client.gets("<message><body>one</body></message>")


@pytest.mark.parametrize(
    ("attributes", "payload", "kept"),
    [
        ("", "<body>x</body>", True),
        ("type='normal'", "<x xmlns='jabber:x:conference' jid='room@muc'/>", True),
        (
            "type='chat'",
            f"<encryption xmlns='urn:xmpp:eme:0' namespace='e'/><no-permanent-store xmlns='{HINTS}'/>",
            True,
        ),
        (
            "type='chat'",
            f"<active xmlns='http://jabber.org/protocol/chatstates'/><store xmlns='{HINTS}'/>",
            True,
        ),
        ("type='chat'", f"<body>x</body><no-store xmlns='{HINTS}'/>", False),
        (
            "type='chat'",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread>",
            False,
        ),
        ("type='headline'", "<body>x</body>", False),
        ("type='groupchat'", "<body>x</body>", False),
        ("type='error'", "<error type='cancel'/>", False),
    ],
)
def test_what_is_worth_keeping(romeo, absent, make_client, attributes, payload, kept):
    romeo.send(f"<message to='{absent.bare}' {attributes} id='m'>{payload}</message>")
    romeo.sync()
    client = make_client(absent)
    if kept:
        client.gets("<message id='m'/>")
    client.nothing("<message/>")


def test_a_chat_state_gets_no_error(romeo, absent):
    romeo.send(
        f"<message to='{absent.bare}'><paused xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    romeo.nothing("<message/>")


def test_a_forged_stamp_of_the_server_goes(romeo, absent, make_client):
    forged = f"<delay xmlns='urn:xmpp:delay' from='{romeo.domain}' stamp='2002-09-10T23:08:25Z'/>"
    romeo.send(f"<message to='{absent.bare}'><body>x</body>{forged}</message>")
    romeo.sync()
    got = make_client(absent).gets("<message/>")
    assert all(not each.get("stamp").startswith("2002") for each in got.findall("{urn:xmpp:delay}delay"))


def test_a_full_store_and_a_crash(start_server):
    server = start_server({"modules": {"offline": {"limit": 2}}})
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    romeo = Client(server.address()).login("romeo", "secret")
    romeo.send(f"<enable xmlns='{SM}'/>")
    for number in ("1", "2", "3"):
        romeo.send(f"<message to='juliet@localhost' id='{number}'><body>{number}</body></message>")
    romeo.gets(
        f"<message type='error' id='3'><error><service-unavailable xmlns='{STANZAS}'/></error></message>"
    )
    romeo.nothing("<message/>")
    romeo.send(f"<r xmlns='{SM}'/>")
    romeo.gets(f"<a xmlns='{SM}'/>")  # they are committed
    server.kill9()
    server.start()
    juliet = Client(server.address()).login("juliet", "secret").available()
    for number in ("1", "2"):
        juliet.gets(f"<message><body>{number}</body></message>")
    juliet.nothing("<message/>")
    juliet.close()


# -- XEP-0013 ------------------------------------------------------------------------------------


def test_the_server_says_that_it_can(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", romeo.domain)
    assert {NS, "msgoffline"} <= {each.get("var") for each in info[0]}


def test_counting_stops_the_flood(romeo, absent, make_client):
    tell(romeo, absent, "one", "two")
    client = make_client(absent, available=False)
    number = client.fresh()
    client.send(f"<iq type='get' id='{number}'><query xmlns='{INFO}' node='{NS}'/></iq>")
    client.gets(
        f"<iq type='result' id='{number}'><query xmlns='{INFO}' node='{NS}'>"
        f"<identity category='automation' type='message-list'/><feature var='{NS}'/>"
        "<x xmlns='jabber:x:data' type='result'>"
        f"<field var='FORM_TYPE' type='hidden'><value>{NS}</value></field>"
        "<field var='number_of_messages'><value>2</value></field></x></query></iq>"
    )
    client.available()
    client.nothing("<message/>")
    make_client(absent).nothing("<message/>")
    tell(romeo, absent, "live")
    client.gets("<message><body>live</body></message>")


def test_headers_view_and_remove(romeo, absent, make_client):
    tell(romeo, absent, "one", "two", "three")
    client = make_client(absent, available=False)
    listed = headers(client)
    nodes = [node for node, _ in listed]
    assert nodes == sorted(nodes) and {name for _, name in listed} == {romeo.jid}
    assert offline(client, "get", f"<item action='view' node='{nodes[1]}'/>").get("type") == "result"
    client.gets(
        f"<message from='{romeo.jid}'><body>two</body>"
        f"<delay xmlns='urn:xmpp:delay' from='{romeo.domain}' stamp='...Z'/>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{absent.bare}' id='{int(nodes[1])}'/>"
        f"<offline xmlns='{NS}'><item node='{nodes[1]}'/></offline></message>"
    )
    client.nothing("<message/>")
    assert len(headers(client)) == 3
    gone = "".join(f"<item action='remove' node='{node}'/>" for node in nodes[:2])
    assert offline(client, "set", gone).get("type") == "result"
    assert [node for node, _ in headers(client)] == nodes[2:]


def test_fetch_and_purge(romeo, absent, make_client):
    tell(romeo, absent, "one", "two")
    client = make_client(absent, available=False)
    assert offline(client, "get", "<fetch/>").get("type") == "result"
    for text in ("one", "two"):
        client.gets(f"<message><body>{text}</body><offline xmlns='{NS}'/></message>")
    client.available()
    client.nothing("<message/>")
    assert offline(client, "set", "<purge/>").get("type") == "result"
    assert headers(client) == []


def test_errors(romeo, absent, juliet):
    fails(offline(romeo, "get", "<item action='view' node='1'/>"), "item-not-found")
    fails(offline(romeo, "get", "<item action='view' node='x'/>"), "item-not-found")
    fails(offline(romeo, "set", "<item action='remove' node='1'/>"), "item-not-found")
    fails(offline(romeo, "set", "<item action='view' node='1'/>"), "bad-request")
    fails(offline(romeo, "get", ""), "bad-request")
    fails(romeo.iq("get", f"<offline xmlns='{NS}'><fetch/></offline>", juliet.bare), "forbidden")
    fails(romeo.iq("set", f"<offline xmlns='{NS}'><purge/></offline>", juliet.bare), "forbidden")
    fails(romeo.iq("get", f"<query xmlns='{ITEMS}' node='{NS}'/>", juliet.bare), "forbidden")


def test_picked_messages_are_no_others(romeo, absent, make_client):
    """What was delivered, live or by the flood, is not in the queue; what was removed does not come again."""
    tell(romeo, absent, "one", "two")
    first = make_client(absent)
    for text in ("one", "two"):
        first.gets(f"<message><body>{text}</body></message>")
    assert headers(first) == []
    first.close()
    tell(romeo, absent, "three", "four")
    second = make_client(absent, available=False)
    (three, _), (four, _) = headers(second)
    second.available()
    tell(romeo, absent, "live")
    second.gets("<message><body>live</body></message>")
    assert [node for node, _ in headers(second)] == [three, four]
    assert offline(second, "set", f"<item action='remove' node='{three}'/>").get("type") == "result"
    assert [node for node, _ in headers(second)] == [four]
    second.nothing("<message/>")
    second.close()
    third = make_client(absent)
    third.gets("<message><body>four</body></message>")
    third.nothing("<message/>")


def test_a_removed_message_stays_in_the_archive(romeo, absent, make_client):
    tell(romeo, absent, "one")
    client = make_client(absent, available=False)
    assert offline(client, "set", "<purge/>").get("type") == "result"
    client.iq("set", "<query xmlns='urn:xmpp:mam:2'/>")
    client.gets("<message><result xmlns='urn:xmpp:mam:2'>...</result></message>")


@pytest.mark.parametrize("managed", [False, True])
def test_who_reads_slowly_gets_all_that_he_fetches(start_server, managed):
    """Far more than the server keeps for one who does not read, and more than may be unacknowledged."""
    limits = {"buffer": "128 KiB", "unacknowledged": 20, "rate_bytes": "1 GiB", "rate_stanzas": 100_000}
    server = start_server({**CONFIG, "c2s": limits})
    for user in ("romeo", "juliet"):
        Client(server.address()).connect().register(user, "secret").close()
    romeo = Client(server.address()).login("romeo", "secret", "orchard").available()
    for number in range(200):
        body = f"<body>{'x' * 30_000}</body>"
        romeo.send(f"<message to='juliet@localhost' type='chat' id='{number}'>{body}</message>")
    romeo.sync()
    juliet = Client(server.address()).login("juliet", "secret", "balcony")
    if managed:
        juliet.send(f"<enable xmlns='{SM}'/>")
        juliet.gets(f"<enabled xmlns='{SM}'/>")
    juliet.reader.kill()
    juliet.send(f"<iq type='get' id='fetch'><offline xmlns='{NS}'><fetch/></offline></iq>")
    for _ in range(5):
        romeo.sync()  # nobody waits for her
    juliet.reader = gevent.spawn(juliet._read)
    for number in range(200):
        juliet.gets(f"<message id='{number}'/>", 20)
        if managed:
            juliet.send(f"<a xmlns='{SM}' h='{number + 1}'/>")
    juliet.gets("<iq type='result' id='fetch'/>")
    assert len(headers(juliet)) == 200
    for client in (romeo, juliet):
        client.close()
