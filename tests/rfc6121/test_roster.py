"""RFC 6121 section 2: the roster."""

from typing import Any

import pytest

from tests.client import Client, subscribe_both
from tests.conftest import CONFIG, Place
from tests.match import matches

NURSE = "nurse@example.com"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def get(client: Client, ver: str | None = None) -> Any:
    """The query of the answer; None where the roster has not changed."""
    attribute = "" if ver is None else f" ver='{ver}'"
    answer = client.iq("get", f"<query xmlns='jabber:iq:roster'{attribute}/>")
    assert answer.get("type") == "result"
    return answer.find("{jabber:iq:roster}query")


def change(client: Client, item: str) -> Any:
    return client.iq("set", f"<query xmlns='jabber:iq:roster'>{item}</query>")


def jids(client: Client) -> list[str]:
    return [item.get("jid") for item in get(client)]


def push(item: str) -> str:
    return f"<iq type='set' id='...'><query xmlns='jabber:iq:roster' ver='...'>{item}</query></iq>"


def refused(answer: Any, condition: str) -> bool:
    return not matches(f"<iq type='error'><error><{condition} xmlns='{STANZAS}'/></error></iq>", answer)


@pytest.fixture
def user(make_client: Any) -> Client:
    return make_client(available=False)


def test_a_new_roster_is_empty(user: Client) -> None:
    assert jids(user) == []


def test_an_item_is_added_pushed_and_kept(user: Client, make_client: Any) -> None:
    other, indifferent = make_client(user.account), make_client(user.account)
    get(user)
    get(other)
    item = f"<item jid='{NURSE}' name='Nurse'><group>Servants</group><group>Friends</group></item>"

    assert change(user, item).get("type") == "result"

    for client in (user, other):
        client.gets(
            push(
                f"<item jid='{NURSE}' name='Nurse' subscription='none' ask='!absent'>"
                "<group>Servants</group><group>Friends</group></item>"
            )
        )
    indifferent.nothing("<iq type='set'/>")
    assert len(get(user)[0]) == 2


def test_an_item_is_changed(user: Client) -> None:
    change(user, f"<item jid='{NURSE}' name='Nurse'><group>Servants</group></item>")
    change(user, f"<item jid='{NURSE}/chamber' name='Angelica'/>")
    (item,) = get(user)
    assert item.get("name") == "Angelica"
    assert len(item) == 0


def test_a_client_cannot_give_itself_subscriptions(user: Client) -> None:
    change(user, f"<item jid='{NURSE}' subscription='both' ask='subscribe' approved='true'/>")
    (item,) = get(user)
    assert item.attrib == {"jid": NURSE, "subscription": "none"}


def test_an_item_is_removed(user: Client) -> None:
    change(user, f"<item jid='{NURSE}'/>")
    get(user)
    assert change(user, f"<item jid='{NURSE}' subscription='remove'/>").get("type") == "result"
    user.gets(push(f"<item jid='{NURSE}' subscription='remove'/>"))
    assert jids(user) == []


@pytest.mark.parametrize(("item", "condition"), [
    ("", "bad-request"),
    (f"<item jid='{NURSE}'/><item jid='mab@example.com'/>", "bad-request"),
    ("<item name='nobody'/>", "bad-request"),
    ("<item jid='@'/>", "jid-malformed"),
    (f"<item jid='{NURSE}'><group>a</group><group>a</group></item>", "bad-request"),
    (f"<item jid='{NURSE}'><group/></item>", "not-acceptable"),
    (f"<item jid='{NURSE}'><group>{'g' * 1024}</group></item>", "not-acceptable"),
    (f"<item jid='{NURSE}' name='{'é' * 512}'/>", "not-acceptable"),
    (f"<item jid='{NURSE}'>{''.join(f'<group>{i}</group>' for i in range(51))}</item>", "not-acceptable"),
    (f"<item jid='{NURSE}' subscription='remove'/>", "item-not-found"),
    ("<other/>", "bad-request"),
])  # fmt: skip
def test_a_bad_change_is_refused(user: Client, item: str, condition: str) -> None:
    assert refused(change(user, item), condition)
    assert jids(user) == []


