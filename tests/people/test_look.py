"""Pages of strangers, in Chromium: an invitation, registration, a new password. Others: tests/web/test_pages.py."""

import os

import pytest

from tests.clients.conftest import npm
from tests.people.conftest import HOST, OPEN
from tests.web.chromium import drive, path


@pytest.mark.timeout(200)
def test_pages_of_strangers_are_accessible_and_fit_a_phone(people_server, ctl, person):
    """axe-core finds nothing serious, no script fails, no page is wider than a phone."""
    if path() is None:
        pytest.skip("chromium is not installed")
    npm()  # axe-core
    _, port = people_server.address("https")
    room = f"a-room-with-a-long-name-for-a-phone@conference.{HOST}"
    ctl("rooms", "create", room, f"boss@{HOST}")
    made = ctl("invites", "add", "--host", HOST, "--group", "Friends of the lake", "--rooms", room)
    contact, reset = ctl("invites", "contact", person().bare), ctl("accounts", "reset", person().bare)
    pages = [made["landing_url"], contact["landing_url"], reset["url"]]
    pages += [f"https://{host}:{port}/{each}" for host, each in ((OPEN, "register"), (HOST, "sign-in"))]
    plan = {"base": "", "paths": pages, "shots": os.environ.get("SCREENSHOTS")}
    found = drive("look", plan, 150)
    wrong = {
        page: each
        for page, each in found.items()
        if each["status"] != 200 or each["axe"] or each["errors"] or each["wide"]
    }
    assert not wrong and len(found) == len(pages)
