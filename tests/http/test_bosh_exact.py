"""BOSH, example by example of XEP-0124 and XEP-0206; test_bosh.py has the rest."""

from hashlib import sha1

import gevent
import pytest

from tests.http.bosh import HTTPBIND, logged_in
from tests.http.conftest import TIMEOUT
from tests.http.web import Web
from tests.match import show

PING = "<iq xmlns='jabber:client' type='get' id='{}'><ping xmlns='urn:xmpp:ping'/></iq>"


@pytest.mark.parametrize(("said", "answered"), [
    ("1.6", "1.6"), ("1.11", "1.11"), ("1.99", "1.11"), ("2.0", "1.11"), ("1.9", "1.9"), ("", "1.11"), ("x.y", "1.11"),
])  # fmt: skip
def test_the_version_is_the_lower_one(bosh, said, answered):
    assert bosh().begin(ver=said).get("ver") == answered


def test_the_media_type_that_the_client_wants(bosh):
    one = bosh()
    answer = one.raw(one.body(to="localhost", content="text/plain; charset=utf-8", ver="1.6"))
    assert answer.headers["content-type"] == "text/plain; charset=utf-8" and b"sid=" in answer.body
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("content", ["text/html&#13;&#10;X-Evil: yes", "x", "", "text/html; charset=utf-7"])
def test_no_media_type(bosh, content):
    one = bosh()
    answer = one.raw(one.body(to="localhost", content=content, ver="1.6"))
    assert b"condition='bad-request'" in answer.body and "x-evil" not in answer.headers
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"


def test_a_session_for_nobody(bosh):
    answer = bosh().post(ver="1.6", wait="10", hold="1")
    assert (answer.get("type"), answer.get("condition")) == ("terminate", "improper-addressing")


@pytest.mark.parametrize(
    ("asked", "held", "requests"), [("0", "0", "1"), ("1", "1", "2"), ("2", "1", "3"), ("9", "1", "3")]
)
def test_one_request_is_held(bosh, asked, held, requests):
    """Whoever asks for more may have no other one to send something with."""
    answer = bosh().begin(hold=asked)
    assert (answer.get("hold"), answer.get("requests")) == (held, requests)


def test_a_restart_that_brings_a_stanza(bosh):
    """The stanza is ignored, and 1 is true."""
    one = bosh()
    one.begin()
    answer = one.post(PING.format("ignored"), xmpp_restart="1", to="localhost")
    assert "mechanisms" in show(answer)
    answer = one.post(type="terminate")
    assert (answer.get("type"), answer.get("condition"), len(answer)) == ("terminate", None, 0)


@pytest.mark.parametrize("extra", [{}, {"xmlns_unusual": "urn:unusual"}])
def test_stanzas_that_do_not_name_their_namespace(bosh, anybody, extra):
    one = bosh()
    logged_in(one, anybody())
    answer = one.post("<iq type='get' id='bare'><ping xmlns='urn:xmpp:ping'/></iq>", **extra)
    assert answer[0].tag == "{jabber:client}iq"
    assert (answer[0].get("id"), answer[0].get("type")) == ("bare", "result")


def test_a_request_that_is_sent_twice_before_its_answer(bosh, make_client, anybody):
    """Whoever asked last gets the answer, the other one an error that can be recovered from."""
    one, juliet = bosh(), make_client(anybody("juliet"))
    jid = logged_in(one, anybody())
    both = [one.later(), one.later(rid=one.rid)]
    gevent.wait(both, timeout=10, count=1)
    juliet.send(f"<message to='{jid}' id='m'><body>Hi</body></message>")
    bodies = sorted((each.get(timeout=10).body for each in both), key=len)
    assert b"type='error'" in bodies[0] and b"<body>Hi</body>" in bodies[1]
    assert "Hi" in show(one.post(rid=one.rid))  # once more, and from the buffer


def test_an_answer_is_not_for_who_has_no_key(bosh):
    keys = ["seed"]
    for _ in range(3):
        keys.append(sha1(keys[-1].encode()).hexdigest())
    one = bosh()
    one.begin(newkey=keys.pop().upper(), wait="1")
    key = keys.pop()
    assert one.post(key=key).get("type") is None
    assert one.post(key=key, rid=one.rid).get("type") is None
    assert one.post(key="guessed", rid=one.rid).get("condition") == "item-not-found"


def test_the_answer_to_a_pause_is_empty(bosh, make_client, anybody):
    one, juliet = bosh(), make_client(anybody("juliet"))
    jid = logged_in(one, anybody())
    juliet.send(f"<message to='{jid}' id='m'><body>Hi</body></message>")
    juliet.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
    assert len(one.post(pause="60")) == 0
    assert one.post()[0].get("id") == "m"


