"""Set-up in the browser with a certificate of an authority, which is Debian's pebble."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

from jabberd_py.config.write import get_key
from tests.client import Client
from tests.pebble import Pebble, certificate, names
from tests.peers import free_port
from tests.web.browser import Browser
from tests.web.fresh import PASSWORD, Fresh, opened

pytestmark = pytest.mark.timeout(120)
DOMAIN, ROOMS = "home.example", "conference.home.example"


def looks_again(browser: Browser) -> str:
    """The page after the order."""
    while "is being asked" in browser.get("/setup/done").text:
        Event().wait(0.2)
    return browser.page.text


@pytest.fixture
def pebble(tmp_path: Path) -> Iterator[Pebble]:
    """An authority that asks ``pebble.gate``."""
    if shutil.which("pebble") is None:
        pytest.skip("pebble is not installed")
    pebble = Pebble(tmp_path, free_port())
    yield pebble
    pebble.stop()
    pebble.names.stop()


@pytest.fixture
def server(tmp_path: Path, pebble: Pebble) -> Iterator[Fresh]:
    server = Fresh(tmp_path / "server", {
        "JABBERD_HTTP__CHALLENGE_PORT": str(pebble.gate), "JABBERD_HTTP__TLS_ADDRESS": "127.0.0.1",
        "JABBERD_MODULES__ACME__CA": str(pebble.certificate), "JABBERD_DNS__NAMESERVERS": pebble.names.address,
    })  # fmt: skip
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.tail()


def test_from_the_link_to_a_certificate_that_is_in_use_and_renewed(server: Fresh, pebble: Pebble) -> None:
    pebble.names.put({DOMAIN: {"A": "127.0.0.9"}, ROOMS: {"A": "127.0.0.1"}})  # nobody listens there
    process = server.process.pid
    browser = opened(server)
    for domain in ("localhost", "server", "home.example", "home.lan", "192.0.2.1"):
        said = browser.send("Continue", domain=domain, tls="acme")
        assert said.status == 400 and "no name of the internet" in said.text or "not a domain" in said.text, (
            domain
        )
    assert (
        "must be letsencrypt or"
        in browser.send("Continue", domain=DOMAIN, tls="acme", directory="http://x").text
    )
    assert (
        browser.send("Continue", domain=DOMAIN, tls="acme", directory=pebble.directory, email="").path
        == "/setup/database"
    )
    browser.send("Continue", kind="sqlite")
    browser.send("Set up the server", admin="romeo", secret=PASSWORD, again=PASSWORD)
    assert browser.page.path == "/setup/done" and "romeo@home.example can sign in" in browser.page.text

    # the authority does not reach us: the page, a message and the console say why
    said = looks_again(browser)
    assert f"the authority cannot reach us: {DOMAIN}: " in said and "shows a self-signed one" in said
    shown = certificate(server, DOMAIN)
    assert shown.issuer == shown.subject
    romeo = Client(server.address("c2s"), DOMAIN).connect().login("romeo", PASSWORD).available()
    message = str(romeo.gets(f"<message from='{DOMAIN}'/>").findtext("{*}body"))
    assert f"There is no new certificate for {DOMAIN}: the authority cannot reach us" in message
    console = Browser(server, "https", DOMAIN).sign_in(f"romeo@{DOMAIN}", PASSWORD)
    for page in ("/console/certificates", "/console/doctor"):
        assert "the authority cannot reach us" in console.get(page).text, page

    # then it does, and nobody has to leave
    pebble.names.put({DOMAIN: {"A": "127.0.0.1"}})
    assert browser.send("Try again now").path == "/setup/done"
    while f"has given a certificate for {DOMAIN}" not in looks_again(browser):
        browser.send("Try again now")  # pebble waits for our name server for two seconds only
    for kind in ("c2s_direct", "https"):
        shown = certificate(server, DOMAIN, kind)
        assert "Pebble" in str(shown.issuer) and DOMAIN in names(shown), kind
    assert "is renewed now" in str(romeo.gets(f"<message from='{DOMAIN}'/>").findtext("{*}body"))
    Client(server.address("c2s"), DOMAIN).connect().login("romeo", PASSWORD).close()
    while certificate(server, DOMAIN).serial_number == shown.serial_number:
        console.get("/console/do/certificates%20renew")
        console.send("Renew certificates now", host=DOMAIN)
    romeo.sync()
    assert "cannot reach us" not in console.get("/console/certificates").text
    assert server.process.pid == process
    assert get_key(server.file.read_text(), ("modules", "acme", "directory")) == pebble.directory

    server.restart()  # what was written is enough
    assert "Pebble" in str(certificate(server, DOMAIN).issuer)
    for each in (browser, console):
        each.close()
