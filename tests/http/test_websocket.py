"""XMPP over WebSocket (RFC 7395), with a client whose frames wsproto makes."""

import os
import struct

import gevent
import pytest
from wsproto.events import CloseConnection, Ping, TextMessage

from tests.http.web import Web
from tests.http.ws import FRAMING, WebSocketClient
from tests.match import show

SM = "urn:xmpp:sm:3"
UPGRADE = {
    "Connection": "keep-alive, Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec_WebSocket_Protocol": "chat, xmpp",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["http", "https"])
def test_romeo_in_a_browser_and_juliet_over_tcp(browser, make_client, anybody, kind):
    romeo, juliet = browser(kind=kind), make_client(anybody("juliet"))
    romeo.send(f"<message to='{juliet.jid}' type='chat'><body>Neither, fair maid &lt;&gt;</body></message>")
    juliet.gets(f"<message from='{romeo.jid}'><body>Neither, fair maid &lt;&gt;</body></message>")
    juliet.send(f"<message to='{romeo.jid}' type='chat'><body>How camest thou hither?</body></message>")
    got = romeo.gets(f"<message from='{juliet.jid}'><body>How camest thou hither?</body></message>")
    assert got.tag == "{jabber:client}message"
    assert romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>").get("type") == "result"
    romeo.send(f"<close xmlns='{FRAMING}'/>")
    romeo.gets(f"<close xmlns='{FRAMING}'/>")
    assert romeo.closed() and romeo.code == 1000


def test_no_starttls_and_all_mechanisms(browser):
    assert "starttls" not in show(browser(login=False, kind="http").features)
    features = show(browser(login=False).features)
    assert (
        "SCRAM-SHA-256-PLUS" in features and "tls-server-end-point" in features and "starttls" not in features
    )


def test_what_the_administrator_sees(browser, web_server):
    browser(X_Forwarded_For="192.0.2.77")
    shown = web_server.ctl("sessions", "list")
    assert "WebSocket" in shown and "192.0.2.77" in shown


def test_a_session_goes_from_websocket_to_tcp_and_back(browser, make_client, anybody):
    who = anybody("romeo")
    first = browser(who)
    first.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = first.gets(f"<enabled xmlns='{SM}' resume='true'/>").get("id")
    jid = first.jid
    first.abort()
    juliet = make_client(anybody("juliet"))
    second = make_client(who, login=False)
    second.auth(who.user, who.password)
    second.send(f"<resume xmlns='{SM}' h='0' previd='{token}'/>")
    second.gets(f"<resumed xmlns='{SM}' previd='{token}'/>")
    juliet.send(f"<message to='{jid}' type='chat'><body>1</body></message>")
    second.gets("<message><body>1</body></message>")
    second.abort()
    third = browser(login=False)
    third.auth(who.user, who.password)
    third.send(f"<resume xmlns='{SM}' h='0' previd='{token}'/>")
    third.gets(f"<resumed xmlns='{SM}' previd='{token}'/>")
    third.gets("<message><body>1</body></message>")  # it was not acknowledged
    third.send(f"<message to='{juliet.jid}' type='chat'><body>2</body></message>")
    juliet.gets(f"<message from='{jid}'><body>2</body></message>")


def test_a_tab_that_is_closed_can_be_resumed(browser, anybody):
    who = anybody()
    first = browser(who)
    first.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = first.gets(f"<enabled xmlns='{SM}'/>").get("id")
    first.say(CloseConnection(code=1001))
    first.closed()
    assert first.code == 1000
    second = browser(login=False)
    second.auth(who.user, who.password)
    second.send(f"<resume xmlns='{SM}' h='0' previd='{token}'/>")
    second.gets(f"<resumed xmlns='{SM}'/>")


@pytest.mark.parametrize(("wrong", "status"), [
    ({"Sec_WebSocket_Version": "8"}, 426),
    ({"Upgrade": "h2c"}, 426),
    ({"Connection": "keep-alive"}, 426),
    ({"Sec_WebSocket_Key": "short"}, 400),
    ({"Sec_WebSocket_Protocol": "mqtt"}, 400),
    ({"X_Forwarded_Proto": "http"}, 403),
    ({"X_Forwarded_Proto": "ws"}, 403),  # as Traefik says it
])  # fmt: skip
def test_what_is_no_websocket(web, wrong, status):
    assert web().get("/xmpp-websocket", **UPGRADE | wrong).status == status


def test_the_answer_to_the_handshake(web):
    answer = web().get("/xmpp-websocket", **UPGRADE)
    assert answer.status == 101 and answer.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert (
        answer.headers["sec-websocket-protocol"] == "xmpp"
        and "sec-websocket-extensions" not in answer.headers
    )
    assert "content-length" not in answer.headers and "transfer-encoding" not in answer.headers


def test_a_ping_and_a_message_in_fragments_with_pings_between(browser):
    romeo = browser()
    text = f"<message to='{romeo.jid}' id='f'><body>{'x' * 1000}</body></message>".replace(
        "<message", "<message xmlns='jabber:client'"
    )
    for at in range(0, len(text), 100):
        romeo.say(TextMessage(data=text[at : at + 100], message_finished=at + 100 >= len(text)))
        romeo.say(Ping(payload=b"%d" % at))
    romeo.gets("<message id='f'/>")
    assert romeo.pongs[0] == b"0" and len(romeo.pongs) == (len(text) + 99) // 100


def test_nothing_comes_behind_the_close_frame(browser):
    """Browsers call that a failure: what the client has said before is handled, and not answered any more."""
    romeo = browser()
    ping = "<iq xmlns='jabber:client' type='get' id='late'><ping xmlns='urn:xmpp:ping'/></iq>"
    heard, take = [], romeo.ws.receive_data
    romeo.ws.receive_data = lambda data: take(heard.append(data) or data)
    romeo.raw(frame(0x81, ping.encode()) + frame(0x88, b"\x03\xe9"))
    romeo.closed()
    assert romeo.code == 1000 and b"".join(heard).endswith(b"\x88\x02\x03\xe8")


