"""XEP-0133: Service Administration. Tests are named by the numbers of the examples."""

import json
import re
from typing import Any

import pytest

from tests.admin.conftest import BOSS, CONFIG
from tests.admin.dialogue import (
    ADMIN,
    admin,
    bounced,
    condition,
    fields,
    info,
    listed,
    notes,
    run,
    send,
    session,
    status,
    submit,
    types,
)  # fmt: skip
from tests.client import AuthFailed, Client
from tests.conftest import Place

pytestmark = pytest.mark.topology("one host")
ROSTER = "jabber:iq:roster"


def title(client: Client, node: str) -> str | None:
    """The title of a form, whose FORM_TYPE and instructions are looked at."""
    form = send(client, f"{ADMIN}#{node}", action="execute")
    assert status(form) == "executing" and session(form) and fields(form)["FORM_TYPE"] == [ADMIN]
    assert types(form)["FORM_TYPE"] == "hidden" and form.findtext(".//{jabber:x:data}instructions")
    return form.findtext(".//{jabber:x:data}title")


def login(place: Place, user: str, password: str = "secret") -> Client:
    return Client(place.server.address("c2s"), place.domain).login(user, password)


def failure(answer: Any) -> bool:
    """XEP-0050 section 3.6: the command is completed, and a note says that it failed."""
    return status(answer) == "completed" and [type for type, _ in notes(answer)] == ["error"]


def refused(place: Place, user: str, password: str = "secret") -> bool:
    client = Client(place.server.address("c2s"), place.domain).connect()
    try:
        client.auth(user, password)
    except AuthFailed:
        return True
    finally:
        client.close()
    return False


def test_examples_1_to_4_add_user(boss: Client, place: Place, account: Any) -> None:
    assert title(boss, "add-user") == "Adding a User"
    shown = types(send(boss, f"{ADMIN}#add-user"))
    assert shown == {
        "FORM_TYPE": "hidden", "accountjid": "jid-single", "password": "text-private", "password-verify": "text-private",
        "email": "text-single", "given_name": "text-single", "surname": "text-single",
    }  # fmt: skip
    name = account("base").user + "-new"
    form = {"accountjid": f"{name}@localhost", "password": "R0m30", "password-verify": "R0m30", "email": "juliet@capulet.com",
            "given_name": "Juliet", "surname": "Capulet"}  # fmt: skip
    for wrong in (
        {"password-verify": "other"},
        {"accountjid": f"{name}@elsewhere.example"},
        {"accountjid": f"{name}@two@localhost"},
    ):
        assert failure(admin(boss, "add-user", form | wrong)), wrong
    assert (
        status(admin(boss, "add-user", form | {"password": "R0m30-long", "password-verify": "R0m30-long"}))
        == "completed"
    )
    made = login(place, name, "R0m30-long")
    card = made.iq("get", "<vCard xmlns='vcard-temp'/>")
    assert (
        card.findtext(".//{vcard-temp}FN") == "Juliet Capulet"
        and card.findtext(".//{vcard-temp}USERID") == form["email"]
    )
    made.close()
    again = admin(boss, "add-user", form | {"password": "R0m30-long", "password-verify": ""})
    assert condition(again) == "conflict"


def test_examples_5_to_8_delete_user(boss: Client, user: Client, account: Any, place: Place) -> None:
    assert title(boss, "delete-user") == "Deleting a User"
    assert types(send(boss, f"{ADMIN}#delete-user"))["accountjids"] == "jid-multi"
    other = account("other", place)
    done = admin(boss, "delete-user", {"accountjids": [user.bare, "nobody@localhost", other.bare]})
    assert status(done) == "completed" and [type for type, _ in notes(done)] == ["error"]
    assert user.stream_error() == "not-authorized"
    assert refused(place, other.user)
    assert failure(admin(boss, "delete-user", {"accountjids": [other.bare]}))
    assert (
        condition(admin(boss, "delete-user", {"accountjids": [BOSS]})) == "not-allowed"
    )  # nobody is allowed to
    assert condition(admin(boss, "delete-user", {"accountjids": []})) == "bad-request bad-payload"


