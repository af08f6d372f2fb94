"""An account that is removed leaves nothing for the next owner of its name."""

import sqlite3
from contextlib import closing
from types import SimpleNamespace

import gevent
import pytest
from gevent.monkey import get_original

from jabberd_py.jsm import users
from jabberd_py.xdb import xdb
from tests.client import Client
from tests.match import STREAM

STREAMS = "urn:ietf:params:xml:ns:xmpp-streams"


@pytest.fixture
def server(start_server):
    return start_server(
        {"hosts": {"localhost": {}}, "modules": {"register": {"enabled": True, "per_address": 0}}}
    )


def client(server, name, resource="x"):
    return Client(server.address("c2s"), "localhost").login(name, "secret", resource)


def left(server, owner):
    """Rows of theirs, by table."""
    assert server.stop() == 0
    with closing(sqlite3.connect(server.data / "jabberd.sqlite")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        with_owner = [t for t in tables if "owner" in {c[1] for c in db.execute(f"PRAGMA table_info({t})")}]
        counts = {
            t: db.execute(f"SELECT count(*) FROM {t} WHERE owner = ?", (owner,)).fetchone()[0]
            for t in with_owner
        }
    server.start()
    return {table: count for table, count in counts.items() if count}


@pytest.mark.sqlite
@pytest.mark.parametrize("who", ["administrator", "another client", "this client"])
def test_what_is_sent_during_the_removal_is_not_kept(server, who):
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    server.ctl("accounts", "add", "juliet@localhost", "--password", "secret")
    romeo, other, juliet = client(server, "romeo"), client(server, "romeo", "y"), client(server, "juliet")
    romeo.send("<presence/>")
    juliet.send("<message to='romeo@localhost' type='chat'><body>x</body></message>")
    juliet.sync()
    pair = (
        "<iq type='set' id='r{0}'><query xmlns='jabber:iq:roster'><item jid='c{0}@x.example'/></query></iq>"
        "<iq type='set' id='p{0}'><query xmlns='jabber:iq:private'><a{0} xmlns='x:y'/></query></iq>"
    )
    sets = "".join(map(pair.format, range(60)))
    remove = "<iq type='set' id='gone'><query xmlns='jabber:iq:register'><remove/></query></iq>"
    if who == "this client":
        romeo.send(sets + remove + sets)
    else:
        romeo.send(sets)
        if who == "administrator":
            server.ctl("accounts", "delete", "romeo@localhost")
        else:
            other.send(remove)
    with gevent.Timeout(20, AssertionError("the streams go on")):
        while not (romeo.lost and other.lost):
            gevent.sleep(0.01)
    juliet.send("<message to='romeo@localhost' type='chat'><body>y</body></message>")
    juliet.gets("<message type='error'/>")
    juliet.close()
    assert left(server, "romeo@localhost") == {}
    new = Client(server.address("c2s"), "localhost").connect()
    new.register("romeo", "secret")
    new.auth("romeo", "secret").bind().available()
    assert not list(new.iq("get", "<query xmlns='jabber:iq:roster'/>")[0])
    new.nothing("<message/>")
    new.close()


def test_who_logged_in_before_does_not_become_the_next_owner(server):
    """He has authenticated, and waits with binding until somebody else has the name."""
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    old = Client(server.address("c2s"), "localhost").connect().auth("romeo", "secret")
    server.ctl("accounts", "delete", "romeo@localhost")
    server.ctl("accounts", "add", "romeo@localhost", "--password", "another")
    old.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    old.gets(f"<error xmlns='{STREAM}'><not-authorized xmlns='{STREAMS}'/></error>")
    old.close()


def test_who_has_authenticated_is_not_bound_once_the_account_is_suspended(server):
    server.ctl("accounts", "add", "mercutio@localhost", "--password", "secret")
    late = Client(server.address("c2s"), "localhost").connect().auth("mercutio", "secret")
    server.ctl("accounts", "disable", "mercutio@localhost")
    late.send("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
    late.gets(f"<error xmlns='{STREAM}'><not-authorized xmlns='{STREAMS}'/></error>")
    late.close()


@pytest.mark.sqlite
def test_who_had_logged_in_and_was_not_bound(server):
    """The account goes between authentication and binding."""
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    romeo = Client(server.address("c2s"), "localhost").connect().auth("romeo", "secret")
    server.ctl("accounts", "delete", "romeo@localhost")
    romeo.gets(f"<error xmlns='{STREAM}'><not-authorized xmlns='{STREAMS}'/></error>")
    romeo.close()
    assert left(server, "romeo@localhost") == {}


def test_a_password_that_is_changed_while_it_is_checked_opens_nothing(tmp_path, monkeypatch):
    stored = xdb.open("sqlite:///test.sqlite", [users.Account], str(tmp_path))
    host = SimpleNamespace(
        domain="localhost", options=SimpleNamespace(scram_iterations=1000), hooks=SimpleNamespace(tell=print)
    )
    mine, romeo = users.Users(host), "romeo@localhost"
    mine.create(romeo, "old password", also=print)
    assert mine.verify(romeo, "old password")
    checking, changed = (get_original("threading", "Event")() for _ in range(2))
    check = users.sasl.verify_plain

    def slow(*args):
        checking.set()
        return check(*args) and changed.wait(20)

    monkeypatch.setattr(users.sasl, "verify_plain", slow)
    sign_in = gevent.spawn(mine.verify, romeo, "old password")
    with gevent.Timeout(20):
        while not checking.is_set():
            gevent.sleep(0.01)
    mine.set_password(romeo, "new password")
    changed.set()
    assert sign_in.get() is False
    stored.close()
