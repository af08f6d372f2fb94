"""Who gets in, who does not, and what every page has on it."""

import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import gevent

from jabberd_py.jsm.tickets import Tickets
from jabberd_py.web import totp
from jabberd_py.web.browsers import Browsers
from tests.client import Client
from tests.conftest import Place
from tests.http.web import Web
from tests.server import ServerProcess
from tests.web.browser import Browser
from tests.web.conftest import BOSS, PASSWORD, PLAIN

WRONG = "The address, the password or the code is not right."


def fresh(site: ServerProcess, account: Any) -> str:
    """A new account, with the same password as all."""
    return str(account("somebody", Place(site, "localhost")).bare)


def refused(browser: Browser, address: str, password: str = "wrong", code: str = "") -> str:
    browser.get("/sign-in")
    page = browser.send("Sign in", address=address, password=password, code=code)
    assert page.path == "/sign-in" and page.status in (403, 429)
    return page.text


def test_an_administrator_signs_in_and_out(browser: Callable[..., Browser]) -> None:
    someone = browser()
    assert someone.get("/console/commands?x=1").path == "/sign-in?next=%2Fconsole%2Fcommands%3Fx%3D1"
    page = someone.send(
        "Sign in", address="boss", password=PASSWORD
    )  # the domain of the site may be left out
    assert page.path == "/console/commands?x=1" and page.status == 200
    assert someone.get("/sign-in").path == "/console"
    cookies = dict(someone.cookies)
    assert someone.send("Sign out").path == "/sign-in"
    someone.cookies = cookies  # somebody kept them
    assert someone.get("/console").path.startswith("/sign-in")


def test_a_wrong_password_and_an_unknown_account_look_the_same(browser: Callable[..., Browser]) -> None:
    said = {
        re.sub(r"\S+@\S+", "", refused(browser(at=f"192.0.2.{number}"), address, password))
        for number, (address, password) in enumerate([
            (PLAIN, "wrong"), ("nobody@localhost", PASSWORD), ("x@elsewhere.example", PASSWORD), ("@@", "x"), ("\x00", "x"),
            (PLAIN, "\x01"), (PLAIN, "x" * 5000), ("boss@other.localhost", PASSWORD), ("localhost", PASSWORD),
        ])
    }  # fmt: skip
    assert len(said) == 1 and WRONG in said.pop()


def test_too_many_wrong_passwords(browser: Callable[..., Browser], site: ServerProcess, account: Any) -> None:
    """Of one account from one address, and of one address; the right password comes too late there, and not elsewhere."""
    victim, attacker = fresh(site, account), browser(at="198.51.100.7")
    texts = [refused(attacker, victim) for _ in range(8)]
    assert WRONG in texts[0] and "Too many attempts" in texts[-1] and attacker.page.status == 429
    assert "Too many attempts" in refused(attacker, victim, PASSWORD)
    browser(victim, at="198.51.100.8")  # somebody else's attempts lock nobody out
    many = [refused(attacker, f"nobody{number}@localhost") for number in range(20)]
    assert "Too many attempts" in many[-1]


def test_passwords_are_taken_by_https_only(browser: Callable[..., Browser]) -> None:
    far = browser(kind="http")
    far.get("/sign-in", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="http")
    assert "by https only" in far.page.text
    fields = far.page.form("Sign in").fields | {"address": BOSS, "password": PASSWORD}
    headers = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http"}
    assert far.post("/sign-in", fields, **headers).status == 403
    near = browser(BOSS, kind="http")  # this machine itself
    assert near.get("/console").status == 200 and set(near.cookies) == {"jabberd", "jabberd-visitor"}


def test_a_session_cannot_be_fixed(browser: Callable[..., Browser]) -> None:
    """What an attacker has put into the browser before is worth nothing after the sign-in."""
    someone = browser()
    someone.cookies = {"__Host-jabberd": "a" * 43, "__Host-jabberd-visitor": "b" * 32}
    someone.sign_in(BOSS)
    assert someone.cookies["__Host-jabberd"] != "a" * 43
    first = dict(someone.cookies)
    someone.post("/sign-in", someone.page.forms[0].fields | {"address": BOSS, "password": PASSWORD})
    assert someone.cookies["__Host-jabberd"] != first["__Host-jabberd"]
    attacker = browser()
    for cookie in ("a" * 43, first["__Host-jabberd"]):
        attacker.cookies = {"__Host-jabberd": cookie}
        assert attacker.get("/console").path.startswith("/sign-in")
    attacker.cookies = {
        "jabberd": someone.cookies["__Host-jabberd"]
    }  # without the prefix, http could have set it
    assert attacker.get("/console").path.startswith("/sign-in")


