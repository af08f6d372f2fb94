"""The console of administrators: what it shows, what it does, and for whom."""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

from jabberd_py.web import app as application
from tests.client import Client
from tests.conftest import Account, Place
from tests.http.web import Web
from tests.server import ServerProcess
from tests.web.browser import Browser, Page
from tests.web.conftest import BOSS, CHIEF, PASSWORD, PLAIN

HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(2)>{{7*7}}"
ROOM = "garden@conference.localhost"
PAGES = (
    "", "/registrations", "/users/new", "/users", f"/users/{PLAIN}", "/reports", "/bans", "/announcements", "/doctor",
    "/certificates", "/store", "/audit", "/log", "/hosts", "/components", "/federation", "/files", "/rooms",
    f"/rooms/{ROOM}", "/nodes", "/commands", f"/users/{PLAIN}/trace", f"/do/accounts delete?jid={PLAIN}&back=/console/users",
)  # fmt: skip


SHOWN = {
    "accounts add", "accounts find", "accounts list", "accounts roster", "accounts show", "accounts usage", "announce",
    "admins show", "backups list", "backups make", "backups progress", "certificates show", "check", "check store",
    "components", "config apply", "config history", "config places", "config undo",
    "blacklist remove", "history", "hosts show", "invites add", "invites list", "invites revoke", "log audit", "log show",
    "motd set", "motd show", "nodes list", "pep list", "registrations approve", "registrations list", "registrations refuse",
    "reports list", "rooms list", "rooms show", "s2s", "s2s failures", "setup", "setup database", "setup link", "status",
    "store show", "totp show", "uploads list", "uploads show", "uploads usage", "welcome set", "welcome show",
}  # fmt: skip
"""Commands that pages are made of."""
TEMPLATES = Path(application.__file__).parent / "templates"


def routes() -> list[tuple[str, set[str], str]]:
    """(path, methods, who may see it) of every view."""
    app = application.make(SimpleNamespace(host=SimpleNamespace(domain="x")))  # type: ignore[arg-type]
    found = []
    for rule in app.url_map.iter_rules():
        access = getattr(app.view_functions[rule.endpoint], "access", None)
        assert access is not None, f"{rule.endpoint} does not say who may see it"
        path = rule.rule
        for name in rule.arguments:
            path = path.replace(f"<{name}>", "x").replace(f"<path:{name}>", "x")
        found.append((path, (rule.methods or set()) & {"GET", "POST"}, access))
    return found


def harmless(page: Page) -> None:
    """No script but our own files, no handler and no style within an element."""
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") or name == "style" for name in attrs), (tag, attrs)
        assert tag not in ("iframe", "object", "embed", "base", "style")
        if tag in ("script", "img", "link"):
            assert (attrs.get("src") or attrs.get("href", "")).startswith("/web/"), attrs
        assert not attrs.get("href", "").lower().startswith(("javascript:", "data:")), attrs
    assert HOSTILE not in page.html and "49" not in page.text.partition("onerror")[2][:20]


@pytest.fixture
def plain(site: ServerProcess, make_client: Callable[..., Client]) -> Client:
    """The client of somebody without rights, online."""
    return make_client(Account("plain", PASSWORD, Place(site, "localhost")), resource="home")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_user_and_a_stranger_see_no_page_of_administrators(
    browser: Callable[..., Browser], method: str
) -> None:
    someone, stranger = browser(PLAIN), browser()
    token = someone.get("/account/second-factor").forms[0].fields["_token"]
    walked = 0
    for path, methods, access in routes():
        if access != "admin" or method not in methods:
            continue
        walked += 1
        if method == "GET":
            assert someone.get(path, follow=False).status == 403, path
            page = stranger.get(path, follow=False)
        else:
            assert someone.post(path, {"_token": token}, follow=False).status == 403, path
            page = stranger.post(path, {"_token": token}, follow=False)
        assert page.status in (303, 401) and "/sign-in" in page.headers.get("location", "/sign-in"), path
    assert walked >= (20 if method == "GET" else 2)


