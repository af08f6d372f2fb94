"""Many readers, one text."""

import time

import gevent
import gevent.event

from jabberd_py import fanout
from jabberd_py.fanout import HELD, TEXT, WAITING, Copies, Fan, quoted
from jabberd_py.instance import Instance
from jabberd_py.net import turns
from jabberd_py.router import Router
from jabberd_py.xmpp.element import Element, from_text
from jabberd_py.xmpp.jid import parse

ROOM = "garden@conference.example.org"


class Far(Instance):
    """Takes what it gets; `fails` raises."""

    def __init__(self, router, domain):
        super().__init__(router, domain)
        self.got = []
        self.bundles = []

    def deliver_copies(self, bundle, to):
        self.bundles.append(len(bundle))
        super().deliver_copies(bundle, to)

    def deliver(self, stanza, to):
        if to.node == "fails":
            raise RuntimeError("a fault of ours")
        self.got.append(stanza)


def message(text, nick="romeo"):
    return from_text(f"<message from='{ROOM}/{nick}' type='groupchat'><body>{text}</body></message>")


def house(*domains):
    router = Router()
    for domain in domains:
        router.add(Far(router, domain))
    return router


def wait_for(instance, count):
    with gevent.Timeout(5):
        while len(instance.got) < count:
            gevent.sleep(0.001)


def test_a_copy_is_the_stanza_for_its_reader():
    for text in ("plain", "&lt;&amp;>", "", "größer"):
        copies = Copies(message(text))
        for to in ("juliet@example.org/balcony", 'juliet@example.org/it\'s <here> & "there"'):
            copy = copies.element(to)
            assert copy.to_bytes() == message(text).copy(to=to).to_bytes()
            assert from_text(copies.data(quoted(to))).attrs == copy.attrs
            assert from_text(copies.data(quoted(to))).text_of("body") == copy.text_of("body")
    empty = Copies(Element("presence", from_=f"{ROOM}/romeo"))
    assert from_text(empty.data(quoted("a@b.example"))).attrs == {
        "from": f"{ROOM}/romeo",
        "to": "a@b.example",
    }


def test_every_reader_gets_all_in_order():
    router = house("a.example", "b.example")
    fan, readers = Fan(router), [parse(f"u{n}@{domain}/x") for n in range(200) for domain in router.instances]
    for n in range(20):
        fan.send((message(str(n)), readers))
    for domain in ("a.example", "b.example"):
        far = router.instances[domain]
        wait_for(far, 4000)
        of = [each for each in far.got if each.attrs["to"] == f"u7@{domain}/x"]
        assert [each.text_of("body") for each in of] == [str(n) for n in range(20)]


def test_each_reader_gets_the_variant_that_is_for_him():
    router = house("a.example")
    plain, full = message("plain"), message("full")
    Fan(router).send((plain, [parse("u@a.example")]), (full, [parse("moderator@a.example")]))
    far = router.instances["a.example"]
    wait_for(far, 2)
    assert {each.attrs["to"]: each.text_of("body") for each in far.got} == {
        "u@a.example": "plain",
        "moderator@a.example": "full",
    }


def test_one_that_fails_spoils_nothing_for_the_others():
    router = house("a.example", "conference.example.org")
    fan = Fan(router)

    def readers():
        yield parse("fails@a.example")
        yield parse("u@a.example")
        raise ValueError("gone")

    fan.send((message("one"), readers()))
    fan.send((message("two"), [parse("u@a.example")]))
    far = router.instances["a.example"]
    wait_for(far, 2)
    assert [each.text_of("body") for each in far.got] == ["one", "two"]
    assert router.instances["conference.example.org"].got[0].type == "error"  # the room hears of it
    assert not fan.queue


def test_the_loop_is_not_held():
    """While 20,000 copies are made, others have their turn."""
    router = house("a.example")
    readers = [parse(f"u{n}@a.example/x") for n in range(20_000)]
    turns_of_others = 0
    Fan(router).send((message("x"), readers))
    far = router.instances["a.example"]
    with gevent.Timeout(20):
        while len(far.got) < len(readers):
            gevent.sleep(0)
            turns.pause()
            turns_of_others += 1
    assert turns_of_others > 5


