"""BOSH (XEP-0124, XEP-0206)."""

import hashlib

import gevent
import pytest

from tests.http.bosh import HTTPBIND, Bosh, BoshClient, logged_in
from tests.http.conftest import TIMEOUT
from tests.match import show

SM = "urn:xmpp:sm:3"


@pytest.fixture
def poller(web_server, anybody):
    """`poller(account=None)`: a client over BOSH that has logged in."""
    opened = []

    def start(who=None, kind="https", login=True, **attrs):
        client = BoshClient(web_server, "localhost", kind, **attrs)
        opened.append(client)
        client.connect()
        if login:
            client.account = who or anybody()
            client.login(client.account.user, client.account.password)
            client.available()
        return client

    yield start
    for each in opened:
        each.close()


@pytest.mark.parametrize("kind", ["http", "https"])
def test_romeo_over_bosh_and_juliet_over_tcp(poller, make_client, anybody, kind):
    romeo, juliet = poller(kind=kind), make_client(anybody("juliet"))
    for number in range(5):
        romeo.send(f"<message to='{juliet.jid}' id='{number}'><body>Neither &lt;&gt;</body></message>")
        juliet.gets(f"<message from='{romeo.jid}' id='{number}'><body>Neither &lt;&gt;</body></message>")
        juliet.send(f"<message to='{romeo.jid}' id='{number}'><body>How camest thou?</body></message>")
        assert romeo.gets(f"<message from='{juliet.jid}' id='{number}'/>").tag == "{jabber:client}message"
    romeo.close()
    assert romeo.ended and romeo.condition is None
    assert juliet.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=romeo.jid).get("type") == "error"


def test_the_answer_to_the_first_request(bosh):
    answer = bosh().begin(hold="1", wait="3600", ack="1", xml_lang="de")
    assert answer.get("wait") == "60" and answer.get("hold") == "1" and answer.get("requests") == "2"
    assert answer.get("from") == "localhost" and answer.get("ver") == "1.6" and answer.get("authid")
    assert (
        answer.get("{urn:xmpp:xbosh}version") == "1.0"
        and answer.get("{urn:xmpp:xbosh}restartlogic") == "true"
    )
    assert (
        answer.get("ack") == "1000001"
        and int(answer.get("inactivity")) > 0
        and int(answer.get("maxpause")) == 120
    )
    features = show(answer)
    assert "SCRAM-SHA-256" in features and "starttls" not in features and len(answer.get("sid")) >= 32


