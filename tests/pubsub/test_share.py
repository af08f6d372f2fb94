"""Nobody takes the whole of what all share: events, places, and the time of the store."""

import logging
from dataclasses import replace
from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event as Signal

from jabberd_py.pubsub import bounces, configuring, counting, people, publishing, store
from jabberd_py.pubsub.audience import EACH, MOST, Audience, Seen
from jabberd_py.pubsub.config import Config
from jabberd_py.pubsub.node import Node, temporary
from jabberd_py.pubsub.notify import Event, Outbox, items_event
from jabberd_py.pubsub.options import Options, Subscription
from jabberd_py.pubsub.quota import Quota, Sum
from jabberd_py.pubsub.store import Item
from jabberd_py.pubsub.tables import TABLES
from jabberd_py.xdb import xdb
from jabberd_py.xmpp.jid import parse
from tests.pubsub.words import ITEMS, condition, publish, pubsub

SERVICE = "pubsub.localhost"
TEMPORARY = Options(expire="presence")
RSM = "http://jabber.org/protocol/rsm"


@pytest.fixture
def database(tmp_path):
    opened = xdb.open("sqlite:///test.sqlite", list(TABLES), str(tmp_path))
    store.nodes_of.clear()
    yield opened
    store.nodes_of.clear()
    opened.close()


def test_a_node_with_many_subscribers_holds_up_no_node_of_others():
    got, news, blocked = [], Signal(), Signal()

    def deliver(bundle, jid):
        got.append(str(jid))
        news.set()

    outbox = Outbox(SimpleNamespace(instances={}, uplink=SimpleNamespace(deliver_copies=deliver)))

    def audience(reader, wait=None):
        def readers():
            if wait is not None:
                wait.wait()
            yield (), [parse(reader)]

        return readers

    stanza = items_event(SERVICE, "n", "headline", [Item("i", "a", 0.0, "")], True)
    big, small = Node("n", Config(), 0.0, "romeo@localhost"), Node("n2", Config(), 0.0, "juliet@localhost")
    outbox.put(SERVICE, big, Event(stanza, 10_000, audience("a@x.example", blocked)))
    outbox.put(SERVICE, big, Event(stanza, 10_000, audience("b@x.example")))
    outbox.put(SERVICE, small, Event(stanza, 1, audience("nurse@x.example")))
    assert news.wait(10)
    assert got == ["nurse@x.example"]
    blocked.set()
    with gevent.Timeout(10):
        while len(got) < 3:
            news.clear()
            news.wait()
    assert got[1:] == ["a@x.example", "b@x.example"]


def test_one_contact_does_not_fill_an_audience():
    audience, seen = Audience(), Seen(("x",))
    taken = [audience.put("romeo@a", f"mallory@b/{number}", seen) for number in range(EACH + 5)]
    assert taken == [True] * EACH + [False] * 5
    assert audience.put("romeo@a", "juliet@b/r", seen) and audience.put("romeo@a", "mallory@b/0", seen)
    audience.remove("romeo@a", "mallory@b/0")
    audience.remove("romeo@a", "mallory@b/0")
    assert audience.put("romeo@a", "mallory@b/new", seen)
    assert not audience.put("romeo@a", "mallory@b/more", seen)
    for number in range(MOST):
        audience.put("romeo@a", f"u{number}@b/r", seen)
    assert not audience.put("romeo@a", "late@b/r", seen)
    assert audience.put("romeo@a", "romeo@a/phone", seen)
    for full, _ in audience.clients("romeo@a"):
        audience.remove("romeo@a", full)
    assert not audience.of and not audience.shares


def test_a_refused_retraction_reads_no_payload(database, caplog):
    _fill("n", 3)
    with caplog.at_level(logging.DEBUG, logger="peewee"):
        found = store.publishers(SERVICE, "n", ["i2", "none", "i0"])
    assert list(found.items()) == [("i2", "romeo@a"), ("i0", "romeo@a")]
    assert caplog.records and all("payload" not in str(record.msg) for record in caplog.records)


def test_the_room_that_stored_items_take_is_counted(database):
    owner, node = "romeo@localhost", Node("n", Config(), 0.0, "romeo@localhost")
    store.create(owner, "n", node.config, (10, 10), owner, {})
    for number in range(25):
        publishing.publish(owner, node, [Item(str(number), owner, 0.0, "x" * 100)], 1000)
    for creator, used in (("", 2500), (owner, 2500), ("juliet@localhost", 0)):
        one = Sum(owner, creator)
        one.used = 5  # published since the server began
        Quota()._count(one)
        assert (one.used, one.counting) == (used, False)


