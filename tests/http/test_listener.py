"""The web server: its own pages, and requests that nobody should send."""

import contextlib
import json
from xml.etree.ElementTree import fromstring

import gevent
import pytest
from cryptography import x509

from tests.http.conftest import TIMEOUT
from tests.http.web import Web

GET = b"GET /health HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("kind", ["http", "https"])
def test_several_requests_on_one_connection(web, kind):
    one = web(kind)
    for _ in range(3):
        answer = one.get("/health")
        assert (answer.status, answer.body) == (200, b"ok\n")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_requests_that_are_sent_at_once(web):
    one = web().raw(3 * (GET + b"\r\n"))
    assert [one.answer().body for _ in range(3)] == 3 * [b"ok\n"]


def test_an_old_client(web):
    one = web().raw(b"GET /health HTTP/1.0\r\n\r\n")
    assert one.answer().body == b"ok\n" and one.ended()


def test_a_last_request(web):
    one = web().raw(GET + b"Connection: close\r\n\r\n")
    assert one.answer().headers["connection"] == "close" and one.ended()


def test_head_and_options(web):
    one = web()
    assert one.request("HEAD", "/health").headers["content-length"] == "3"
    answer = one.request("OPTIONS", "/.well-known/host-meta", Origin="https://else.example")
    assert answer.status == 204 and answer.headers["access-control-allow-origin"] == "*"
    assert "GET" in answer.headers["access-control-allow-methods"]
    assert one.request("POST", "/health", b"x").status == 405


def test_how_clients_find_websocket_and_bosh(web, web_server):
    port = web_server.address("https")[1]
    wanted = {
        "urn:xmpp:alt-connections:websocket": f"wss://localhost:{port}/xmpp-websocket",
        "urn:xmpp:alt-connections:xbosh": f"https://localhost:{port}/http-bind",
    }
    answer = web("https").get("/.well-known/host-meta")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert {link.get("rel"): link.get("href") for link in fromstring(answer.body)} == wanted
    answer = web("https", "other.localhost").get("/.well-known/host-meta.json")
    links = {link["rel"]: link["href"] for link in json.loads(answer.body)["links"]}
    assert links == {rel: href.replace("localhost", "other.localhost") for rel, href in wanted.items()}
    assert web("https", "nowhere.example").get("/.well-known/host-meta").status == 404


def test_whom_to_tell_of_a_hole(web):
    text = web().get("/.well-known/security.txt").body.decode()
    assert text.startswith("Contact: mailto:security@example.org\r\nExpires: 20")


def test_the_certificate_is_that_of_the_host(web):
    for name in ("localhost", "other.localhost"):
        certificate = x509.load_der_x509_certificate(web("https", name).socket.getpeercert(True))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert name in names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize("path", ["/index.html", "/nothing", "/health/", "/../etc/passwd", "/.well-known/..%2f..%2fetc/passwd",
                                  "/%00", "/health%00", "/%ff%fe", "//health"])  # fmt: skip
def test_no_such_page(web, path):
    one = web()
    assert one.get(path).status == 404
    assert one.get("/health").status == 200


