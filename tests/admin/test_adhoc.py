"""Ad-hoc commands (XEP-0050) of a host, of its services and of an account. Tests are named by the numbers of the examples."""

from typing import Any

import pytest

from tests.admin.dialogue import (
    ADMIN,
    INFO,
    NS,
    actions,
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
    table,
    types,
)  # fmt: skip
from tests.client import Client
from tests.conftest import Account

pytestmark = pytest.mark.topology("one host")
OWN = {"accounts kick", "accounts leave", "accounts passwd", "accounts roster", "accounts show", "accounts usage",
       "archive change", "archive preferences", "archive show", "blocked add", "blocked list", "blocked remove",
       "invites account", "invites contact", "invites list", "invites revoke", "messages send", "pep delete", "pep list",
       "pep purge", "pep show", "ping", "sessions show", "tokens add", "tokens list", "tokens remove", "totp remove",
       "totp set", "totp show", "urn:xmpp:invite#invite"}  # fmt: skip
"""What is everybody's own."""


def test_examples_1_and_2_the_host_and_its_services_announce_commands(boss: Client) -> None:
    for to in ("localhost", "conference.localhost", "pubsub.localhost", "upload.localhost", boss.bare):
        features = {each.get("var") for each in info(boss, None, to).iter(f"{{{INFO}}}feature")}
        assert NS in features, to


def test_examples_3_and_4_the_list_has_what_the_asker_may_run(boss: Client, user: Client) -> None:
    assert {"accounts add", "stop", "check dns", f"{ADMIN}#add-user", f"{ADMIN}#shutdown"} <= listed(boss)
    assert listed(boss, boss.bare) == listed(boss)
    assert not {"backup", "accounts export", "watch", "trace", "rooms list"} & listed(boss)
    assert listed(user) == listed(user, user.bare) == OWN
    assert {"rooms list", "rooms destroy", "blacklist set"} <= listed(boss, "conference.localhost")
    assert listed(user, "conference.localhost") == listed(user, "upload.localhost") == set()
    assert "nodes list" in listed(boss, "pubsub.localhost")


def test_examples_5_and_6_what_a_command_is(boss: Client, user: Client) -> None:
    for node, name in (("stats", "Stats"), (f"{ADMIN}#add-user", "Adding a User")):
        query = info(boss, node)[0]
        assert (query.get("node"), query[0].get("category"), query[0].get("type"), query[0].get("name")) == (
            node, "automation", "command-node", name,
        )  # fmt: skip
        assert {each.get("var") for each in query[1:]} == {NS, "jabber:x:data"}
        assert condition(info(user, node)) == "forbidden"
    assert info(user, NS)[0][0].get("type") == "command-list"
    assert condition(info(boss, "dance")) == "item-not-found"
    assert condition(info(user, NS, boss.bare)) in ("service-unavailable", "item-not-found")


def test_examples_8_and_9_a_command_without_a_form(boss: Client) -> None:
    for attrs in ({}, {"action": "execute"}, {"action": "complete"}):
        answer = send(boss, "sessions list", **attrs)
        assert status(answer) == "completed" and session(answer)
        assert boss.jid in {row["jid"] for row in table(answer)}
    assert fields(send(boss, "stats"))["hosts"] == ["localhost"]
    assert condition(send(boss, "stats", action="next")) == "bad-request bad-action"


def test_a_ping_is_a_command_too(user: Client) -> None:
    for to in ("localhost", user.bare):
        answer = send(user, "ping", to=to)
        assert status(answer) == "completed" and notes(answer) == [("info", "Pong")]
        (time,) = fields(answer)["timestamp"]
        assert time.endswith("Z")


def test_examples_10_to_17_pages_forth_and_back(boss: Client, user: Client) -> None:
    node = "accounts suspend"
    first = send(boss, node, action="execute")
    assert status(first) == "executing" and actions(first) == ("complete", {"next", "complete"})
    assert types(first) == {"jid": "jid-single"}
    here = {"sessionid": session(first)}
    assert condition(send(boss, node, action="prev", **here)) == "bad-request bad-action"
    second = send(boss, node, submit({"jid": user.bare}), action="next", **here)
    assert status(second) == "executing" and actions(second) == ("complete", {"prev", "complete"})
    assert session(second) == session(first) and set(types(second)) == {"reason", "duration"}
    assert condition(send(boss, node, action="next", **here)) == "bad-request bad-action"
    again = send(boss, node, action="prev", **here)
    assert actions(again)[1] == {"next", "complete"} and fields(again)["jid"] == [
        user.bare
    ]  # it is remembered
    send(boss, node, action="next", **here)
    done = send(boss, node, submit({"reason": "noise", "duration": "1h"}), action="complete", **here)
    assert status(done) == "completed" and fields(done)["reason"] == ["noise"]
    assert user.stream_error() == "not-authorized"


