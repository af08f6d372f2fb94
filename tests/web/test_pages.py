"""Every page, in Chromium: on a desktop and on a phone, light and dark, with and without JavaScript."""

import os
import re

import pytest

from tests.clients.conftest import npm
from tests.server import ServerProcess
from tests.web.chromium import drive, path
from tests.web.conftest import PASSWORD, PLAIN
from tests.web.pages import ELSEWHERE, PAGES, ROOM
from tests.web.test_console import routes


@pytest.fixture
def seen(site: ServerProcess) -> None:
    if path() is None:
        pytest.skip("chromium is not installed")
    npm()  # axe-core


def test_every_page_is_in_the_list() -> None:
    """A page that is not in tests/web/pages.py is looked at by nobody."""
    known = [re.sub(r"\?.*", "", each) for paths in PAGES.values() for each in paths]
    for rule, methods, _ in routes():
        begins = rule.startswith(tuple(ELSEWHERE))
        if "GET" not in methods or begins or rule.endswith((".json", ".events", ".xml")):
            continue
        shape = re.compile(re.sub(r"(?<=/)x(?=/|$)", "[^/]+", rule)).fullmatch
        assert any(shape(each) for each in known), rule


@pytest.mark.timeout(300)
def test_pages_are_accessible_and_fit_a_phone(seen: None, site: ServerProcess) -> None:
    """axe-core finds nothing serious, no script fails, nothing is stopped by the policy, no page is wider than a phone, and all
    of it is there without JavaScript. SCREENSHOTS=folder keeps pictures."""
    site.ctl("rooms", "create", ROOM, PLAIN)
    invite = re.search("/invite/([a-z2-7]{32})", site.ctl("--json", "invites", "add"))
    assert invite is not None
    password = site.ask("accounts reset", jid=PLAIN)["url"].rpartition("/")[2]
    pages = {
        who: [each.format(invite=invite[1], password=password) for each in paths]
        for who, paths in PAGES.items()
    }
    _, port = site.address("https")
    plan = {
        "base": f"https://localhost:{port}",
        "password": PASSWORD,
        "pages": pages,
        "shots": os.environ.get("SCREENSHOTS"),
    }
    found = drive("look", plan, 280)
    wrong = {
        path: each
        for path, each in found.items()
        if each["status"] != 200 or each["axe"] or each["errors"] or each["wide"] or not each["plain"]
    }
    assert not wrong and set(found) == {each for paths in pages.values() for each in paths}
