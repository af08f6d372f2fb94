"""XEP-0198: Stream Management."""

import json

import gevent
import pytest

from tests.client import Client

SM = "urn:xmpp:sm:3"


def enable(client, resume=True):
    client.send(f"<enable xmlns='{SM}' resume='{'true' if resume else 'false'}'/>")
    return client.gets(f"<enabled xmlns='{SM}'/>").attrib


def acknowledged(client, h):
    client.send(f"<r xmlns='{SM}'/>")
    client.gets(f"<a xmlns='{SM}' h='{h}'/>")


def back(make_client, account, token, h):
    """The same account on a new stream, which resumes the old one."""
    client = make_client(account, login=False)
    client.connect()
    client.auth(account.user, account.password)
    client.send(f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>")
    return client


def test_both_sides_count(romeo, juliet):
    enable(romeo, resume=False)
    romeo.send(f"<message to='{juliet.jid}' type='chat' id='1'><body>one</body></message>")
    romeo.send("<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>")
    acknowledged(romeo, 2)
    romeo.gets("<iq id='2'/>")
    romeo.gets(f"<r xmlns='{SM}'/>")
    romeo.send(f"<a xmlns='{SM}' h='1'/>")
    juliet.gets("<message id='1'/>")


def test_more_than_was_sent_ends_the_stream(romeo):
    enable(romeo)
    romeo.send(f"<a xmlns='{SM}' h='99'/>")
    assert romeo.stream_error() == "undefined-condition"


def test_a_lost_stream_is_resumed(romeo, juliet, make_client):
    token = enable(romeo)["id"]
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m1'><body>one</body></message>")
    romeo.gets("<message id='m1'/>")
    romeo.abort()
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m2'><body>two</body></message>")
    juliet.send(f"<message to='{romeo.bare}' type='chat' id='m3'><body>three</body></message>")
    juliet.nothing("<message type='error'/>")
    again = back(make_client, romeo.account, token, 1)
    again.gets(f"<resumed xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets("<message id='m2'/>")
    again.gets("<message id='m3'/>")
    again.send(f"<r xmlns='{SM}'/>")
    again.gets(f"<a xmlns='{SM}' h='0'/>")
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m4'><body>four</body></message>")
    again.gets("<message id='m4'/>")


def test_what_was_not_acknowledged_comes_again(romeo, juliet, make_client):
    token = enable(romeo)["id"]
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m1'><body>one</body></message>")
    first = romeo.gets("<message id='m1'/>")
    romeo.abort()
    again = back(make_client, romeo.account, token, 0)
    again.gets(f"<resumed xmlns='{SM}'/>")
    second = again.gets("<message id='m1'/>")
    sid = "{urn:xmpp:sid:0}stanza-id"
    assert first.find(sid).get("id") == second.find(sid).get("id")


def test_a_stranger_cannot_take_it(romeo, juliet, make_client):
    token = enable(romeo)["id"]
    thief = back(make_client, juliet.account, token, 0)
    thief.gets(f"<failed xmlns='{SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
    thief.bind()


def test_the_session_of_a_connected_stream_moves(romeo, make_client):
    token = enable(romeo)["id"]
    again = back(make_client, romeo.account, token, 0)
    again.gets(f"<resumed xmlns='{SM}'/>")
    assert romeo.stream_error() == "conflict"


@pytest.mark.topology("one host")
def test_resumption_after_a_restart(start_server, tmp_path):
    server = start_server()
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name):
        c = Client(server.address("c2s"), "localhost")
        c.connect()
        c.auth(name, "secret")
        return c

    romeo, juliet = client("romeo"), client("juliet")
    for each in (romeo, juliet):
        each.bind("desk")
        each.available()
    token = enable(romeo)["id"]
    juliet.send("<message to='romeo@localhost/desk' type='chat' id='m1'><body>one</body></message>")
    romeo.gets("<message id='m1'/>")
    romeo.send("<message to='juliet@localhost' type='chat' id='r1'><body>got it</body></message>")
    juliet.gets("<message id='r1'/>")
    server.restart()
    again = client("romeo")
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets(f"<resumed xmlns='{SM}' previd='{token}' h='1'/>")
    again.gets("<message id='m1'/>")
    again.close()


@pytest.mark.topology("one host")
def test_an_old_queue_is_not_taken_for_fresh(start_server):
    """After a restart in peace and then a crash the store gives what was not delivered, and that is all."""
    server = start_server()
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name, h=None):
        c = Client(server.address("c2s"), "localhost").connect().auth(name, "secret")
        if h is not None:
            c.send(f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>")
            c.gets(f"<resumed xmlns='{SM}'/>")
        return c

    def juliet_says(id):
        juliet = client("juliet").bind()
        juliet.send(f"<message to='romeo@localhost' type='chat' id='{id}'><body>{id}</body></message>")
        juliet.sync()
        juliet.close()

    romeo = client("romeo").bind("desk").available()
    token = enable(romeo)["id"]
    juliet_says("m1")
    romeo.gets("<message id='m1'/>")
    server.restart()
    romeo = client("romeo", 0)
    romeo.gets("<message id='m1'/>")
    romeo.send(f"<a xmlns='{SM}' h='1'/>")
    juliet_says("m2")
    romeo.gets("<message id='m2'/>")
    romeo.send("<message to='juliet@localhost' type='chat' id='r1'><body>x</body></message>")
    acknowledged(romeo, 1)
    server.kill9()
    romeo.abort()
    server.start()
    romeo = client("romeo", 2)  # the sync after m2 was juliet's: he got two stanzas
    ids = [e.get("id") for e in romeo.inbox if e.tag.endswith("message")]
    romeo.send(f"<r xmlns='{SM}'/>")
    romeo.gets(f"<a xmlns='{SM}' h='1'/>")
    assert len(ids) == len(set(ids))
    juliet_says("m3")
    romeo.gets("<message id='m3'/>")
    romeo.close()


@pytest.mark.topology("one host")
@pytest.mark.parametrize("crash", [False, True])
def test_what_a_session_has_switched_on_outlives_the_server(start_server, crash):
    """Carbons, interest in the roster, and in peace also the state of the client."""
    server = start_server()
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name):
        return Client(server.address("c2s"), "localhost").connect().auth(name, "secret")

    romeo = client("romeo").bind("desk").available()
    token = enable(romeo)["id"]
    romeo.iq("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    romeo.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    acknowledged(romeo, 2)
    phone = client("romeo").bind("phone").available()  # its presence is held back
    assert not any(e.get("from") == phone.jid for e in romeo.inbox)
    if crash:
        server.kill9()
        romeo.abort()
        server.start()
    else:
        server.restart()
    phone = client("romeo").bind("phone").available()
    phone.iq("set", "<query xmlns='jabber:iq:roster'><item jid='juliet@localhost'/></query>")
    juliet = client("juliet").bind()
    juliet.send("<message to='romeo@localhost/phone' type='chat' id='m'><body>x</body></message>")
    phone.gets("<message id='m'/>")
    again = client("romeo")
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='2'/>")
    again.gets(f"<resumed xmlns='{SM}' h='2'/>")
    again.gets("<iq type='set'><query xmlns='jabber:iq:roster'/></iq>")
    again.gets("<message><received xmlns='urn:xmpp:carbons:2'>...</received></message>")
    if not crash:
        again.gets("<presence from='romeo@localhost/phone'/>")
    for each in (again, phone, juliet):
        each.close()


def test_what_the_other_client_still_holds_comes_once(romeo, juliet, make_client):
    """Both of romeo's clients get the message; one goes without having acknowledged it."""
    other = make_client(romeo.account, resource="garden")
    for each in (romeo, other):
        enable(each)
    juliet.send(f"<message to='{romeo.bare}' type='chat' id='m1'><body>one</body></message>")
    romeo.gets("<message id='m1'/>")
    other.gets("<message id='m1'/>")
    other.close()
    romeo.nothing("<message/>")


@pytest.mark.topology("one host")
def test_where_to_resume(start_server):
    server = start_server({"hosts": {"localhost": {}}, "c2s": {"location": "[2001:db8::1]:9222"}})
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    romeo = Client(server.address("c2s"), "localhost").login("romeo", "secret")
    assert enable(romeo)["location"] == "[2001:db8::1]:9222"
    romeo.close()


@pytest.mark.topology("one host")
def test_lost_sessions_are_bounded(start_server):
    """Those that were lost first go; an account with too many loses its oldest lost one, instead of being locked out."""
    server = start_server(
        {"hosts": {"localhost": {"sessions_per_user": 3}}, "c2s": {"lost_sessions": "64 KiB"}}
    )
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name):
        return Client(server.address("c2s"), "localhost").connect().auth(name, "secret")

    def resumed(name, token):
        c = client(name)
        c.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
        answer = c.take(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"), "<resumed/>", 5)
        c.abort()
        return answer.tag == f"{{{SM}}}resumed"

    tokens = []
    for number in range(5):
        romeo = client("romeo").bind(f"r{number}")
        tokens.append(enable(romeo)["id"])
        romeo.abort()
        juliet = client("juliet").bind("j")  # somebody else, so that the loss is seen meanwhile
        juliet.sync()
        juliet.close()
    assert [resumed("romeo", token) for token in tokens[:2]] == [False, False]
    assert resumed("romeo", tokens[-1])
    juliet = client("juliet").bind("j")
    large = "x" * 30_000
    for resource in ("r2", "r3", "r4"):
        body = f"<body>{large}</body>"
        juliet.send(f"<message to='romeo@localhost/{resource}' type='chat'>{body}</message>")
    juliet.sync()
    with gevent.Timeout(10, AssertionError("too much is kept")):
        while len(json.loads(server.ctl("sessions", "list", "--json"))) > 2:  # juliet and one of his
            gevent.sleep(0)
    assert [resumed("romeo", token) for token in tokens[2:]] == [False, False, True]
    juliet.close()


# -- hostile -----------------------------------------------------------------------------------

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def failed(condition):
    return f"<failed xmlns='{SM}'><{condition} xmlns='{STANZAS}'/></failed>"


def test_enabled_twice(romeo):
    enable(romeo)
    romeo.send(f"<enable xmlns='{SM}' resume='true'/>")
    romeo.gets(failed("unexpected-request"))
    romeo.send("<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>")
    acknowledged(romeo, 1)


def test_too_early(romeo, make_client):
    client = make_client(romeo.account, login=False)
    for element in ("enable", "resume"):
        client.send(f"<{element} xmlns='{SM}' previd='x' h='0'/>")
        client.gets(failed("unexpected-request"))
    client.auth(romeo.account.user, romeo.account.password)
    client.send(f"<enable xmlns='{SM}'/>")
    client.gets(failed("unexpected-request"))
    client.bind()
    enable(client)
    client.send(f"<resume xmlns='{SM}' previd='x' h='0'/>")
    client.gets(failed("unexpected-request"))


@pytest.mark.parametrize("element", ["<a xmlns='urn:xmpp:sm:3' h='0'/>", "<r xmlns='urn:xmpp:sm:3'/>"])
def test_not_enabled(romeo, element):
    romeo.send(element)
    assert romeo.stream_error() == "unsupported-stanza-type"


@pytest.mark.parametrize(
    "attribute",
    ["", "h=''", "h='-1'", "h='one'", "h='4294967296'", "h='1_0'", "h='\u0661'", f"h='{'1' * 5000}'"],
)
def test_no_count(romeo, make_client, attribute):
    token = enable(romeo)["id"]
    romeo.send(f"<a xmlns='{SM}' {attribute}/>")
    assert romeo.stream_error() == "invalid-xml"
    again = make_client(romeo.account, login=False)
    again.auth(romeo.account.user, romeo.account.password)
    again.send(f"<resume xmlns='{SM}' previd='{token}' {attribute}/>")
    again.gets(failed("bad-request"))
    again.bind()  # and the stream goes on


@pytest.mark.parametrize(
    ("attributes", "condition"),
    [
        ("h='0'", "bad-request"),
        ("h='0' previd=''", "item-not-found"),
        ("h='0' previd='\U0001f4a9'", "item-not-found"),
    ],
)
def test_no_such_session(romeo, make_client, attributes, condition):
    client = make_client(romeo.account, login=False)
    client.auth(romeo.account.user, romeo.account.password)
    client.send(f"<resume xmlns='{SM}' {attributes}/>")
    client.gets(failed(condition))
    client.bind()


def test_resumed_with_more_than_was_sent(romeo, make_client):
    """The old stream is left alone: who cannot count shall not end it."""
    token = enable(romeo)["id"]
    again = back(make_client, romeo.account, token, 7)
    error = again.gets("<stream:error/>")
    assert error.find(f"{{{SM}}}handled-count-too-high").attrib == {"h": "7", "send-count": "0"}
    romeo.sync()


def test_a_count_that_goes_back(romeo):
    enable(romeo)
    for _ in range(3):
        romeo.sync()
    romeo.send(f"<a xmlns='{SM}' h='3'/><a xmlns='{SM}' h='2'/>")
    assert romeo.stream_error() == "undefined-condition"


def test_four_thousand_requests(romeo, juliet):
    enable(romeo)
    romeo.send(
        f"<message to='{juliet.bare}' type='chat'><body>x</body></message>" + f"<r xmlns='{SM}'/>" * 4_000
    )
    with gevent.Timeout(30):
        while sum(e.tag == f"{{{SM}}}a" and e.get("h") == "1" for e in romeo.inbox) < 4_000:
            romeo.news.clear()
            romeo.news.wait()
    romeo.inbox.clear()
    romeo.sync()