def test_examples_18_and_19_canceled(boss: Client) -> None:
    form = send(boss, "accounts delete")
    here = {"sessionid": session(form)}
    canceled = send(boss, "accounts delete", action="cancel", **here)
    assert status(canceled) == "canceled" and session(canceled) == session(form) and len(canceled[0]) == 0
    assert condition(send(boss, "accounts delete", action="cancel", **here)) == "not-allowed session-expired"


def test_examples_20_to_23_the_language_is_told(boss: Client) -> None:
    answer = send(boss, "stats", **{"xml:lang": "fr-ca"})
    assert answer[0].get("{http://www.w3.org/XML/1998/namespace}lang") == "en"


def test_errors_of_table_4(boss: Client, user: Client) -> None:
    form = send(boss, "accounts delete")
    here = {"sessionid": session(form)}
    assert condition(send(boss, "accounts delete", action="dance", **here)) == "bad-request malformed-action"
    assert condition(send(boss, "accounts delete", sessionid="dance")) == "bad-request bad-sessionid"
    assert condition(send(boss, "accounts delete", sessionid="")) == "bad-request bad-sessionid"
    assert (
        condition(send(boss, "accounts enable", **here)) == "bad-request bad-sessionid"
    )  # of another command
    assert condition(send(boss, "accounts delete", to=boss.bare, **here)) == "bad-request bad-sessionid"
    for payload in ("", submit({}), submit({"jid": ""}), submit({"jid": "a b@localhost"}), submit({"jid": ["a@b", "c@d"]}),
                    submit({"jid": user.bare}, type="result")):  # fmt: skip
        assert (
            condition(send(boss, "accounts delete", payload, action="complete", **here))
            == "bad-request bad-payload"
        )
    gone = send(boss, "accounts delete", submit({"jid": "nobody@localhost"}), action="complete", **here)
    assert condition(gone) == "item-not-found"
    late = send(boss, "accounts delete", submit({"jid": user.bare}), **here)
    assert condition(late) == "not-allowed session-expired"
    assert condition(send(user, "accounts delete")) == "forbidden"
    assert condition(send(boss, "dance")) == condition(send(boss, "backup")) == "item-not-found"
    assert condition(boss.iq("set", f"<command xmlns='{NS}'/>", to="localhost")) == "bad-request"
    assert condition(send(boss, "stats", to=user.bare)) == "service-unavailable"


def test_a_session_belongs_to_who_began_it(boss: Client, user: Client) -> None:
    form = send(user, "sessions show")
    stolen = send(boss, "sessions show", submit({"jid": user.bare}), sessionid=session(form))
    assert condition(stolen) == "bad-request bad-sessionid"


def test_sessions_of_one_user_are_few_and_the_oldest_goes(user: Client, boss: Client) -> None:
    other = session(send(boss, "accounts show"))
    first, *rest = [session(send(user, "accounts show")) for _ in range(11)]
    assert condition(send(user, "accounts show", sessionid=first)) == "not-allowed session-expired"
    assert status(send(user, "accounts show", action="cancel", sessionid=rest[-1])) == "canceled"
    assert status(send(boss, "accounts show", action="cancel", sessionid=other)) == "canceled"


def test_a_filled_in_form_can_come_at_once(boss: Client, user: Client) -> None:
    done = send(boss, "accounts show", submit({"jid": user.bare}))
    assert status(done) == "completed" and fields(done)["jid"] == [user.bare]


def test_a_mistake_can_be_mended_in_the_same_session(boss: Client, user: Client) -> None:
    form = send(boss, "accounts show")
    wrong = send(boss, "accounts show", submit({"jid": "@"}), sessionid=session(form))
    assert condition(wrong) == "bad-request bad-payload"
    assert (
        status(send(boss, "accounts show", submit({"jid": user.bare}), sessionid=session(form)))
        == "completed"
    )


