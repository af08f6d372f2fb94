"""Pages of strangers, in Chromium: an invitation, registration, a new password. Others: tests/web/test_pages.py."""

import os

import pytest

from tests.client import Client
from tests.clients.conftest import npm
from tests.people.conftest import HOST, OPEN
from tests.web.chromium import drive, path


@pytest.mark.timeout(200)
def test_pages_of_strangers_are_accessible_fit_a_phone_and_need_no_scripts(people_server, ctl, person):
    """axe-core finds nothing serious, no script fails, no page is wider than a phone; and somebody without JavaScript goes the
    whole way from an invitation to the end of the account."""
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
    walk = [
        ctl("invites", "contact", person().bare)["landing_url"],
        f"walker-{Client(('', 0)).fresh()}",
        "a long secret",
    ]
    plan = {"base": "", "paths": pages, "shots": os.environ.get("SCREENSHOTS"), "walk": walk}
    found = drive("look", plan, 150)
    seen = found.pop("walk")
    expected = [
        "Your account is made", "Your password is changed", "mallory@elsewhere.example is blocked", "Nobody is blocked",
        "/invite/", "this one", "account.xml", "deleted",
    ]  # fmt: skip
    assert len(seen) == len(expected) and all(map(str.__contains__, seen, expected)), seen
    wrong = {
        page: each
        for page, each in found.items()
        if each["status"] != 200 or each["axe"] or each["errors"] or each["wide"]
    }
    assert not wrong and len(found) == len(pages)
