"""RFC 6121 sections 3.4 (pre-approval) and 4: presence."""

from typing import Any

import pytest

from tests.client import Client, subscribe_both

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def test_initial_presence_brings_that_of_contacts(
    romeo: Client, juliet: Client, make_client: Any, topology: Any
) -> None:
    subscribe_both(romeo, juliet)
    juliet.send("<presence><show>away</show><status>be right back</status></presence>")
    romeo.gets(f"<presence from='{juliet.jid}' to='{romeo.bare}'><show>away</show></presence>")

    second = make_client(romeo.account, resource="garden", available=False)
    second.send("<presence id='p'><priority>3</priority></presence>")

    juliet.gets(f"<presence from='{second.jid}' to='{juliet.bare}' id='p'><priority>3</priority></presence>")
    romeo.gets(f"<presence from='{second.jid}'><priority>3</priority></presence>")
    second.gets(f"<presence from='{romeo.jid}'/>")
    second.gets(f"<presence from='{juliet.jid}'><show>away</show><status>be right back</status></presence>")
    second.gets(f"<presence from='{second.jid}' to='{romeo.bare}'/>")
    if (
        topology.name != "two servers"
    ):  # there a probe comes from the account, and all its resources hear the answer
        romeo.nothing(f"<presence from='{juliet.jid}'/>")


def test_a_contact_who_is_away_is_unavailable(romeo: Client, juliet: Client, make_client: Any) -> None:
    subscribe_both(romeo, juliet)
    juliet.send("<presence type='unavailable'/>")
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    second = make_client(romeo.account)
    second.gets(f"<presence type='unavailable' from='{juliet.bare}'/>")


def test_unavailable_presence_says_why(romeo: Client, juliet: Client) -> None:
    subscribe_both(romeo, juliet)
    romeo.send("<presence type='unavailable'><status>banished</status></presence>")
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'><status>banished</status></presence>")
    juliet.send("<presence><show>xa</show></presence>")
    romeo.nothing("<presence type='!absent'/>")
    romeo.abort()
    juliet.nothing("<presence type='unavailable'/>")


def test_a_lost_connection_is_unavailable_presence(romeo: Client, juliet: Client) -> None:
    subscribe_both(romeo, juliet)
    romeo.abort()
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}' to='{juliet.bare}'/>")


def test_strangers_hear_nothing(romeo: Client, juliet: Client) -> None:
    romeo.send("<presence><show>chat</show></presence>")
    juliet.nothing(f"<presence from='{romeo.jid}'/>")


def test_presence_goes_one_way_in_a_one_way_subscription(romeo: Client, juliet: Client) -> None:
    romeo.send(f"<presence type='subscribe' to='{juliet.bare}'/>")
    juliet.gets(f"<presence type='subscribe' from='{romeo.bare}'/>")
    juliet.send(f"<presence type='subscribed' to='{romeo.bare}'/>")
    romeo.gets(f"<presence type='!absent' from='{juliet.jid}'/>")
    romeo.send("<presence><show>dnd</show></presence>")
    juliet.nothing(f"<presence from='{romeo.jid}'/>")


@pytest.mark.parametrize("priority", ["-129", "128", "high", "", "1.5", "٣"])
def test_a_bad_priority_is_refused(romeo: Client, priority: str) -> None:
    romeo.send(f"<presence id='p'><priority>{priority}</priority></presence>")
    romeo.gets(f"<presence type='error' id='p'><error><bad-request xmlns='{STANZAS}'/></error></presence>")


def test_directed_presence_ends_with_the_session(romeo: Client, juliet: Client) -> None:
    romeo.send(f"<presence to='{juliet.jid}'><status>psst</status></presence>")
    juliet.gets(f"<presence from='{romeo.jid}' to='{juliet.jid}'><status>psst</status></presence>")
    romeo.send("<presence><show>away</show></presence>")
    juliet.nothing("<presence><show>away</show></presence>")
    romeo.abort()
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}' to='{juliet.jid}'/>")


def test_directed_unavailable_presence_is_the_last(romeo: Client, juliet: Client) -> None:
    romeo.send(f"<presence to='{juliet.jid}'/><presence type='unavailable' to='{juliet.jid}'/>")
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'/>")
    romeo.send("<presence type='unavailable'/>")
    juliet.nothing(f"<presence type='unavailable' from='{romeo.jid}'/>")


def test_who_has_seen_directed_presence_may_probe_for_it(romeo: Client, juliet: Client) -> None:
    romeo.send(f"<presence to='{juliet.jid}'><status>psst</status></presence>")
    juliet.gets("<presence><status>psst</status></presence>")
    juliet.send(f"<presence type='probe' to='{romeo.jid}'/>")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}'><status>!absent</status></presence>")


def test_a_contact_may_probe_a_resource(romeo: Client, juliet: Client) -> None:
    subscribe_both(romeo, juliet)
    juliet.send(f"<presence type='probe' to='{romeo.jid}'/>")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}' to='{juliet.jid}'/>")
    juliet.send(f"<presence type='probe' to='{romeo.bare}/gone' id='g'/>")
    juliet.gets(f"<presence type='unavailable' from='{romeo.bare}/gone' id='g'/>")