def test_users_see_to_their_own(user: Client, boss: Client, make_client: Any) -> None:
    form = send(user, "sessions show", to=user.bare)
    assert fields(form)["jid"] == [user.bare]
    mine = send(user, "sessions show", submit({"jid": user.bare}), user.bare, sessionid=session(form))
    assert [row["jid"] for row in table(mine)] == [user.jid]
    for node, more in (("sessions show", {}), ("accounts passwd", {"password": "x"}), ("accounts kick", {}),
                       ("accounts show", {}), ("archive show", {}), ("accounts roster", {}), ("tokens list", {})):  # fmt: skip
        answer = send(user, node, submit({"jid": boss.bare} | more))
        assert condition(answer) == "forbidden", node
    assert condition(send(user, "tokens list", submit({}), action="complete")) == "forbidden"
    phone = make_client(user.account, resource="phone")
    assert status(run(user, "accounts kick", {"jid": phone.jid})) == "completed"
    assert phone.stream_error() == "policy-violation"
    assert status(run(user, "accounts passwd", {"jid": user.bare, "password": "another"})) == "completed"
    make_client(user.account._replace(password="another"), resource="phone")


def test_what_an_administrator_does_is_in_the_log(boss: Client, user: Client) -> None:
    run(boss, "accounts passwd", {"jid": user.bare, "password": "hush-hush"})
    condition(send(user, "stop"))
    log = boss.account.place.server.tail()
    lines = [line for line in log.splitlines() if "via=ad-hoc" in line]
    assert any("accounts passwd" in line and boss.jid in line and "127.0.0.1" in line for line in lines)
    assert any("stop" in line and user.jid in line and "may not run" in line for line in lines)
    assert "hush-hush" not in log


def test_commands_of_rooms_are_run_at_their_service(boss: Client, user: Client) -> None:
    room = "hall@conference.localhost"
    done = run(boss, "rooms create", {"room": room, "owner": user.bare}, "conference.localhost")
    assert status(done) == "completed" and fields(done) == {"room": [room]}
    assert room in {row["room"] for row in table(run(boss, "rooms list", {}, "conference.localhost"))}
    again = run(boss, "rooms create", {"room": room, "owner": user.bare}, "conference.localhost")
    assert condition(again) == "conflict"
    assert status(run(boss, "rooms destroy", {"room": room}, "conference.localhost")) == "completed"
    assert notes(run(boss, "nodes list", {}, "pubsub.localhost")) == [("info", "none")]


def test_a_form_tells_which_kind_each_argument_is(boss: Client) -> None:
    form = send(boss, "rooms affiliation", to="conference.localhost")
    assert types(form) == {"room": "jid-single", "jid": "jid-single", "affiliation": "list-single"}
    options = [each.text for each in form.findall(".//{jabber:x:data}option/{jabber:x:data}value")]
    assert options == ["member", "admin", "owner", "outcast", "none"]
    adding = send(boss, "accounts add")
    assert types(adding) == {"jid": "jid-single", "password": "text-private"}
    more = send(
        boss,
        "accounts add",
        submit({"jid": "a@localhost", "password": "b"}),
        action="next",
        sessionid=session(adding),
    )
    assert fields(more)["count"] == ["1"]
    check = more.find(
        ".//{jabber:x:data}field[@var='count']/{http://jabber.org/protocol/xdata-validate}validate"
    )
    assert check is not None and check.get("datatype") == "xs:integer"
    assert types(send(boss, "announce")) == {"text": "text-multi"}


def test_secrets_travel_in_the_clear_where_the_operator_does_without_encryption(
    user: Client, make_client: Any, place: Any, account: Any
) -> None:
    """With c2s.require_tls off, users log in on streams that are not encrypted. A test suite adds its users there."""
    plain = make_client(user.account, resource="plain", tls="none")
    assert status(send(plain, "accounts passwd")) == "executing"
    plain_boss = make_client(Account("boss", "secret", place), resource="plain", tls="none")
    form = {"accountjid": f"{account('base').user}-plain@localhost", "password": "R0m30-long"}
    assert status(run(plain_boss, f"{ADMIN}#add-user", form)) == "completed"


def test_a_control_character_is_no_text(boss: Client, place: Any) -> None:
    said = place.server.ctl("motd", "set", "bell \x07", code=1)
    assert "must be text" in said