def test_what_strangers_write_is_only_text(chief: Browser, plain: Client, site: ServerProcess) -> None:
    """In names, nicks, cards, statuses, resources, reports, files, rooms, user agents and what the log says of them."""
    text = escape(HOSTILE, {"'": "&apos;", '"': "&quot;"})
    plain.iq("set", f"<vCard xmlns='vcard-temp'><FN>{text}</FN></vCard>")
    plain.iq(
        "set",
        f"<query xmlns='jabber:iq:roster'><item jid='x@y.example' name='{text}'><group>{text}</group></item></query>",
    )
    plain.send(f"<presence><status>{text}</status></presence>")
    nick = "<img src=x onerror=alert(3)>".replace("<", "&lt;")
    plain.send(f"<presence to='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    plain.iq("set", "<block xmlns='urn:xmpp:blocking'><item jid='spam@z.example'><report xmlns='urn:xmpp:reporting:1' "
             f"reason='urn:xmpp:reporting:spam'><text>{text}</text></report></item></block>")  # fmt: skip
    name = text.replace("/", "") + ".txt"
    slot = f"<request xmlns='urn:xmpp:http:upload:0' filename='{name}' size='2' content-type='text/plain'/>"
    put = plain.iq("get", slot, to="upload.localhost").find(".//{urn:xmpp:http:upload:0}put")
    assert put is not None
    files = Web(site, "https")
    assert (
        files.request("PUT", urlsplit(put.get("url", "")).path, b"hi", Content_Type="text/plain").status
        == 201
    )
    files.close()
    listed = {
        name: site.ask("uploads show", host=f"upload.{name}", jid=PLAIN)
        for name in ("localhost", "other.localhost")
    }
    assert listed["localhost"] and not listed["other.localhost"]  # each host shows files of its own accounts
    plain.sync("conference.localhost")
    chief.cookies.clear()
    chief.agent = HOSTILE
    chief.sign_in(CHIEF)
    stranger = Browser(site)
    stranger.get("/sign-in")
    stranger.send("Sign in", address=HOSTILE, password="x")
    shown, said = set(), quote(HOSTILE, safe="")
    for path in PAGES:
        page = chief.get("/console" + path)
        assert page.status == 200, (path, page.text)
        harmless(page)
        if "alert(" in page.text:
            shown.add(path)
    assert {f"/users/{PLAIN}", "/reports", f"/rooms/{ROOM}", "/audit", "/log"} <= shown
    assert "{{77}}.txt" in chief.get(f"/console/users/{PLAIN}").text.replace("*", "")
    for path in (
        f"/users?text={said}", f"/log?text={said}&level={said}", f"/rooms?text={said}", f"/do/{said}", f"/users/{said}",
        f"/do/accounts show?jid={said}", f"/rooms/{said}", f"/do/motd set?text={said}&back={said}",
    ):  # fmt: skip
        harmless(chief.get("/console" + path))
    stranger.close()


def test_who_administers_one_host_sees_that_one(boss: Browser, site: ServerProcess) -> None:
    site.ctl("accounts", "add", "far@other.localhost", "--password", PASSWORD)
    page = boss.get("/console")
    assert page.status == 200 and "other.localhost" not in page.text and "Federation" not in page.text
    assert "far@" not in boss.get("/console/users?host=other.localhost").text
    for path in ("/users/far@other.localhost", "/do/accounts show?jid=far@other.localhost", "/federation", "/store", "/log",
                 "/audit", "/certificates", "/overview.json", "/log.events"):  # fmt: skip
        page = boss.get("/console" + path)
        assert page.status in (400, 403, 404) and "Last login" not in page.text, path
    for name, fields in (
        ("accounts passwd", {"jid": "far@other.localhost", "password": "another"}),
        ("accounts delete", {"jid": "far@other.localhost"}),
        ("accounts passwd", {"jid": CHIEF, "password": "another"}),  # who administers more
        ("motd set", {"host": "other.localhost", "text": "x"}),
    ):
        form = boss.get(f"/console/do/{name}").forms[-1].fields
        page = boss.post(f"/console/do/{name}", form | fields)
        assert page.status == 400 and "may not" in page.text, name
    assert boss.get("/console/do/stop").status == 404
    # nobody there may touch an administrator of this host: so their own administrators would have to agree
    form = boss.get("/console/do/admins set").forms[-1].fields
    jids = f"{BOSS}\n{CHIEF}\nfar@other.localhost"
    page = boss.post("/console/do/admins set", form | {"host": "localhost", "jids": jids})
    assert page.status == 400 and "do not administer the host of far@other.localhost" in page.text
    assert "far@other.localhost" in site.ctl("accounts", "show", "far@other.localhost", "--json")


