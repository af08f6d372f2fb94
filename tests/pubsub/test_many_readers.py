"""Nodes with very many subscribers."""

import tracemalloc
from types import SimpleNamespace

import gevent

from jabberd_py.instance import Instance
from jabberd_py.net import turns
from jabberd_py.pubsub.config import Config
from jabberd_py.pubsub.node import KEPT, Node, Nodes
from jabberd_py.pubsub.notify import Event, Outbox, items_event
from jabberd_py.pubsub.options import Options, Subscription
from jabberd_py.pubsub.readers import readers
from jabberd_py.pubsub.store import Item
from jabberd_py.router import Router

OWNER = "pubsub.example.org"
MANY = 10_000
LONG = 20_000
"""Bytes of a payload."""


class Far(Instance):
    """Counts what it gets: reader -> numbers of events, in order."""

    def __init__(self, router, domain):
        super().__init__(router, domain)
        self.got, self.count = {}, 0

    def deliver_copies(self, bundle, to):
        self.got.setdefault(to.full, []).extend(len(copies.inner) for copies in bundle)
        self.count += len(bundle)


def house():
    router = Router()
    far = Far(router, "a.example")
    router.add(far)
    return far, Outbox(router)


def node_of(count):
    nodes, node = Nodes(OWNER), Node("news", Config(), 0.0)
    nodes.add(node)
    for number in range(count):
        join(nodes, node, number)
    return nodes, node


def join(nodes, node, number, **options):
    one = Subscription(f"u{number}@a.example/x", "1", "subscribed", *[Options(**options)] * bool(options))
    nodes.put(node, f"u{number}@a.example", (one,))


def tell(outbox, node, size, barred=()):
    engine = SimpleNamespace(
        collections=False, reader_test=lambda *_: (lambda user: user not in barred) if barred else None
    )
    item = Item("1", "p@a.example", 0.0, f"<a xmlns='urn:x'>{'x' * size}</a>")
    stanza = items_event(OWNER, node.name, "headline", [item], True)
    weight = len(node.subscriptions)
    outbox.put(OWNER, node, Event(stanza, weight, lambda: readers(engine, OWNER, node, "items")))
    return len(stanza.inner)


def wait_for(far, count):
    with gevent.Timeout(60):
        while far.count < count:
            gevent.sleep(0.001)


def test_ten_thousand_subscribers_get_one_text_in_order_and_others_have_their_turns():
    far, outbox = house()
    _, node = node_of(MANY)
    node.sort()  # the addresses are known
    far.got = {f"u{number}@a.example/x": [] for number in range(MANY)}
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        sizes = [tell(outbox, node, LONG + number) for number in range(3)]
        others = 0
        with gevent.Timeout(60):
            while far.count < 3 * MANY:
                turns.pause()
                others += 1
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert all(got == sizes for got in far.got.values()) and len(far.got) == MANY
    assert grown < 20_000_000  # a text for each of them is 600 MB
    assert others > 5


def test_who_has_come_or_gone_is_known_at_the_next_event():
    far, outbox = house()
    nodes, node = node_of(3)
    one = tell(outbox, node, 1)
    wait_for(far, 3)
    nodes.put(node, "u0@a.example", ())
    join(nodes, node, 1, deliver=False)
    join(nodes, node, 3)
    two = tell(outbox, node, 2)
    wait_for(far, 5)
    join(nodes, node, 1, deliver=True)
    three = tell(outbox, node, 3, barred={"u2@a.example"})
    wait_for(far, 7)
    assert far.got == {"u0@a.example/x": [one], "u1@a.example/x": [one, three], "u2@a.example/x": [one, two],
                       "u3@a.example/x": [two, three]}  # fmt: skip


def test_the_sorted_subscribers_of_few_nodes_are_kept():
    nodes = [node_of(3)[1] for _ in range(KEPT + 5)]
    for node in nodes:
        assert [jid.full for jid in node.sort().plain] == [f"u{number}@a.example/x" for number in range(3)]
    assert sum(node.kinds is not None for node in nodes) == KEPT
    assert nodes[-1].sort() is nodes[-1].sort()
