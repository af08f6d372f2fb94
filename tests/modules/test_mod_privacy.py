"""XEP-0016: Privacy Lists."""

import pytest

from jabberd_py.modules.privacy_rules import Item, Kept, List, read
from jabberd_py.xmpp.element import from_text
from jabberd_py.xmpp.jid import parse
from tests.client import Client, subscribe_both

NS = "jabber:iq:privacy"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
DENY_ALL = "<item action='deny' order='1'/>"


def ask(client, content="", kind="get"):
    return client.iq(kind, f"<query xmlns='{NS}'>{content}</query>")


def put(client, name, items):
    answer = ask(client, f"<list name='{name}'>{items}</list>", "set")
    assert answer.get("type") == "result"


def choose(client, which, name=None):
    attribute = f" name='{name}'" if name else ""
    answer = ask(client, f"<{which}{attribute}/>", "set")
    assert answer.get("type") == "result"


def fails(answer, condition):
    assert answer.get("type") == "error"
    assert answer.find(f".//{{{STANZAS}}}{condition}") is not None, condition


def names(client):
    return [(each.tag.rpartition("}")[2], each.get("name")) for each in ask(client)[0]]


def refused(sender, to, number="m"):
    """A message to ``to`` bounces."""
    sender.send(f"<message to='{to}' id='{number}'><body>hi</body></message>")
    sender.gets(
        f"<message type='error' id='{number}'><error type='cancel'><service-unavailable xmlns='{STANZAS}'/>"
        "</error></message>"
    )


def arrives(sender, client, to, text):
    sender.send(f"<message to='{to}'><body>{text}</body></message>")
    client.gets(f"<message><body>{text}</body></message>")


def test_names_and_lists(romeo):
    assert names(romeo) == []
    tybalt = "<item type='jid' value='Tybalt@example.com' action='deny' order='3'><message/></item>"
    put(romeo, "public", f"{tybalt}<item action='allow' order='2'/>")
    put(romeo, "private", "<item type='subscription' value='both' action='allow' order='10'/>")
    choose(romeo, "active", "private")
    choose(romeo, "default", "public")
    assert names(romeo) == [
        ("active", "private"),
        ("default", "public"),
        ("list", "public"),
        ("list", "private"),
    ]
    answer = ask(romeo, "<list name='public'/>")
    items = [(i.get("order"), i.get("type"), i.get("value"), len(i)) for i in answer[0][0]]
    assert items == [("2", None, None, 0), ("3", "jid", "tybalt@example.com", 1)]
    choose(romeo, "active")
    choose(romeo, "default")
    assert names(romeo) == [("list", "public"), ("list", "private")]
    put(romeo, "public", "")
    assert names(romeo) == [("list", "private")]


def test_what_is_not_there(romeo):
    for kind, content in (
        ("get", "<list name='x'/>"),
        ("set", "<list name='x'/>"),
        ("set", "<active name='x'/>"),
        ("set", "<default name='x'/>"),
        ("set", "<list name='x'><item type='group' value='Enemies' action='deny' order='1'/></list>"),
    ):
        fails(ask(romeo, content, kind), "item-not-found")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<active/><default/>",
        "<other/>",
        "<list/>",
        "<list name='x'><item action='deny' order='1'/><item action='allow' order='1'/></list>",
        "<list name='x'><item order='1'/></list>",
        "<list name='x'><item action='deny'/></list>",
        "<list name='x'><item action='deny' order='-1'/></list>",
        "<list name='x'><item action='deny' order='4294967296'/></list>",
        "<list name='x'><item action='deny' order='1' type='jid' value='@'/></list>",
        "<list name='x'><item action='deny' order='1' type='subscription' value='maybe'/></list>",
        "<list name='x'><item action='deny' order='1' type='odd' value='x'/></list>",
        "<list name='x'><item action='deny' order='1'><presence/></item></list>",
    ],
)
def test_bad_requests(romeo, content):
    fails(ask(romeo, content, "set"), "bad-request")
    assert names(romeo) == []


def test_one_list_at_a_time(romeo):
    fails(ask(romeo, "<list name='a'/><list name='b'/>"), "bad-request")


def test_there_is_a_limit_of_lists(romeo):
    for number in range(20):
        put(romeo, f"l{number}", DENY_ALL)
    fails(ask(romeo, f"<list name='more'>{DENY_ALL}</list>", "set"), "not-acceptable")
    put(romeo, "l0", "<item action='allow' order='1'/>")


def test_all_resources_hear_of_an_edit(romeo, make_client):
    home = make_client(romeo.account)
    put(romeo, "public", DENY_ALL)
    for each in (romeo, home):
        push = "<list name='public'><item>!absent</item></list>"
        each.gets(f"<iq type='set' to='{each.jid}'><query xmlns='{NS}'>{push}</query></iq>")


