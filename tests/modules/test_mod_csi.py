"""XEP-0352: Client State Indication."""

import pytest

from tests.client import subscribe_both

NS = "urn:xmpp:csi:0"
SM = "urn:xmpp:sm:3"
STATES = "http://jabber.org/protocol/chatstates"
CARBONS = "urn:xmpp:carbons:2"
EVENT = "http://jabber.org/protocol/pubsub#event"


def inactive(client):
    client.send(f"<inactive xmlns='{NS}'/>")
    client.sync()


def active(client):
    client.send(f"<active xmlns='{NS}'/>")


def typing(client, to, state="composing"):
    client.send(f"<message to='{to}' type='chat'><{state} xmlns='{STATES}'/></message>")
    client.sync(to.partition("@")[2].partition("/")[0])


def headline(client, to, item, node="urn:xmpp:avatar:metadata"):
    client.send(
        f"<message to='{to}' type='headline' id='{item}'><event xmlns='{EVENT}'><items node='{node}'>"
        f"<item id='{item}'/></items></event></message>"
    )
    client.sync(to.partition("@")[2].partition("/")[0])


@pytest.fixture
def couple(romeo, juliet):
    subscribe_both(romeo, juliet)
    return romeo, juliet


def test_it_is_offered_after_login(romeo, account, make_client):
    assert romeo.features.find(f"{{{NS}}}csi") is not None
    assert make_client(login=False).features.find(f"{{{NS}}}csi") is None


def test_before_login_it_means_nothing(account, make_client):
    stranger = make_client(login=False)
    stranger.send(f"<inactive xmlns='{NS}'/>")
    assert stranger.stream_error() == "unsupported-stanza-type"


def test_presence_waits_and_only_the_last_comes(couple):
    romeo, juliet = couple
    inactive(romeo)
    for show in ("away", "dnd", "xa"):
        juliet.send(f"<presence><show>{show}</show></presence>")
    romeo.sync()  # an IQ result is important: what is held back goes before it
    juliet.sync(romeo.domain)
    romeo.inbox.clear()
    for show in ("away", "dnd", "chat"):
        juliet.send(f"<presence><show>{show}</show></presence>")
    juliet.sync(romeo.domain)
    active(romeo)
    romeo.gets(f"<presence from='{juliet.jid}'><show>chat</show></presence>")
    romeo.nothing("<presence/>")
    juliet.send("<presence/>")
    romeo.gets(f"<presence from='{juliet.jid}'><show>!absent</show></presence>")


def test_nothing_comes_while_inactive(couple):
    """Read straight from the socket: a ping, by which tests usually wait, would flush."""
    romeo, juliet = couple
    inactive(romeo)
    juliet.send("<presence><show>away</show></presence>")
    typing(juliet, romeo.jid)
    headline(juliet, romeo.jid, "1")
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='end'><body>x</body></message>")
    romeo.gets("<message id='end'/>")
    assert [e.tag.rpartition("}")[2] for e in romeo.inbox] == ["presence", "message", "message"]


def test_order_is_kept_before_what_is_important(couple):
    romeo, juliet = couple
    inactive(romeo)
    juliet.send("<presence><show>away</show></presence>")
    typing(juliet, romeo.jid, "composing")
    typing(juliet, romeo.jid, "paused")
    juliet.send("<presence><show>dnd</show></presence>")
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m'><body>wherefore</body></message>")
    juliet.sync(romeo.domain)
    romeo.sync()
    assert [e[0].tag.rpartition("}")[2] for e in romeo.inbox] == ["paused", "show", "body"]
    assert romeo.inbox[1].findtext("{jabber:client}show") == "dnd"


def test_what_does_not_wait(couple):
    romeo, juliet = couple
    for payload in (
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
        "<body>x</body>",
        f"<active xmlns='{STATES}'/><body>x</body>",
        "<encrypted xmlns='urn:xmpp:omemo:2'/>",
        f"<active xmlns='{STATES}'/><store xmlns='urn:xmpp:hints'/>",
    ):
        inactive(romeo)
        juliet.send(f"<message to='{romeo.jid}' type='chat'>{payload}</message>")
        romeo.gets(f"<message from='{juliet.jid}'>{payload}</message>")
    inactive(romeo)
    juliet.send(f"<presence to='{romeo.bare}' type='unsubscribe'/>")
    romeo.gets("<presence type='unsubscribe'/>")