def test_a_pre_approved_contact_need_not_wait(romeo: Client, juliet: Client) -> None:
    assert juliet.features.find("{urn:xmpp:features:pre-approval}sub") is not None
    for client in (romeo, juliet):
        client.iq("get", "<query xmlns='jabber:iq:roster'/>")
    juliet.send(f"<presence type='subscribed' to='{romeo.bare}'/>")
    juliet.gets(
        "<iq type='set'><query xmlns='jabber:iq:roster'>"
        f"<item jid='{romeo.bare}' subscription='none' approved='true'/></query></iq>"
    )
    juliet.sync()
    romeo.nothing("<presence type='subscribed'/>")

    romeo.send(f"<presence type='subscribe' to='{juliet.bare}'/>")

    romeo.gets(f"<presence type='subscribed' from='{juliet.bare}'/>")
    romeo.gets(f"<presence type='!absent' from='{juliet.jid}'/>")
    juliet.gets(
        "<iq type='set'><query xmlns='jabber:iq:roster'>"
        f"<item jid='{romeo.bare}' subscription='from' approved='true'/></query></iq>"
    )
    juliet.nothing("<presence type='subscribe'/>")


def item(jid, **attributes):
    said = " ".join(f"{name}='{value}'" for name, value in {"ask": "!absent", **attributes}.items())
    return f"<iq type='set'><query xmlns='jabber:iq:roster'><item jid='{jid}' {said}/></query></iq>"


def test_who_asks_a_pre_approved_contact_sees_each_state_once(romeo: Client, juliet: Client) -> None:
    for client in (romeo, juliet):
        client.iq("get", "<query xmlns='jabber:iq:roster'/>")
    juliet.send(f"<presence type='subscribed' to='{romeo.bare}'/>")
    juliet.sync()
    romeo.send(f"<presence type='subscribe' to='{juliet.bare}'/>")
    romeo.gets(f"<presence type='!absent' from='{juliet.jid}'/>")
    pushes = [
        (item.get("subscription"), item.get("ask"))
        for element in romeo.inbox
        for item in element.iter("{jabber:iq:roster}item")
    ]
    assert pushes == [("none", "subscribe"), ("to", None)]
    juliet.gets(item(romeo.bare, subscription="none", approved="true"))
    juliet.gets(item(romeo.bare, subscription="from", approved="true"))
    juliet.nothing("<iq type='set'/>")


def test_the_own_unavailable_presence_comes_back(romeo: Client, make_client: Any) -> None:
    other = make_client(romeo.account)
    romeo.send("<presence type='unavailable' id='u'><status>gone</status></presence>")
    for client in (romeo, other):
        client.gets(
            f"<presence type='unavailable' id='u' from='{romeo.jid}' to='{romeo.bare}'><status>gone</status></presence>"
        )
    romeo.send("<presence type='unavailable'/>")  # nobody sees it available: nobody is told again
    romeo.nothing("<presence type='unavailable'/>")
    other.nothing("<presence type='unavailable'/>")


@pytest.mark.parametrize("type", ["subscribe", "subscribed", "unsubscribe", "unsubscribed"])
@pytest.mark.parametrize("resource", ["", "/balcony"])
def test_an_account_that_does_not_exist_keeps_silent(
    romeo: Client, topology: Any, type: str, resource: str
) -> None:
    romeo.send(f"<presence type='{type}' to='nobody-at-all@{topology.juliet.domain}{resource}'/>")
    romeo.sync(topology.juliet.domain)
    romeo.nothing(f"<presence from='nobody-at-all@{topology.juliet.domain}'/>")


def test_a_request_to_nobody_stays_pending(romeo: Client, topology: Any) -> None:
    romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    nobody = f"nobody-at-all@{topology.juliet.domain}"
    romeo.send(f"<presence type='subscribe' to='{nobody}'/>")
    romeo.gets(item(nobody, subscription="none", ask="subscribe"))
    romeo.sync(topology.juliet.domain)
    romeo.nothing("<iq type='set'/>")


def test_one_who_has_seen_directed_presence_hears_the_end_once(romeo: Client, juliet: Client) -> None:
    romeo.send(f"<presence to='{juliet.jid}'/>")
    juliet.gets(f"<presence from='{romeo.jid}' to='{juliet.jid}'/>")
    subscribe_both(romeo, juliet)
    romeo.send("<presence type='unavailable'/>")
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'/>")
    juliet.nothing(f"<presence type='unavailable' from='{romeo.jid}'/>")


def test_a_withdrawn_pre_approval_is_worth_nothing(romeo: Client, juliet: Client) -> None:
    for type in ("subscribed", "unsubscribed"):
        juliet.send(f"<presence type='{type}' to='{romeo.bare}'/>")
    juliet.sync()
    romeo.send(f"<presence type='subscribe' to='{juliet.bare}'/>")
    juliet.gets(f"<presence type='subscribe' from='{romeo.bare}'/>")
    romeo.nothing("<presence type='subscribed'/>")


def test_a_request_reaches_one_of_negative_priority(romeo: Client, make_client: Any, account: Any) -> None:
    away = account("juliet")
    romeo.send(f"<presence type='subscribe' to='{away.bare}'/>")
    romeo.sync()
    juliet = make_client(away, available=False).available(-1)
    juliet.gets(f"<presence type='subscribe' from='{romeo.bare}'/>")


def test_a_deleted_account_leaves_no_subscriptions(romeo: Client, juliet: Client) -> None:
    subscribe_both(romeo, juliet)

    romeo.send("<iq type='set' id='bye'><query xmlns='jabber:iq:register'><remove/></query></iq>")

    juliet.gets(f"<presence type='unsubscribe' from='{romeo.bare}'/>")
    juliet.gets(f"<presence type='unsubscribed' from='{romeo.bare}'/>")
    juliet.gets(f"<presence type='unavailable' from='{romeo.jid}'/>")
    (item,) = juliet.iq("get", "<query xmlns='jabber:iq:roster'/>").iter("{jabber:iq:roster}item")
    assert item.get("subscription") == "none"
