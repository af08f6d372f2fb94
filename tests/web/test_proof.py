"""What gives rights that last asks for the password again: an open browser alone is not enough."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest

from jabberd_py.web import totp
from tests.conftest import Place
from tests.server import ServerProcess
from tests.web.browser import Browser
from tests.web.conftest import BOSS, CHIEF, PASSWORD, PLAIN

ASKS = "show your password once more"
COMMANDS = {
    "accounts passwd": {"jid": PLAIN, "password": "another-secret"},
    "accounts reset": {"jid": PLAIN},
    "admins set": {"administrators": f"{CHIEF}\n{PLAIN}", "host": "other.localhost"},
    "tokens add": {"jid": PLAIN, "scopes": "*"},
    "totp set": {"jid": PLAIN, "secret": "A" * 32, "code": "123456"},
    "totp remove": {"jid": PLAIN},
    "config set": {"option": "log.level", "value": "debug"},
    "config apply": {"changes": "{log.level: debug}"},
    "config unset": {"option": "log.level"},
    "config undo": {},
}


@pytest.fixture
def left(browser: Callable[..., Browser]) -> Browser:
    """The browser of chief@localhost, left open."""
    return browser(CHIEF, name="other.localhost")


def test_an_open_browser_alone_gives_no_rights(left: Browser) -> None:
    for name, values in COMMANDS.items():
        page = left.get(f"/console/do/{name}")
        form = page.forms[-1].fields
        assert page.status == 200 and "Is it still you?" in page.text and "_password" in form, name
        page = left.post(f"/console/do/{name}", {"_token": form["_token"]} | values)
        assert page.status == 400 and ASKS in page.text, name


def test_with_the_password_it_is_done(left: Browser, site: ServerProcess) -> None:
    left.get(f"/console/do/accounts reset?jid={PLAIN}")
    page = left.send("Link to set a password", _password=PASSWORD)
    assert page.status == 200 and "/password/" in page.text


def test_the_options_and_their_undo_ask_too(left: Browser) -> None:
    left.get("/console/options/log")
    page = left.send("Save", level="debug")
    assert page.status == 400 and ASKS in page.text
    left.send("Save", level="debug", _password=PASSWORD)
    assert "Saved in" in left.page.text
    left.get("/console/options/")
    assert ASKS in left.send("Take the last change back").text
    left.send("Take the last change back", _password=PASSWORD)
    assert "The last change is taken back" in left.page.text


def test_a_fresh_sign_in_is_proof(chief: Browser) -> None:
    page = chief.get(f"/console/do/accounts reset?jid={PLAIN}")
    assert "Is it still you?" not in page.text
    assert "/password/" in chief.send("Link to set a password").text


@pytest.fixture
def doubled(
    browser: Callable[..., Browser], account: Callable[..., Any], site: ServerProcess
) -> tuple[Browser, str, str]:
    """A browser of somebody who has just set up a second factor, his address, and the next code."""
    user = str(account("doubled", Place(site, "localhost")).bare)
    someone = browser(user, name="other.localhost")
    secret = someone.get("/account/second-factor").html.partition('class="secret">')[2].partition("<")[0]
    step = int(time.time()) // totp.STEP
    code, following = totp.code(secret, step), totp.code(secret, step + 1)
    assert "is not right" in someone.send("Set up", code=code).text
    assert not site.ask("totp show", jid=user)["on"]
    assert "from now on" in someone.send("Set up", code=code, old=PASSWORD).text
    return someone, user, following


def test_a_second_factor_is_removed_by_its_owner_only(
    doubled: tuple[Browser, str, str], site: ServerProcess
) -> None:
    someone, user, code = doubled
    someone.send("Remove the second factor", code=code)
    assert site.ask("totp show", jid=user)["on"]
    someone.send("Remove the second factor", code=code, old=PASSWORD)
    assert not site.ask("totp show", jid=user)["on"]


def test_a_second_factor_is_wanted_for_another_password(doubled: tuple[Browser, str, str]) -> None:
    someone, _, code = doubled
    fields = {"old": PASSWORD, "password": "new-secret", "again": "new-secret"}
    someone.get("/account")
    assert "code of your authenticator app is not right" in someone.send("Change the password", **fields).text
    assert "is changed" in someone.send("Change the password", **fields, _code=code).text


def test_wrong_passwords_are_counted(browser: Callable[..., Browser]) -> None:
    """They are as few as at the sign-in, and stand in the audit."""
    left = browser(BOSS, at="192.0.2.77", name="other.localhost")
    assert urlsplit(left.page.path).path == "/console"
    left.get(f"/console/do/accounts reset?jid={PLAIN}")
    for _ in range(7):
        left.send("Link to set a password", _password="guess")
    assert "Too many attempts" in left.page.text
    assert "192.0.2.77" in str(left.server.ask("log audit", text="wrong password"))


def test_what_was_typed_secretly_is_not_in_the_audit(chief: Browser) -> None:
    """Errors quote what they are about; the line in the log does not."""
    chief.get("/console/do/config set?option=log.level")
    page = chief.send("Set one option", value="a-secret-word")
    assert page.status == 400 and "a-secret-word" in page.text  # for who has typed it
    line = str(chief.server.ask("log audit", text="config set"))
    assert "'result': 'failed'" in line and "a-secret-word" not in line
    assert "a-secret-word" not in chief.server.tail()