def test_compression_is_not_agreed_on(web):
    offers = {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"}
    answer = web().get("/xmpp-websocket?previd=1", **UPGRADE | offers)
    assert answer.status == 101 and "sec-websocket-extensions" not in answer.headers


def test_large_messages_both_ways(browser, make_client, anybody):
    romeo, juliet = browser(), make_client(anybody("juliet"))
    for size in (125, 126, 65_535, 65_536, 250_000):
        romeo.send(f"<message to='{juliet.jid}' id='{size}'><body>{'y' * size}</body></message>")
        assert len(juliet.gets(f"<message id='{size}'/>")[0].text) == size
        juliet.send(f"<message to='{romeo.jid}' id='{size}'><body>{'z' * size}</body></message>")
        assert len(romeo.gets(f"<message id='{size}'/>")[0].text) == size


def frame(first: int, payload: bytes = b"", masked: bool = True, length: bytes | None = None) -> bytes:
    size = len(payload)
    if length is None:
        length = bytes([size]) if size < 126 else struct.pack("!BH", 126, size)
    key = os.urandom(4)
    payload = bytes(byte ^ key[at % 4] for at, byte in enumerate(payload)) if masked else payload
    return (
        bytes([first, length[0] | (128 if masked else 0)]) + length[1:] + (key if masked else b"") + payload
    )


@pytest.mark.parametrize(("data", "code"), [
    (frame(0x81, b"<a/>", masked=False), 1002),
    (frame(0xC1, b"<a/>"), 1002),  # compressed
    (frame(0x83, b"<a/>"), 1002),
    (frame(0x80, b"<a/>"), 1002),  # goes on with nothing
    (frame(0x01, b"<a") + frame(0x81, b"<a/>"), 1002),  # begins in the middle of another
    (frame(0x09, b"ping"), 1002),
    (frame(0x89, b"p" * 126), 1002),
    (frame(0x81, b"<a/>", length=b"\x7e\x00\x04"), 1002),
    (frame(0x81, length=b"\x7f" + struct.pack("!Q", 1 << 62)), 1009),
    (frame(0x81, length=b"\x7f" + struct.pack("!Q", 100_000_000)), 1009),
    (frame(0x82, b"<a/>"), 1003),
    (frame(0x81, b"<iq xmlns='jabber:client' id='\xff'/>"), 1007),
    (frame(0x01, b"<a>") + 5000 * frame(0x00), 1008),
    (frame(0x01, b"<a>") + 200 * frame(0x00, b"x" * 100), 1009),
    (frame(0x81, b"<open \xff/>"), 1007),
    (frame(0x01, b"<iq xmlns='jabber:client' id='\xe2") + frame(0x80, b"\x28\xa1'/>"), 1007),
    (frame(0x88, b"\x03"), 1002),
    (frame(0x88, b"\x03\xed"), 1002),  # 1005: no code that may be sent
    (frame(0x88, b"\x13\x88"), 1002),  # 5000
    (frame(0x88, b"\x03\xe8\xff"), 1007),
])  # fmt: skip
def test_frames_that_break_the_rules(browser, web, data, code):
    romeo = browser(login=False)
    romeo.raw(data)
    assert romeo.stream_error() in ("policy-violation", "unsupported-encoding")
    romeo.gets(f"<close xmlns='{FRAMING}'/>")
    assert romeo.closed() and romeo.code == code
    assert web().get("/health").status == 200


@pytest.mark.parametrize(("message", "condition"), [
    ("<message xmlns='jabber:client' to='nurse@localhost'/>", "not-authorized"),
    ("<open", "not-well-formed"),
    ("<open xmlns='nonsense'/>", "invalid-namespace"),
    ("<iq xmlns='jabber:client'", "bad-format"),
    ("<a xmlns='b'/><c xmlns='d'/>", "bad-format"),
    ("<!-- no --><x xmlns='y'/>", "restricted-xml"),
    ("</stream:stream>", "bad-format"),
    ("x", "bad-format"),
])  # fmt: skip
def test_messages_that_are_no_element(browser, message, condition):
    romeo = browser(login=False)
    romeo.say(TextMessage(data=message))
    assert romeo.stream_error() == condition
    romeo.gets(f"<close xmlns='{FRAMING}'/>")
    assert romeo.closed()


def test_a_host_that_is_not_here(web_server):
    romeo = WebSocketClient(web_server)
    romeo.open_socket()
    romeo.say(TextMessage(data=f"<open xmlns='{FRAMING}' to='nowhere.example' version='1.0'/>"))
    assert romeo.stream_error() == "host-unknown"


def test_a_flood_of_pings_is_read_no_faster_than_stanzas(browser, make_client, anybody):
    romeo, juliet = browser(login=False), make_client(anybody("juliet"))
    romeo.raw(5000 * frame(0x89, b"x"))
    with gevent.Timeout(5):
        assert juliet.iq("get", "<ping xmlns='urn:xmpp:ping'/>").get("type") == "result"
    assert len(romeo.pongs) < 5000
    romeo.abort()


def test_a_foreign_site(start_server):
    server = start_server({"hosts": ["localhost"], "http": {"origins": ["https://chat.example"]}})
    assert Web(server).get("/xmpp-websocket", **UPGRADE, Origin="https://evil.example").status == 403
    assert Web(server).get("/xmpp-websocket", **UPGRADE, Origin="https://chat.example").status == 101
    assert Web(server).get("/xmpp-websocket", **UPGRADE).status == 101  # no browser