@pytest.mark.parametrize(("request_", "status"), [
    (b"nonsense\r\n\r\n", 400),
    (b"GET /health\r\n\r\n", 400),
    (b"GET  /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /health HTTP/2.0\r\nHost: localhost\r\n\r\n", 505),
    (b"GET /hea\tlth HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
    (b"GET /health HTTP/1.1\r\n\r\n", 400),
    (GET + b"Host: other\r\n\r\n", 400),
    (GET + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400),
    (GET + b"Content-Length: +1\r\n\r\nx", 400),
    (GET + b"Content-Length: 1, 1\r\n\r\nx", 400),
    (GET + b"Content-Length: -1\r\n\r\n", 400),
    (GET + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    (GET + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", 501),
    (GET + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    (GET + b"X: a\r\n  folded\r\n\r\n", 400),
    (GET + b"X: a\rb\r\n\r\n", 400),
    (GET + b"X: a\x00b\r\n\r\n", 400),
    (GET + b"no colon\r\n\r\n", 400),
    (b"GET /" + 9000 * b"x" + b" HTTP/1.1\r\n", 414),
    (GET + b"X: " + 9000 * b"x" + b"\r\n\r\n", 431),
    (GET + 200 * b"X: y\r\n" + b"\r\n", 431),
    (GET + 4 * (b"X: " + 7000 * b"y" + b"\r\n") + b"\r\n", 431),
])  # fmt: skip
def test_what_is_no_request(web, request_, status):
    """Each ends its connection: what comes behind it may be meant for somebody else."""
    one = web().raw(request_)
    assert one.answer().status == status
    assert one.ended()


def test_five_megabytes_of_headers(web, web_server):
    one = web().raw(GET)
    with pytest.raises(OSError):  # noqa: PT012
        for _ in range(5000):
            one.raw(b"X-Header: " + 1000 * b"x" + b"\r\n")
        one.socket.recv(1)
        one.raw(b"\r\n")
        raise ConnectionResetError
    assert web().get("/health").status == 200


def test_a_body_that_nobody_wants(web):
    one = web()
    assert one.request("POST", "/nothing", 1000 * b"x").status == 404
    assert one.get("/health").status == 200  # the connection goes on behind it
    one.raw(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n")
    assert one.answer().status == 404 and one.ended()


def test_a_body_in_chunks(web):
    head = b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    one = web().raw(head + b"3\r\nabc\r\n0\r\n\r\n" + GET + b"\r\n")
    assert [one.answer().status, one.answer().status] == [404, 200]
    one.raw(head + b"zz\r\nabc\r\n0\r\n\r\n")
    assert one.answer().status in (400, 404) and one.ended()
    for line in (b"3;a=\n", b"3;a=\0", b"3;a=\nb"):  # some proxies end a line there
        one = web().raw(head + line + b"\r\nabc\r\n0\r\n\r\n" + GET + b"\r\n")
        assert one.answer().status in (400, 404) and one.ended(), line
    for end in (b"0\r\nx: y\nz: y\r\n\r\n", b"0;\n\r\n\r\n"):
        one = web().raw(head + b"3\r\nabc\r\n" + end + GET + b"\r\n")
        assert one.answer().status in (400, 404) and one.ended(), end


def test_slow_clients(web):
    """A head that does not come, and one that trickles."""
    silent, trickle = web().raw(b"GET "), web().raw(b"GET /health HT")

    def drips():
        with contextlib.suppress(OSError):
            while True:
                gevent.sleep(0.1)
                trickle.raw(b"x")

    dripping = gevent.spawn(drips)
    with gevent.Timeout(TIMEOUT + 4):
        assert silent.ended()
        assert trickle.ended()
    dripping.kill()


def test_who_a_proxy_says_it_is(web, web_server):
    one = web()
    for headers, address in [
        ({"X-Forwarded-For": "192.0.2.1"}, "192.0.2.1"),
        ({"X-Forwarded-For": "203.0.113.9, 192.0.2.2"}, "192.0.2.2"),  # the first one may be made up
        ({"X-Forwarded-For": "192.0.2.3, 127.0.0.1"}, "192.0.2.3"),
        ({"Forwarded": 'for="[2001:db8::1]:80";proto=https'}, "2001:db8::1"),
        ({"X-Forwarded-For": "nonsense"}, "127.0.0.1"),
        # a proxy adds the one; the other is from the client
        ({"X-Forwarded-For": "192.0.2.4", "Forwarded": "for=203.0.113.9"}, "192.0.2.4"),
    ]:
        start = web_server.log.stat().st_size
        one.get("/nothing", **headers)
        for _ in range(50):
            if b"request" in web_server.log.read_bytes()[start:]:
                break
            gevent.sleep(0.02)
        assert f"address={address}" in web_server.tail(start)


def test_too_many_connections_of_one_address(start_server):
    server = start_server(
        {"hosts": ["localhost"], "http": {"connections_per_address": 3, "proxies": "192.0.2.1"}}
    )
    many = [Web(server) for _ in range(3)]
    assert [one.get("/health").status for one in many] == [200, 200, 200]
    assert Web(server).ended()
    many.pop().close()
    with gevent.Timeout(10):
        while True:
            try:
                assert Web(server).get("/health").status == 200
                break
            except (EOFError, OSError):
                gevent.sleep(0.02)
