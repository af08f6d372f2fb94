"""`http.url` with a path: all pages below /jabber of a proxy that takes the path away, and of one that passes it on."""

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import gevent
import pytest
from gevent.server import StreamServer

from tests.http.bosh import Bosh
from tests.http.web import Web
from tests.http.ws import WebSocketClient
from tests.server import ServerProcess
from tests.web.browser import Browser
from tests.web.conftest import PASSWORD

PREFIX = "/jabber"
PATHS = 70
"""Pages that a crawl looks at."""


class Proxy:
    """Passes on what is below `PREFIX`, one request on each connection. ``strips``: takes the path away."""

    def __init__(self, server: ServerProcess, strips: bool) -> None:
        self.strips, self.target = strips, server.address("http")
        self.listener = StreamServer(("127.0.0.1", 0), self.serve)
        self.listener.start()

    def serve(self, sock: Any, address: Any) -> None:
        with sock, gevent.socket.create_connection(self.target, 10) as inner:
            data = b""
            while b"\r\n\r\n" not in data:
                if not (more := sock.recv(65536)):
                    return
                data += more
            head, _, rest = data.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            method, path, version = first.split(b" ")
            if not path.startswith(PREFIX.encode()):
                sock.sendall(b"HTTP/1.1 404 Not ours\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            if self.strips:
                path = path.removeprefix(PREFIX.encode()) or b"/"
            lines += [b"X-Forwarded-For: 192.0.2.1", b"X-Forwarded-Proto: https"]
            if b"upgrade:" not in head.lower():
                lines.append(b"Connection: close")
            inner.sendall(b"\r\n".join([b" ".join([method, path, version]), *lines, b"", rest]))
            jobs = [gevent.spawn(pump, sock, inner), gevent.spawn(pump, inner, sock)]
            jobs[1].join()
            jobs[0].kill()


def pump(one: Any, other: Any) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
    except OSError:
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, databases: Any) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("prefix")
    config = {
        "hosts": {"localhost": {"admins": ["chief@localhost"]}}, "http": {"url": f"https://localhost{PREFIX}/"},
        "modules": {"register": {"enabled": True, "per_address": 0}},
    }  # fmt: skip
    server = ServerProcess({**databases(folder), **config}, folder)
    server.ask("accounts add", jid="chief@localhost", password=PASSWORD)
    proxies = {"strips": Proxy(server, True), "passes": Proxy(server, False)}
    for name, proxy in proxies.items():
        server.listeners[name] = ("127.0.0.1", proxy.listener.server_port)
    yield server
    for proxy in proxies.values():
        proxy.listener.stop()
    assert server.stop() == 0, server.tail()


def links(browser: Browser) -> Iterator[str]:
    """Whatever leads away from the page, as paths; an AssertionError if one leads out of the prefix."""
    for _, said in browser.page.tags:
        for name in ("href", "src", "action", "formaction", "data-live", "data-events"):
            link = said.get(name, "")
            if link and not re.match(r"[a-z]+:|#", link):
                path = urljoin(browser.page.path, link)
                assert path.startswith(f"{PREFIX}/"), (browser.page.path, name, link)
                if name in ("href", "src"):
                    yield path.partition("#")[0]


@pytest.mark.parametrize("kind", ["strips", "passes", "https"])
def test_every_link_of_every_page_leads_to_a_page(site: ServerProcess, kind: str) -> None:
    """Also for who comes to the server itself."""
    browser = Browser(site, kind)
    assert browser.get(f"{PREFIX}/console/users").path.startswith(f"{PREFIX}/sign-in?next=")
    browser.send("Sign in", address="chief@localhost", password=PASSWORD)
    assert browser.page.path == f"{PREFIX}/console/users" and browser.page.status == 200
    assert browser.get(f"{PREFIX}/console/options").path == f"{PREFIX}/console/options/"
    waiting, seen = [f"{PREFIX}/console", f"{PREFIX}/account"], set[str]()
    while waiting and len(seen) < (PATHS if kind == "strips" else 8):
        path = waiting.pop(0)
        if path in seen or "/sign-out" in path:
            continue
        seen.add(path)
        assert browser.get(path).status == 200, path
        if browser.page.headers["content-type"].startswith("text/html"):
            waiting += [each for each in links(browser) if each not in seen]
    assert any("/web/style.css" in each for each in seen)
    browser.get(f"{PREFIX}/console/options/c2s")
    assert browser.send("Save", rate_bytes="").path == f"{PREFIX}/console/options/c2s"
    browser.get(f"{PREFIX}/sign-out")
    assert browser.send("Sign out").path.startswith(f"{PREFIX}/sign-in")
    browser.close()


