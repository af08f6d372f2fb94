"""XEP-0401, 0379, 0445: invitations, from the command or the client that makes one to the account and the contact."""

import re

import gevent
import pytest

from tests.admin.dialogue import INFO, ITEMS, NS, condition, fields, run, send, session, status, submit
from tests.client import Client
from tests.conftest import CONFIG
from tests.people.conftest import BOSS, CLOSED, HALL, HOST, OPEN, PASSWORD

INVITE, CREATE = "urn:xmpp:invite#invite", "urn:xmpp:invite#create-account"
PARS, REGISTER, ROSTER = "urn:xmpp:pars:0", "jabber:iq:register", "jabber:iq:roster"
TOKENS, OLDER = "{urn:xmpp:ibr-token:0}register", "{urn:xmpp:invite}register"
PUBSUB = "http://jabber.org/protocol/pubsub"
TOKEN = "[a-z2-7]{32}"


def token_of(made):
    return re.search(f"preauth=({TOKEN})", made["uri"])[1]


def preauth(client, token):
    return client.iq("set", f"<preauth xmlns='{PARS}' token='{token}'/>", to=client.domain)


def form(name, password=PASSWORD):
    return f"<query xmlns='{REGISTER}'><username>{name}</username><password>{password}</password></query>"


def register(client, token, name, password=PASSWORD):
    answer = preauth(client, token)
    assert answer.get("type") == "result", condition(answer)
    return client.iq("set", form(name, password))


def contacts(client):
    answer = client.iq("get", f"<query xmlns='{ROSTER}'/>")
    return {
        item.get("jid"): (item.get("subscription"), sorted(each.text for each in item))
        for item in answer.iter(f"{{{ROSTER}}}item")
    }


def push(client, jid, subscription, timeout=5):
    item = f"<item jid='{jid}' subscription='{subscription}'/>"
    client.gets(f"<iq type='set'><query xmlns='{ROSTER}'>{item}</query></iq>", timeout)


# -- an account by a link of an administrator


def test_a_stranger_with_an_invitation_makes_an_account_where_registration_is_closed(ctl, stranger):
    made = ctl("invites", "add", "--host", HOST)
    assert re.fullmatch(f"xmpp:{HOST}\\?register;preauth={TOKEN}", made["uri"])
    assert re.fullmatch(f"https://{HOST}:\\d+/invite/{TOKEN}", made["landing_url"])
    client = stranger()
    assert client.features.find(TOKENS) is not None and client.features.find(OLDER) is not None
    assert preauth(client, token_of(made)).get("type") == "result"
    client.send(f"<iq type='get' id='fields'><query xmlns='{REGISTER}'/></iq>")
    client.gets(
        f"<iq type='result' id='fields'><query xmlns='{REGISTER}'><instructions>...</instructions><username/>"
        "<password/></query></iq>"
    )
    name = f"bill-{client.fresh()}"
    assert client.iq("set", form(name.upper())).get("type") == "result"
    client.login(name, PASSWORD)
    row = next(each for each in ctl("invites", "list") if each["id"] == made["id"])
    assert (row["state"], row["left"], row["by"], row["for"]) == ("used", 0, HOST, "an account")


def test_without_a_token_there_is_no_account(ctl, stranger):
    ctl("invites", "add", "--host", HOST)
    client = stranger()
    assert condition(client.iq("set", form("eve"))) == "not-allowed"
    answer = preauth(client, "a" * 32)
    assert condition(answer) == "item-not-found" and "invalid or expired" in "".join(answer.itertext())
    for wrong in ("", "x" * 5000, "../../etc", "ä" * 32):
        assert condition(preauth(client, wrong)) == "item-not-found"
    assert condition(client.iq("get", f"<preauth xmlns='{PARS}' token='a'/>")) == "bad-request"
    assert condition(client.iq("set", form("eve"))) == "not-allowed"


def test_an_invitation_is_good_for_its_own_host_only(ctl, stranger):
    made = ctl("invites", "add", "--host", HOST)
    ctl("invites", "add", "--host", CLOSED)
    assert condition(preauth(stranger(CLOSED), token_of(made))) == "item-not-found"