def test_users_are_found_page_by_page(chief: Browser, site: ServerProcess) -> None:
    site.ctl("accounts", "add", "many@localhost", "--password", PASSWORD, "--count", "55")
    first = chief.get("/console/users?text=MANY")
    assert first.text.count("many") >= 50 and "many9@localhost" not in first.text
    second = chief.click("Next page")
    assert "many9@localhost" in second.text and "Next page" not in second.text
    assert "Nobody is like that" in chief.get("/console/users?text=100%25").text
    assert "Nobody is like that" in chief.get("/console/users?text=_any").text  # no pattern of SQL
    chief.get("/console/users")
    page = chief.send("Search", text="many55@localhost")
    assert "many55@localhost" in page.text and "many5@" not in page.text
    chief.click("many55@localhost")
    assert chief.page.path == "/console/users/many55@localhost" or "many55" in chief.page.path
    chief.click("Suspend")
    page = chief.send("Suspend an account", reason="tea time")
    assert "Suspended: tea time" in page.text and page.path.startswith("/console/users/many55")
    assert "many55" in chief.get("/console/users?state=disabled").text
    chief.click("many55@localhost")
    chief.click("Let in again")
    assert "Suspended" not in chief.send("Let an account in again").text
    chief.click("Delete")
    page = chief.send("Delete an account")
    assert chief.get("/console/users/many55@localhost").status == 404
    assert "many55" in chief.get("/console/audit?text=accounts+delete").text


def test_a_device_is_disconnected(chief: Browser, plain: Client) -> None:
    page = chief.get(f"/console/users/{PLAIN}")
    assert "home" in page.text
    chief.click("Disconnect")
    chief.send("Disconnect a device", reason="bye")
    assert plain.stream_error() == "policy-violation"


def test_mistakes_stand_at_their_fields(chief: Browser) -> None:
    chief.get("/console/do/accounts add")
    page = chief.send("New account", jid="a b@localhost", password="secret-word", email="kept@example.org")
    assert page.status == 400 and "is not an address" in page.text
    assert page.forms[-1].fields["email"] == "kept@example.org" and not page.forms[-1].fields["password"]
    assert any(attrs.get("aria-invalid") for _, attrs in page.tags)
    page = chief.send("New account", jid=PLAIN, password="secret-word")
    assert page.status == 400 and "that account exists" in page.text


def test_a_server_that_cannot_be_reached_is_explained(
    chief: Browser, plain: Client, site: ServerProcess
) -> None:
    plain.send("<message to='romeo@down.example' type='chat' id='d'><body>hi</body></message>")
    plain.gets("<message type='error' id='d'/>")
    page = chief.get("/console/federation")
    assert (
        "down.example cannot be reached" in page.text and "no XMPP server answers on that port" in page.text
    )
    assert site.ask("s2s failures")[0]["returned"] == 1
    page = chief.send("Try again now")
    assert page.path == "/console/federation" and "Try a server again" in page.text
    page = chief.get("/console/do/check%20federation?domain=down.example&back=/console/federation")
    assert "What it means:" in page.text and "no XMPP server answers on that port" in page.text


def ended(chief: Browser, page: Page) -> Page:
    """The page of the store, once nothing is under way there."""
    while "refresh" in page.headers:
        page = chief.get("/console/store")
    return page