def test_an_answer_that_was_lost_is_sent_again(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    ping = "<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    answer = one.post(ping)
    again = one.post(ping, rid=one.rid)
    assert show(answer) == show(again) and "result" in show(again)
    assert "result" in show(one.post(ping.replace("'1'", "'2'")))


def test_requests_that_overtake_each_other(bosh, anybody):
    """The second arrives first; both are handled in the order of their rid."""
    one = bosh()
    jid = logged_in(one, anybody())
    message = "<message xmlns='jabber:client' to='{}' id='{}'><body>x</body></message>"
    rid = one.rid
    second = one.later(message.format(jid, "second"), rid=rid + 2)
    assert not second.ready()
    first = one.post(message.format(jid, "first"), rid=rid + 1)
    ids = [each.get("id") for each in first]
    assert ids and ids[0] == "first"
    if len(ids) < 2:
        assert b"second" in second.get(timeout=10).body


def test_a_request_waits_and_the_next_one_sets_it_free(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    held = one.later()
    assert not held.ready()
    another = one.later()
    assert held.get(timeout=5).body.endswith(b"/>") and not another.ready()


def test_a_request_waits_no_longer_than_the_client_said(bosh, anybody):
    one = bosh()
    logged_in(one, anybody(), wait="1")
    with gevent.Timeout(5):
        assert len(one.post()) == 0


def test_a_pause(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    held = one.later()
    assert len(one.post(pause="100")) == 0
    assert held.get(timeout=5).status == 200
    assert one.post(type="terminate").get("type") == "terminate"


def test_acknowledgements(bosh, anybody):
    one = bosh()
    logged_in(one, anybody(), ack="1")
    held = one.later(ack=str(one.rid))
    one.later()
    answer = held.get(timeout=5).body.decode()
    assert f"ack='{one.rid}'" in answer  # the newest request that has come, of two


def test_keys(bosh):
    keys = ["seed"]
    for _ in range(4):
        keys.append(hashlib.sha1(keys[-1].encode()).hexdigest())
    one = bosh()
    one.begin(newkey=keys.pop(), wait="1")
    for _ in range(2):
        assert one.post(key=keys.pop()).get("type") is None
    assert one.post(key="guessed").get("condition") == "item-not-found"
    assert one.post(key=keys.pop()).get("condition") == "item-not-found"  # it has ended


def test_the_language_and_who_says_he_is(bosh, anybody, make_client):
    one, juliet = bosh(), make_client(anybody("juliet"))
    logged_in(one, anybody(), **{"xml_lang": "it", "from": "romeo@localhost"})
    one.later(f"<message xmlns='jabber:client' to='{juliet.jid}'><body>ciao</body></message>")
    assert juliet.gets("<message/>").get("{http://www.w3.org/XML/1998/namespace}lang") == "it"


@pytest.mark.parametrize(("attrs", "condition"), [
    ({"to": "nowhere.example"}, "host-unknown"),
    ({"to": "@@"}, "host-unknown"),
    ({"hold": "-1"}, "bad-request"),
    ({"wait": "x"}, "bad-request"),
    ({"rid": "99999999999999999999"}, "bad-request"),
])  # fmt: skip
def test_sessions_that_do_not_begin(bosh, attrs, condition):
    answer = bosh().begin(**attrs)
    assert answer.get("type") == "terminate" and answer.get("condition") == condition


@pytest.mark.parametrize("data", [
    "", "x", "<body", "<a/>", "<body/>", "<!DOCTYPE x><body/>", "<body xmlns='{0}'/>x", "<body xmlns='{0}'>",
    "<body xmlns='{0}' rid='1' sid='none'/>", "<body xmlns='{0}' sid='none'/>", "<body xmlns='{0}' rid='1'>text</body>",
])  # fmt: skip
def test_bodies_that_are_none(bosh, data):
    answer = bosh().raw(data.format(HTTPBIND))
    assert answer.status == 200 and b"terminate" in answer.body


@pytest.mark.parametrize("step", [-50, 3, 1000])
def test_a_rid_outside_of_the_window_ends_the_session(bosh, anybody, step):
    one = bosh()
    logged_in(one, anybody())
    assert one.post(rid=one.rid + step).get("condition") == "item-not-found"
    assert one.post().get("condition") == "item-not-found"


def test_more_requests_than_agreed(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    rid = one.rid
    early = [one.later(rid=rid + 2), one.later(rid=rid + 2)]  # the same twice is one
    assert one.post(rid=rid + 3).get("condition") == "item-not-found"
    assert sorted(b"terminate" in each.get(timeout=5).body for each in early) == [False, True]


def test_a_client_that_polls_too_fast(bosh):
    one = bosh()
    one.begin(hold="0")
    assert one.post().get("type") is None
    assert one.post().get("condition") == "policy-violation"


def test_a_second_stream_in_the_session(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    assert one.post(stream="another", to="localhost").get("condition") == "item-not-found"


def test_a_stream_error(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    answer = one.post("<nonsense xmlns='x'/>")
    assert answer.get("type") == "terminate" and answer.get("condition") == "remote-stream-error"
    assert "unsupported-stanza-type" in show(answer)


def test_a_session_moves_from_bosh_to_tcp(bosh, make_client, anybody):
    who = anybody("romeo")
    one = bosh()
    jid = logged_in(one, who)
    token = one.post(f"<enable xmlns='{SM}' resume='true'/>").find("{*}enabled").get("id")
    second = make_client(who, login=False)
    second.auth(who.user, who.password)
    second.send(f"<resume xmlns='{SM}' h='0' previd='{token}'/>")
    second.gets(f"<resumed xmlns='{SM}' previd='{token}'/>")
    second.send(f"<message to='{jid}' id='m'><body>to myself</body></message>")
    second.gets("<message id='m'/>")
    assert one.post().get("type") == "terminate"


def test_large_answers(poller, make_client, anybody):
    romeo, juliet = poller(), make_client(anybody("juliet"))
    for number in range(8):
        juliet.send(f"<message to='{romeo.jid}' id='{number}'><body>{'x' * 200_000}</body></message>")
    for number in range(8):
        assert len(romeo.gets(f"<message id='{number}'/>", 20)[0].text) == 200_000


def test_a_client_that_says_nothing_for_a_while(bosh, anybody):
    """The greenlet of its stream has ended (`REST`); what comes then is handled all the same."""
    one = bosh()
    logged_in(one, anybody(), wait="4")
    assert len(one.post()) == 0
    ping = "<iq xmlns='jabber:client' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"
    with gevent.Timeout(3):
        assert "result" in show(one.post(ping))


def test_a_body_before_the_login_is_small(bosh):
    one = bosh()
    one.begin()
    assert (
        one.post(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{'x' * 60_000}</auth>").get("condition")
        == "policy-violation"
    )
    big = one.raw("x" * 3_000_000)
    assert big.status == 413


def test_a_slow_body(web):
    one = web().raw(b"POST /http-bind HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n<body")
    with gevent.Timeout(TIMEOUT + 4):
        assert one.answer().status == 408 and one.ended()


def test_scripts_of_other_sites_may_ask(web):
    answer = web().request(
        "OPTIONS", "/http-bind", Origin="https://else.example", Access_Control_Request_Method="POST"
    )
    assert answer.status == 204 and "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "content-type" in answer.headers["access-control-allow-headers"].lower()
    assert web().get("/http-bind").status == 405


def test_a_flood_of_sessions(start_server):
    """As many as one address may have that has not logged in; they end by themselves."""
    server = start_server({
        "hosts": ["localhost"],
        "c2s": {"logins_per_address": 5, "login_timeout": "3s"},
        "http": {"bosh_inactivity": "1s"},
    })  # fmt: skip
    answers = [Bosh(server).begin() for _ in range(8)]
    assert [each.get("sid") is not None for each in answers[:5]] == 5 * [True]
    assert all("policy-violation" in show(each) for each in answers[5:])
    with gevent.Timeout(15):
        while Bosh(server).begin().get("condition"):
            gevent.sleep(0.1)