def test_one_use_makes_one_account_and_a_wrong_name_uses_nothing(ctl, stranger):
    token = token_of(ctl("invites", "add", "--host", HOST))
    client = stranger()
    for name, password in (
        ("boss", PASSWORD),
        ("admin", PASSWORD),
        ("bill", "tiny"),
        ("two words", PASSWORD),
    ):
        assert condition(register(client, token, name, password)) in ("conflict", "not-acceptable")
    assert register(client, token, f"bill-{client.fresh()}").get("type") == "result"
    assert condition(client.iq("set", form(f"jane-{client.fresh()}"))) == "not-allowed"
    assert condition(preauth(client, token)) == "item-not-found"
    assert condition(preauth(stranger(), token)) == "item-not-found"


def test_one_use_at_once_from_many_makes_one_account(ctl, stranger):
    token = token_of(ctl("invites", "add", "--host", HOST))
    crowd = [stranger() for _ in range(4)]
    for client in crowd:
        assert preauth(client, token).get("type") == "result"
    jobs = [gevent.spawn(client.iq, "set", form(f"race-{client.fresh()}"), None, 20) for client in crowd]
    answers = [job.get() for job in jobs]
    assert sorted(each.get("type") for each in answers) == ["error"] * 3 + ["result"]
    assert {condition(each) for each in answers if each.get("type") == "error"} == {"item-not-found"}


def test_several_uses_make_so_many_accounts(ctl, stranger):
    token = token_of(ctl("invites", "add", "--host", HOST, "--uses", "2"))
    for _ in range(2):
        client = stranger()
        assert register(client, token, f"bill-{client.fresh()}").get("type") == "result"
    assert condition(preauth(stranger(), token)) == "item-not-found"


def test_a_name_is_kept_for_who_was_invited(ctl, fails, stranger):
    name = f"juliet-{Client(('', 0)).fresh()}"
    made = ctl("invites", "add", "--host", HOST, "--name", name.title())
    assert made["uri"].startswith(f"xmpp:{name}@{HOST}?register;preauth=")
    assert "kept for somebody" in fails("accounts", "add", f"{name}@{HOST}", "--password", PASSWORD)
    assert "kept for somebody" in fails("invites", "add", "--host", HOST, "--name", name)
    other = token_of(ctl("invites", "add", "--host", HOST))
    thief, client = stranger(), stranger()
    assert condition(register(thief, other, name)) == "conflict"
    assert preauth(client, token_of(made)).get("type") == "result"
    fields = client.iq("get", f"<query xmlns='{REGISTER}'/>")
    assert fields.findtext(f".//{{{REGISTER}}}username") == name
    assert condition(client.iq("set", form("tybalt"))) == "not-acceptable"
    assert client.iq("set", form(name)).get("type") == "result"
    client.login(name, PASSWORD)


def test_an_invitation_that_was_revoked_or_has_expired_is_unknown(ctl, fails, stranger, people_server):
    made = ctl("invites", "add", "--host", HOST)
    client = stranger()
    assert preauth(client, token_of(made)).get("type") == "result"
    ctl("invites", "revoke", made["id"])
    assert condition(client.iq("set", form("late"))) == "item-not-found"
    assert condition(preauth(stranger(), token_of(made))) == "item-not-found"
    assert "no such invitation" in fails("invites", "revoke", made["id"])
    assert "lifetime" in fails("invites", "add", "--host", HOST, "--lifetime", "1s")
    assert "uses" in fails("invites", "add", "--host", HOST, "--uses", "0")
    assert "uses" in fails("invites", "add", "--host", HOST, "--uses", "2", "--name", "x")
    assert "exists" in fails("invites", "add", "--host", HOST, "--name", "boss")


def test_the_store_and_the_log_have_no_token(ctl, people_server):
    token = token_of(ctl("invites", "add", "--host", HOST))
    assert token not in str(ctl("invites", "list"))
    assert token not in people_server.log.read_text(errors="replace")
    for file in people_server.data.glob("jabberd.sqlite*"):
        assert token.encode() not in file.read_bytes()


def test_guessing_from_one_address_ends(ctl, stranger):
    token = token_of(ctl("invites", "add", "--host", HOST))
    client = stranger(source="127.0.0.77")
    found = [condition(preauth(client, "a" * 32)) for _ in range(25)]
    assert set(found) == {"item-not-found", "resource-constraint"}
    assert condition(preauth(client, token)) == "resource-constraint"
    assert preauth(stranger(), token).get("type") == "result"


