"""Registration by strangers: questions (XEP-0158), approval by an administrator; and links to a new password."""

import re

import pytest

from tests.admin.dialogue import condition, run, send
from tests.client import AuthFailed
from tests.people.conftest import BOSS, HOST, OPEN, PASSWORD

NS, DATA = "jabber:iq:register", "jabber:x:data"
RIGHT = {"qa": " Light  BLUE ", "text": "I am <b>Bill</b>, the neighbour"}


def ask(client):
    """The fields of the form: var -> (type, label, value)."""
    answer = client.iq("get", f"<query xmlns='{NS}'/>")
    fields = answer.iter(f"{{{DATA}}}field")
    return {
        each.get("var"): (each.get("type"), each.get("label"), each.findtext(f"{{{DATA}}}value"))
        for each in fields
    }


def fill(client, **values):
    escaped = {var: text.replace("<", "&lt;") for var, text in values.items()}
    fields = "".join(f"<field var='{var}'><value>{text}</value></field>" for var, text in escaped.items())
    form = f"<x xmlns='{DATA}' type='submit'><field var='FORM_TYPE'><value>{NS}</value></field>{fields}</x>"
    return client.iq("set", f"<query xmlns='{NS}'>{form}</query>")


def apply(client, name, **values):
    challenge = ask(client)["challenge"][2]
    return fill(client, **({"username": name, "password": PASSWORD, "challenge": challenge} | RIGHT | values))


def failure(client, name):
    with pytest.raises(AuthFailed) as caught:
        client.login(name, PASSWORD)
    return caught.value.condition, "".join(caught.value.element.itertext())


def test_the_form_of_xep_0158_asks_a_question_and_for_a_reason(stranger):
    fields = ask(stranger(OPEN))
    assert fields["FORM_TYPE"][2] == NS
    assert fields["username"][0] == "text-single" and fields["password"][0] == "text-private"
    assert fields["challenge"][0] == "hidden" and fields["challenge"][2]
    assert fields["qa"][:2] == ("text-single", "What colour is the sky?")
    assert "Why" in fields["text"][1]


@pytest.mark.parametrize(
    "values", [{"qa": "green"}, {"qa": ""}, {"challenge": "other"}, {"text": " "}, {"text": "x" * 2000}]
)
def test_a_wrong_answer_or_no_reason_makes_no_account(stranger, values):
    client = stranger(OPEN)
    assert condition(apply(client, "mallory", **values)) == "not-acceptable"
    assert failure(client, "mallory")[0] == "not-authorized"


def test_fields_without_the_form_make_no_account(stranger):
    inner = f"<username>mallory</username><password>{PASSWORD}</password>"
    assert condition(stranger(OPEN).iq("set", f"<query xmlns='{NS}'>{inner}</query>")) == "not-acceptable"


def test_a_registration_waits_until_an_administrator_approves_it(stranger, boss, ctl):
    client = stranger(OPEN)
    name = f"bill-{client.fresh()}"
    user = f"{name}@{OPEN}"
    assert apply(client, name).get("type") == "result"
    assert failure(client, name) == ("account-disabled", "an administrator has to approve the account first")
    told = boss.take(lambda each: user in "".join(each.itertext()), user, 5)
    said = "".join(told.itertext())
    assert "I am <b>Bill</b>, the neighbour" in said
    (row,) = [each for each in ctl("registrations", "list") if each["jid"] == user]
    assert row["reason"] == "I am <b>Bill</b>, the neighbour"
    assert run(boss, "registrations approve", {"jid": user}, to=OPEN).get("type") == "result"
    client.login(name, PASSWORD)
    assert not [each for each in ctl("registrations", "list") if each["jid"] == user]


def test_a_registration_that_is_refused_is_gone(stranger, ctl, fails):
    client = stranger(OPEN)
    name = f"bill-{client.fresh()}"
    assert apply(client, name).get("type") == "result"
    ctl("registrations", "refuse", f"{name}@{OPEN}")
    assert failure(client, name)[0] == "not-authorized"
    assert "does not wait" in fails("registrations", "approve", f"{name}@{OPEN}")
    assert "does not wait" in fails("registrations", "refuse", BOSS)


def waiting(stranger, ctl):
    """An account that waits."""
    client = stranger(OPEN)
    name = f"bill-{client.fresh()}"
    assert apply(client, name).get("type") == "result"
    return client, f"{name}@{OPEN}"


def test_an_account_that_is_enabled_waits_no_longer(stranger, ctl, fails):
    client, user = waiting(stranger, ctl)
    ctl("accounts", "enable", user)
    assert user not in [each["jid"] for each in ctl("registrations", "list")]
    assert "does not wait" in fails("registrations", "refuse", user)
    client.login(user.partition("@")[0], PASSWORD)


def test_a_suspension_is_neither_undone_by_approval_nor_ended_by_refusal(stranger, ctl, fails):
    client, user = waiting(stranger, ctl)
    ctl("accounts", "suspend", user, "--reason", "a spammer")
    assert "changed meanwhile" in fails("registrations", "approve", user)
    assert "accounts delete" in fails("registrations", "refuse", user)
    assert failure(client, user.partition("@")[0]) == ("account-disabled", "a spammer")
    ctl("accounts", "delete", user)


def test_a_time_that_is_too_far_away_changes_nothing(person, ctl, fails):
    romeo = person()
    for duration in ("99999999999999d", "36526d"):
        assert "must be a duration" in fails("accounts", "suspend", romeo.bare, "--duration", duration)
    ctl("accounts", "suspend", romeo.bare, "--duration", "36500d")
    assert ctl("accounts", "show", romeo.bare)["disabled"] is True


def test_only_so_many_registrations_wait_and_few_come_from_one_address(stranger, ctl):
    for each in ctl("registrations", "list"):
        ctl("registrations", "refuse", each["jid"])
    made = []
    for number in range(5):
        client = stranger(OPEN)
        name = f"flood{number}-{client.fresh()}"
        made.append((f"{name}@{OPEN}", condition(apply(client, name))))
    assert [found for _, found in made] == ["", "", "", "", "resource-constraint"]
    one = stranger(OPEN, source="127.0.0.99")
    found = [condition(apply(one, "x", qa="green")) for _ in range(4)]
    assert found == ["not-acceptable"] * 4
    assert "from your address" in "".join(apply(one, "x").itertext())
    for user, _ in made[:4]:
        ctl("registrations", "refuse", user)


# -- a link to a new password


def test_only_administrators_make_links_to_a_password(person, ctl, fails):
    romeo = person()
    assert condition(send(romeo, "accounts reset")) == "forbidden"
    made = ctl("accounts", "reset", romeo.bare)
    assert re.fullmatch(f"https://{HOST}:\\d+/password/[a-z2-7]{{32}}", made["url"])
    assert "no such account" in fails("accounts", "reset", f"nobody@{HOST}")
