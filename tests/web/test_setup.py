"""Set-up: by the link that the first start prints, and by command. A server without a configuration is started for each way."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.client import Client
from tests.clients.conftest import npm
from tests.server import ROOT, environment
from tests.web.browser import Browser
from tests.web.chromium import drive, path
from tests.web.fresh import PASSWORD, WITHOUT, Fresh


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Fresh]:
    server = Fresh(tmp_path)
    yield server
    if server.process.poll() is None:
        assert server.stop() == 0, server.tail()


def test_from_the_link_to_the_end_and_then_it_is_gone(fresh: Fresh) -> None:
    link = fresh.link
    assert len(link.removeprefix("/setup/")) == 22  # 128 bits
    # from elsewhere, under other names, with other tokens
    for kind, name, at in (
        ("http", "localhost", "192.0.2.1"), ("http", "evil.example", ""), ("http", "localhost.evil.example", ""),
        ("https", "evil.example", ""),
    ):  # fmt: skip
        stranger = Browser(fresh, kind, name, at)
        assert stranger.get(link).status == (404 if name == "localhost" else 421), (kind, name, at)
        assert not stranger.cookies
        stranger.close()
    for wrong in (link[:-1] + "!", "/setup", "/setup/domain", "/setup/done", "/setup/finish"):
        stranger = Browser(fresh, "http")
        assert stranger.get(wrong).status == 404, wrong
        assert not stranger.cookies
        stranger.close()
    browser, second = Browser(fresh, "http"), Browser(fresh, "http")
    for each in (
        browser,
        second,
        second,
    ):  # who only looks, such as the preview of a chat, does not use it up
        assert each.get(link).status == 200 and "Set up this server" in each.page.text
    assert second.request("HEAD", link).status == 200
    second.get(link)
    assert browser.send("Begin").path == "/setup/domain"
    assert second.send("Begin").status == 404  # another one was first
    assert second.get(link).status == 404
    assert second.get("/setup/domain").status == 404
    assert second.post("/setup/domain", {"domain": "x.example", "tls": "self-signed"}).status in (403, 404)

    assert "Domain : 'a b' is not a domain" in browser.send("Continue", domain="a b", tls="self-signed").text
    wrong = browser.send(
        "Continue", domain="home.example", tls="files", certificate="/nowhere.pem", key="/nowhere.key"
    )
    assert wrong.status == 400 and "File of the certificate : /nowhere.pem: is missing" in wrong.text
    wrong = browser.send(
        "Continue", domain="home.example", tls="files", certificate="/dev/zero", key="/dev/zero"
    )
    assert wrong.status == 400 and "/dev/zero is no file in PEM format" in wrong.text
    pasted = browser.send("Continue", domain=" https://Home.Example/ ", tls="self-signed")
    assert pasted.path == "/setup/database"
    bad = browser.send("Continue", kind="mysql", server="127.0.0.1:1", user="x", password="hunter2")
    assert "nobody listens there" in bad.text and "hunter2" not in bad.html
    assert browser.send("Continue", kind="sqlite").path == "/setup/administrator"
    assert "not the same" in browser.send("Set up the server", admin="romeo", secret=PASSWORD, again="x").text
    assert (
        "a password needs 8 characters"
        in browser.send("Set up the server", admin="romeo", secret="short", again="short").text
    )
    assert (
        "not an address at"
        in browser.send("Set up the server", admin="r@x.example", secret=PASSWORD, again=PASSWORD).text
    )
    assert not fresh.file.exists()
    done = browser.send("Set up the server", admin="romeo", secret=PASSWORD, again=PASSWORD)
    assert done.path == "/setup/done" and "romeo@home.example can sign in" in done.text
    assert "_xmpp-client._tcp.home.example" in done.text and "<svg" in done.html

    romeo = Client(fresh.address("c2s"), "home.example").connect().login("romeo", PASSWORD)
    romeo.close()
    sample = (ROOT / "conf/jabberd.yaml.example").read_text().splitlines()
    written = fresh.file.read_text().splitlines()
    assert [line for line in sample if line not in written] == ["  localhost:"]
    assert [line for line in written if line not in sample] == [
        "  home.example:",
        "    admins: [romeo@home.example]",
    ]
    assert browser.get("/setup/domain").status == 404
    assert "set up already" in fresh.ask(
        "setup", error=True, domain="b.example", admin="x", password=PASSWORD
    )
    browser.get("/setup/done")
    browser.click("Finish: sign in to the console")
    assert browser.page.path.startswith("/sign-in?") and "@" in browser.page.form("Sign in").fields["address"]
    for old in (link, "/setup/done", "/setup/finish", "/setup/domain"):
        assert browser.get(old).status == 404
    fresh.restart()
    assert not fresh.link
    console = Browser(fresh, "https", "home.example").sign_in("romeo@home.example", PASSWORD)
    assert console.get("/console").status == 200
    console.get("/console/options/")  # what the set-up wrote is not the console's to take back
    console.send("Take the last change back")
    assert "may not undo 'set up home.example'" in console.page.text
    assert fresh.file.read_text().splitlines() == written
    for each in (browser, second, console):
        each.close()


def test_who_guesses_is_not_listened_to_and_nobody_else_suffers(fresh: Fresh) -> None:
    stranger, browser = Browser(fresh, "https", "127.0.0.1", at="192.0.2.9"), Browser(fresh, "http")
    for _ in range(20):
        assert stranger.get("/setup/guess").status == 404
    assert stranger.get(fresh.link).status == 404
    for header in (
        "X_Real_IP",
        "X_Forwarded_Proto",
        "CF_Connecting_IP",
        "Via",
    ):  # a proxy: anybody may be behind it
        assert browser.get(fresh.link, **{header: "x"}).status == 404
    browser.get(fresh.link)
    assert browser.send("Begin").path == "/setup/domain"
    for _ in range(3):
        stranger.get("/setup/guess")
    assert browser.get("/setup/domain").status == 200  # who is inside stays
    browser.send("Continue", domain="home.example", tls="self-signed")
    for wrong in ("127.0.0.1:1/x?read_default_file=/etc/passwd#", "a b", "u@h", "127.0.0.1:", "[::1"):
        said = browser.send("Continue", kind="mysql", server=wrong, user="x", password="x")
        assert said.status == 400 and "Server : a name or an address" in said.text, wrong
    assert browser.get("/setup/administrator").path == "/setup/domain"  # no database was said
    links = fresh.ask("setup link")
    wanted = ["http://localhost:", "https://127.0.0.1:"]  # of the address where it listens
    assert [each.startswith(some) for each, some in zip(links, wanted, strict=True)] == [True, True], links
    printed = fresh.ctl("--config", str(fresh.file), "setup", "link").splitlines()
    token = {line.rpartition("/setup/")[2] for line in printed if "/setup/" in line}
    assert len(token) == 1 and len(token.copy().pop()) == 22
    stranger.get(f"/setup/{token.pop()}")
    assert stranger.send("Begin").path == "/setup/domain"  # a new link begins anew
    assert browser.get("/setup/domain").status == 404  # and who was inside is out
    for each in (stranger, browser):
        each.close()


def test_two_browsers_and_commands_at_a_time(fresh: Fresh) -> None:
    jobs = [
        gevent.spawn(fresh.ask, "setup", domain=f"h{n}.example", admin="romeo", password=PASSWORD, error=None)
        for n in range(4)
    ]
    gevent.joinall(jobs)
    results = [job.value for job in jobs]
    assert sum(isinstance(each, dict) for each in results) == 1, results
    assert all("set up" in each or "setting up" in each for each in results if isinstance(each, str))
    assert fresh.file.read_text().count("admins: [romeo@") == 1


def test_another_database_without_a_restart(fresh: Fresh) -> None:
    process = fresh.process.pid
    for url, said in (
        ("sqlite:////nowhere/at/all.db", "there is no folder"), ("mysql://u:p@127.0.0.1:1/x", "nobody listens there"),
        ("postgresql://u:p@127.0.0.1:1/x", "nobody listens there"), ("oracle://x/y", "must be sqlite"), ("x", "write a URL"),
    ):  # fmt: skip
        assert said in fresh.ask("setup database", error=True, url=url)
    assert not (fresh.data / "other.sqlite").exists()
    fresh.ask(
        "setup", domain="localhost", admin="romeo", password=PASSWORD, database="sqlite:///other.sqlite"
    )
    Client(fresh.address("c2s"), "localhost").connect().login("romeo", PASSWORD).available().close()
    assert "other.sqlite" in str(fresh.ask("check store"))
    fresh.restart()
    assert fresh.process.pid != process
    Client(fresh.address("c2s"), "localhost").connect().login("romeo", PASSWORD).close()


def test_a_stopped_server_is_set_up_by_jabberctl_with_files_of_its_own(fresh: Fresh) -> None:
    from jabberd_py.net.tls import make_self_signed

    fresh.stop()
    make_self_signed(["shop.example"], fresh.folder / "own.pem", fresh.folder / "own.key")

    def setup(domain: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jabberd_py.ctl.main", "setup", "--non-interactive", "--domain", domain, "--admin", "juliet",
             "--tls", "files", "--certificate", "own.pem", "--key", "own.key", "--password", "-"],
            cwd=fresh.folder, env=environment() | WITHOUT, input=PASSWORD, capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    wrong = setup("other.example")
    assert wrong.returncode == 1 and "is not for other.example" in wrong.stderr
    assert not fresh.file.exists()
    right = setup("shop.example")
    assert right.returncode == 0 and "juliet@shop.example" in right.stdout, right.stderr
    assert setup("shop.example").returncode == 1
    fresh.start()
    assert not fresh.link
    Client(fresh.address("c2s"), "shop.example").connect().login("juliet", PASSWORD).close()
    assert (fresh.data / "certificates/shop.example.pem").read_bytes() == (
        fresh.folder / "own.pem"
    ).read_bytes()


def test_who_never_opens_the_link_has_a_server_as_before(fresh: Fresh) -> None:
    fresh.ask("accounts add", jid="romeo@localhost", password="secret")
    Client(fresh.address("c2s"), "localhost").connect().login("romeo", "secret").close()
    browser = Browser(fresh, "http")
    assert browser.get(fresh.link).status == 404  # it is set up: there is an account
    browser.close()
    assert not fresh.file.exists()


def test_in_a_real_browser_in_under_two_minutes(fresh: Fresh) -> None:
    if path() is None:
        pytest.skip("chromium is not installed")
    npm()  # axe-core
    host, port = fresh.address("http")
    found = drive("wizard", {"link": f"http://localhost:{port}{fresh.link}", "password": PASSWORD})
    assert not found["axe"] and not found["errors"] and not found["wide"], found
    assert found["fields"]  # only those of what is chosen are shown
    assert found["seconds"] < 120 and found["end"].endswith("/console") and found["gone"] == 404
    assert "romeo@home.example can sign in" in found["text"]