def test_single_stanzas_and_those_made_late_keep_the_order():
    router = house("a.example")
    fan, reader = Fan(router), parse("u@a.example/x")
    made = []

    def late():
        made.append(True)
        yield message("third"), [reader]
        yield Copies(message("fourth")), [reader]

    fan.add((message("first"), [reader]))
    fan.one(message("second").copy(to=reader))
    fan.later(2, late())
    fan.all(message("fifth"), ["u@a.example/x"])
    assert fan.weight == 5 and not made
    far = router.instances["a.example"]
    wait_for(far, 5)
    assert [each.text_of("body") for each in far.got] == ["first", "second", "third", "fourth", "fifth"]
    assert router.instances["a.example"].bundles == [5], "all that waits for a reader goes out at once"
    assert (fan.weight, fan.size) == (0, 0)


def test_who_sends_too_much_waits_and_goes_on_in_order():
    router = house("a.example")
    fan, reader = Fan(router), [parse("u@a.example/x")]
    gate = gevent.event.Event()

    def slow():
        gate.wait()
        yield message("large"), reader

    fan.later(WAITING + 1, slow())
    assert fan.busy
    senders = [gevent.spawn(fan.send, (message(str(n)), reader)) for n in range(3)]
    gevent.sleep(0)
    gevent.sleep(0)
    assert len(fan.queue) == 1, "nobody has added anything"
    fan.wait(0.01)
    assert fan.busy, "who does not wait longer goes on all the same"
    gate.set()
    far = router.instances["a.example"]
    wait_for(far, 4)
    gevent.joinall(senders, timeout=5)
    assert [each.text_of("body") for each in far.got] == ["large", "0", "1", "2"]
    assert not fan.waiting


def test_much_text_makes_it_busy_too():
    router = house("a.example")
    fan = Fan(router)
    fan.add((message("x" * HELD), [parse("u@a.example/x")]))
    assert fan.busy


def test_after_many_readers_it_rests_and_what_comes_meanwhile_goes_out_together(monkeypatch):
    router = house("a.example")
    fan, readers = Fan(router), [parse(f"u{n}@a.example/x") for n in range(1000)]
    far, begun = router.instances["a.example"], []
    monkeypatch.setattr(fanout, "begin", lambda run, after=0: begun.append((run, after)))
    fan.send((message("0"), readers))
    ((run, after),) = begun
    assert not after, "the first one is sent at once"
    run()
    assert fan.rested > 0
    fan.rested = time.monotonic() + 100  # as if it had just delivered, however slow this machine is
    for n in (1, 2, 3):
        fan.send((message(str(n)), readers))
    _, (run, after) = begun
    assert 50 < after <= 100
    run()
    assert far.bundles == [1] * 1000 + [3] * 1000
    of = [each.text_of("body") for each in far.got if each.attrs["to"] == "u7@a.example/x"]
    assert of == ["0", "1", "2", "3"]


def test_what_waits_for_the_same_readers_is_gathered_once():
    router = house("a.example")
    fan, readers = Fan(router), [parse(f"u{n}@a.example/x") for n in range(100)]
    far = router.instances["a.example"]
    for n in range(3):
        fan.send((message(str(n)), readers))
    wait_for(far, 300)
    assert far.bundles == [3] * 100
    assert [each.text_of("body") for each in far.got] == ["0", "1", "2"] * 100
    far.got.clear()
    for n in range(3):  # the last one is for others, too
        fan.send((message(str(n)), readers if n < 2 else [*readers[:1], parse("v@a.example/x")]))
    wait_for(far, 202)
    of = {to: [each.text_of("body") for each in far.got if each.attrs["to"] == to] for to in
          ("u0@a.example/x", "u1@a.example/x", "v@a.example/x")}  # fmt: skip
    assert of == {"u0@a.example/x": ["0", "1", "2"], "u1@a.example/x": ["0", "1"], "v@a.example/x": ["2"]}


def test_long_stanzas_do_not_go_out_together():
    """A reader's socket takes one of them before the next one comes."""
    router = house("a.example")
    fan, reader = Fan(router), [parse("u@a.example/x")]
    far = router.instances["a.example"]
    for n in range(3):
        fan.add((message(str(n) * TEXT), reader))
    wait_for(far, 3)
    assert far.bundles == [1, 1, 1]
    assert [each.text_of("body")[0] for each in far.got] == ["0", "1", "2"]


def test_a_turn_that_begins_later():
    done = gevent.event.Event()
    turns.begin(done.set, 0.02)
    assert not done.is_set() and done.wait(5)


def test_who_keeps_a_copy_keeps_it():
    copies = Copies(message("x"))
    one = copies.shared
    one.attrs["to"] = "a@b.example"
    copies.part()
    copies.shared.attrs["to"] = "d@b.example"
    assert copies.shared is not one and one.attrs["to"] == "a@b.example"