def test_a_list_in_use_elsewhere_stays(romeo, make_client):
    home = make_client(romeo.account)
    put(romeo, "a", DENY_ALL)
    put(romeo, "b", DENY_ALL)
    choose(home, "active", "a")
    fails(ask(romeo, "<list name='a'/>", "set"), "conflict")
    choose(romeo, "default", "b")
    choose(home, "active")
    fails(ask(romeo, "<default name='a'/>", "set"), "conflict")
    fails(ask(romeo, "<default/>", "set"), "conflict")
    fails(ask(romeo, "<list name='b'/>", "set"), "conflict")
    home.close()
    romeo.sync()
    choose(romeo, "active", "b")
    put(romeo, "b", "")
    assert names(romeo) == [("list", "a")]


def test_an_active_list_counts_for_its_session_only(romeo, juliet, make_client):
    home = make_client(juliet.account)
    put(juliet, "quiet", "<item action='deny' order='1'><message/></item>")
    choose(juliet, "active", "quiet")
    refused(romeo, juliet.jid)
    arrives(romeo, home, home.jid, "one")
    arrives(romeo, home, juliet.bare, "two")
    juliet.nothing("<message/>")
    choose(home, "active", "quiet")
    refused(romeo, juliet.bare, "n")
    choose(juliet, "active")
    arrives(romeo, juliet, juliet.jid, "three")


def test_an_active_list_replaces_the_default(romeo, juliet):
    put(juliet, "none", DENY_ALL)
    put(juliet, "all", "<item action='allow' order='1'/>")
    choose(juliet, "default", "none")
    refused(romeo, juliet.jid)
    choose(juliet, "active", "all")
    arrives(romeo, juliet, juliet.jid, "hello")


def test_messages_only(romeo, juliet):
    put(juliet, "m", f"<item type='jid' value='{romeo.bare}' action='deny' order='1'><message/></item>")
    choose(juliet, "active", "m")
    refused(romeo, juliet.jid)
    romeo.send(f"<presence to='{juliet.jid}'/>")
    juliet.gets(f"<presence from='{romeo.jid}'/>")
    juliet.send(f"<message to='{romeo.jid}'><body>I may still write</body></message>")
    romeo.gets("<message><body>I may still write</body></message>")


def test_iqs_only(romeo, juliet):
    put(juliet, "i", "<item action='deny' order='1'><iq/></item>")
    choose(juliet, "active", "i")
    romeo.send(f"<iq type='get' id='q' to='{juliet.jid}'><query xmlns='jabber:iq:version'/></iq>")
    romeo.gets(f"<iq type='error' id='q'><error><service-unavailable xmlns='{STANZAS}'/></error></iq>")
    arrives(romeo, juliet, juliet.jid, "hi")


def test_order_decides(romeo, juliet):
    put(juliet, "o", f"<item type='jid' value='{romeo.bare}' action='allow' order='42'/>"
                     f"<item type='jid' value='{romeo.domain}' action='deny' order='666'/>")  # fmt: skip
    choose(juliet, "active", "o")
    arrives(romeo, juliet, juliet.jid, "hi")
    put(juliet, "o", f"<item type='jid' value='{romeo.bare}' action='allow' order='666'/>"
                     f"<item type='jid' value='{romeo.domain}' action='deny' order='42'/>")  # fmt: skip
    refused(romeo, juliet.jid)


def test_by_roster_group_also_after_it_changes(romeo, juliet):
    def group(name):
        item = f"<item jid='{romeo.bare}'><group>{name}</group></item>"
        assert juliet.iq("set", f"<query xmlns='jabber:iq:roster'>{item}</query>").get("type") == "result"

    group("Enemies")
    put(juliet, "g", "<item type='group' value='Enemies' action='deny' order='4'/>")
    choose(juliet, "default", "g")
    refused(romeo, juliet.jid)
    group("Friends")
    arrives(romeo, juliet, juliet.jid, "hi")


def test_by_subscription_also_after_it_changes(romeo, juliet):
    put(juliet, "s", "<item type='subscription' value='none' action='deny' order='5'><message/></item>")
    choose(juliet, "default", "s")
    refused(romeo, juliet.jid)
    subscribe_both(romeo, juliet)
    arrives(romeo, juliet, juliet.jid, "hi")


def test_hiding_presence(romeo, juliet):
    subscribe_both(romeo, juliet)
    put(
        juliet,
        "out",
        f"<item type='jid' value='{romeo.bare}' action='deny' order='13'><presence-out/></item>",
    )
    choose(juliet, "active", "out")
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    juliet.send("<presence><show>away</show></presence>")
    juliet.sync()
    romeo.nothing(f"<presence from='{juliet.jid}'/>")
    romeo.send(f"<presence type='probe' to='{juliet.bare}'/>")
    romeo.nothing(f"<presence type='!absent' from='{juliet.bare}...'/>")
    arrives(romeo, juliet, juliet.bare, "still friends")
    choose(juliet, "active")
    romeo.gets(f"<presence type='!absent' from='{juliet.jid}'><show>away</show></presence>")


def test_not_seeing_presence(romeo, juliet):
    subscribe_both(romeo, juliet)
    put(juliet, "in", f"<item type='jid' value='{romeo.bare}' action='deny' order='7'><presence-in/></item>")
    choose(juliet, "default", "in")
    juliet.gets(f"<presence type='unavailable' from='{romeo.bare}'/>")
    romeo.send("<presence><show>dnd</show></presence>")
    juliet.nothing(f"<presence from='{romeo.jid}'/>")
    choose(juliet, "default")
    juliet.gets(f"<presence type='!absent' from='{romeo.jid}'><show>dnd</show></presence>")


