"""The spool at random: messages, acknowledgements, clients that come and go, a full queue, sorting that fails, crashes.

In the end every message was acknowledged, and the store has those that are archived, and no others. Without a crash no session
gets a message twice."""

import random
from types import SimpleNamespace

import gevent
import pytest

from jabberd_py.archive import messages
from jabberd_py.archive.messages import Fresh, Message
from jabberd_py.jsm import spool
from jabberd_py.xdb import StoreError, xdb
from jabberd_py.xmpp.element import from_text

ROMEO = "romeo@example.org"
TEXT = f"<message xmlns='jabber:client' from='juliet@example.org/x' to='{ROMEO}'><body>x</body></message>"
sort_in = messages.sort_in


def fails():
    raise StoreError("no room")


class Client:
    """With stream management; ``had`` are the numbers that it got."""

    connected = True
    place = ""

    def __init__(self):
        self.sm, self.queue, self.had = self, [], []

    def unacknowledged(self):
        return list(self.queue)

    def drain(self):
        gevent.sleep(0)

    def hold(self):
        pass

    def release(self):
        pass

    def note(self, key):
        return None


class Kept(spool.Spool):
    """Notes what it was given: number, archived."""

    def _insert(self, id, user, stanza, archived, *rest):
        ticket = super()._insert(id, user, stanza, archived, *rest)
        self.host.walk.kept[id] = archived
        return ticket


class Walk:
    def __init__(self, seed, folder, patch):
        self.random, self.folder, self.patch = random.Random(seed), folder, patch
        self.kept, self.acknowledged, self.crashes, self.jobs = {}, set(), 0, []
        self.small = self.random.random() < 0.5
        patch.setattr(messages, "FRESH", self.random.choice([7, 5000]))
        patch.setattr(spool, "RETRY", 0.005)
        self.open()

    def open(self):
        store = xdb.open("sqlite:///store.db", messages.tables(), str(self.folder))
        messages.start()
        store.writer.gather = 0.002
        if self.small:
            store.writer.entries = 2
        self.clients = clients = []
        everybody = lambda *of: list(clients)  # noqa: E731
        there = SimpleNamespace(best=everybody, willing=everybody, of=everybody, users={})
        self.host = SimpleNamespace(
            domain="example.org", walk=self, sessions=there, deliver_to=self.deliver_to, takers=everybody,
            admits=lambda user, stanza: True,
        )  # fmt: skip
        self.spool = Kept(self.host)
        self.spool.offline, self.spool.limit = True, 1_000_000

    def deliver_to(self, client, stanza):
        if client not in self.clients:
            self.spool.missed(ROMEO, stanza.uid)
            return True
        client.queue.append(stanza.uid)
        client.had.append(stanza.uid)
        assert self.crashes or client.had.count(stanza.uid) == 1, "twice"
        return True

    # -- steps ---------------------------------------------------------------------------------

    def message(self):
        archived = self.random.random() < 0.5
        if self.small and self.random.random() < 0.7:
            self.jobs.append(gevent.spawn(self.deliver, archived))
            gevent.sleep(0)
        else:
            self.deliver(archived)

    def deliver(self, archived):
        """As `jsm/delivery.py`."""
        clients, stanza = list(self.clients), from_text(TEXT)
        if not clients or self.spool.held(ROMEO, stanza, clients):
            self.spool.store(ROMEO, stanza, archived)
            return
        self.spool.deliver(ROMEO, stanza, archived, clients)

    def acknowledge(self):
        for client in self.clients:
            for _ in range(min(self.random.randrange(6), len(client.queue))):
                id = client.queue.pop(0)
                self.acknowledged.add(id)
                self.spool.marks.delivered(ROMEO, id)

    def come(self):
        if len(self.clients) < 2:
            self.clients.append(Client())
            self.host.sessions.users[ROMEO] = True
            self.spool.flush(ROMEO)

    def go(self):
        if self.clients:
            client = self.clients.pop(self.random.randrange(len(self.clients)))
            if not self.clients:
                self.host.sessions.users.clear()
            self.spool.marks.gone(ROMEO)
            queue, client.queue = client.queue, []
            self.spool.returned(ROMEO, queue)

    def save(self):
        self.spool.marks.save()

    def pause(self):
        gevent.sleep(self.random.choice([0, 0.001, 0.005]))

    def fail(self):
        self.patch.setattr(messages, "sort_in", fails)

    def mend(self):
        self.patch.setattr(messages, "sort_in", sort_in)

    def crash(self):
        self.crashes += 1
        self.clients.clear()
        self.host.sessions.users.clear()
        gevent.joinall(self.jobs)
        self.mend()  # else a row whose deletion failed just before the crash may stay for good
        self.spool.marks.save()
        messages.sync()
        self.spool.marks.save()
        while any(mine.flushing for mine in self.spool.marks.users.values()):
            gevent.sleep(0.001)
        xdb.store.close()
        self.open()

    def end(self):
        """One client takes all that is left."""
        self.mend()
        gevent.joinall(self.jobs)
        self.come()
        with gevent.Timeout(10, AssertionError("messages are held back")):
            mine = self.spool.marks.of(ROMEO)
            while not mine.clear or mine.flushing or any(client.queue for client in self.clients):
                self.spool.flush(ROMEO)
                self.acknowledge()
                gevent.sleep(0.001)
        for _ in range(2):  # what failed is tried once more
            self.save()
            assert messages.sync()


@pytest.mark.parametrize("seed", range(40))
def test_none_is_lost(seed, tmp_path, monkeypatch):
    walk = Walk(seed, tmp_path, monkeypatch)
    try:
        go(walk)
    finally:
        xdb.store.close()


def go(walk):
    steps = [walk.message] * 36 + [walk.acknowledge] * 15 + [walk.come] * 9 + [walk.go] * 8 + [walk.save] * 10
    steps += [walk.fail] * 2 + [walk.mend] * 6 + [walk.crash] * 2 + [walk.pause] * 12
    for _ in range(walk.random.randrange(20, 120)):
        walk.random.choice(steps)()
    walk.end()
    assert set(walk.kept) == walk.acknowledged
    assert {row.id for row in Message.select()} == {id for id, archived in walk.kept.items() if archived}
    assert not Fresh.select().count()
