"""The chat in the browser: from an invitation to a message; and its tickets."""

import json
import os
import re

import gevent
import pytest

from tests.admin.dialogue import STANZAS, admin, condition
from tests.client import AuthFailed
from tests.clients.conftest import NODE, npm
from tests.conftest import Account, Place
from tests.web.chromium import drive, path
from tests.web.conftest import CHIEF, PASSWORD, PLAIN
from tests.web.pages import PAGES

NS = "jabber:iq:roster"


@pytest.fixture
def chat(site):
    """Converse.js is where `make webchat` leaves it."""
    npm()
    folder = site.data / "webchat"
    if not folder.exists():
        folder.symlink_to(NODE / "node_modules/converse.js")
    return folder


def ticket(browser):
    return json.loads(browser.get("/chat/ticket.json", Sec_Fetch_Site="same-origin").body)


@pytest.mark.timeout(300)
def test_from_an_invitation_to_a_chat_in_the_browser(chat, site, make_client):
    """Nobody writes an address or a password twice; nothing is loaded from elsewhere, and the policy stops nothing else."""
    if path() is None:
        pytest.skip("chromium is not installed")
    made = site.ctl("--json", "invites", "contact", PLAIN)
    link = re.search("/invite/[a-z2-7]{32}", made)[0]
    friend = make_client(Account("plain", PASSWORD, Place(site, "localhost")))
    friend.iq("get", f"<query xmlns='{NS}'/>")
    host, port = site.address("https")
    plan = {"base": f"https://localhost:{port}", "path": link, "name": "newcomer", "password": "a long secret",
            "friend": "plain", "hears": "How camest thou hither?", "says": "With love's light wings", "ends": "Good night",
            "shot": os.environ.get("SCREENSHOTS") and os.environ["SCREENSHOTS"] + "/chat.png"}  # fmt: skip
    visit = gevent.spawn(drive, "invited", plan)
    full = friend.gets("<presence from='newcomer@localhost/...' type='!absent'/>", 90).get("from")
    friend.send(f"<message to='{full}' type='chat' id='h'><body>{plan['hears']}</body></message>")
    friend.gets("<message from='newcomer@localhost/...'><body>With love's light wings</body></message>", 90)
    friend.send(f"<message to='{full}' type='chat' id='e'><body>{plan['ends']}</body></message>")
    found = visit.get()
    stopped = [
        each for each in found["policy"] if "https://conversejs.org/" not in each
    ]  # logos of its sponsors
    assert stopped == [] and found["outside"] == [] and found["seconds"] < 60
    assert found["reached"] == []  # a script of the chat reads no other page


def test_a_ticket_is_good_for_one_login_of_its_own_account(chat, site, browser, make_client):
    page = browser(PLAIN)
    assert page.get("/chat").status == 200
    given = ticket(page)
    assert given["jid"] == PLAIN and PASSWORD not in given["password"]
    place = Place(site, "localhost")
    with pytest.raises(AuthFailed):
        make_client(Account("chief", "", place), login=False).auth("chief", given["password"], "PLAIN")
    make_client(Account("plain", "", place), login=False).auth("plain", given["password"], "PLAIN")
    with pytest.raises(AuthFailed):
        make_client(Account("plain", "", place), login=False).auth("plain", given["password"], "PLAIN")
    given = ticket(page)
    page.get("/sign-out")
    page.send("Sign out")
    with pytest.raises(AuthFailed):  # it has ended with the session
        make_client(Account("plain", "", place), login=False).auth("plain", given["password"], "PLAIN")
    page = browser(PLAIN)
    assert page.get("/chat/ticket.json", Sec_Fetch_Site="cross-site").status == 403
    assert browser().get("/chat/ticket.json").status == 401


def test_only_files_of_the_chat_are_served(chat, browser):
    page = browser()
    assert page.get("/chat/dist/converse.min.css").status == 200
    for name in (
        "../package.json",
        "..%2fpackage.json",
        "%2e%2e/package.json",
        "/etc/passwd",
        "nothing.js",
        "",
    ):
        assert page.get(f"/chat/dist/{name}").status == 404


def test_a_ticket_gives_no_rights_that_last(chat, site, browser, make_client):
    """Who finds a browser open can chat; he gets no other password, and removes no account."""
    given = ticket(browser(CHIEF))
    client = make_client(Account("chief", "", Place(site, "localhost")), login=False)
    client.auth("chief", given["password"], "PLAIN").bind("chat")
    for inside in ("<username>chief</username><password>another-one</password>", "<remove/>"):
        client.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{inside}</query></iq>")
        client.gets(f"<iq type='error' id='r'><error><not-allowed xmlns='{STANZAS}'/></error></iq>")
    assert condition(admin(client, "change-user-password")) == "forbidden"


def test_a_script_of_the_chat_reads_no_page(chat, browser):
    """It has the same site and the same cookie; Fetch Metadata tell that it is no page that the browser shows."""
    page = browser(CHIEF)
    paths = [one.format(invite="x", password="x") for each in PAGES.values() for one in each]
    live = re.search('data-live="([^"]+)"', page.get("/console").html)[1]
    script = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
    more = (
        "/nothing/here",
        "/account/nothing",
        "/chat",
        "/console/overview.json",
        "/console/log.events?key=x",
    )
    for each in (*paths, *more):
        answer = page.get(each, follow=False, **script, Referer="https://localhost/console")
        assert answer.status in (403, 404) and "_token" not in answer.html, each
    frame = script | {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
    assert page.get("/console", follow=False, **frame).status == 403
    assert page.get(live, **script).headers["content-type"] == "application/json"
    shown = script | {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert page.get("/console", **shown).status == 200


def test_the_chat_administers_nothing(chat, site, browser, make_client):
    client = make_client(Account("chief", "", Place(site, "localhost")), login=False)
    client.auth("chief", ticket(browser(CHIEF))["password"], "PLAIN").bind("chat")
    client.send(
        "<iq type='set' id='c'><command xmlns='http://jabber.org/protocol/commands' node='accounts list'/></iq>"
    )
    client.gets(f"<iq type='error' id='c'><error><forbidden xmlns='{STANZAS}'/></error></iq>")


def test_the_chat_ends_when_its_user_signs_out(chat, site, browser, make_client):
    page = browser(PLAIN)
    client = make_client(Account("plain", "", Place(site, "localhost")), login=False)
    client.login("plain", ticket(page)["password"], mechanism="PLAIN")
    page.get("/sign-out")
    page.send("Sign out")
    assert client.stream_error() == "not-authorized"