def test_backups_are_made_and_deleted(chief: Browser, site: ServerProcess) -> None:
    chief.get("/console/store")
    page = ended(chief, chief.send("Make a backup now"))
    made = list((site.data / "backups").iterdir())
    assert len(made) == 1 and made[0].name in page.text and made[0].stat().st_mode & 0o77 == 0
    for name in ("../test.yaml", "/etc/passwd", "jabberd-x.tar.gz"):
        fields = chief.get("/console/do/backups delete").forms[-1].fields
        assert chief.post("/console/do/backups delete", fields | {"name": name}).status == 400
    chief.get("/console/store")
    chief.click("Delete")
    assert "There is no backup" in chief.send("Delete a backup").text
    assert not list((site.data / "backups").iterdir()) and site.file.exists()


def test_the_store_is_checked_when_asked_for(chief: Browser) -> None:
    page = chief.get("/console/store")
    assert "Free on its disk" in page.text or "PostgreSQL" in page.text or "MySQL" in page.text
    page = ended(chief, chief.send("Check the store now"))
    assert "The last check ended" in page.text and "last commit" in page.text and "went well" in page.text


def test_announcements(chief: Browser, plain: Client) -> None:
    page = chief.get("/console/announcements")
    form = next(each for each in page.forms if each.fields.get("which") == "announce")
    page = chief.post("/console/announcements", form.fields | {"text": "Tea at five", "host": "localhost"})
    assert "On its way to everybody who is online" in page.text
    plain.gets("<message from='localhost'><body>Tea at five</body></message>")


def test_the_log_is_followed_live(chief: Browser, site: ServerProcess) -> None:
    web = Web(site, "https")
    cookie = "; ".join(f"{name}={value}" for name, value in chief.cookies.items())
    web.raw(
        f"GET /console/log.events?text=audit HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()
    )
    status, headers = web.head()
    assert status == 200 and headers["content-type"].startswith("text/event-stream")
    while b"hello" not in web.buffer:
        web._more()
    site.ctl("motd", "reset", code=None)
    while b"motd reset" not in web.buffer:
        web._more()
    web.close()


def test_the_streams_of_an_account_are_watched(chief: Browser, plain: Client, site: ServerProcess) -> None:
    assert chief.get(f"/console/users/{PLAIN}/trace").status == 200
    web = Web(site, "https")
    cookie = "; ".join(f"{name}={value}" for name, value in chief.cookies.items())
    path = f"/console/users/{PLAIN}/trace.events"
    web.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
    assert web.head()[0] == 200
    while b"hello" not in web.buffer:
        web._more()
    while b"urn:xmpp:ping" not in web.buffer:
        plain.sync()
        web._more()
    web.close()


def test_a_new_user_gets_a_link_or_a_password(chief: Browser, site: ServerProcess) -> None:
    chief.get("/console/users")
    chief.click("New account")
    page = chief.send("New account", jid="anna", password="short")
    assert page.status == 400 and "a password needs 6 characters" in page.text
    page = chief.send("New account", jid="anna", password="", email="anna@example.org")
    link = next(each for each in page.text.split() if "/password/" in each)
    assert page.status == 200 and "anna@localhost is made" in page.text and "<svg" in page.html
    anna = Browser(site)
    anna.get(urlsplit(link).path)
    anna.send("Set the password", password="a long secret", again="a long secret")
    assert anna.sign_in("anna@localhost", "a long secret").page.path == "/account"
    anna.close()
    chief.get("/console/users/new")
    page = chief.send("New account", jid="berta@localhost", password="a long secret")
    assert unquote(page.path) == "/console/users/berta@localhost" and "is made" in page.text