def test_very_many_nodes_change_some_at_a_time_and_nothing_is_trimmed(database, monkeypatch):
    names = [f"n{number}" for number in range(2 * configuring.NODES + 5)]
    for name in names:
        store.create(SERVICE, name, Config(), (1000, 1000), "romeo@a", {})
    saved, save = [], xdb.save

    def spy(function, *args):
        if function is configuring._configure:
            saved.append(list(args[1]))
        return save(function, *args)

    monkeypatch.setattr(xdb, "save", spy)
    monkeypatch.setattr(store, "past", lambda *args: pytest.fail("nobody asked for fewer items"))
    config = Config(collection=("top",))
    configuring.configure(SERVICE, dict.fromkeys(names, configuring.Change(into=("top",))))
    assert [len(piece) for piece in saved] == [configuring.NODES, configuring.NODES, 5]
    assert saved[-1][-1] == names[0]
    nodes = store.nodes_of(SERVICE)
    assert all(nodes[name].config == config for name in names) and set(nodes.children["top"]) == set(names)
    store.nodes_of.clear()
    assert set(store.nodes_of(SERVICE).children["top"]) == set(names)


def test_a_change_of_a_configuration_leaves_alone_what_it_is_not_about(database):
    store.create(SERVICE, "n", Config(collection=("old",)), (9, 9), "romeo@a", {})
    before = store.nodes_of(SERVICE)["n"].config
    assert configuring.configure(SERVICE, {"n": configuring.Change(into=("top",), out=("old",))})
    assert configuring.configure(
        SERVICE, {"n": configuring.Change(replace(before, title="N"))}
    )  # as it was before
    assert not configuring.configure(SERVICE, {"gone": configuring.Change(Config())})
    for _ in "memory", "store":
        config = store.nodes_of(SERVICE)["n"].config
        assert (config.title, config.collection) == ("N", ("top",))
        store.nodes_of.clear()


def test_a_large_node_is_counted_in_pieces_and_not_at_each_page(database, monkeypatch):
    monkeypatch.setattr(counting, "PIECE", 10)
    monkeypatch.setattr(counting, "LARGE", 20)
    store.create(SERVICE, "n", Config(), (9, 9), "romeo@a", {})
    node = store.nodes_of(SERVICE)["n"]
    turns = []
    monkeypatch.setattr(counting, "share", turns.append)
    _fill("n", 20)
    assert counting.total(SERVICE, node, 0.0) == 20 and len(turns) == 3
    _fill("n", 5, 20)
    assert counting.total(SERVICE, node, 0.0) == 25  # few are counted each time
    _fill("n", 5, 25)
    assert counting.total(SERVICE, node, 0.0) == 25  # many: it was so not long ago
    assert store.retract(SERVICE, "n", ["i0"])
    assert counting.total(SERVICE, node, 0.0) == 29
    assert counting.index(SERVICE, "n", 29, 10, True, None) == 19
    assert counting.index(SERVICE, "n", 29, 10, False, None) == 0
    assert counting.index(SERVICE, "n", 29, 10, False, store.Cut(before=15)) is None
    store.purge(SERVICE, "n")
    assert counting.total(SERVICE, node, 0.0) == 0


def _fill(node, number, first=0):
    from jabberd_py.pubsub.publishing import COLUMNS, _row
    from jabberd_py.pubsub.tables import PubsubItem

    rows = [
        _row(n + 1, SERVICE, node, Item(f"i{n}", "romeo@a", 0.0, "<a/>"))
        for n in range(first, first + number)
    ]
    xdb.save(lambda: PubsubItem.insert_many([dict(zip(COLUMNS, row, strict=True)) for row in rows]).execute())


def test_who_goes_while_the_nodes_are_not_in_memory_is_subscribed_no_longer(database):
    owner, user = "romeo@a", "juliet@b"
    store.create(owner, "n", Config(), (9, 9), owner, {})
    kept = [Subscription(user, "s1", "subscribed"), Subscription(f"{user}/2", "s2", "subscribed", TEMPORARY)]
    people.subscribe(owner, "n", [*kept, Subscription(f"{user}/1", "s3", "subscribed", TEMPORARY)])
    store.nodes_of.clear()
    temporary.clear()
    people.begin()  # after a restart
    assert temporary == {user: {(owner, "n")}}
    people.left(f"{user}/1", True)
    xdb.save(lambda: None)  # behind that
    assert [each.subid for each in store.nodes_of(owner)["n"].subscriptions[user]] == ["s1", "s2"]
    store.nodes_of.clear()
    people.left(f"{user}/2", False)
    xdb.save(lambda: None)
    assert [each.subid for each in store.nodes_of(owner)["n"].subscriptions[user]] == ["s1"]
    assert not temporary