def test_the_group_and_the_rooms_of_an_invitation(ctl, person, stranger):
    romeo, group = person(), f"The {Client(('', 0)).fresh()} Team"
    room = f"room-{romeo.fresh()}@conference.{HOST}"
    ctl("groups", "add", group, romeo.bare)
    ctl("rooms", "create", room, BOSS)
    contacts(romeo)
    made = ctl("invites", "add", "--host", HOST, "--group", group, "--rooms", room)
    client = stranger()
    name = f"bill-{client.fresh()}"
    assert register(client, token_of(made), name).get("type") == "result"
    client.login(name, PASSWORD)
    assert contacts(client) == {romeo.bare: ("both", [group])}
    assert ctl("rooms", "show", room)["affiliations"][client.bare] == "member"
    bookmarks = client.iq("get", f"<pubsub xmlns='{PUBSUB}'><items node='urn:xmpp:bookmarks:1'/></pubsub>")
    (item,) = bookmarks.iter(f"{{{PUBSUB}}}item")
    assert (item.get("id"), item[0].get("autojoin")) == (room, "true")


def test_an_invitation_leads_into_no_room_of_another_host(fails):
    """Who administers one host would make members of rooms of another one."""
    for room in (f"secret@conference.{OPEN}", "secret@elsewhere.example", f"conference.{HOST}"):
        assert "addresses of this host" in fails("invites", "add", "--host", HOST, "--rooms", room)


def test_a_user_invites_nobody_under_a_name_that_is_reserved(person):
    romeo = person()
    for name in ("admin", "adm\u0131n"):
        filled = submit({"username": name})
        answer = send(romeo, CREATE, filled, sessionid=session(send(romeo, CREATE)))
        assert condition(answer) == "not-acceptable"


def test_the_members_of_a_room_follow_a_group(ctl, person):
    romeo, juliet = person(), person()
    ctl("rooms", "create", HALL, BOSS)
    for client in (romeo, juliet):
        ctl("groups", "add", "Class", client.bare)
    wait(
        lambda: (
            ctl("rooms", "show", HALL)["affiliations"]
            == {BOSS: "owner", romeo.bare: "member", juliet.bare: "member"}
        )
    )
    ctl("groups", "remove", "Class", juliet.bare)
    wait(lambda: ctl("rooms", "show", HALL)["affiliations"] == {BOSS: "owner", romeo.bare: "member"})


def wait(done, seconds=20):
    with gevent.Timeout(seconds):
        while not done():
            gevent.sleep(0.05)


# -- an account by a link of a user: XEP-0401


def test_commands_of_users_are_shown_to_who_may_run_them(person, boss):
    found = {}
    for name, client in (("user", person()), ("boss", boss), ("closed", person(CLOSED))):
        answer = client.iq("get", f"<query xmlns='{ITEMS}' node='{NS}'/>", to=client.domain)
        found[name] = {each.get("node"): each.get("name") for each in answer[0]}
    for name in ("user", "boss"):
        assert found[name][INVITE] == "Invite user" and found[name][CREATE] == "Create account"
    assert INVITE not in found["closed"] and CREATE not in found["closed"]


def test_a_user_invites_a_friend_who_makes_an_account(person, stranger):
    romeo = person()
    contacts(romeo)
    answer = send(romeo, INVITE)
    assert status(answer) == "completed"
    made = fields(answer)
    assert made["FORM_TYPE"] == ["urn:xmpp:invite#invitation"]
    assert re.fullmatch(f"xmpp:{romeo.bare}\\?roster;preauth={TOKEN};ibr=y", made["uri"][0])
    assert made["landing-url"][0].startswith("https://") and made["expire"][0].endswith("Z")
    juliet = stranger()
    name = f"juliet-{juliet.fresh()}"
    assert register(juliet, re.search(TOKEN, made["uri"][0])[0], name).get("type") == "result"
    push(romeo, f"{name}@{HOST}", "both")
    juliet.login(name, PASSWORD).available()
    assert contacts(juliet) == {romeo.bare: ("both", [])}
    juliet.gets(f"<presence from='{romeo.jid}'/>")
    romeo.gets(f"<presence from='{juliet.jid}'/>")


@pytest.mark.parametrize(("friends", "subscription"), [("1", "both"), (None, None)])
def test_a_user_makes_a_link_for_an_account_with_a_name(person, stranger, friends, subscription):
    romeo = person()
    answer = send(romeo, CREATE)
    assert status(answer) == "executing"
    assert {each.get("var"): each.get("type") for each in answer.iter("{jabber:x:data}field")} == {
        "username": "text-single", "roster-subscription": "boolean",
    }  # fmt: skip
    name = f"juliet-{romeo.fresh()}"
    filled = {"username": name} | ({"roster-subscription": friends} if friends else {})
    answer = send(romeo, CREATE, submit(filled), sessionid=session(answer))
    made = fields(answer)["uri"][0]
    assert re.fullmatch(f"xmpp:{name}@{HOST}\\?register;preauth={TOKEN}", made)
    juliet = stranger()
    assert register(juliet, re.search(TOKEN, made)[0], name).get("type") == "result"
    assert contacts(romeo).get(f"{name}@{HOST}", (None,))[0] == subscription