def test_registrations_wait_for_an_administrator(chief: Browser, site: ServerProcess) -> None:
    """Who asks, when and why; the overview tells how many there are."""
    for name in ("clara", "dora"):
        stranger = Browser(site, name="other.localhost")
        stranger.get("/register")
        fields = stranger.page.forms[-1].fields
        said = {
            "name": name,
            "password": "a long secret",
            "again": "a long secret",
            "reason": f"I am {name} {HOSTILE}",
        }
        page = stranger.post("/register", fields | said)
        assert page.status == 200, page.text
        stranger.close()
    assert "2 people ask for an account" in chief.get("/console").text
    page = chief.click("look at the registrations")
    assert "I am clara" in page.text and "127.0.0.1" in page.text
    harmless(page)
    assert "I am clara" not in chief.send("Approve").text  # the oldest comes first
    page = chief.send("Refuse", reason="we do not know you")
    assert "Nobody waits" in page.text
    clara = Browser(site, name="other.localhost").sign_in("clara@other.localhost", "a long secret")
    clara.close()
    assert chief.get("/console/users/dora@other.localhost").status == 404
    assert "we do not know you" in chief.get("/console/audit?text=registrations").text


def test_every_command_has_a_place(chief: Browser, site: ServerProcess) -> None:
    """Not only under All commands: on the page where somebody looks for it who has not read the manual."""
    site.ctl("rooms", "create", "place@conference.localhost", PLAIN)
    here: set[str] = set()
    for path in (*PAGES, "/options/", "/invitations", "/rooms/place@conference.localhost"):
        if path == "/commands" or (path.startswith("/rooms/") and "place" not in path):
            continue
        page = chief.get(f"/console{path}")
        assert page.status == 200, path
        for found in [href for href, _ in page.links] + [form.action for form in page.forms]:
            if found.startswith("/console/do/"):
                here.add(unquote(found.removeprefix("/console/do/").partition("?")[0]))
    every = {text for href, text in chief.get("/console/commands").links if href.startswith("/console/do/")}
    buttons = unquote(
        "".join(file.read_text() for file in (TEMPLATES / "console").iterdir())
    )  # some need things to be there
    missing = {name for name in every - here - SHOWN if not re.search(f"[\"'/]{name}[\"'?]", buttons)}
    assert not missing


def test_rooms_and_nodes_come_in_pages(chief: Browser, site: ServerProcess) -> None:
    for number in range(55):
        site.ask("rooms create", room=f"hall{number:02}@conference.localhost", owner=PLAIN)
    page = chief.get("/console/rooms?text=hall")
    assert "hall49@" in page.text and "hall50@" not in page.text
    page = chief.click("Next page")
    assert "hall50@" in page.text and "hall54@" in page.text and "hall49@" not in page.text
    assert "Next page" not in page.text and "hall00@" in chief.click("First page").text
    assert chief.get("/console/nodes?after=zzz&text=x").status == 200
    after = "hall52@conference.localhost"
    rows = site.ask("rooms list", host="conference.localhost", text="hall", after=after)
    assert [row["room"].partition("@")[0] for row in rows] == ["hall53", "hall54"]


def test_the_first_page_leads_on(browser: Callable[..., Browser]) -> None:
    stranger = browser()
    page = stranger.get("/")
    assert page.status == 200 and "chat server" in page.text
    assert stranger.click("Make an account").path == "/register"
    stranger.get("/")
    assert stranger.click("Sign in").path == "/sign-in"
    page = browser(BOSS).get("/")
    assert {"/account", "/console"} <= {href for href, _ in page.links}


def test_who_was_signed_out_is_told(browser: Callable[..., Browser]) -> None:
    someone = browser(BOSS)
    form = someone.get("/console/announcements").forms[-1].fields
    assert "You were signed out" not in browser().get("/sign-in").text
    someone.cookies["__Host-jabberd"] = "x" * 43  # its time is over
    page = someone.post("/console/announcements", form | {"text": "Tea"})
    assert "You were signed out" in page.text and "was not done" in page.text
    page = someone.send("Sign in", address=BOSS, password=PASSWORD)
    assert page.path.startswith("/kept/") and page.form("Send it now").fields["text"] == "Tea"
    someone.cookies["__Host-jabberd"] = "x" * 43
    page = someone.get("/console/announcements")
    assert "You were signed out" in page.text and "was not done" not in page.text