def test_the_address_of_a_session_stands_for_its_account(
    boss: Client, user: Client, account: Any, place: Place
) -> None:
    other = account("other", place)
    form = {"accountjid": f"{other.bare}/garden", "password": "V3r0n4"}
    assert status(admin(boss, "change-user-password", form)) == "completed"
    login(place, other.user, "V3r0n4").close()
    done = admin(boss, "delete-user", {"accountjids": [f"{other.bare}/garden", other.bare]})
    assert status(done) == "completed" and notes(done) == []
    assert refused(place, other.user, "V3r0n4")
    done = admin(boss, "end-user-session", {"accountjids": [f"{user.bare}/nowhere"]})
    assert failure(done)


def test_examples_9_to_16_disable_and_reenable_user(boss: Client, user: Client, place: Place) -> None:
    assert (title(boss, "disable-user"), title(boss, "reenable-user")) == (
        "Disabling a User",
        "Re-Enable a User",
    )
    assert status(admin(boss, "disable-user", {"accountjids": [user.bare]})) == "completed"
    assert user.stream_error() == "not-authorized" and refused(place, user.user)
    disabled = admin(boss, "get-disabled-users-list", {"max_items": "none"})
    assert user.bare in fields(disabled)["disableduserjids"]
    assert notes(admin(boss, "reenable-user", {"accountjids": [user.bare]})) == []
    for nobody in ("nobody@localhost", "nobody@elsewhere.example"):
        assert failure(admin(boss, "reenable-user", {"accountjids": [nobody]}))
    login(place, user.user).close()


def test_examples_17_to_20_end_user_session(boss: Client, user: Client, make_client: Any) -> None:
    assert title(boss, "end-user-session") == "Ending a User Session"
    one, two = (make_client(user.account, resource=name) for name in ("one", "two"))
    assert status(admin(boss, "end-user-session", {"accountjids": [one.jid]})) == "completed"
    assert one.stream_error() == "policy-violation"
    two.sync()
    assert status(admin(boss, "end-user-session", {"accountjids": [user.bare]})) == "completed"
    assert two.stream_error() == user.stream_error() == "policy-violation"


def test_examples_21_to_24_change_user_password(boss: Client, user: Client, place: Place) -> None:
    assert title(boss, "change-user-password") == "Changing a User Password"
    form = {"accountjid": user.bare, "password": "V3r0n4"}
    assert status(admin(boss, "change-user-password", form)) == "completed"
    login(place, user.user, "V3r0n4").close()
    assert (
        condition(admin(boss, "change-user-password", form | {"password": ""})) == "bad-request bad-payload"
    )


def test_the_password_of_nobody_is_told(boss: Client, user: Client) -> None:
    """Section 4.6 was retracted."""
    assert condition(admin(boss, "get-user-password")) == "feature-not-implemented"
    assert condition(admin(user, "dance")) == "feature-not-implemented"


def test_examples_25_to_28_get_user_roster(boss: Client, user: Client) -> None:
    assert title(boss, "get-user-roster") == "Getting a User's Roster"
    item = "<item jid='romeo@example.net' name='Romeo'><group>Friends</group><group>Lovers</group></item>"
    user.iq("set", f"<query xmlns='{ROSTER}'>{item}</query>")
    found = admin(boss, "get-user-roster", {"accountjids": [user.bare]})
    assert status(found) == "completed" and fields(found)["accountjids"] == [user.bare]
    shown = found.find(f".//{{jabber:x:data}}x/{{{ROSTER}}}query/{{{ROSTER}}}item")
    assert shown is not None and shown.attrib == {
        "jid": "romeo@example.net",
        "name": "Romeo",
        "subscription": "none",
    }
    assert [each.text for each in shown] == ["Friends", "Lovers"]


def test_examples_29_to_32_get_user_last_login(
    boss: Client, user: Client, account: Any, place: Place
) -> None:
    assert title(boss, "get-user-lastlogin") == "Getting a User's Last Login Time"
    found = admin(boss, "get-user-lastlogin", {"accountjids": [user.bare]})
    assert status(found) == "completed" and fields(found)["accountjids"] == [user.bare]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields(found)["lastlogin"][0])
    never = admin(boss, "get-user-lastlogin", {"accountjids": [account("never", place).bare]})
    assert fields(never)["lastlogin"] == [] and "never logged in" in notes(never)[0][1]


def test_examples_33_to_36_user_stats(boss: Client, user: Client) -> None:
    assert title(boss, "user-stats") == "Get User Statistics"
    found = fields(admin(boss, "user-stats", {"accountjid": user.bare}))
    assert (found["ipaddresses"], found["rostersize"], found["onlineresources"]) == (
        ["127.0.0.1"],
        ["0"],
        ["home"],
    )
    assert failure(admin(boss, "user-stats", {"accountjid": "nobody@localhost"}))