def hides(client, kinds="<presence-out/>"):
    put(client, "out", f"<item action='deny' order='1'>{kinds}</item>")
    choose(client, "active", "out")


def test_who_has_seen_directed_presence_sees_it_end_when_it_is_hidden(romeo, juliet):
    juliet.send(f"<presence to='{romeo.jid}'/>")
    romeo.gets(f"<presence type='!absent' from='{juliet.jid}'/>")
    hides(juliet)
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}' to='{romeo.jid}'/>")
    juliet.abort()
    romeo.nothing(f"<presence from='{juliet.jid}'/>")


def test_a_new_contact_does_not_see_hidden_presence(romeo, juliet):
    hides(juliet)
    romeo.send(f"<presence type='subscribe' to='{juliet.bare}'/>")
    juliet.gets(f"<presence type='subscribe' from='{romeo.bare}'/>")
    juliet.send(f"<presence type='subscribed' to='{romeo.bare}'/>")
    romeo.gets(f"<presence type='subscribed' from='{juliet.bare}'/>")
    romeo.nothing(f"<presence type='!absent' from='{juliet.jid}'/>")


def test_a_hidden_user_answers_probes_as_one_who_is_away(romeo, juliet):
    subscribe_both(romeo, juliet)
    hides(juliet)
    romeo.gets(f"<presence type='unavailable' from='{juliet.jid}'/>")
    romeo.send(f"<presence type='probe' to='{juliet.bare}'/>")
    romeo.gets(f"<presence type='unavailable' from='{juliet.bare}'/>")


def test_a_hidden_user_is_not_given_away_by_other_answers(romeo, juliet):
    subscribe_both(romeo, juliet)
    items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    last = "<query xmlns='jabber:iq:last'/>"
    assert [item.get("jid") for item in romeo.iq("get", items, juliet.bare)[0]] == [juliet.jid]
    assert romeo.iq("get", last, juliet.bare).get("type") == "result"
    hides(juliet)
    assert list(romeo.iq("get", items, juliet.bare)[0]) == []
    fails(romeo.iq("get", last, juliet.bare), "forbidden")


# -- the rules alone ---------------------------------------------------------------------------


def nobody():
    return None


def test_jids_match_from_the_resource_to_the_domain():
    for value in ("a@b/c", "a@b", "b/c", "b"):
        rules = List([Item(1, True, "jid", value)])
        assert rules.denies(parse("a@b/c"), "message", nobody), value
        assert not rules.denies(parse("a@x/c"), "message", nobody)
    assert not List([Item(1, True, "jid", "a@b/d")]).denies(parse("a@b/c"), "message", nobody)


def test_the_first_that_matches_decides_whatever_its_kind():
    jid = parse("a@b/c")
    rules = List([Item(2, True, "jid", "a@b"), Item(1, False, None, None, frozenset(["message"]))])
    assert not rules.denies(jid, "message", nobody)
    assert rules.denies(jid, "iq", nobody)


def test_what_is_stored_reads_back():
    items = [Item(1, True, "jid", "a@b"), Item(2, False, "group", "<&'>", frozenset(["iq", "presence-out"]))]
    assert Kept(Kept.of(items).text).list.items == tuple(items)


def test_what_an_older_server_stored_is_read():
    item = "<item type='jid' value='a@b' action='deny' order='1'><iq/></item>"
    old = read(from_text(f"<query xmlns='{NS}'><default name='x y'/><list name='x y'>{item}</list></query>"))
    assert old.default == "x y" and old.get("x y").items == (Item(1, True, "jid", "a@b", frozenset(["iq"])),)


def test_twenty_long_lists_take_neither_time_nor_memory(start_server):
    """Three accounts with all that they may have: setting one list does not touch the others."""
    server = start_server()
    for name in ("one", "two", "three"):
        Client(server.address()).connect().register(name, "secret").close()
    clients = [Client(server.address()).login(name, "secret").available() for name in ("one", "two", "three")]
    numbers = range(1000)
    before, cpu = server.pss(), server.cpu()
    for number in range(20):
        items = "".join(
            f"<item type='jid' value='foe{n}@list{number}.example' action='deny' order='{n}'/>"
            for n in numbers
        )
        for client in clients:
            put(client, f"list{number}", items)
    assert server.cpu() - cpu < 10  # 60 lists; it was a second for the last of each
    choose(clients[0], "default", "list3")
    fails(clients[0].iq("get", "<ping xmlns='urn:xmpp:ping'/>", "foe7@list3.example"), "not-acceptable")
    assert server.pss() - before < 60_000_000  # 300 MB before
    server.restart()
    again = Client(server.address()).login("one", "secret").available()
    assert len(ask(again, "<list name='list19'/>").findall(f".//{{{NS}}}item")) == 1000
    fails(again.iq("get", "<ping xmlns='urn:xmpp:ping'/>", "foe7@list3.example"), "not-acceptable")
    for client in (again, *clients):
        client.close()
