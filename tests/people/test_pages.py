"""Pages for people: an invitation, registration, a new password, one's own account."""

import re
import time
import xml.etree.ElementTree as ET

import gevent
import pytest

from jabberd_py.web import totp
from tests.client import AuthFailed, Client
from tests.conftest import Account, Place
from tests.people.conftest import BOSS, HOST, OPEN, PASSWORD
from tests.people.test_invites import contacts, push, token_of
from tests.people.test_registration import apply
from tests.web.browser import Browser

OVER = "This link cannot be used"


@pytest.fixture
def browser(people_server, ctl):
    """`browser(user=None, domain=HOST)`: one; with a user, signed in."""
    opened = []

    def start(user=None, domain=HOST, password=PASSWORD):
        opened.append(Browser(people_server, "https", domain))
        if user is not None:
            opened[-1].sign_in(user, password)
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def make_account(browser, token, name, password=PASSWORD, again=None):
    browser.get(f"/invite/{token}")
    return browser.send("Make my account", name=name, password=password, again=again or password)


def test_an_invitation_from_the_console_to_an_account_and_a_chat(person, browser, people_server, make_client):
    console = browser(BOSS)
    console.get("/console/invitations")
    page = console.send("Make a link", host=HOST, note="for <script>alert(1)</script>")
    assert page.status == 200 and "<script>alert" not in page.html
    token = re.search(r"/invite/([a-z2-7]{32})", page.text)[1]
    assert token not in console.get("/console/invitations").html  # shown once
    guest = browser()
    page = guest.get(f"/invite/{token}")
    assert f"xmpp:{HOST}?register;preauth={token}" in [href for href, _ in page.links]
    assert "svg" in [tag for tag, _ in page.tags] and page.headers["referrer-policy"] == "same-origin"
    name = f"bill-{Client(('', 0)).fresh()}"
    assert "different" in make_account(guest, token, name, again="something else").text
    assert "6 characters" in make_account(guest, token, name, "tiny").text
    page = make_account(guest, token, name)
    assert page.path == "/account" and f"{name}@{HOST}" in page.text
    make_client(Account(name, PASSWORD, Place(people_server, HOST)))
    assert OVER in browser().get(f"/invite/{token}").text
    assert token not in people_server.log.read_text(errors="replace")


def test_links_that_are_used_revoked_or_wrong_look_alike(ctl, browser):
    used, revoked = (ctl("invites", "add", "--host", HOST) for _ in range(2))
    name = f"bill-{Client(('', 0)).fresh()}"
    assert make_account(browser(), token_of(used), name).path == "/account"
    ctl("invites", "revoke", revoked["id"])
    pages = [
        browser().get(f"/invite/{token}") for token in (token_of(used), token_of(revoked), "a" * 32, "x")
    ]
    assert {(page.status, page.text) for page in pages} == {(404, pages[0].text)} and OVER in pages[0].text


def test_a_friend_of_a_user_makes_an_account_on_the_page_and_is_a_contact(person, browser):
    romeo = person()
    contacts(romeo)
    page = browser(romeo.bare)
    page.get("/account/invitations")
    token = re.search(r"/invite/([a-z2-7]{32})", page.send("Invite a friend").text)[1]
    guest = browser()
    assert f"{romeo.bare} invites you to chat" in guest.get(f"/invite/{token}").text
    name = f"juliet-{romeo.fresh()}"
    assert make_account(guest, token, name).path == "/account"
    push(romeo, f"{name}@{HOST}", "both")


def test_who_has_an_account_accepts_with_it(person, browser, ctl):
    romeo, juliet = person(), person()
    contacts(romeo)
    made = ctl("invites", "account", romeo.bare)
    guest = browser()
    guest.get(f"/invite/{token_of(made)}")
    guest.click("Sign in and accept the invitation")
    page = guest.send("Sign in", address=juliet.bare, password=PASSWORD)
    assert page.path == f"/invite/{token_of(made)}"
    assert guest.send(f"Accept with {juliet.bare}").path == "/account"
    push(romeo, juliet.bare, "both")
    assert OVER in guest.get(f"/invite/{token_of(made)}").text
    again = ctl("invites", "account", romeo.bare)
    mine = browser(romeo.bare)
    assert f"Accept with {romeo.bare}" not in mine.get(f"/invite/{token_of(again)}").text
    fields = {"_token": mine.page.form("Sign out").fields["_token"], "accept": "yes"}
    assert "gives nothing to your account" in mine.post(f"/invite/{token_of(again)}", fields).text
    group = ctl("invites", "add", "--host", HOST, "--group", "Friends of the lake")
    assert "Sign in and accept the invitation" in browser().get(f"/invite/{token_of(group)}").text
    alone = ctl("invites", "add", "--host", HOST)
    assert "Accept with" not in mine.get(f"/invite/{token_of(alone)}").text


