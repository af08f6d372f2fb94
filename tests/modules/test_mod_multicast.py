"""XEP-0033: one stanza to several addresses."""

import pytest

from tests.client import Client, subscribe_both

NS = "http://jabber.org/protocol/address"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
INFO = "http://jabber.org/protocol/disco#info"


def address(type: str, jid: str = "", **more: str) -> str:
    attrs = "".join(f" {key}='{value}'" for key, value in ({"jid": jid} if jid else {} | more).items())
    return f"<address type='{type}'{attrs}/>"


def addressed(
    client: Client, *addresses: str, name: str = "message", attrs: str = "", body: str = "Hello"
) -> None:
    inner = f"<body>{body}</body>" if name == "message" else ""
    client.send(
        f"<{name} to='{client.domain}'{attrs}><addresses xmlns='{NS}'>{''.join(addresses)}</addresses>{inner}</{name}>"
    )


def seen(client: Client, body: str = "Hello") -> list[tuple[str | None, ...]]:
    """What a message names: (type, jid, delivered) of each address."""
    message = client.gets(f"<message><body>{body}</body></message>", 20)
    rows = message.iter(f"{{{NS}}}address")
    return [(each.get("type"), each.get("jid"), each.get("delivered")) for each in rows]


def refused(client: Client, condition: str) -> None:
    client.gets(f"<message type='error'><error><{condition} xmlns='{STANZAS}'/></error></message>", 20)


def test_the_server_says_that_it_is_a_multicast_service(romeo: Client) -> None:
    """Examples 5 and 6."""
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.domain)
    assert NS in {each.get("var") for each in info.iter(f"{{{INFO}}}feature")}


def test_all_get_the_message_and_nobody_learns_who_is_hidden(
    romeo: Client, juliet: Client, nurse: Client
) -> None:
    """Examples 7, 8, and 18 and 19 where the others live elsewhere: to, cc and bcc."""
    addressed(romeo, address("to", juliet.bare), address("cc", romeo.bare), address("bcc", nurse.bare))
    plain = [("to", juliet.bare, "true"), ("cc", romeo.bare, "true")]
    assert seen(juliet) == plain
    assert seen(romeo) == plain
    assert seen(nurse) == [*plain, ("bcc", nurse.bare, None)]
    for client in (romeo, juliet, nurse):
        client.nothing("<message/>")


def test_the_copies_come_in_order_and_from_the_sender(romeo: Client, juliet: Client) -> None:
    for number in range(5):
        addressed(romeo, address("to", juliet.bare), body=f"m{number}", attrs=f" id='a{number}' type='chat'")
        romeo.send(f"<message to='{juliet.bare}' id='b{number}' type='chat'><body>n{number}</body></message>")
    found = [juliet.gets("<message type='chat'><body>...</body></message>", 20) for _ in range(10)]
    assert [each.get("id") for each in found] == [f"{kind}{n}" for n in range(5) for kind in "ab"]
    assert {each.get("from") for each in found} == {romeo.jid}


def test_an_address_that_is_there_twice_gets_one_copy(romeo: Client, juliet: Client) -> None:
    addressed(romeo, address("bcc", juliet.bare), address("to", juliet.bare), address("cc", juliet.bare))
    assert seen(juliet) == [("to", juliet.bare, "true"), ("cc", juliet.bare, "true")]
    juliet.nothing("<message/>")


def test_what_was_delivered_is_not_delivered_again(romeo: Client, juliet: Client, nurse: Client) -> None:
    done = f"<address type='to' jid='{nurse.bare}' delivered='true'/>"
    replies = address("replyto", romeo.bare) + "<address type='noreply'/>"
    addressed(romeo, done, address("to", juliet.bare), replies)
    assert seen(juliet) == [("to", nurse.bare, "true"), ("to", juliet.bare, "true"), ("replyto", romeo.bare, None),
                            ("noreply", None, None)]  # fmt: skip
    nurse.nothing("<message/>")
    addressed(romeo, done)
    refused(romeo, "service-unavailable")


def test_a_copy_that_fails_is_told_and_the_others_arrive(romeo: Client, juliet: Client) -> None:
    addressed(romeo, address("to", f"nobody@{juliet.domain}"), address("to", juliet.bare))
    assert len(seen(juliet)) == 2
    romeo.gets(f"<message type='error' from='nobody@{juliet.domain}'><error/></message>", 10)