@pytest.mark.parametrize("kind", ["strips", "passes"])
def test_programs_find_everything_below_it(site: ServerProcess, kind: str) -> None:
    told = json.loads(Web(site, "https").get("/.well-known/host-meta.json").body)["links"]
    paths = {urlsplit(each["href"]).scheme: urlsplit(each["href"]) for each in told}
    assert paths["wss"].path == f"{PREFIX}/xmpp-websocket" and paths["https"].path == f"{PREFIX}/http-bind"
    assert paths["wss"].netloc == "localhost"

    class Client(WebSocketClient):
        path = paths["wss"].path

    chief = Client(site, kind=kind).connect().login("chief", PASSWORD)
    asked = "<request xmlns='urn:xmpp:http:upload:0' filename='a b.txt' size='5' content-type='text/plain'/>"
    slot = chief.iq("get", asked, to="upload.localhost").find("{*}slot")
    assert slot is not None
    put, get = (
        urlsplit(str(each.get("url")))
        for each in (slot.find("{*}put"), slot.find("{*}get"))
        if each is not None
    )
    assert put.path.startswith(f"{PREFIX}/upload/") and unquote(get.path).endswith("/a b.txt")
    assert Web(site, kind).request("PUT", put.path, b"hello", Content_Type="text/plain").status == 201
    assert Web(site, kind).get(get.path).body == b"hello"
    chief.close()
    bosh = Bosh(site, kind=kind)
    answer = Web(site, kind).request(
        "POST", paths["https"].path, bosh.body(to="localhost", wait="1", hold="1", ver="1.6").encode()
    )
    assert answer.status == 200 and b"sid=" in answer.body
    link = site.ask("invites add", host="localhost")
    assert f"https://localhost{PREFIX}/invite/" in str(link)
    assert Web(site, kind).get(f"{PREFIX}/api/v1").status == 401


def test_a_path_that_cannot_work_is_refused_with_its_place(site: ServerProcess) -> None:
    for path, said in (
        ("/console", "/console is a page of the server"), ("/upload/x", "/upload is a page of the server"),
        ("/a%20b", "may have letters, digits"), ("/{host}", "may have letters, digits"), ("/../x", "may have letters, digits"),
        ("/a//b", "must begin with https://"), ("?x", "must begin with https://"),
    ):  # fmt: skip
        text = site.ask("config set", error=True, option="http.url", value=f"https://localhost{path}")
        assert said in text and f"{site.file}:" in text and "http.url: " in text, text


def test_no_page_is_missing_in_the_list_of_them() -> None:
    from jabberd_py.http.options import PAGES
    from jabberd_py.schema import schema

    found = set()
    everything = schema()
    classes = [*everything.modules.values(), *everything.services.values()]
    for each in [
        *classes,
        *(own for service in everything.services.values() for own in service.own_modules().values()),
    ]:
        for name in dir(each):
            marks = getattr(getattr(each, name, None), "__dict__", {})
            for page in (
                mark for value in marks.values() if isinstance(value, list | tuple) for mark in value
            ):
                if type(page).__name__ == "Page":
                    found.add(page.path.split("/")[1])
    assert {"console", "upload", "api"} <= found <= {*PAGES, ""}  # the page at the root is below each path