def test_a_link_to_a_new_password_ends_with_the_old_password(person, browser, ctl, people_server):
    """Whoever finds it later does not take the account from its owner."""
    romeo = person()
    link = "/password/" + ctl("accounts", "reset", romeo.bare)["url"].rpartition("/")[2]
    mine = browser(romeo.bare)
    mine.get("/account")
    new = "another secret"
    mine.send("Change the password", old=PASSWORD, password=new, again=new)
    assert OVER in browser().get(link).text
    link = "/password/" + ctl("accounts", "reset", romeo.bare)["url"].rpartition("/")[2]
    secret = re.search("[A-Z2-7]{32}", mine.get("/account/second-factor").text)[0]
    mine.send("Set up", code=totp.code(secret, int(time.time()) // totp.STEP))
    assert ctl("totp", "show", romeo.bare) == {"on": True} and OVER in browser().get(link).text


def test_a_preview_spends_no_link(ctl, browser, person):
    """A program that only looks at what somebody has sent, such as the preview of a chat."""
    invitation = f"/invite/{token_of(ctl('invites', 'add', '--host', HOST))}"
    password = "/password/" + ctl("accounts", "reset", person().bare)["url"].rpartition("/")[2]
    bot = browser()
    bot.agent = "TelegramBot (like TwitterBot)"
    for link in (invitation, password):
        for method in ("HEAD", "GET", "GET", "OPTIONS"):
            assert bot.request(method, link).status in (200, 204), (method, link)
    name = f"seen-{Client(('', 0)).fresh()}"
    assert make_account(browser(), invitation.rpartition("/")[2], name).path == "/account"
    guest = browser()
    guest.get(password)
    assert (
        "Your password is set"
        in guest.send("Set the password", password="a new secret", again="a new secret").text
    )


def test_one_use_at_once_from_two_browsers_makes_one_account(ctl, browser):
    token = token_of(ctl("invites", "add", "--host", HOST))
    guests = [browser() for _ in range(3)]
    jobs = [gevent.spawn(make_account, each, token, f"race-{Client(('', 0)).fresh()}") for each in guests]
    paths = [job.get().path for job in jobs]
    assert sorted(path == "/account" for path in paths) == [False, False, True]


def test_users_do_not_see_or_end_invitations_of_others(person, browser, ctl):
    romeo, juliet = person(), person()
    made = ctl("invites", "contact", romeo.bare)
    page = browser(juliet.bare)
    assert page.get("/console/invitations").status == 403
    page.get("/account/invitations")
    token = page.page.form("Invite a friend").fields["_token"]
    assert page.post("/console/invitations/revoke", {"_token": token, "id": made["id"]}).status == 403
    assert (
        "no such invitation"
        in page.post("/account/invitations/revoke", {"_token": token, "id": made["id"]}).text
    )
    assert (
        page.post("/account/invitations", {"kind": "contact"}).status == 403
    )  # without the token of the form
    assert ctl("invites", "list", "--jid", romeo.bare)[0]["state"] == "open"


# -- registration where it is open


def test_registration_on_the_page_waits_for_an_administrator(browser, ctl, people_server):
    for each in ctl("registrations", "list"):
        ctl("registrations", "refuse", each["jid"])
    assert browser().get("/register").status == 404
    guest = browser(domain=OPEN)
    page = guest.get("/register")
    assert "What colour is the sky?" in page.text
    name = f"jane-{Client(('', 0)).fresh()}"
    said = {"name": name, "password": PASSWORD, "again": PASSWORD, "reason": "<img src=x onerror=alert(1)>"}
    page = guest.send("Make my account", **said, answer="green")
    assert "answer to the question is wrong" in page.text and "<img src=x" not in page.html
    page = guest.send("Make my account", **said, answer="Blue")
    assert "waits to be approved" in page.text
    guest.get("/sign-in")
    assert (
        "approve the account first" in guest.send("Sign in", address=f"{name}@{OPEN}", password=PASSWORD).text
    )
    ctl("registrations", "approve", f"{name}@{OPEN}")
    assert browser(f"{name}@{OPEN}", OPEN).page.path == "/account"


# -- a new password


def test_a_link_to_a_new_password_works_once_and_ends_all_sessions(person, browser, ctl, make_client):
    romeo = person()
    inside = browser(romeo.bare)
    ctl("tokens", "add", romeo.bare, "--scopes", "*", "--expires", "1000d")
    inside.get("/account/second-factor")
    secret = re.search("[A-Z2-7]{32}", inside.page.text)[0]
    inside.send("Set up", code=totp.code(secret, int(time.time()) // totp.STEP))
    assert ctl("totp", "show", romeo.bare) == {"on": True}
    older, link = (ctl("accounts", "reset", romeo.bare)["url"].rpartition("/")[2] for _ in range(2))
    guest = browser()
    assert OVER in guest.get(f"/password/{older}").text
    rival = browser()
    for each in (guest, rival):
        assert romeo.bare in each.get(f"/password/{link}").text
    assert "6 characters" in guest.send("Set the password", password="short", again="short").text
    jobs = [gevent.spawn(each.send, "Set the password", password=new, again=new)
            for each, new in ((guest, "new secret one"), (rival, "new secret two"))]  # fmt: skip
    found = ["Your password is set" in job.get().text for job in jobs]
    assert sorted(found) == [False, True]
    assert romeo.stream_error() == "not-authorized"
    assert inside.get("/account").path.startswith("/sign-in")
    with pytest.raises(AuthFailed):
        make_client(romeo.account)
    new = "new secret one" if found[0] else "new secret two"
    make_client(romeo.account._replace(password=new))
    assert OVER in browser().get(f"/password/{link}").text
    assert (
        ctl("totp", "show", romeo.bare) == {"on": False} and ctl("tokens", "list", "--jid", romeo.bare) == []
    )


# -- one's own account


def test_a_user_changes_the_password_and_signs_out_programs(person, browser, make_client, ctl):
    romeo = person()
    ctl("tokens", "add", romeo.bare, "--scopes", "*")
    page, other = browser(romeo.bare), browser(romeo.bare)
    page.get("/account")
    new = {"password": "another secret", "again": "another secret"}
    assert "not right" in page.send("Change the password", old="wrong", **new).text
    assert "different" in page.send("Change the password", old=PASSWORD, password="x", again="y").text
    assert "1 tokens of programs were removed" in page.send("Change the password", old=PASSWORD, **new).text
    assert ctl("tokens", "list", "--jid", romeo.bare) == []
    assert romeo.stream_error() == "policy-violation"
    assert other.get("/account").path.startswith("/sign-in") and page.get("/account").status == 200
    make_client(romeo.account._replace(password="another secret"))


def test_a_user_signs_out_one_program(person, browser, make_client):
    romeo = person(resource="&lt;b&gt;garden&lt;/b&gt;")
    balcony = make_client(romeo.account, resource="balcony")
    page = browser(romeo.bare)
    page.get("/account/devices")
    assert "<b>garden</b>" in page.page.text and "<b>garden" not in page.page.html
    page.post(
        "/account/devices/end",
        page.page.form("Sign out all programs").fields | {"kind": "program", "id": "balcony"},
    )
    assert balcony.stream_error() == "policy-violation"
    romeo.sync()


def test_a_user_blocks_somebody_and_says_what_is_kept(person, browser):
    romeo, juliet = person(), person()
    page = browser(romeo.bare)
    page.get("/account/privacy")
    assert juliet.bare in page.send("Block", address=juliet.bare).text
    juliet.send(f"<message to='{romeo.bare}' id='b'><body>hi</body></message>")
    juliet.gets("<message type='error' id='b'/>")
    assert "is not an address" in page.send("Block", address="<b>@@").text
    assert "Nobody is blocked" in page.send("Unblock").text
    assert f"bert@{HOST} is blocked" in page.send("Block", address="bert").text
    assert "Everybody at spam.example is blocked" in page.send("Block", address="spam.example").text
    page.send("Save", default="never", always=juliet.bare)
    prefs = romeo.iq("get", "<prefs xmlns='urn:xmpp:mam:2'/>")[0]
    assert prefs.get("default") == "never" and [each.text for each in prefs.iter() if each.text] == [
        juliet.bare
    ]


def test_a_user_downloads_everything(person, browser):
    romeo, juliet = person(), person()
    juliet.send(f"<message to='{romeo.bare}' type='chat'><body>Ay me &amp; you</body></message>")
    romeo.gets("<message><body>...</body></message>")
    romeo.iq("set", "<query xmlns='jabber:iq:roster'><item jid='nurse@example.org' name='Nurse'/></query>")
    nick = "<item id='current'><nick xmlns='http://jabber.org/protocol/nick'>Romy</nick></item>"
    publish = f"<publish node='http://jabber.org/protocol/nick'>{nick}</publish>"
    romeo.iq("set", f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{publish}</pubsub>")
    romeo.iq("set", "<prefs xmlns='urn:xmpp:mam:2' default='roster'/>")
    page = browser(romeo.bare)
    page.get("/account/data")
    assert "not right" in page.send("Download my data", old="wrong").text
    keys = ".//{urn:xmpp:pie:0#scram}scram-credentials"
    without = page.send("Download my data")
    assert (
        without.headers["content-disposition"].startswith("attachment")
        and ET.fromstring(without.body).find(keys) is None
    )
    page.get("/account/data")
    page = page.send("Download my data", old=PASSWORD)
    assert ET.fromstring(page.body).find(keys) is not None
    assert page.headers["content-disposition"].startswith("attachment")
    file = ET.fromstring(page.body)
    assert file.find(".//{jabber:iq:roster}item").get("jid") == "nurse@example.org"
    assert file.find(".//{urn:xmpp:mam:2}prefs").get("default") == "roster"
    assert [each.text for each in file.iter("{jabber:client}body")] == ["Ay me & you"]
    items = file.find(".//{http://jabber.org/protocol/pubsub}items")
    assert items.get("node") == "http://jabber.org/protocol/nick"
    assert items[0].get("id") == "current" and items[0][0].text == "Romy"
    assert file.find(".//{http://jabber.org/protocol/pubsub#owner}configure").get("node") == items.get("node")


def test_a_user_deletes_the_account_and_comes_back(person, browser, make_client, ctl):
    romeo = person()
    page = browser(romeo.bare)
    page.get("/account/delete")
    assert "not right" in page.send("Delete my account", old="wrong").text
    assert "is deleted" in page.send("Delete my account", old=PASSWORD).text
    assert romeo.stream_error() == "not-authorized"
    with pytest.raises(AuthFailed) as caught:
        make_client(romeo.account)
    assert caught.value.condition == "account-disabled"
    assert page.get("/account").path.startswith("/sign-in")
    browser(romeo.bare)  # signing in undoes it
    make_client(romeo.account)
    ctl("accounts", "suspend", romeo.bare)
    other = browser()
    other.get("/sign-in")
    assert "suspended" in other.send("Sign in", address=romeo.bare, password=PASSWORD).text


def test_who_has_deleted_the_account_does_not_undo_what_an_administrator_does(person, browser, ctl):
    romeo = person()
    page = browser(romeo.bare)
    page.get("/account/delete")
    page.send("Delete my account", old=PASSWORD)
    ctl("accounts", "disable", romeo.bare)
    page.get("/sign-in")
    assert (
        "cannot be used now: the account is disabled"
        in page.send("Sign in", address=romeo.bare, password=PASSWORD).text
    )
    assert ctl("accounts", "show", romeo.bare)["disabled"] is True


ELSEWHERE = """<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0'><host jid='old.example'><user name='montague'>
<query xmlns='jabber:iq:roster'>
<item jid='nurse@example.org' name='Nurse' subscription='both'><group>Staff</group></item></query>
<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>
<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='http://jabber.org/protocol/nick'><item id='current'>
<nick xmlns='http://jabber.org/protocol/nick'>Romy</nick></item></items></pubsub>
<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='a'><forwarded xmlns='urn:xmpp:forward:0'>
<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/><message xmlns='jabber:client' from='montague@old.example/x'
to='nurse@example.org' type='chat'><body>In Verona</body></message></forwarded></result></archive>
</user></host></server-data>"""


def test_a_user_brings_the_data_of_an_account_elsewhere(person, browser):
    romeo = person()
    contacts(romeo)
    page = browser(romeo.bare)
    page.get("/account/data")
    fields = page.page.form("Import").fields
    for _ in range(2):  # a second time changes nothing
        said = page.post("/account/data/import", fields, multipart={"file": ELSEWHERE.encode()}).text
    assert "messages of the archive: 1" in said and "who sees whom: ask your contacts again" in said
    assert contacts(romeo) == {"nurse@example.org": ("none", ["Staff"])}
    answer = romeo.iq("get", "<vCard xmlns='vcard-temp'/>")
    assert answer.findtext(".//{vcard-temp}FN") == "Romeo"
    file = ET.fromstring(page.post("/account/data/export", {"_token": fields["_token"]}).body)
    (message,) = file.find(".//{urn:xmpp:pie:0#mam}archive").iter("{jabber:client}message")
    assert (message.get("from"), message.get("to")) == (f"{romeo.bare}/x", "nurse@example.org")
    assert "".join(file.find(".//{http://jabber.org/protocol/pubsub}items").itertext()).strip() == "Romy"


@pytest.mark.parametrize(
    "file",
    [b"", b"no xml", b"<server-data xmlns='urn:xmpp:pie:0'/>", ELSEWHERE[:-40].encode(), ELSEWHERE.encode("utf-16"),
     b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>", ELSEWHERE.replace("FN>Romeo", "FN>" + "x" * (2 << 20)).encode()],
    ids=["empty", "text", "nobody", "half", "utf-16", "entities", "long"],
)  # fmt: skip
def test_a_file_that_is_none_is_told(boss, browser, file):
    page = browser(BOSS)
    page.get("/account/data")
    page.post("/account/data/import", page.page.form("Import").fields, multipart={"file": file})
    assert page.page.path == "/account/data" and "told error" in page.page.html


def test_an_invitation_of_a_long_name_has_a_page(people_server, browser):
    jid = "\u00e9" * 110 + f"@{HOST}"
    people_server.ask("accounts add", jid=jid, password=PASSWORD)
    made = people_server.ask("invites contact", jid=jid)
    page = browser().get("/invite/" + token_of(made))
    assert page.status == 200 and "<svg" not in page.html


@pytest.mark.parametrize("text", ["a\x01b", "a\x00b", "a\ufffeb"])
def test_a_reason_that_no_message_can_have_is_refused(browser, text):
    page = browser(domain=OPEN)
    page.get("/register")
    said = page.send(
        "Make my account", name="mallory", password=PASSWORD, again=PASSWORD, answer="blue", reason=text
    )
    assert said.status == 400 and "control character" in said.text


def test_a_name_with_spaces_is_explained(browser, ctl):
    token = token_of(ctl("invites", "add", "--host", HOST))
    said = make_account(browser(), token, "Anna Maria").text
    assert "no spaces" in said and "anna.maria would do" in said


def test_an_invitation_says_which_rooms_and_people_one_meets(browser, ctl, fails):
    room = f"climbing@conference.{HOST}"
    assert "no such room" in fails("invites", "add", "--host", HOST, "--rooms", room)
    ctl("rooms", "create", room, BOSS)
    token = token_of(ctl("invites", "add", "--host", HOST, "--group", "Climbers", "--rooms", room))
    page = browser()
    said = " ".join(page.get(f"/invite/{token}").text.split())
    assert "the people of Climbers among your contacts" in said and f"the chat room {room}" in said


def test_who_signs_in_again_is_told_that_the_account_is_back(person, browser):
    page = browser(person().bare)
    page.get("/account/delete")
    page.send("Delete my account", old=PASSWORD)
    jid = re.search(r"person\d+@localhost", page.page.text)
    back = browser()
    back.sign_in(jid[0], PASSWORD)
    assert "Your account is back" in back.page.text


def test_a_link_that_was_copied_out_of_a_sentence(browser, ctl):
    token = token_of(ctl("invites", "add", "--host", HOST))
    page = browser().get(f"/invite/{token},")
    assert (
        page.status == 200
        and page.headers["link"] == f'<xmpp:{HOST}?register;preauth={token}>; rel="alternate"'
    )


def test_an_administrator_approves_and_refuses_in_the_console(browser, stranger, ctl, fails):
    for each in ctl("registrations", "list"):
        ctl("registrations", "refuse", each["jid"])
    name = f"bill-{Client(('', 0)).fresh()}"
    for number in (1, 2):
        assert apply(stranger(OPEN), f"{name}-{number}", text="<b>neighbour</b>").get("type") == "result"
    console = browser(BOSS)
    assert (
        f"{name}-1@{OPEN}" in console.get("/console/registrations").text
        and "<b>neighbour" not in console.page.html
    )
    token = console.page.form("Approve").fields["_token"]
    for number, what in ((1, "approve"), (2, "refuse")):
        console.post(
            "/console/registrations", {"_token": token, "jid": f"{name}-{number}@{OPEN}", "do": what}
        )
    assert ctl("accounts", "show", f"{name}-1@{OPEN}")["disabled"] is False
    assert "no such account" in fails("accounts", "show", f"{name}-2@{OPEN}")