def test_what_is_read_in_a_room_stands_in_the_audit(chief: Browser, site: ServerProcess) -> None:
    """And the value of a setting does not: it may be the room's password."""
    room = "private@conference.localhost"
    site.ask("rooms create", room=room, owner=PLAIN)
    chief.get(f"/console/rooms/{room}")
    chief.click("What was said")
    assert chief.send("What was said in a room").status == 200
    fields = {"setting": "roomsecret", "value": "hunter2"}
    chief.get(f"/console/do/rooms config?room={room}")
    assert chief.send("Change a setting of a room", **fields).status == 200
    said = str(site.ask("log audit", text=room))
    assert "rooms archive" in said and "rooms config" in said and "hunter2" not in said


def test_settings_of_a_room_have_the_names_of_its_own_form(chief: Browser, site: ServerProcess) -> None:
    room = "named@conference.localhost"
    site.ask("rooms create", room=room, owner=PLAIN)
    page = chief.get(f"/console/rooms/{room}")
    assert "Who sees the real addresses of others" in page.text and "Whois" not in page.text
    href = next(href for href, _ in page.links if "rooms%20config" in href and "setting=roomname" in href)
    chief.get(href)
    page = chief.send("Change a setting of a room", value="The green one")
    assert page.path == f"/console/rooms/{room}" and "The green one" in page.text
    page = chief.get(f"/console/do/rooms config?room={room}&setting=membersonly&back=/console/rooms/{room}")
    form = page.form("Change a setting of a room")
    assert form.fields["value"] == "no" and form.fields["setting"] == "membersonly"
    page = chief.send("Change a setting of a room", value="yes")
    assert page.path == f"/console/rooms/{room}" and "Only members may enter yes" in page.text
    chief.get(f"/console/do/rooms config?room={room}&setting=whois&back=/console/rooms/{room}")
    assert chief.page.form("Change a setting of a room").fields["value"] == "moderators"
    page = chief.send("Change a setting of a room", value="nonsense")
    assert page.status == 400 and "must be one of" in page.text
    chief.get(f"/console/rooms/{room}")
    assert chief.click("Set a role").form("Set a role in a room").fields["affiliation"] == "member"


def test_a_new_password_by_an_administrator_ends_tokens(chief: Browser, site: ServerProcess) -> None:
    """Who had the account before keeps nothing."""
    jid = "robbed@localhost"
    site.ask("accounts add", jid=jid, password=PASSWORD)
    site.ask("tokens add", jid=jid, scopes="accounts:read")
    chief.get(f"/console/do/accounts passwd?jid={jid}&back=/console/users")
    page = chief.send("Set a new password", password="another one")
    assert "Tokens removed: 1" in page.text and site.ask("tokens list", jid=jid) == []


def test_figures_for_charts(chief: Browser) -> None:
    page = chief.get("/console/overview.json")
    assert page.status == 200 and page.headers["content-type"] == "application/json"
    assert Browser(chief.server).get("/console/overview.json", follow=False).status == 401


@pytest.mark.parametrize(
    "clicks",
    [
        ["Overview", "see what to do", "What to do:"],
        ["Users", BOSS, "Devices that are connected"],
        ["Users", BOSS, "New password", "Set a new password"],
        ["Users", "New account", "Password"],
        ["Announcements", "Tell everybody now"],
        ["Rooms", "New room", "Owner"],
        ["Federation", "Try the way to a server"],
        ["Store and backups", "Make a backup now"],
        ["Audit", "Who has changed what"],
        ["Certificates", "Read files again", "Read the configuration again"],
        ["Certificates", "Get one from Let's Encrypt", "The host that gets it"],
        ["Overview", "see what to do", "Certificates", "Expires"],
        ["Overview", "connected", "Which"],
        ["Overview", "accounts", "New account"],
        ["Files", "How large files may be, and how long they stay", "Largest file max_size"],
        [
            "Registrations",
            "Who may register: all options",
            "Does an administrator have to approve each account? approval",
        ],
        ["Modules and options", "Set one option", "Option"],
        ["All commands", "restart", "Stop the server and start it again"],
    ],
    ids=lambda clicks: " > ".join(clicks[:-1]),
)
def test_tasks_are_found_by_their_words(chief: Browser, clicks: list[str]) -> None:
    """What somebody clicks who has a task and has not read the manual; the last text says that he is there."""
    chief.get("/console")
    for text in clicks[:-1]:
        assert chief.click(text).status == 200
    assert clicks[-1] in chief.page.text


