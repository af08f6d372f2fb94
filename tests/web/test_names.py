"""Under which names the pages are open, and what browsers are told of https."""

from types import SimpleNamespace
from typing import Any

import pytest

from jabberd_py.web import names
from tests.http.web import Web
from tests.server import ServerProcess


def test_pages_are_open_under_our_names_only(site: ServerProcess) -> None:
    """A page of somebody else whose name was turned to our address gets nothing (DNS rebinding)."""
    web = Web(site, "https")
    for name in (
        "localhost", "LOCALHOST:5281", "other.localhost", "conference.localhost", "127.0.0.1:5281", "[::1]", "console.example",
        "xn--bcher-kva.example:5281", "localhost.",
    ):  # fmt: skip
        web.name = name
        assert web.get("/sign-in").status == 200, name
    for name in (
        "rebound.evil.example",
        "localhost.evil.example",
        "a b",
        "x;y",
        "127.0.0.1.evil.example",
        "@localhost",
        "",
    ):
        for path in ("/sign-in", "/console", "/register", "/web/style.css", "/setup/x"):
            web.name = name
            answer = web.get(path)
            assert answer.status == 421, (name, path)
            assert b"Open the page as localhost" in answer.body and "set-cookie" not in answer.headers
    web.close()


def test_a_name_in_our_certificate_is_ours(site: ServerProcess) -> None:
    """The machine of example.net is called jabber.example.net, and an authority has said so."""
    web = Web(site, "https", "other.localhost")
    web.name = "jabber.elsewhere.example"
    assert web.get("/sign-in").status == 200
    web.close()
    web = Web(site, "https")  # another certificate
    web.name = "jabber.elsewhere.example"
    assert web.get("/sign-in").status == 421
    web.close()


@pytest.mark.parametrize(
    ("url", "name"),
    [("https://xmpp.example.org", "xmpp.example.org"), ("https://web.{host}:5/x", "web.localhost")],
)
def test_the_name_that_clients_know_is_ours(url: str, name: str) -> None:
    router: Any = SimpleNamespace(
        instances={"localhost": None}, base=lambda host: url.replace("{host}", host)
    )
    assert names.ours(name, router, ()) and not names.ours(f"x{name}", router, ())


def test_browsers_are_told_to_come_by_https(site: ServerProcess) -> None:
    """Where an authority has signed the certificate; who made one himself could be locked out by the next one."""
    vouched = Web(site, "https", "other.localhost")
    for path in ("/sign-in", "/nothing", "/.well-known/host-meta"):
        assert vouched.get(path).headers["strict-transport-security"] == "max-age=2592000"
    vouched.close()
    for kind in ("https", "http"):
        web = Web(site, kind)
        assert "strict-transport-security" not in web.get("/sign-in").headers
        web.close()


def test_a_domain_in_another_script_has_pages_links_and_slots_of_its_own(start_server: Any) -> None:
    domain, ascii_ = "日本.example", "xn--wgv71a.example"
    config = {"hosts": {"localhost": {}, domain: {}}, "modules": {"register": {"enabled": True}}}
    server = start_server(config)
    made = server.ask("invites add", host=domain)
    assert made["uri"].isascii() and made["uri"].startswith("xmpp:%E6%97%A5%E6%9C%AC.example?register")
    assert made["landing_url"].startswith(f"https://{ascii_}:")
    web = Web(server, "https")
    web.name = ascii_
    invitation = web.get("/invite/" + made["landing_url"].rpartition("/")[2])
    assert invitation.status == 200 and invitation.headers["link"].startswith("<xmpp:%E6")
    assert f"@{domain}" in web.get("/register").body.decode()
    assert f"https://{ascii_}:" in web.get("/.well-known/host-meta").body.decode()
    web.close()
