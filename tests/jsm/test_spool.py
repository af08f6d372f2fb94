"""The spool while its writer is slow: no message is passed over."""

from types import SimpleNamespace

import gevent
import pytest
from gevent.event import Event

from jabberd_py.archive import messages
from jabberd_py.jsm.session import Session
from jabberd_py.jsm.spool import Spool
from jabberd_py.xdb import xdb
from jabberd_py.xmpp.element import from_text
from jabberd_py.xmpp.jid import parse

ROMEO = "romeo@example.org"


class Host:
    """One whose only user is there."""

    domain = "example.org"

    def __init__(self):
        self.session = self.login()
        self.sessions = SimpleNamespace(
            best=lambda user: [self.session],
            willing=lambda user: [self.session],
            of=lambda user: [self.session],
            find=lambda jid: self.session,
            users={},
        )
        self.got = []

    def login(self):
        transport = SimpleNamespace(send=lambda data: None, drain=lambda: None)
        return Session(self, parse(f"{ROMEO}/orchard"), transport, "s1", 0.0)

    def takers(self, user, stanza):
        return [self.session]

    def admits(self, user, stanza):
        return True

    def deliver_to(self, session, stanza):
        self.got.append(stanza)
        return True


@pytest.fixture
def host(tmp_path):
    store = xdb.open("sqlite:///store.db", messages.tables(), str(tmp_path))
    messages.start()
    yield Host()
    store.close()


@pytest.fixture
def spool(host):
    spool = host.spool = Spool(host)
    host.marks = spool.marks
    spool.offline, spool.limit = True, 10
    return spool


def message(text):
    return from_text(
        f"<message xmlns='jabber:client' from='juliet@example.org/x' to='{ROMEO}'><body>{text}</body></message>"
    )


def flushed(spool):
    spool.flush(ROMEO)
    with gevent.Timeout(5):
        while spool.marks.of(ROMEO).flushing:
            gevent.sleep(0.001)


def bodies(host):
    return [stanza.text_of("body") for stanza in host.got]


def test_what_waited_for_room_in_the_queue_is_delivered(spool, host, monkeypatch):
    """It must not get a number that the mark has passed when it is stored."""
    writer, gate = xdb.store.writer, Event()
    monkeypatch.setattr(writer, "entries", 0)
    monkeypatch.setattr(writer, "_wait_for_space", lambda size: gate.wait())
    storing = gevent.spawn(spool.store, ROMEO, message("early"), False)
    gevent.sleep(0)
    monkeypatch.undo()
    flushed(spool)
    later, _ = spool.keep(ROMEO, message("later"), False)
    spool.marks.delivered(ROMEO, later.uid)
    spool.marks.save().wait()
    gate.set()
    storing.get(timeout=5)
    flushed(spool)
    assert bodies(host) == ["early"]


def test_what_is_given_to_a_session_that_has_ended_goes_to_the_next(spool, host):
    """As when its row waited for room in the writer's queue; but another session got it, or will say so."""
    flushed(spool)
    old, host.session = host.session, host.login()
    late, got = (spool.keep(ROMEO, message(text), False)[0] for text in ("late", "got"))
    old.send(late)
    old.send(got)
    host.session.send(got)
    gevent.sleep(0)
    flushed(spool)
    assert bodies(host) == ["late"]
