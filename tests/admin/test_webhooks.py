"""Webhooks: signed, tried again, bounded, and never into our own network by mistake."""

import hmac
import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import gevent
import pytest
from gevent.queue import Queue

from jabberd_py.admin import webhooks
from jabberd_py.instance import Instance
from jabberd_py.net import webclient
from jabberd_py.router import Router
from jabberd_py.xdb import StoreError
from jabberd_py.xmpp.element import Element
from tests.client import Client


class Ear:
    """A web server that keeps what it is told. ``refuse``: so many requests get 503 first."""

    def __init__(self) -> None:
        self.heard: Queue[tuple[dict[str, str], bytes]] = Queue()
        self.refuse = 0
        ear = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                ear.heard.put(({name.lower(): value for name, value in self.headers.items()}, body))
                ear.refuse -= 1
                self.send_response(503 if ear.refuse >= 0 else 204)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?a=b"
        self.greenlet = gevent.spawn(self.server.serve_forever)

    def hears(self, event: str) -> tuple[dict[str, str], bytes, dict[str, Any]]:
        while True:
            headers, body = self.heard.get(timeout=10)
            said = json.loads(body)
            if said["type"] == event:
                return headers, body, said["data"]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.greenlet.kill()


@pytest.fixture
def ear() -> Iterator[Ear]:
    made = Ear()
    yield made
    made.close()


def test_what_happens_is_told_signed_and_again_if_it_was_not_taken(start_server: Any, ear: Ear) -> None:
    server = start_server({
        "hosts": {"localhost": {}},
        "modules": {"register": {"enabled": True, "per_address": 0},
                    "webhooks": {"urls": [ear.url, "http://127.0.0.1:1/"], "private": True, "patience": "10ms"}},
    })  # fmt: skip
    ear.refuse = 2
    client = Client(server.address("c2s"), "localhost").connect().register("romeo", "secret")
    first = ear.hears("account.created")
    again, last = (ear.hears("account.created") for _ in range(2))
    assert first[2] == {"host": "localhost", "jid": "romeo@localhost"}
    assert first[1] == again[1] == last[1] and first[0]["webhook-id"] == last[0]["webhook-id"]
    secret = json.loads(server.ctl("webhooks", "secret", "--json"))["secret"]
    signed = f"{last[0]['webhook-id']}.{last[0]['webhook-timestamp']}.".encode() + last[1]
    right = hmac.digest(b64decode(secret.removeprefix("whsec_")), signed, "sha256")
    assert last[0]["webhook-signature"] == "v1," + b64encode(right).decode()
    client.auth("romeo", "secret").bind("x")
    assert ear.hears("login")[2] == {"host": "localhost", "jid": "romeo@localhost/x", "address": "127.0.0.1"}
    reason = "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'/>"
    client.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='spam@example.org'>{reason}</item></block>")
    assert ear.hears("report")[2] == {
        "host": "localhost",
        "by": "romeo@localhost",
        "jid": "spam@example.org",
        "reason": "spam",
    }
    server.ctl("accounts", "delete", "romeo@localhost")
    assert ear.hears("account.deleted")[2]["jid"] == "romeo@localhost"
    rows = {row["url"]: row for row in json.loads(server.ctl("webhooks", "list", "--json"))}
    assert rows[ear.url]["lost"] == 0 and rows["http://127.0.0.1:1/"]["trouble"]
    client.close()


def test_no_letter_is_signed_before_there_is_a_key(monkeypatch: Any) -> None:
    """The store fails, and comes back: what is sent then has the right signature."""
    sent: Queue[tuple[bytes, dict[str, str]]] = Queue()
    answers = iter([StoreError("the disk is full"), StoreError("the disk is full"), b"the key"])

    def kept(self: Any) -> bytes:
        answer = next(answers)
        if isinstance(answer, StoreError):
            raise answer
        return answer

    def taken(address: str, body: bytes, headers: dict[str, str], *rest: Any) -> int:
        sent.put((body, headers))
        return 204

    monkeypatch.setattr(webhooks.Webhooks, "_kept", kept)
    monkeypatch.setattr(webhooks, "post", taken)
    hooks = webhooks.Webhooks(
        Instance(Router(), "localhost"),
        {"urls": ["https://a.example/", "https://b.example/"], "patience": 0.001},
    )
    hooks.start()
    hooks.put("login", jid="romeo@localhost")
    for _ in range(2):
        body, headers = sent.get(timeout=10)
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = hmac.digest(b"the key", signed, "sha256")
        assert headers["webhook-signature"] == "v1," + b64encode(right).decode()
    assert hooks.tell_secret() == {"secret": "whsec_" + b64encode(b"the key").decode()}  # made once
    hooks.stop()


def test_messages_are_counted_for_who_wants_it(monkeypatch: Any) -> None:
    """What the host's users send, what arrives for the host; nobody counts where nobody is told."""
    sent: Queue[dict[str, Any]] = Queue()
    monkeypatch.setattr(webhooks.Webhooks, "key", lambda self: b"the key")
    monkeypatch.setattr(webhooks, "post", lambda address, body, *rest: sent.put(json.loads(body)) or 204)
    host = Instance(Router(), "localhost")
    hooks = webhooks.Webhooks(host, {"urls": ["https://a.example/"]})
    hooks.start()
    message, presence = Element("message", "jabber:client"), Element("presence", "jabber:client")
    for _ in range(2):
        host.hooks.call("out", None, message)
        host.hooks.call("out", None, presence)
    host.hooks.call("deliver", message)
    hooks.count()
    said = sent.get(timeout=10)
    assert said["type"] == "messages" and said["data"].pop("seconds") >= 0
    assert said["data"] == {"host": "localhost", "sent": 2, "received": 1}
    hooks.count()  # there were none
    hooks.settings["events"] = ["login"]
    host.hooks.tell("reload")
    assert not host.hooks.chains["out"]["message"] and not host.hooks.chains["deliver"]["message"]
    hooks.put("login", jid="romeo@localhost")
    assert sent.get(timeout=10)["type"] == "login"
    hooks.stop()


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::1", "::", "fe80::1%lo",
     "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1",
     "64:ff9b:1::a00:1", "::ffff:0:127.0.0.1", "::7f00:1", "fec0::1", "5f00::1", "::198.41.0.4"],
)  # fmt: skip
def test_our_own_network_is_not_public(address: str) -> None:
    assert not webclient.public(address)


def test_the_internet_is_public() -> None:
    assert (
        webclient.public("198.41.0.4")
        and webclient.public("2001:503:ba3e::2:30")
        and webclient.public("::ffff:198.41.0.4")
        and webclient.public("64:ff9b::198.41.0.4")
    )


def test_a_name_that_leads_into_our_own_network_is_refused(ear: Ear) -> None:
    with pytest.raises(webclient.Refused, match="only https"):
        webclient.post(ear.url, b"", {}, 5, private=False)
    with pytest.raises(webclient.Refused, match="our own network"):
        webclient.post(ear.url.replace("http://127.0.0.1", "https://localhost"), b"", {}, 5, private=False)
    assert ear.heard.empty()


@pytest.mark.parametrize("wrong", ["", "ftp://x/", "https://", "https://u:p@x/", "//x", "https://x:0/", "https://x:y/", "https://é/",
                                   "https://x/ y", "file:///etc/passwd", "https://x/\r\nHost: y"])  # fmt: skip
def test_what_is_no_address_on_the_web(wrong: str) -> None:
    with pytest.raises(ValueError):
        webclient.url(wrong)