def test_a_room_is_named_without_its_service(boss: Browser) -> None:
    """And what is wrong with a field stands on top of the form, where it is seen."""
    page = boss.get("/console/do/rooms create?back=/console/rooms")
    assert "Such as garden@conference.localhost; the name alone will do" in page.text
    page = boss.send("New room", room="choir", owner=PLAIN)
    assert page.path == "/console/rooms/choir@conference.localhost" and "The room is made" in page.text
    boss.get("/console/invitations")
    page = boss.send("Make a link", rooms="orchestra")
    assert page.status == 400 and ("#f-rooms", "Chat rooms") in page.links
    assert "orchestra@conference.localhost: there is no such room; make it first" in page.text
    page = boss.send("Make a link", rooms="choir")
    assert page.status == 200 and "choir@conference.localhost" in page.text


def test_one_address_more_on_the_blacklist_leaves_the_others_there(
    boss: Browser, site: ServerProcess
) -> None:
    """A form that sets a whole list begins with what it has."""
    site.ask("blacklist set", host="localhost", jids="bad.example")
    page = boss.get("/console/do/blacklist set?host=localhost&add=spam@z.example&back=/console/reports")
    page = boss.send("All bans of a host as one list")
    assert page.path == "/console/reports"
    assert site.ask("blacklist show", host="localhost")["jids"] == ["bad.example", "spam@z.example"]
    page = boss.get("/console/do/admins set?back=/console/hosts")
    assert BOSS in page.form("Set the administrators").fields["jids"]
    site.ask("blacklist set", host="localhost", jids="")


def test_the_page_of_a_user_tells_who_administers(chief: Browser) -> None:
    assert "administers localhost" in chief.get(f"/console/users/{BOSS}").text
    page = chief.get(f"/console/users/{PLAIN}")
    assert "administers localhost" not in page.text
    assert PLAIN in chief.click("Make an administrator").form("Set the administrators").fields["jids"]


def test_a_list_that_was_open_longer_takes_nothing_back(chief: Browser, site: ServerProcess) -> None:
    """An administrator who was removed meanwhile does not come back."""
    before = site.ask("admins show", host="localhost")["jids"]
    site.ask("admins set", host="localhost", jids="\n".join([*before, PLAIN]))
    page = chief.get("/console/do/admins set?host=localhost")
    sent = page.form("Set the administrators").fields["jids"]
    assert PLAIN in sent
    site.ask("admins set", host="localhost", jids="\n".join([*before, "far@localhost"]))
    chief.send("Set the administrators", jids=f"{sent}\nmany@localhost")
    assert set(site.ask("admins show", host="localhost")["jids"]) == {
        *before,
        "far@localhost",
        "many@localhost",
    }
    site.ask("admins set", host="localhost", jids="\n".join(before))


def test_one_user_gets_another_quota(chief: Browser, site: ServerProcess) -> None:
    chief.get(f"/console/users/{PLAIN}")
    page = chief.click("Another quota")
    assert page.form("Another quota for one account").fields["quota"] == "1 GiB"
    page = chief.send("Another quota for one account", quota="5 GiB")
    assert page.status == 200 and "of 5 GiB" in page.text
    chief.click("Another quota")
    assert "of 1 GiB" in chief.send("Another quota for one account", quota="").text


