"""kill -9 in the middle of traffic: what was acknowledged is there afterwards, and nothing comes under two names."""

import json
import random

import gevent
import pytest

from tests.client import Client
from tests.crash.traffic import PASSWORD, RECEIVERS, Ledger, Managed, Sender, collect, read_archive, settle
from tests.databases import mariadb, postgres  # noqa: F401

SENDERS = 20
CONFIG = {
    "hosts": {"localhost": {}},
    "c2s": {"require_tls": False, "unacknowledged": 100_000, "buffer": "64 MiB"},
    "modules": {"offline": {"limit": 100_000}},
}


def accounts(server):
    people = [*RECEIVERS, *(f"s{n}" for n in range(SENDERS))]
    jobs = [
        gevent.spawn(server.ctl, "accounts", "add", f"{name}@localhost", "--password", PASSWORD)
        for name in people
    ]
    gevent.joinall(jobs, raise_error=True)


def more(ledger, count):
    """Waits until that many more were acknowledged."""
    before = len(ledger.acknowledged)
    with gevent.Timeout(30, AssertionError(f"acknowledged {before}, and no more")):
        while len(ledger.acknowledged) < before + count:
            gevent.sleep(0.01)


def crash_rounds(server, rounds):
    ledger = Ledger()
    accounts(server)
    managed = Managed(ledger)
    for number in range(rounds):
        if number:
            server.start()
        managed.connect(server)
        online = Client(server.address(), "localhost", "none")
        online.login("online", PASSWORD, "desk")
        online.send("<presence/>")
        listeners = [gevent.spawn(managed.listen), gevent.spawn(collect, online, ledger)]
        senders = [gevent.spawn(Sender(server, f"s{n}", ledger).run) for n in range(SENDERS)]
        more(ledger, 100 + random.randrange(200))
        server.kill9()
        gevent.joinall([*senders, *listeners], timeout=10)
        for client in (online, managed.client):
            client.abort()
    server.start()
    managed.connect(server)
    settle(managed.client, ledger, managed)
    managed.client.close()
    read_all(server, ledger)
    return ledger


def read_all(server, ledger):
    """What waits for the receivers, and their archives."""
    for name in RECEIVERS:
        client = Client(server.address(), "localhost", "none")
        client.login(name, PASSWORD, "last")
        client.send("<presence/>")
        settle(client, ledger)
        read_archive(client, ledger)
        client.close()


def figures(ledger, where):
    print(
        f"{where}: acknowledged {len(ledger.acknowledged)}, refused {len(ledger.refused)}, "
        f"lost {len(ledger.lost())}, came twice under two names {len(ledger.doubled())}"
    )
    assert not ledger.lost()
    assert not ledger.doubled()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kind", ["sqlite", "mariadb", "postgres"])
def test_twenty_crashes(kind, request, start_server):
    config = dict(CONFIG)
    if kind == "sqlite":
        request.node.add_marker(pytest.mark.sqlite)
    else:
        config["database"] = request.getfixturevalue(kind).fresh()
    ledger = crash_rounds(start_server(config), 20)
    assert len(ledger.acknowledged) >= 2000
    figures(ledger, kind)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["mariadb", "postgres"])
def test_the_database_is_killed(kind, request, start_server):
    """The server goes on, says what it cannot store, and recovers by itself."""
    database = request.getfixturevalue(kind)
    server = start_server({**CONFIG, "database": database.fresh()})
    ledger = Ledger()
    accounts(server)
    managed = Managed(ledger)
    managed.connect(server)
    listener = gevent.spawn(managed.listen)
    senders = [gevent.spawn(Sender(server, f"s{n}", ledger).run) for n in range(SENDERS)]
    for _ in range(4):
        more(ledger, 100 + random.randrange(200))
        refused = len(ledger.refused)
        database.kill()
        with gevent.Timeout(20, AssertionError("nobody is told")):
            while len(ledger.refused) == refused:
                gevent.sleep(0.01)
        database.start()
    more(ledger, 300)
    assert not any(sender.dead for sender in senders), "a stream did not outlive the database"
    assert json.loads(server.ctl("stats", "--json"))["store_trouble"] is None
    gevent.killall([*senders, listener])
    settle(managed.client, ledger, managed)
    managed.client.close()
    read_all(server, ledger)
    figures(ledger, kind)


def test_what_was_answered_is_there(start_server):
    """An account and a roster item whose IQ result was seen survive a kill -9."""
    server = start_server(
        {"hosts": {"localhost": {}}, "modules": {"register": {"enabled": True, "per_address": 0}}}
    )
    users = []
    for number in range(5):
        romeo = Client(server.address(), "localhost")
        romeo.connect()
        romeo.register(f"romeo{number}", PASSWORD)
        romeo.auth(f"romeo{number}", PASSWORD)
        romeo.bind("desk")
        romeo.iq(
            "set",
            f"<query xmlns='jabber:iq:roster'><item jid='juliet{number}@example.org' name='J'/></query>",
        )
        server.kill9()
        romeo.abort()
        server.start()
        users.append(f"romeo{number}")
    for number, user in enumerate(users):
        c = Client(server.address(), "localhost")
        c.login(user, PASSWORD, "desk")
        roster = c.iq("get", "<query xmlns='jabber:iq:roster'/>")
        assert [item.get("jid") for item in roster.iter("{jabber:iq:roster}item")] == [
            f"juliet{number}@example.org"
        ]
        c.close()
