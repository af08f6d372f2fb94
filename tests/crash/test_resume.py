"""kill -9 right after messages were delivered: what the client says it has does not come again (XEP-0198 section 5)."""

import random
import sqlite3
import time
from contextlib import closing

import gevent
import pytest

from tests.client import Client
from tests.crash.traffic import PASSWORD, SM, stanzas_of

CONFIG = {"hosts": {"localhost": {}}, "c2s": {"require_tls": False}}
NAMES = ("romeo", "juliet", "nurse")


@pytest.fixture
def server(start_server):
    process = start_server(CONFIG)
    for name in NAMES:
        process.ctl("accounts", "add", f"{name}@localhost", "--password", PASSWORD)
    return process


def client(server, name):
    return Client(server.address("c2s"), "localhost", "none").connect().auth(name, PASSWORD)


def enable(c):
    c.send(f"<enable xmlns='{SM}' resume='true'/>")
    return c.gets(f"<enabled xmlns='{SM}'/>").get("id")


def resume(server, name, token, h):
    c = client(server, name)
    c.send(f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>")
    c.gets(f"<resumed xmlns='{SM}'/>")
    return c


def say(server, name, *ids, to="romeo"):
    """All are acknowledged when this returns."""
    c = client(server, name).bind()
    enable(c)
    for id in ids:
        c.send(f"<message to='{to}@localhost' type='chat' id='{id}'><body>{id}</body></message>")
    c.send(f"<r xmlns='{SM}'/>")
    c.gets(f"<a xmlns='{SM}' h='{len(ids)}'/>")
    c.abort()


def ids(c):
    return [each.get("id") for each in c.inbox if each.tag.endswith("}message")]


def wait_for(c, *wanted):
    for id in wanted:
        c.gets(f"<message id='{id}'/>")


MANY = [f"m{number}" for number in range(20)]


@pytest.mark.parametrize("acknowledged", [True, False])
def test_what_the_client_has_does_not_come_again(server, acknowledged):
    romeo = client(server, "romeo").bind("desk").available()
    token = enable(romeo)
    romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    say(server, "juliet", *MANY)
    wait_for(romeo, *MANY)
    h = stanzas_of(romeo)
    if acknowledged:
        romeo.send(f"<a xmlns='{SM}' h='{h}'/>")
    server.kill9()
    romeo.abort()
    server.start()
    again = resume(server, "romeo", token, h)
    say(server, "juliet", "after")
    wait_for(again, "after")
    assert not ids(again)
    again.close()


def test_what_the_client_does_not_have_comes(server):
    """It says that it has all but the last five, other stanzas between the messages; a second crash changes nothing."""
    romeo = client(server, "romeo").bind("desk").available()
    token = enable(romeo)
    for id in MANY:
        say(server, "juliet", id)
        romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>")
    wait_for(romeo, *MANY)
    h = stanzas_of(romeo)
    server.kill9()
    romeo.abort()
    server.start()
    again = resume(server, "romeo", token, h - 10)
    wait_for(again, *MANY[15:])
    assert not ids(again)
    h += stanzas_of(again) - 10
    server.kill9()
    again.abort()
    server.start()
    once_more = resume(server, "romeo", token, h - 2)
    wait_for(once_more, *MANY[18:])
    assert not ids(once_more)
    once_more.close()


def test_stored_messages_that_the_client_has_do_not_come_again(server):
    say(server, "juliet", *MANY)
    romeo = client(server, "romeo").bind("desk")
    token = enable(romeo)
    romeo.send("<presence/>")
    wait_for(romeo, *MANY)
    say(server, "nurse", "live")  # its acknowledgement stands behind what was noted of the others
    wait_for(romeo, "live")
    server.kill9()
    romeo.abort()
    server.start()
    again = resume(server, "romeo", token, stanzas_of(romeo))
    say(server, "juliet", "after")
    wait_for(again, "after")
    assert not ids(again)
    again.close()


def test_what_came_while_the_session_was_lost(server):
    """After a crash a message comes before the client does; then there is another crash."""
    romeo = client(server, "romeo").bind("desk").available()
    token = enable(romeo)
    say(server, "juliet", "one")
    wait_for(romeo, "one")
    h = stanzas_of(romeo)
    server.kill9()
    romeo.abort()
    server.start()
    say(server, "juliet", "two")
    again = resume(server, "romeo", token, h)
    wait_for(again, "two")
    assert not ids(again)
    server.kill9()
    again.abort()
    server.start()
    third = resume(server, "romeo", token, h)  # it has lost its notes of "two"
    wait_for(third, "two")
    assert not ids(third)
    third.close()


def test_two_clients_each_say_what_they_have(server):
    both = [client(server, "romeo").bind(name).available() for name in ("desk", "phone")]
    tokens = [enable(each) for each in both]
    say(server, "juliet", *MANY)
    for each in both:
        wait_for(each, *MANY)
    counts = [stanzas_of(each) for each in both]
    server.kill9()
    for each in both:
        each.abort()
    server.start()
    for token, h in zip(tokens, counts, strict=True):
        again = resume(server, "romeo", token, h)
        again.sync()
        assert not ids(again)
        again.close()


@pytest.mark.sqlite  # it looks into the file
@pytest.mark.parametrize("first", ["desk", "phone"])
@pytest.mark.parametrize("marked", [True, False])
def test_what_one_client_has_acknowledged_still_comes_to_the_other(server, marked, first):
    """``marked``: the store knows that all are delivered."""
    names = ("desk", "phone")
    clients = {name: client(server, "romeo").bind(name).available() for name in names}
    tokens = {name: enable(each) for name, each in clients.items()}
    before = {name: stanzas_of(each) for name, each in clients.items()}
    say(server, "juliet", *MANY)
    for each in clients.values():
        wait_for(each, *MANY)
    counts = before | {"desk": stanzas_of(clients["desk"])}
    if marked:
        clients["desk"].send(f"<a xmlns='{SM}' h='{counts['desk']}'/>")
        until_marked(server)
    server.kill9()
    for each in clients.values():
        each.abort()
    server.start()
    again = {}
    for name in sorted(names, key=lambda name: name != first):
        again[name] = resume(server, "romeo", tokens[name], counts[name])
    wait_for(again["phone"], *MANY)
    for each in again.values():
        each.sync()
    assert not ids(again["phone"])
    if marked or first == "desk":
        assert not ids(again["desk"])
    for each in again.values():
        each.close()


def until_marked(server):
    """Waits until the mark covers all messages."""
    query = (
        "SELECT COUNT(*) FROM message, mark WHERE message.owner = mark.owner AND message.id > mark.delivered"
    )
    with gevent.Timeout(10), closing(sqlite3.connect(server.data / "jabberd.sqlite")) as db:
        while db.execute("SELECT COUNT(*) FROM mark").fetchone() == (0,) or db.execute(query).fetchone() != (
            0,
        ):
            gevent.sleep(0.05)


@pytest.mark.timeout(120)
def test_who_logs_in_anew_gets_little_twice(server):
    """The mark lags: what came less than its delay before the crash comes once more, and nothing older does."""
    for round in range(3):
        romeo = client(server, "romeo").bind(f"r{round}").available()
        juliet = client(server, "juliet").bind()
        sent = {}
        stop = time.monotonic() + 1.5 + random.random()
        while time.monotonic() < stop:
            id = f"{round}-{len(sent)}"
            juliet.send(f"<message to='romeo@localhost' type='chat' id='{id}'><body>{id}</body></message>")
            romeo.gets(f"<message id='{id}'/>")
            sent[id] = time.monotonic()
            gevent.sleep(0.005)
        server.kill9()
        end = time.monotonic()
        romeo.abort()
        juliet.abort()
        server.start()
        romeo = client(server, "romeo").bind(f"r{round}").available()
        romeo.sync()
        say(server, "juliet", "after")
        wait_for(romeo, "after")
        twice = [end - sent[id] for id in ids(romeo)]
        print(
            f"of {len(sent)} messages {len(twice)} came twice, the oldest {max(twice, default=0):.3f} s old"
        )
        assert max(twice, default=0) < 0.6  # the delay, and what a busy machine adds
        romeo.close()