def test_examples_37_to_40_edit_blacklist(
    boss: Client, user: Client, account: Any, make_client: Any, place: Place
) -> None:
    assert title(boss, "edit-blacklist") == "Editing the Blacklist"
    other = make_client(account("other", place))
    before = fields(send(boss, f"{ADMIN}#edit-blacklist"))["blacklistjids"]
    assert before == []
    wanted = sorted(["denmark.lit", "marlowe.lit", user.bare, BOSS])
    assert status(admin(boss, "edit-blacklist", {"blacklistjids": wanted})) == "completed"
    try:
        assert fields(send(boss, f"{ADMIN}#edit-blacklist"))["blacklistjids"] == wanted
        user.send(f"<message to='{other.bare}' id='b1'><body>hello</body></message>")
        user.gets(bounced("b1", "forbidden"))
        other.send(f"<message to='{user.bare}' id='b2'><body>hello</body></message>")
        other.gets("<message type='error' id='b2'/>")
        other.send("<message to='hamlet@denmark.lit' id='b3'><body>hello</body></message>")
        other.gets(bounced("b3", "forbidden"))
        boss.sync()  # an administrator locks nobody out who could undo it
    finally:
        assert status(admin(boss, "edit-blacklist", {"blacklistjids": []})) == "completed"
    user.send(f"<message to='{other.bare}' id='b4'><body>again</body></message>")
    other.gets("<message id='b4'><body>again</body></message>")
    assert failure(admin(boss, "edit-blacklist", {"blacklistjids": ["a b"]}))


def test_examples_41_to_44_edit_whitelist(boss: Client, user: Client) -> None:
    assert title(boss, "edit-whitelist") == "Editing the Whitelist"
    assert status(admin(boss, "edit-whitelist", {"whitelistjids": ["capulet.com"]})) == "completed"
    try:
        user.send("<message to='hamlet@denmark.lit' id='w1'><body>hello</body></message>")
        user.gets(bounced("w1", "forbidden"))
        user.send("<message to='juliet@capulet.com' id='w2'><body>hello</body></message>")
        user.gets(bounced("w2", "remote-server-not-found"))
        user.send(f"<message to='{boss.bare}' id='w3'><body>here all may speak</body></message>")
        boss.gets("<message id='w3'/>")
    finally:
        assert status(admin(boss, "edit-whitelist", {"whitelistjids": []})) == "completed"


def test_examples_45_to_54_numbers_of_users(start_server: Any) -> None:
    place = Place(start_server(CONFIG), "localhost")
    for name in ("boss", "away", "gone"):
        place.server.ask("accounts add", jid=f"{name}@localhost", password="secret")
    boss, away = login(place, "boss").available(), login(place, "away").available(show="away")
    admin(boss, "disable-user", {"accountjids": ["gone@localhost"]})
    found = {}
    for state in ("registered", "disabled", "online", "active", "idle"):
        answer = admin(boss, f"get-{state}-users-num")
        assert status(answer) == "completed" and fields(answer)["FORM_TYPE"] == [ADMIN]
        found[state] = fields(answer)[f"{state}usersnum"]
    assert found == {"registered": ["3"], "disabled": ["1"], "online": ["2"], "active": ["1"], "idle": ["1"]}
    for each in (boss, away):
        each.close()


def test_examples_55_to_74_lists_of_users(
    boss: Client, user: Client, make_client: Any, account: Any, place: Place
) -> None:
    away, gone = make_client(account("away", place)), account("gone", place)
    away.available(show="xa")
    admin(boss, "disable-user", {"accountjids": [gone.bare]})
    nodes = {
        "get-registered-users-list": ("Requesting List of Registered Users", "registereduserjids", {user.bare, gone.bare}),
        "get-disabled-users-list": ("Requesting List of Disabled Users", "disableduserjids", {gone.bare}),
        "get-online-users-list": ("Requesting List of Online Users", "onlineuserjids", {user.bare, away.bare}),
        "get-active-users": ("Requesting List of Active Users", "activeuserjids", {user.bare}),
        "get-idle-users": ("Requesting List of Idle Users", "activeuserjids", {away.bare}),
    }  # fmt: skip
    for node, (name, var, some) in nodes.items():
        assert title(boss, node) == name
        options = [
            each.text
            for each in send(boss, f"{ADMIN}#{node}").findall(".//{jabber:x:data}option/{jabber:x:data}value")
        ]
        assert options == ["25", "50", "75", "100", "150", "200", "none"]
        found = fields(admin(boss, node, {"max_items": "none"}))[var]
        assert some <= set(found), node
        if node == "get-active-users":
            assert away.bare not in found and gone.bare not in found
    short = admin(boss, "get-registered-users-list", {"max_items": "1"})
    assert len(fields(short)["registereduserjids"]) == 1 and notes(short)[0][0] == "warn"
    for wrong in ("0", "-1", "all", "9" * 20):
        assert (
            condition(admin(boss, "get-online-users-list", {"max_items": wrong})) == "bad-request bad-payload"
        )