def test_cookies_and_headers(browser: Callable[..., Browser]) -> None:
    someone = browser()
    someone.get("/sign-in")
    page = someone.send("Sign in", follow=False, address=BOSS, password=PASSWORD)
    said = set(page.headers["set-cookie"].split("; ")[1:])
    assert said == {"Secure", "HttpOnly", "Path=/", "SameSite=Strict"}
    for path in ("/console", "/sign-in", "/account/second-factor", "/console/nothing"):
        headers = someone.get(path, follow=False).headers
        policy = headers["content-security-policy"]
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert headers["x-frame-options"] == "DENY" and headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin" and headers["cache-control"] == "no-store"
        assert headers["cross-origin-opener-policy"] == "same-origin" and "server" not in headers
    static = next(attrs["href"] for tag, attrs in someone.get("/console").tags if tag == "link")
    assert someone.get(static).status == 200 and "immutable" in someone.page.headers["cache-control"]


def test_another_site_cannot_send_forms(boss: Browser, site: ServerProcess) -> None:
    page = boss.get("/console/do/motd set")
    fields = page.form("Motd set").fields | {"text": "hello"}
    for headers in (
        {"Sec_Fetch_Site": "cross-site"}, {"Sec_Fetch_Site": "same-site"}, {"Sec_Fetch_Site": "", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": "", "Origin": "null"},
    ):  # fmt: skip
        assert boss.post("/console/do/motd set", fields, **headers).status == 403, headers
    for token in ("", "x", "0" * 64):
        assert boss.post("/console/do/motd set", fields | {"_token": token}).status == 403
    assert boss.post("/console/do/motd set", {"text": "hello", "host": "localhost"}).status == 403
    assert "hello" not in site.ctl("motd", "show", "--json")
    assert boss.post("/console/do/motd set", fields).status == 200
    assert "hello" in site.ctl("motd", "show", "--json")
    site.ctl("motd", "reset")


def test_the_token_of_a_form_belongs_to_the_session(browser: Callable[..., Browser], boss: Browser) -> None:
    """A user's own form is worth nothing in an administrator's browser; neither is a visitor's."""
    other = browser(PLAIN)
    theirs = other.get("/account/second-factor").forms[0].fields["_token"]
    visitors = browser().get("/sign-in").forms[0].fields["_token"]
    for token in (theirs, visitors):
        assert boss.post("/console/do/motd reset", {"_token": token, "host": "localhost"}).status == 403


def test_it_leads_nowhere_else(browser: Callable[..., Browser], boss: Browser) -> None:
    for wanted in (
        "https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example",
        "/%0d%0aSet-Cookie:x=1", "https:evil.example", "/\r\nX: y", " /console", "http:/evil.example",
    ):  # fmt: skip
        someone = browser()
        someone.get("/sign-in")
        form = someone.page.form("Sign in").fields | {"address": BOSS, "password": PASSWORD, "next": wanted}
        page = someone.post("/sign-in", form, follow=False)
        assert page.status == 303 and re.fullmatch(
            r"/(console|%0d%0aSet-Cookie:x=1)", page.headers["location"]
        ), wanted
        fields = boss.get("/console/do/motd reset").form("Remove the message of the day").fields
        page = boss.post("/console/do/motd reset", fields | {"back": wanted}, follow=False)
        assert "evil" not in page.headers.get("location", ""), wanted


def _attempt(browser: Browser, address: str, code: str) -> bool:
    browser.get("/sign-in")
    return browser.send("Sign in", address=address, password=PASSWORD, code=code).path != "/sign-in"


def test_a_code_is_asked_for_and_used_once(
    browser: Callable[..., Browser], site: ServerProcess, account: Any
) -> None:
    jid = fresh(site, account)
    owner, elsewhere = browser(jid), browser(jid)
    text = owner.get("/account/second-factor").text
    secret = re.search(r"Secret: (\w+)", text)
    assert secret is not None
    assert "not one of this secret" in owner.send("Set up", code="000000").text
    step = int(time.time()) // totp.STEP
    first = totp.code(secret[1], step)
    assert "from now on" in owner.send("Set up", code=first).text
    assert elsewhere.get("/account/second-factor").path.startswith("/sign-in")  # signed out everywhere else
    stranger = browser()
    for code in ("", "123", first, "abcdef"):  # `first` was used when it was set up
        assert WRONG in refused(stranger, jid, PASSWORD, code)
    following = totp.code(secret[1], step + 1)  # a clock that is ahead
    attempts = [gevent.spawn(_attempt, browser(), jid, following) for _ in range(2)]  # at the same time
    gevent.joinall(attempts, raise_error=True)
    assert sorted(each.value for each in attempts) == [False, True]
    assert WRONG in refused(browser(at="192.0.2.77"), jid, PASSWORD, following)  # a replay
    assert "not right" in owner.send("Remove the second factor", code=following).text
    site.ctl("totp", "remove", jid)  # an administrator, for who has lost the device
    browser(jid)


def test_another_password_ends_all_sessions(
    browser: Callable[..., Browser], site: ServerProcess, account: Any
) -> None:
    jid = fresh(site, account)
    someone = browser(jid)
    site.ctl("accounts", "passwd", jid, "--password", "another")
    assert someone.get("/account/second-factor").path.startswith("/sign-in")
    someone.sign_in(jid, "another")
    site.ctl("accounts", "suspend", jid, "--reason", "for now")
    assert someone.get("/account/second-factor").path.startswith("/sign-in")
    assert "for now" in refused(someone, jid, "another") and WRONG in refused(someone, jid, "wrong")
    site.ctl("accounts", "enable", jid)
    someone.sign_in(jid, "another")
    site.ctl("accounts", "delete", jid, "--yes", code=None)


def test_an_account_is_at_ten_places_at_most(
    browser: Callable[..., Browser], site: ServerProcess, account: Any
) -> None:
    jid = fresh(site, account)
    opened = [browser(jid) for _ in range(11)]
    assert opened[0].get("/account/second-factor").path.startswith("/sign-in")
    assert opened[1].get("/account/second-factor").status == 200


def test_sign_ins_are_in_the_log(browser: Callable[..., Browser], site: ServerProcess) -> None:
    start = site.log.stat().st_size
    attacker = browser(at="192.0.2.99")
    refused(attacker, "nobody\nforged@localhost")
    browser(BOSS, at="192.0.2.98")
    text = site.log.read_bytes()[start:].decode()
    assert 'where=192.0.2.99  result="no such account"' in text and "\nforged" not in text
    assert f"sign-in  by={BOSS}  via=console  where=192.0.2.98  result=done" in text


def test_a_form_has_bounds(site: ServerProcess) -> None:
    """What is too long is refused before it has come."""
    web = Web(site, "https")
    head = "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    head += f"Cookie: __Host-jabberd-visitor={'x' * 30}\r\n"
    assert web.raw(f"{head}Content-Length: 70000\r\n\r\n".encode()).answer().status == 413
    web.close()


def test_nobody_registers_the_name_of_an_administrator_or_one_that_looks_like_it(
    browser: Callable[..., Browser], site: ServerProcess
) -> None:
    """Who has the account has the rights, also on the other host."""
    stranger, invited = browser(), browser()

    def says(page: Any, button: str, name: str) -> str:
        return str(page.send(button, name=name, password="long-enough", again="long-enough").text)

    was = site.ask("admins show", host="other.localhost")["jids"]
    site.ask("admins set", host="other.localhost", jids="\n".join([*was, "ghost@localhost"]))
    try:
        path = urlsplit(site.ask("invites add", host="localhost")["landing_url"]).path
        for name in ("ghost", "GHOST", "gh\u043est", "adm\u0131n", "\u0430dmin", "ch\u0456ef"):
            stranger.get("/register")
            assert "That name is reserved." in says(stranger, "Make my account", name)
            invited.get(path)
            assert "That name is reserved." in says(invited, "Make my account", name)
        site.ask("accounts add", jid="ghost@localhost", password=PASSWORD)  # the operator may
    finally:
        site.ask("admins set", host="other.localhost", jids="\n".join(was))
        site.ask("accounts delete", jid="ghost@localhost", error=None)


def test_administrators_only(browser: Callable[..., Browser], site: ServerProcess) -> None:
    """A user sees no page of the console, whatever he asks for."""
    someone, stranger = browser(PLAIN), browser()
    token = someone.get("/account/second-factor").forms[0].fields["_token"]
    assert "Console" not in someone.page.text
    for path in (
        "/console",
        "/console/commands",
        "/console/do/stats",
        "/console/do/motd reset",
        "/console/nothing",
    ):
        assert someone.get(path).status in (403, 404)
        assert stranger.get(path, follow=False).status in (303, 404)
        page = someone.post(path, {"_token": token, "jid": PLAIN}, follow=False)
        assert page.status in (403, 404, 405)
    Client(site.address("c2s"), "localhost").login("plain", PASSWORD).close()


FORM = "application/x-www-form-urlencoded"


def test_a_form_is_counted_before_it_is_read(browser):
    page = browser()
    assert page.request("POST", "/sign-in", b"_token=x", Content_Type=FORM).status == 403  # no page was seen
    page.get("/sign-in")
    token = page.page.form("Sign in").fields["_token"].encode()
    for body, type, status in (
        (b"_token=" + token + b"&a" * 400, FORM, 413),
        (b"_token=" + token + b"&a=" + b"x" * 20_000, FORM, 413),
        (b"_token=" + token, "multipart/form-data; boundary=x", 403),
        (b'--x\r\nContent-Disposition: form-data; name="_token"\r\n\r\n' + token + b"\r\n--x--\r\n",
         "multipart/form-data; boundary=x", 403),
        (b"_token=" + token + b"&address=nobody&password=x", FORM, 403),
    ):  # fmt: skip
        assert page.request("POST", "/sign-in", body, Content_Type=type).status == status
    assert "not right" in page.page.text  # the last one was read


def test_the_token_of_a_file_comes_first(browser):
    page = browser(PLAIN)
    page.get("/account/data")
    fields = page.page.form("Import").fields
    token, path, type = fields["_token"].encode(), "/account/data/import", "multipart/form-data; boundary=x"
    part = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n<x/>\r\n'
    for body, said, status in (
        (b"_token=" + token + b"&a" * 100_000, FORM, 415),
        (file + part % (b"_token", token) + b"--x--\r\n", type, 403),
        (part % (b"_token", b"wrong") + file + b"--x--\r\n", type, 403),
        (part % (b"_token", token) + file, type, 400),
        (part % (b"_token", token) + b"--x--\r\n", type, 400),
        (part % (b"_token", token) + b"--x\r\n" + b"a: b\r\n" * 10_000, type, 413),
        (part % (b"_token", token) * 20 + file + b"--x--\r\n", type, 413),
    ):
        assert page.request("POST", path, body, Content_Type=said).status == status, body[:60]
    page.get("/account/data")
    assert "no account" in page.post(path, page.page.form("Import").fields, multipart={"file": b"<x/>"}).text


def test_the_audit_has_what_somebody_tried_who_was_signed_in(chief: Browser, browser: Any) -> None:
    plain = browser(PLAIN)
    for _ in range(2):
        assert plain.get("/console/users").status == 403
    plain.get("/account/delete")
    assert "not right" in plain.send("Delete my account", old="wrong").text
    plain.get("/account/devices")
    plain.post("/account/devices/end", {"kind": "browsers", "_token": plain.page.forms[0].fields["_token"]})
    assert PLAIN in chief.get("/console/audit?text=refused").text
    assert PLAIN in chief.get("/console/audit?text=wrong+password").text
    assert PLAIN in chief.get("/console/audit?text=all+other+browsers").text


def test_scripts_of_a_page_that_was_left_open_do_not_keep_its_session() -> None:
    host: Any = SimpleNamespace(
        domain="localhost", users=SimpleNamespace(row=lambda user: [], tickets=Tickets())
    )
    host.router = SimpleNamespace(instances={"localhost": host})
    sessions = Browsers()
    sessions.idle, sessions.longest = 100.0, 1000.0
    cookie = sessions.begin(host, PLAIN, "", "")
    signed = sessions.find(cookie)
    assert signed is not None
    signed.used = then = signed.used - 50
    assert sessions.find(cookie, use=False) is signed and signed.used == then
    assert sessions.find(cookie) is signed and signed.used > then
    signed.used -= 101
    assert sessions.find(cookie, use=False) is None
    cookie = sessions.begin(host, PLAIN, "", "")
    host.router.instances.clear()  # a reload has removed the host
    assert sessions.find(cookie) is None


def test_a_sign_in_that_was_checked_with_the_old_password_is_over() -> None:
    """The password has changed between the check and the session."""
    row = [("the new keys", False)]
    host: Any = SimpleNamespace(
        domain="localhost", users=SimpleNamespace(row=lambda user: row, tickets=Tickets())
    )
    host.router = SimpleNamespace(instances={"localhost": host})
    sessions = Browsers()
    sessions.idle, sessions.longest = 100.0, 1000.0
    assert sessions.find(sessions.begin(host, PLAIN, "", "", kept=[("the old keys", False)])) is None
    assert sessions.find(sessions.begin(host, PLAIN, "", "", kept=row)) is not None


def test_wrong_codes_of_an_account_are_few(
    browser: Callable[..., Browser], site: ServerProcess, account: Any
) -> None:
    jid = fresh(site, account)
    owner = browser(jid)
    secret = re.search(r"Secret: (\w+)", owner.get("/account/second-factor").text)
    assert secret is not None
    step = int(time.time()) // totp.STEP
    assert "from now on" in owner.send("Set up", code=totp.code(secret[1], step)).text
    form = owner.page.form("Remove the second factor").fields
    for _ in range(10):
        owner.post("/account/second-factor", form | {"code": "12345"}, follow=False)
    assert "not right" in owner.get("/account/second-factor").text
    told = owner.send("Remove the second factor", code=totp.code(secret[1], step + 1)).text
    assert "not right" in told and "is removed" not in told
    assert jid in str(site.ask("log audit", text="many wrong codes"))


def test_refused_attempts_do_not_fill_the_audit(browser: Callable[..., Browser], site: ServerProcess) -> None:
    stranger = browser(at="192.0.2.99")
    for _ in range(20):
        refused(stranger, PLAIN, "wrong")
    assert 1 <= len(site.ask("log audit", text="192.0.2.99")) < 15


def test_what_was_written_is_there_again_after_a_new_sign_in(browser: Callable[..., Browser]) -> None:
    """The session has ended while somebody wrote: for the same account only, and without passwords."""
    someone = browser(PLAIN)
    cookies = dict(someone.cookies)
    form = someone.get("/account/privacy").form("Block").fields
    someone.get("/sign-out")
    someone.send("Sign out")
    someone.cookies = cookies
    said = form | {"address": "mallory@<b>x</b>.example", "password": "hunter2"}
    page = someone.post("/account/privacy", said)
    assert page.path.startswith("/sign-in?sent=kept") and "It is kept" in page.text
    shown = page.form("Sign in").fields["next"]
    assert browser(BOSS).get(shown).status == 404 and browser().get(shown).path.startswith("/sign-in")
    page = someone.send("Sign in", address=PLAIN, password=PASSWORD)
    assert page.path == shown and "hunter2" not in page.html and "<b>x" not in page.html
    assert page.form("Send it now").fields["address"] == "mallory@<b>x</b>.example"
    page = someone.send("Send it now", address="mallory@x.example")
    assert page.path == "/account/privacy" and "mallory@x.example is blocked" in page.text


def test_what_a_stranger_or_another_site_sends_is_not_kept(browser: Callable[..., Browser]) -> None:
    someone = browser()
    assert "sent=1" in someone.post("/account/privacy", {"address": "x"}).path
    someone.cookies["__Host-jabberd"] = "a" * 43
    assert "sent=1" in someone.post("/account/privacy", {"address": "x" * 20_000}).path
    assert "sent=1" in someone.post("/console/options/server", {"address": "x"}).path
    answer = someone.post("/account/privacy", {"address": "x"}, Sec_Fetch_Site="cross-site")
    assert answer.status == 403