def test_errors_of_many_hours_end_a_subscription_and_those_of_one_hour_do_not(monkeypatch):
    now = [1_000_000.0]
    monkeypatch.setattr(bounces.time, "monotonic", lambda: now[0])
    counter = bounces.Bounces()
    assert not any(counter.add("a@b") for _ in range(100))
    for _ in range(bounces.MANY - 2):
        now[0] += bounces.ONCE
        assert not counter.add("a@b") and not counter.add("a@b")
    now[0] += bounces.FORGOTTEN + 1
    assert not counter.add("a@b")
    for _ in range(bounces.MANY - 2):
        now[0] += bounces.ONCE
        assert not counter.add("a@b")
    now[0] += bounces.ONCE
    assert counter.add("a@b") and not counter


@pytest.mark.topology("one host")
def test_the_list_of_a_nodes_items_in_pages(romeo, juliet, service):
    node = romeo.iq("set", pubsub("<create/>"), to=service).find(".//*[@node]").get("node")
    for number in range(5):
        publish(romeo, node, f"i{number}", to=service)

    def page(inner=None):
        more = "" if inner is None else f"<set xmlns='{RSM}'>{inner}</set>"
        answer = juliet.iq("get", f"<query xmlns='{ITEMS}' node='{node}'>{more}</query>", to=service)
        names = [each.get("name") for each in answer.iter(f"{{{ITEMS}}}item")]
        first, count = answer.find(f".//{{{RSM}}}first"), answer.findtext(f".//{{{RSM}}}count")
        return names, None if first is None else first.get("index"), count

    assert page() == ([f"i{number}" for number in range(5)], None, None)
    assert page("<max>2</max>") == (["i0", "i1"], "0", "5")
    assert page("<max>2</max><after>i1</after>") == (["i2", "i3"], "2", "5")
    assert page("<max>2</max><before>i3</before>") == (["i1", "i2"], "1", "5")
    assert page("<max>2</max><before/>") == (["i3", "i4"], "3", "5")
    assert page("<max>2</max><after>i4</after>") == ([], None, "5")
    assert page("<max>0</max>") == ([], None, "5")
    for bad, answer in (
        ("<after>none</after>", "item-not-found"),
        ("<index>1</index>", "feature-not-implemented"),
    ):
        query = f"<query xmlns='{ITEMS}' node='{node}'><set xmlns='{RSM}'>{bad}</set></query>"
        assert condition(juliet.iq("get", query, to=service)) == (answer,)


def test_what_is_over_does_not_come_back_with_a_change_that_was_on_its_way(database):
    owner = "pubsub.a"
    store.create(owner, "n", Config(), (9, 9), owner, {})
    one, two, three = (Subscription(f"{each}@b", each, "pending") for each in ("s1", "s2", "s3"))
    people.subscribe(owner, "n", [one, two, three])
    node = store.nodes_of(owner)["n"]
    people.unsubscribe(owner, "n", [one])
    assert not people.set_options(owner, "n", one._replace(options=Options(deliver=False)))
    assert people.set_options(owner, "n", two._replace(options=Options(deliver=False)))
    approved = people.approve(owner, "n", [one, two])  # with the options of before
    assert [each.jid for each in approved] == ["s2@b"]
    soon = Options(expire=1000.0)
    people.set_options(owner, "n", three._replace(options=soon))
    people.set_options(owner, "n", three._replace(options=Options(expire=3000.0)))  # renewed
    assert people.unsubscribe(owner, "n", [three._replace(options=soon)], 2000.0) == []
    expected = {
        "s2@b": (Subscription("s2@b", "s2", "subscribed", Options(deliver=False)),),
        "s3@b": (Subscription("s3@b", "s3", "pending", Options(expire=3000.0)),),
    }
    assert node.subscriptions == expected
    store.nodes_of.clear()  # after a restart
    assert store.nodes_of(owner)["n"].subscriptions == expected


def test_long_addresses_count_more(database):
    owner, long = "pubsub.a", f"{'x' * 1000}@b"
    store.create(owner, "n", Config(), (9, 9), "romeo@a", {})
    nodes = store.nodes_of(owner)
    node = nodes["n"]
    people.affiliate(owner, "n", {"juliet@b": "member", long: "member"}, False, 9)
    people.subscribe(owner, "n", [Subscription(long, "s1", "subscribed")])
    assert nodes.people == {"": 1 + 6 + 6, "romeo@a": 1 + 6 + 6}
    people.affiliate(owner, "n", {long: "none"}, False, 9)
    assert nodes.people["romeo@a"] == 1 + 6
    store.delete(owner, node)
    assert not nodes.people