def test_examples_75_to_78_announce(boss: Client, user: Client) -> None:
    assert title(boss, "announce") == "Making an Announcement"
    assert status(admin(boss, "announce", {"announcement": ["The play begins", "at eight."]})) == "completed"
    user.gets("<message from='localhost'><body>The play begins\nat eight.</body></message>")
    assert condition(admin(boss, "announce", {"announcement": []})) == "bad-request bad-payload"


def test_examples_79_to_88_message_of_the_day(
    boss: Client, user: Client, make_client: Any, account: Any, place: Place
) -> None:
    assert title(boss, "set-motd") == "Setting the Message of the Day"
    try:
        assert status(admin(boss, "set-motd", {"motd": ["Don't forget", "the tea."]})) == "completed"
        user.gets("<message from='localhost'><body>Don't forget\nthe tea.</body></message>")  # at once
        assert title(boss, "edit-motd") == "Editing the Message of the Day"
        assert fields(send(boss, f"{ADMIN}#edit-motd"))["motd"] == ["Don't forget", "the tea."]
        assert status(admin(boss, "edit-motd", {"motd": ["Coffee."]})) == "completed"
        make_client(account("late", place)).gets("<message from='localhost'><body>Coffee.</body></message>")
    finally:
        assert status(admin(boss, "delete-motd")) == "completed"
    make_client(account("later", place)).nothing("<message><body>Coffee.</body></message>")


def test_examples_89_to_94_welcome_message(
    boss: Client, make_client: Any, account: Any, place: Place
) -> None:
    assert title(boss, "set-welcome") == "Setting Welcome Message"
    assert fields(send(boss, f"{ADMIN}#set-welcome"))["welcome"] == [
        CONFIG["modules"]["newcomers"]["welcome"]
    ]
    assert status(admin(boss, "set-welcome", {"welcome": ["Hie thee", "to {user}"]})) == "completed"
    new = make_client(account("new", place))
    new.gets(f"<message from='localhost'><body>Hie thee\nto {new.bare}</body></message>")
    assert status(admin(boss, "delete-welcome")) == "completed"
    make_client(account("newer", place)).nothing("<message from='localhost'/>")
    place.server.ctl("welcome", "reset")


def test_examples_95_to_98_edit_admin_list(boss: Client, user: Client) -> None:
    assert title(boss, "edit-admin") == "Editing the Admin List"
    assert fields(send(boss, f"{ADMIN}#edit-admin"))["adminjids"] == [BOSS]
    assert condition(send(user, "accounts list")) == "forbidden"
    assert status(admin(boss, "edit-admin", {"adminjids": [BOSS, user.bare]})) == "completed"
    assert status(admin(user, "get-online-users-num")) == "completed"
    assert (
        condition(admin(user, "edit-admin", {"adminjids": [user.bare]})) == "not-allowed"
    )  # boss is in the configuration
    assert status(admin(boss, "edit-admin", {"adminjids": [BOSS]})) == "completed"
    assert condition(send(user, "accounts list")) == "forbidden"


def test_who_takes_the_name_of_a_deleted_administrator_administers_nothing(
    boss: Client, account: Any, place: Place
) -> None:
    who = account("deputy", place)
    admin(boss, "edit-admin", {"adminjids": [BOSS, who.bare]})
    admin(boss, "delete-user", {"accountjids": [who.bare]})
    assert fields(send(boss, f"{ADMIN}#edit-admin"))["adminjids"] == [BOSS]