def test_nobody_is_his_own_contact(user: Client) -> None:
    assert refused(change(user, f"<item jid='{user.bare}'/>"), "not-allowed")


@pytest.mark.parametrize("kind", ["get", "set"])
def test_somebody_elses_roster_is_closed(romeo: Client, juliet: Client, kind: str) -> None:
    payload = "<query xmlns='jabber:iq:roster'/>"
    assert refused(romeo.iq(kind, payload, to=juliet.bare), "forbidden")


def test_a_version_saves_the_roster(user: Client) -> None:
    assert user.features.find("{urn:xmpp:features:rosterver}ver") is not None
    change(user, f"<item jid='{NURSE}'/>")
    version = get(user, "").get("ver")
    assert get(user, version) is None
    change(user, f"<item jid='{NURSE}' name='Nurse'/>")
    newer = get(user, version)
    assert newer.get("ver") != version
    change(user, f"<item jid='{NURSE}' subscription='remove'/>")
    assert list(get(user, newer.get("ver"))) == []


def test_removing_a_contact_ends_both_subscriptions(romeo: Client, juliet: Client) -> None:
    subscribe_both(romeo, juliet)

    change(romeo, f"<item jid='{juliet.bare}' subscription='remove'/>")

    juliet.gets(f"<presence type='unsubscribe' from='{romeo.bare}'/>")
    juliet.gets(f"<presence type='unsubscribed' from='{romeo.bare}'/>")
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'/>")
    juliet.gets(push(f"<item jid='{romeo.bare}' subscription='none'/>"))
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    assert jids(romeo) == []


def test_the_roster_has_a_limit(start_server: Any, account: Any, make_client: Any) -> None:
    modules = {**CONFIG["modules"], "roster": {"limit": 2}}
    server = start_server({**CONFIG, "modules": modules})
    user = make_client(account("user", Place(server, "localhost")))
    for number in range(2):
        assert change(user, f"<item jid='{number}@example.com'/>").get("type") == "result"
    assert refused(change(user, "<item jid='2@example.com'/>"), "resource-constraint")
    assert change(user, "<item jid='1@example.com' name='One'/>").get("type") == "result"
    user.send("<presence type='subscribe' id='s' to='3@example.com'/>")
    condition = f"<resource-constraint xmlns='{STANZAS}'/>"
    user.gets(f"<presence type='error' id='s'><error>{condition}</error></presence>")


def test_roster_and_requests_survive_a_restart(start_server: Any, account: Any, make_client: Any) -> None:
    server = start_server()
    place = Place(server, "localhost")
    romeo, away = make_client(account("romeo", place)), account("juliet", place)
    change(romeo, f"<item jid='{NURSE}' name='Nurse'><group>Servants</group></item>")
    romeo.send(
        f"<presence type='subscribe' id='first' to='{away.bare}'><status>wherefore?</status>"
        "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>"
    )
    romeo.send(f"<presence type='subscribe' to='{away.bare}'/>")
    romeo.sync()
    version = get(romeo).get("ver")

    server.kill9()
    server.start()

    for _ in range(2):  # until it is answered
        juliet = make_client(away)
        juliet.gets(
            f"<presence type='subscribe' id='first' from='{romeo.bare}'><status>wherefore?</status>"
            "<nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>"
        )
        juliet.nothing("<presence type='subscribe'/>")
        assert jids(juliet) == []
    again = make_client(romeo.account)
    assert get(again, version) is None
    juliet.send(f"<presence type='subscribed' to='{romeo.bare}'/>")
    again.gets(f"<presence type='subscribed' from='{juliet.bare}'/>")
    late = make_client(away)
    late.nothing("<presence type='subscribe'/>")
