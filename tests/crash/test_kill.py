"""kill -9 in the middle of traffic: what was acknowledged is there afterwards, and nothing comes under two names."""

import random

import gevent
import pytest

from tests.client import Client
from tests.crash.traffic import PASSWORD, RECEIVERS, Ledger, Managed, Sender, collect, read_archive, settle

SENDERS = 20
CONFIG = {
    "hosts": {"localhost": {}},
    "c2s": {"require_tls": False},
    "modules": {"offline": {"limit": 100_000}},
}


def crash_rounds(server, rounds):
    ledger = Ledger()
    for name in [*RECEIVERS, *(f"s{n}" for n in range(SENDERS))]:
        server.ctl("accounts", "add", f"{name}@localhost", "--password", PASSWORD)
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
        before = len(ledger.acknowledged)
        with gevent.Timeout(30):
            while len(ledger.acknowledged) < before + 100 + random.randrange(200):
                gevent.sleep(0.01)
        server.kill9()
        gevent.joinall([*senders, *listeners], timeout=10)
        for client in (online, managed.client):
            client.abort()
    server.start()
    managed.connect(server)
    settle(managed.client, ledger, managed)
    managed.client.close()
    for name in RECEIVERS:
        client = Client(server.address(), "localhost", "none")
        client.login(name, PASSWORD, "last")
        client.send("<presence/>")
        settle(client, ledger)
        read_archive(client, ledger)
        client.close()
    return ledger


@pytest.mark.timeout(400)
def test_twenty_crashes(start_server):
    server = start_server(CONFIG)
    ledger = crash_rounds(server, 20)
    print(
        f"acknowledged {len(ledger.acknowledged)}, lost {len(ledger.lost())}, "
        f"came twice under two names {len(ledger.doubled())}"
    )
    assert len(ledger.acknowledged) >= 2000
    assert not ledger.lost()
    assert not ledger.doubled()


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