def test_who_was_invited_by_a_user_invites_nobody_on_the_first_day(person, stranger):
    """Else invitations grow by themselves."""
    romeo, juliet = person(), stranger()
    token = re.search(TOKEN, fields(send(romeo, INVITE))["uri"][0])[0]
    name = f"juliet-{juliet.fresh()}"
    assert register(juliet, token, name).get("type") == "result"
    juliet.login(name, PASSWORD).available()
    assert "ibr=y" not in fields(send(juliet, INVITE))["uri"][0]
    answer = send(
        juliet, CREATE, submit({"username": f"nurse-{name}"}), sessionid=session(send(juliet, CREATE))
    )
    assert condition(answer) == "not-allowed"


def test_the_invitations_of_a_suspended_account_are_void(person, stranger, ctl):
    romeo, early, late = person(), stranger(), stranger()
    token = re.search(TOKEN, fields(send(romeo, INVITE))["uri"][0])[0]
    assert preauth(early, token).get("type") == "result"
    ctl("accounts", "suspend", romeo.bare)
    assert condition(preauth(late, token)) == "item-not-found"
    assert condition(early.iq("set", form(f"bill-{early.fresh()}"))) == "item-not-found"


def test_a_user_has_so_many_invitations(person, ctl):
    romeo = person()
    made = [fields(send(romeo, INVITE))["uri"][0] for _ in range(3)]
    assert len(set(made)) == 3
    assert condition(send(romeo, INVITE)) == "resource-constraint"
    for row in ctl("invites", "list", "--jid", romeo.bare)[:2]:
        ctl("invites", "revoke", row["id"], "--jid", romeo.bare)
    for _ in range(2):
        assert status(send(romeo, INVITE)) == "completed"
    ctl("invites", "revoke", ctl("invites", "list", "--jid", romeo.bare)[-1]["id"], "--jid", romeo.bare)
    assert condition(send(romeo, INVITE)) == "resource-constraint"  # five within a day


def test_users_are_kept_from_what_is_not_theirs(person, ctl):
    romeo, juliet, closed = person(), person(), person(CLOSED)
    made = fields(run(romeo, "invites contact", {"jid": romeo.bare}))
    for node, filled in (
        ("invites add", {}),
        ("invites contact", {"jid": romeo.bare}),
        ("invites list", {"jid": romeo.bare}),
        ("invites revoke", {"id": made["id"][0], "jid": romeo.bare}),
        ("invites revoke", {"id": made["id"][0]}),
    ):
        answer = send(juliet, node)
        if status(answer) == "executing":
            answer = send(juliet, node, submit(filled), sessionid=session(answer), action="complete")
        assert condition(answer) == "forbidden", node
    assert (
        condition(send(juliet, "invites revoke", submit({"id": made["id"][0], "jid": juliet.bare})))
        == "item-not-found"
    )
    assert ctl("invites", "list", "--jid", romeo.bare)[0]["state"] == "open"
    assert condition(send(closed, INVITE, to=CLOSED)) == "forbidden"
    assert condition(send(closed, CREATE, to=CLOSED)) == "forbidden"
    assert condition(send(closed, INVITE, to=HOST)) == "forbidden"


# -- a contact by a link: XEP-0379


def ask(client, token, to):
    client.send(f"<presence to='{to}' type='subscribe'><preauth xmlns='{PARS}' token='{token}'/></presence>")


def test_who_has_an_account_becomes_a_contact(person, ctl):
    romeo, juliet = person(), person()
    assert contacts(romeo) == contacts(juliet) == {}
    token = token_of(ctl("invites", "contact", romeo.bare))
    ask(juliet, token, romeo.bare)
    juliet.gets(f"<presence from='{romeo.bare}' type='subscribed'/>")
    push(juliet, romeo.bare, "both")
    push(romeo, juliet.bare, "both")
    romeo.gets(f"<presence from='{juliet.jid}' type='!absent'/>")
    juliet.gets(f"<presence from='{romeo.jid}' type='!absent'/>")
    nurse = person()
    ask(nurse, token, romeo.bare)  # used: it is a request like any other
    romeo.gets(f"<presence from='{nurse.bare}' type='subscribe'/>")
    nurse.nothing(f"<presence from='{romeo.bare}' type='subscribed'/>")