def test_of_notifications_the_last_of_each_node_comes(couple):
    romeo, juliet = couple
    inactive(romeo)
    headline(juliet, romeo.jid, "1")
    headline(juliet, romeo.jid, "2", "urn:xmpp:bookmarks:1")
    headline(juliet, romeo.jid, "3")
    active(romeo)
    romeo.sync()
    assert [e.get("id") for e in romeo.inbox] == ["2", "3"]


def test_of_a_node_with_many_items_no_other_item_is_dropped(couple):
    """Two bookmarks that were changed while nobody looked are two."""
    romeo, juliet = couple
    inactive(romeo)
    for item in ("a", "b", "a"):
        headline(juliet, romeo.jid, item, "urn:xmpp:bookmarks:1")
    active(romeo)
    romeo.sync()
    assert [e.get("id") for e in romeo.inbox] == ["b", "a"]


def test_what_a_room_says_once_is_not_replaced(couple):
    """Somebody was kicked, and came back: both are told."""
    romeo, juliet = couple
    inactive(romeo)
    x = "<x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/>{}</x>"
    kicked, back = x.format("<status code='307'/>"), x.format("")
    juliet.send(f"<presence to='{romeo.jid}' type='unavailable'>{kicked}</presence>")
    juliet.send(f"<presence to='{romeo.jid}'>{back}</presence>")
    juliet.sync(romeo.domain)
    active(romeo)
    romeo.gets(f"<presence from='{juliet.jid}' type='unavailable'/>")
    romeo.gets(f"<presence from='{juliet.jid}' type='!absent'/>")


def test_a_copy_of_a_chat_state_waits_too(couple, make_client):
    romeo, juliet = couple
    phone = make_client(romeo.account, resource="phone")
    phone.iq("set", f"<enable xmlns='{CARBONS}'/>")
    inactive(phone)
    phone.inbox.clear()
    typing(juliet, romeo.jid, "composing")
    typing(juliet, romeo.jid, "paused")
    juliet.send(f"<message to='{romeo.jid}' type='chat'><body>x</body></message>")
    copy = f"<message><received xmlns='{CARBONS}'>...</received></message>"
    first, second = phone.gets(copy), phone.gets(copy)
    assert first.find(f".//{{{STATES}}}paused") is not None
    assert second.findtext(".//{jabber:client}body") == "x"


def test_a_ping_behind_active_is_answered_last(couple):
    romeo, juliet = couple
    inactive(romeo)
    juliet.send("<presence><show>away</show></presence>")
    juliet.sync(romeo.domain)
    romeo.send(
        f"<active xmlns='{NS}'/><iq type='get' id='ping1' to='{romeo.domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    romeo.answer("ping1")
    assert [e.findtext("{jabber:client}show") for e in romeo.inbox] == ["away"]


def test_a_resumed_stream_is_active(couple, make_client):
    romeo, juliet = couple
    romeo.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = romeo.gets(f"<enabled xmlns='{SM}'/>").get("id")
    inactive(romeo)
    juliet.send("<presence><show>away</show></presence>")
    juliet.sync(romeo.domain)
    romeo.abort()
    again = make_client(romeo.account, login=False)
    again.auth(romeo.account.user, romeo.account.password)
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='1'/>")
    again.gets(f"<resumed xmlns='{SM}'/>")
    again.gets(f"<presence from='{juliet.jid}'><show>away</show></presence>")
    juliet.send("<presence><show>dnd</show></presence>")
    again.gets(f"<presence from='{juliet.jid}'><show>dnd</show></presence>")


def test_held_stanzas_are_bounded(start_server):
    from tests.client import Client

    server = start_server({"modules": {"csi": {"most": 3}}})
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    romeo = Client(server.address("c2s")).login("romeo", "secret").available()
    juliet = Client(server.address("c2s")).login("juliet", "secret").available()
    inactive(romeo)
    for number in range(4):
        headline(juliet, romeo.jid, str(number), f"node-{number}")
    for number in range(4):
        romeo.gets(f"<message id='{number}'/>")
    romeo.close()
    juliet.close()