@pytest.mark.topology("one host")
def test_whoever_is_blocked_gets_no_copy(romeo: Client, juliet: Client, nurse: Client) -> None:
    romeo.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{nurse.bare}'/></block>")
    addressed(romeo, address("to", nurse.bare), address("to", juliet.bare))
    assert len(seen(juliet)) == 2
    romeo.gets(f"<message type='error' from='{nurse.bare}'><error/></message>")
    nurse.nothing("<message/>")


@pytest.mark.topology("one host")
def test_each_copy_is_in_the_archive_once(romeo: Client, juliet: Client, nurse: Client) -> None:
    addressed(romeo, address("to", juliet.bare), address("bcc", nurse.bare), attrs=" type='chat'")
    seen(juliet), seen(nurse)
    for client, many in ((romeo, 2), (juliet, 1), (nurse, 1)):
        client.iq("set", "<query xmlns='urn:xmpp:mam:2'/>")
        found = [each for each in client.inbox if each.find("{urn:xmpp:mam:2}result") is not None]
        assert len(found) == many


@pytest.mark.topology("one host")
@pytest.mark.parametrize(
    ("addresses", "condition"),
    [
        ("<address type='to' uri='sip:juliet@capulet.example'/>", "jid-malformed"),
        ("<address type='to' jid='@'/>", "jid-malformed"),
        ("<address type='to' jid='a@b.example' uri='sip:a@b.example'/>", "bad-request"),
        ("<address type='to' desc='somebody'/>", "bad-request"),
        ("<address jid='a@b.example'/>", "bad-request"),
        ("<address type='all' jid='a@b.example'/>", "bad-request"),
        ("<address type='bcc' jid='localhost'/>", "forbidden"),
        ("<address type='bcc' jid='localhost/announce/all'/>", "forbidden"),
        ("".join(f"<address type='bcc' jid='a{n}@b.example'/>" for n in range(51)), "not-acceptable"),
        ("", "service-unavailable"),
    ],
)
def test_what_is_wrong_is_refused_as_a_whole(
    romeo: Client, juliet: Client, addresses: str, condition: str
) -> None:
    addressed(romeo, addresses, *([address("to", juliet.bare)] if addresses else []))
    refused(romeo, condition)
    juliet.nothing("<message/>")


@pytest.mark.topology("two hosts", "two servers")
def test_a_stranger_reaches_users_of_this_server_and_nobody_beyond(
    romeo: Client, juliet: Client, nurse: Client
) -> None:
    """Examples 16 and 17: another server sends one stanza for several of ours."""
    to = f"<message to='{juliet.domain}'><addresses xmlns='{NS}'>{{}}</addresses><body>Hello</body></message>"
    romeo.send(to.format(address("to", juliet.bare) + address("bcc", nurse.bare)))
    assert seen(juliet) == [("to", juliet.bare, "true")]
    assert len(seen(nurse)) == 2
    romeo.send(to.format(address("to", juliet.bare) + address("cc", romeo.bare)))
    refused(romeo, "forbidden")
    juliet.nothing("<message/>")


def test_who_saw_the_presence_learns_that_the_sender_is_gone(
    romeo: Client, juliet: Client, nurse: Client
) -> None:
    """Example 2, and section "Directed Presence"."""
    addressed(romeo, address("to", juliet.jid), address("bcc", nurse.jid), name="presence")
    juliet.gets(f"<presence from='{romeo.jid}' type='!absent'><addresses xmlns='{NS}'/></presence>", 20)
    nurse.gets(f"<presence from='{romeo.jid}' type='!absent'><addresses xmlns='{NS}'/></presence>", 20)
    romeo.send("<presence type='unavailable'/>")
    juliet.gets(f"<presence from='{romeo.jid}' type='unavailable'/>", 20)
    nurse.gets(f"<presence from='{romeo.jid}' type='unavailable'/>", 20)


def test_a_request_for_a_subscription_goes_to_one_only(romeo: Client, juliet: Client) -> None:
    addressed(romeo, address("to", juliet.bare), name="presence", attrs=" type='subscribe'")
    juliet.nothing("<presence type='subscribe'/>")


@pytest.mark.topology("one host")
def test_contacts_get_the_copy_too(romeo: Client, juliet: Client) -> None:
    subscribe_both(romeo, juliet)
    addressed(romeo, address("to", juliet.bare), name="presence")
    juliet.gets(f"<presence from='{romeo.jid}'><addresses xmlns='{NS}'/></presence>", 20)