def test_a_page_that_is_not_there_says_what_to_do(browser: Callable[..., Browser], chief: Browser) -> None:
    page = chief.get("/console/users/plane@localhost")
    assert page.status == 404 and "No account has this address" in page.text
    assert chief.click("Look for a similar one").status == 200
    chief.get("/console/users/plane@localhost")
    assert chief.click("All users").path == "/console/users"
    page = chief.get("/console/rooms/nowhere@conference.localhost")
    assert page.status == 404 and "No room has this address" in page.text and "All rooms" in page.text
    someone = browser(PLAIN)
    page = someone.get("/console/users")
    assert page.status == 403 and f"You are signed in as {PLAIN}, who administers no host here" in page.text
    assert "My account" in page.text
    assert someone.send("Sign in as somebody else").path == "/sign-in"


def test_the_log_shows_requests_when_asked_for(chief: Browser, site: ServerProcess) -> None:
    """They would wash all other lines away."""
    site.ask("motd reset", host="localhost")
    page = chief.get("/console/log")
    assert "motd reset" in page.text and "path=/console" not in page.text
    assert "path=/console/log" in chief.get("/console/log?requests=yes").text
    assert "checked" in chief.page.html


def test_registration_is_switched_off_and_on(
    chief: Browser, browser: Callable[..., Browser], site: ServerProcess
) -> None:
    before = site.file.read_text()
    page = chief.get("/console/registrations")
    assert page.forms[1].fields["host"] == "localhost" and page.forms[1].fields["mode"] == "everybody"
    page = chief.post("/console/registrations/who", page.forms[1].fields | {"mode": "nobody"})
    assert "Who may register on localhost now: nobody" in page.text
    assert page.forms[1].fields["mode"] == "nobody" and browser().get("/register").status == 404
    page = chief.post("/console/registrations/who", page.forms[1].fields | {"mode": "asked"})
    assert page.forms[1].fields["mode"] == "asked" and "Ask for an account" in browser().get("/").text
    assert (
        chief.post("/console/registrations/who", page.forms[1].fields | {"host": "x.example"}).status == 400
    )
    for _ in range(2):
        site.ask("config undo")
    assert site.file.read_text() == before


def test_a_server_is_banned_everywhere_and_let_in_again(chief: Browser, site: ServerProcess) -> None:
    chief.get("/console/federation")
    chief.click("Ban a server")
    page = chief.send("Ban", address="spam.example")
    assert page.path == "/console/bans" and "spam.example everywhere" in page.text
    shown = site.ask("blacklist show")
    assert {"localhost", "conference.localhost"} <= set(shown)
    assert all(each["jids"] == ["spam.example"] for each in shown.values())
    page = chief.send("Ban", address="*.bad")
    assert page.status == 400 and "is not an address" in page.text
    chief.get("/console/bans")
    page = chief.send("Let in again")
    assert page.path == "/console/bans" and "Nobody is banned" in page.text
    assert not any(each["jids"] for each in site.ask("blacklist show").values())
    page = chief.click("Let only some servers write here")
    assert "everybody else of other servers is shut out" in page.text


def test_the_page_of_one_user_is_below_users(chief: Browser) -> None:
    page = chief.get(f"/console/users/{PLAIN}")
    assert [attrs["href"] for _, attrs in page.tags if "aria-current" in attrs] == ["/console/users"]


def test_a_live_view_ends_with_the_password(site: ServerProcess) -> None:
    someone = Browser(site).sign_in(CHIEF)
    web = Web(site, "https")
    cookie = "; ".join(f"{name}={value}" for name, value in someone.cookies.items())
    path = f"/console/users/{PLAIN}/trace.events"
    web.raw(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode())
    assert web.head()[0] == 200
    while b"hello" not in web.buffer:
        web._more()
    site.ask("accounts passwd", jid=CHIEF, password=PASSWORD)  # other keys
    with suppress(EOFError):  # the connection ends, or the answer in it
        while b"\r\n0\r\n" not in web.buffer:
            web._more()
    web.close()
    someone.close()