def test_a_token_is_good_for_its_own_contact_only(person, ctl):
    romeo, juliet, nurse = person(), person(), person()
    token = token_of(ctl("invites", "contact", romeo.bare))
    ask(nurse, token, juliet.bare)
    juliet.gets(f"<presence from='{nurse.bare}' type='subscribe'/>")
    nurse.nothing(f"<presence from='{juliet.bare}' type='subscribed'/>")
    account = token_of(ctl("invites", "account", romeo.bare))  # for an account, not for a contact
    ask(nurse, account, romeo.bare)
    romeo.gets(f"<presence from='{nurse.bare}' type='subscribe'/>")
    nurse.nothing(f"<presence from='{romeo.bare}' type='subscribed'/>")
    assert {row["state"] for row in ctl("invites", "list", "--jid", romeo.bare)} == {"open"}


def test_two_who_ask_with_one_token_at_once_are_one_contact(person, ctl):
    romeo, crowd = person(), [person() for _ in range(3)]
    contacts(romeo)
    token = token_of(ctl("invites", "contact", romeo.bare))
    for each in crowd:
        ask(each, token, romeo.bare)
    for each in crowd:
        each.sync()
    asked = [element for element in romeo.inbox if element.get("type") == "subscribe"]
    assert len(asked) == 2
    assert sorted(kind for kind, _ in contacts(romeo).values()) == ["both"]


@pytest.mark.topology("two servers")
def test_a_contact_on_another_server(romeo, juliet):
    made = romeo.account.place.server.ctl("--json", "invites", "contact", romeo.bare)
    contacts(romeo)
    contacts(juliet)
    ask(juliet, re.search(f"preauth=({TOKEN})", made)[1], romeo.bare)
    juliet.gets(f"<presence from='{romeo.bare}' type='subscribed'/>", 10)
    juliet.gets(f"<presence from='{romeo.bare}' type='subscribe'/>", 10)
    juliet.send(f"<presence to='{romeo.bare}' type='subscribed'/>")
    romeo.gets(f"<presence from='{juliet.jid}' type='!absent'/>", 10)
    assert contacts(romeo)[juliet.bare][0] == "both"


# -- after a crash


def test_after_kill_9_no_use_counts_twice_and_the_contact_is_there(start_server):
    server = start_server({"hosts": {"localhost": {}}})
    server.ctl("accounts", "add", "romeo@localhost", "--password", PASSWORD)
    made = server.ctl("--json", "invites", "contact", "romeo@localhost", "--uses", "2")
    token = re.search(f"preauth=({TOKEN})", made)[1]
    names = [f"friend{number}" for number in range(3)]

    def one(name):
        client = Client(server.address(), "localhost").connect()
        assert preauth(client, token).get("type") == "result"
        client.send(f"<iq type='set' id='r'>{form(name, 'long secret')}</iq>")

    gevent.joinall([gevent.spawn(one, name) for name in names], raise_error=True)
    server.kill9()
    server.start()
    accounts = set(re.findall("friend\\d", server.ctl("accounts", "list")))
    for name in sorted(set(names) - accounts):
        client = Client(server.address(), "localhost").connect()
        if preauth(client, token).get("type") == "result":
            client.iq("set", form(name, "long secret"), timeout=20)
        client.close()
    accounts = set(re.findall("friend\\d", server.ctl("accounts", "list")))
    assert len(accounts) == 2
    romeo = Client(server.address(), "localhost").connect().login("romeo", PASSWORD)
    assert contacts(romeo) == {f"{name}@localhost": ("both", []) for name in accounts}
    romeo.close()


def test_the_shared_server_has_users_who_invite_contacts(romeo):
    """The default: contacts, not accounts."""
    assert CONFIG["modules"].get("invites") is None
    made = fields(send(romeo, INVITE, to=romeo.domain))
    assert re.fullmatch(f"xmpp:{romeo.bare}\\?roster;preauth={TOKEN}", made["uri"][0])
    answer = romeo.iq("get", f"<query xmlns='{INFO}' node='{CREATE}'/>", to=romeo.domain)
    assert condition(answer) == "forbidden"