def test_who_is_deleted_administers_no_other_host_either(start_server: Any) -> None:
    server = start_server({"hosts": {"localhost": {"modules": {"admins": False}}, "other.localhost": {}}})
    for jid in ("romeo@localhost", "juliet@other.localhost"):
        server.ctl("accounts", "add", jid, "--password", "secret")

    def name(*jids: str) -> None:
        server.ctl("admins", "set", "\n".join(jids), "--host", "other.localhost")

    name("romeo@localhost")  # nobody else could see to that host
    said = server.ctl("accounts", "delete", "romeo@localhost", code=1)
    assert "romeo@localhost is the last administrator of other.localhost" in said
    name("romeo@localhost", "nobody@localhost")  # who has no account helps nobody
    assert "last administrator" in server.ctl("accounts", "delete", "romeo@localhost", code=1)
    name("romeo@localhost", "juliet@other.localhost")
    server.ctl("accounts", "delete", "romeo@localhost")
    assert json.loads(server.ctl("admins", "show", "--json")) == {"jids": ["juliet@other.localhost"]}
    server.stop()
    server.start()
    assert json.loads(server.ctl("admins", "show", "--json")) == {"jids": ["juliet@other.localhost"]}


def test_examples_99_to_106_restart_and_shut_down(start_server: Any, make_client: Any) -> None:
    server = start_server(CONFIG)
    place = Place(server, "localhost")
    server.ask("accounts add", jid=BOSS, password="secret")
    boss = login(place, "boss").available()
    admin(boss, "edit-admin", {"adminjids": [BOSS, "deputy@localhost"]})
    admin(boss, "edit-blacklist", {"blacklistjids": ["denmark.lit"]})
    assert title(boss, "restart") == "Restarting the Service"
    delays = [
        each.text
        for each in send(boss, f"{ADMIN}#restart").findall(".//{jabber:x:data}option/{jabber:x:data}value")
    ]
    assert delays == ["30", "60", "90", "120", "180", "240", "300"]
    later = admin(boss, "restart", {"delay": "120", "announcement": ["Soon."]})
    assert status(later) == "completed"
    boss.gets("<message from='localhost'><body>Soon.</body></message>")
    server.ready.clear()
    assert (
        status(admin(boss, "restart", {"announcement": []})) == "completed"
    )  # at once: the last word counts
    assert boss.stream_error() == "system-shutdown"
    boss.close()
    assert server.ready.wait(30) and server.process.poll() is None, server.tail()
    boss = login(place, "boss").available()
    assert fields(send(boss, f"{ADMIN}#edit-admin"))["adminjids"] == [BOSS, "deputy@localhost"]
    assert fields(send(boss, f"{ADMIN}#edit-blacklist"))["blacklistjids"] == ["denmark.lit"]
    assert title(boss, "shutdown") == "Shutting Down the Service"
    assert status(admin(boss, "shutdown", {"delay": "0"})) == "completed"
    assert boss.stream_error() == "system-shutdown"
    boss.close()
    assert server.process.wait(30) == 0


def test_none_of_it_is_for_users(user: Client, boss: Client) -> None:
    nodes = {each for each in listed(boss) if each.startswith(f"{ADMIN}#")}
    assert len(nodes) == 30
    for node in nodes:
        assert condition(send(user, node)) == condition(info(user, node)) == "forbidden", node
        assert condition(send(user, node, submit({"accountjid": user.bare}, ADMIN))) == "forbidden"
    assert not [each for each in listed(user) if each.startswith(ADMIN)]


def test_a_form_of_another_kind_is_no_payload(boss: Client) -> None:
    form = send(boss, f"{ADMIN}#announce")
    wrong = submit({"announcement": "hello"}, "urn:example")
    assert (
        condition(send(boss, f"{ADMIN}#announce", wrong, sessionid=session(form)))
        == "bad-request bad-payload"
    )
    assert (
        condition(run(boss, f"{ADMIN}#add-user", {"password": "secret"}, form=ADMIN))
        == "bad-request bad-payload"
    )


def test_blanks_are_no_accounts(boss: Client) -> None:
    for node in ("delete-user", "end-user-session", "get-user-roster", "get-user-lastlogin"):
        assert condition(admin(boss, node, {"accountjids": [" ", "\t"]})) == "bad-request bad-payload", node


def test_services_have_no_accounts_to_administer(boss: Client) -> None:
    assert condition(send(boss, f"{ADMIN}#add-user", to="conference.localhost")) == "feature-not-implemented"