def test_the_end_is_told_to_the_oldest_request(bosh, anybody):
    one = bosh()
    logged_in(one, anybody())
    oldest = one.later()
    last = one.post("<presence xmlns='jabber:client' type='unavailable'/>", type="terminate")
    assert last.get("type") is None and len(last) == 0
    assert b"type='terminate'" in oldest.get(timeout=10).body
    assert one.post().get("condition") == "item-not-found"


def test_an_encrypted_session_goes_on_encrypted(bosh, web_server, anybody):
    """Who has heard its name must not even be able to end it."""
    one = bosh()
    logged_in(one, anybody())
    spy = Web(web_server)
    body = one.body(type="terminate").encode()
    assert spy.request("POST", "/http-bind", body, X_Forwarded_Proto="http").status == 403
    spy.close()
    assert "result" in show(one.post(PING.format(1), rid=one.rid))


# -- HTTP below it: heads that repeat are not read again (http/repeats.py) -----------------------------------------


def request(body: str, *fields: str, length: str | None = None) -> bytes:
    lines = ["POST /http-bind HTTP/1.1", "Host: localhost", f"Content-Length: {length or len(body)}", *fields]
    return "\r\n".join([*lines, "", body]).encode()


def nobody(rid: int) -> str:
    return f"<body xmlns='{HTTPBIND}' rid='{rid}' sid='nobody'/>"


def test_requests_of_all_shapes_on_one_connection(web):
    one = web()
    for turn in range(3):
        for fields in ((), ("X-Other: 1",), ("x-forwarded-for: 192.0.2.1",)):
            data = request(nobody(turn), *fields)
            assert b"item-not-found" in one.raw(data).answer().body
        assert one.get("/health").body == b"ok\n"
        chunked = b"POST /http-bind HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert b"bad-request" in one.raw(chunked + b"3\r\n<a>\r\n0\r\n\r\n").answer().body


def test_requests_in_pieces_and_at_once(web):
    one = web()
    data = request(nobody(1))
    for at in (1, 20, data.index(b"\r\n\r\n") + 2, data.index(b"\r\n\r\n") + 4, len(data) - 1):
        one.raw(data[:at])
        gevent.sleep(0.02)
        assert b"item-not-found" in one.raw(data[at:]).answer().body
    one.raw(4 * data)
    assert [b"item-not-found" in one.answer().body for _ in range(4)] == 4 * [True]


@pytest.mark.parametrize(("length", "status"), [
    ("+5", 400), ("5 5", 400), ("0x5", 400), ("-1", 400), ("5,5", 400), ("99999999999999999999", 400), ("9000000", 413),
])  # fmt: skip
def test_a_known_head_with_a_wrong_length(web, length, status):
    one = web()
    assert one.raw(request(nobody(1))).answer().status == 200
    assert one.raw(request("<body", length=length)).answer().status == status
    assert one.ended()


def test_a_known_head_without_its_first_line(web):
    """It must not be taken for another request of the same kind."""
    one = web()
    one.raw(b"\r\n" + request(nobody(1)))
    assert one.answer().status == 200
    one.raw(b"\r\n" + request(nobody(1)).partition(b"\r\n")[2])
    assert one.answer().status == 400 and one.ended()


def test_a_slow_body_behind_a_known_head(web):
    one = web()
    assert one.raw(request(nobody(1))).answer().status == 200
    one.raw(request("<body", length="1000"))
    with gevent.Timeout(TIMEOUT + 4):
        assert one.answer().status == 408 and one.ended()


def test_a_last_request_of_a_known_connection(web):
    one = web()
    assert one.raw(request(nobody(1))).answer().status == 200
    assert one.raw(request(nobody(2), "Connection: close")).answer().status == 200
    assert one.ended()


@pytest.mark.parametrize(
    "said", ["to='\x01'", "to='localhost'" + 5000 * " ", " ".join(f"a{number}=''" for number in range(5000))]
)
def test_no_body(bosh, said):
    assert b"condition='bad-request'" in bosh().raw(f"<body xmlns='{HTTPBIND}' rid='1' {said}/>").body


def test_a_request_that_came_too_early_and_has_no_key_is_answered(bosh):
    """It waited for the one before it; a fault of its own must not leave it without an answer."""
    one = bosh()
    one.begin(newkey=sha1(b"first").hexdigest())
    early = one.later(rid=one.rid + 2)
    one.post(PING.format("p"), key="first", newkey=sha1(b"").hexdigest())
    assert b"condition='item-not-found'" in early.get(timeout=10).body
