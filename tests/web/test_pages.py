"""Every page, in Chromium: on a desktop and on a phone, light and dark."""

import pytest

from tests.clients.conftest import npm
from tests.server import ServerProcess
from tests.web.chromium import drive, path
from tests.web.conftest import CHIEF, PASSWORD, PLAIN
from tests.web.test_console import PAGES as CONSOLE
from tests.web.test_console import ROOM

PAGES = [
    *(f"/console{each}" for each in CONSOLE),
    "/console/do/accounts add",
    "/account/second-factor",
    *(f"/account{each}" for each in ("", "/devices", "/privacy", "/data", "/delete")),
    "/console/invitations",
    "/console/registrations",
    "/account/invitations",
]


@pytest.fixture
def seen(site: ServerProcess) -> None:
    if path() is None:
        pytest.skip("chromium is not installed")
    npm()  # axe-core


@pytest.mark.timeout(300)
def test_pages_are_accessible_and_fit_a_phone(seen: None, site: ServerProcess) -> None:
    """axe-core finds nothing serious, no script fails, nothing is stopped by the policy, no page is wider than a phone."""
    site.ctl("rooms", "create", ROOM, PLAIN)
    _, port = site.address("https")
    plan = {"base": f"https://localhost:{port}", "address": CHIEF, "password": PASSWORD, "paths": PAGES}
    found = drive("look", plan, 250)
    wrong = {
        path: each
        for path, each in found.items()
        if each["status"] != 200 or each["axe"] or each["errors"] or each["wide"]
    }
    assert not wrong and set(found) == set(PAGES)
