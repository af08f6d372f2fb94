"""The router: what follows from a stanza comes behind it, and nothing recurses."""

import sys
from typing import Any

import gevent
import pytest

from jabberd_py.fanout import Copies
from jabberd_py.instance import Instance
from jabberd_py.router import Router
from jabberd_py.xmpp.element import Element
from jabberd_py.xmpp.errors import StanzaError
from jabberd_py.xmpp.jid import JID, parse


class Room(Instance):
    """Ten lines of group chat: what one occupant says goes to all; an occupant who sends an error is thrown out."""

    def __init__(self, router: Router, domain: str, occupants: int) -> None:
        super().__init__(router, domain)
        self.occupants = [parse(f"o{n}@gone.example/r") for n in range(occupants)]
        self.deepest = 0

    def deliver_node(self, stanza: Element, to: JID) -> None:
        self.deepest = max(self.deepest, _depth())
        if stanza.type == "error":
            self.occupants.remove(stanza.from_)
            return
        for occupant in list(self.occupants):
            self.router.deliver(stanza.copy(from_="room@rooms.example", to=occupant, type=None))


def _depth() -> int:
    frame, found = sys._getframe(), 0
    while frame is not None:
        found += frame.f_code.co_name == "deliver_node"
        frame = frame.f_back  # type: ignore[assignment]
    return found


class Recorder(Instance):
    def __init__(self, router: Router, domain: str) -> None:
        super().__init__(router, domain)
        self.got: list[str] = []

    def deliver_node(self, stanza: Element, to: JID) -> None:
        self.got.append(f"{to} {stanza.attrs.get('id')}")
        for follow in stanza.attrs.get("next", "").split():
            self.router.deliver(_message(follow, follow))


def _message(node: str, id: str, **more: Any) -> Element:
    return Element("message", from_="a@x.example/r", to=f"{node}@here.example", id=id, **more)


@pytest.fixture
def router() -> Router:
    return Router()


def test_a_room_of_400_occupants_of_a_vanished_server(router: Router, capfd: Any) -> None:
    room = Room(router, "rooms.example", 400)
    router.add(room)
    sent: list[int] = []
    router.uplink.deliver = lambda stanza, to: sent.append(1) or _vanished()  # type: ignore[method-assign, func-returns-value]
    router.deliver(Element("message", from_="o0@gone.example/r", to="room@rooms.example", id="1"))
    assert room.occupants == []
    assert len(sent) == 400
    assert room.deepest == 1
    assert "Recursion" not in capfd.readouterr().err
    assert not router.queues


def _vanished() -> None:
    raise StanzaError("remote-server-not-found")


def test_what_follows_from_a_stanza_comes_behind_it_in_order(router: Router) -> None:
    here = Recorder(router, "here.example")
    router.add(here)
    router.deliver(_message("a", "a", next="b c"))
    assert [line.split()[1] for line in here.got] == ["a", "b", "c"]


def test_greenlets_do_not_wait_for_each_other(router: Router) -> None:
    here = Recorder(router, "here.example")
    router.add(here)
    stuck = gevent.event.Event()

    class Slow(Instance):
        def deliver_node(self, stanza: Element, to: JID) -> None:
            self.router.deliver(_message("late", "late"))
            stuck.wait()

    router.add(Slow(router, "slow.example"))
    one = gevent.spawn(router.deliver, Element("message", from_="a@x.example", to="a@slow.example"))
    gevent.sleep(0)
    gevent.spawn(router.deliver, _message("other", "other")).join(1)
    assert here.got == ["other@here.example other"]
    stuck.set()
    one.join(1)
    assert here.got[1:] == ["late@here.example late"]


def test_a_handler_may_ask_and_wait(router: Router) -> None:
    """Its request does not stand in the queue that it holds up."""

    class Asks(Instance):
        def deliver_node(self, stanza: Element, to: JID) -> None:
            if stanza.name == "message":
                request = Element("iq", Element("ping", "urn:xmpp:ping"), type="get")
                request.attrs |= {"from": self.domain, "to": "here.example"}
                self.answer_was = self.ask(request, 2).type

    asks = Asks(router, "asks.example")
    router.add(asks)
    here = Recorder(router, "here.example")
    router.add(here)
    done = gevent.spawn(router.deliver, Element("message", from_="a@x.example", to="a@asks.example"))
    done.join(3)
    assert asks.answer_was == "error"  # nobody answers pings there, but at once


class Contacts(Recorder):
    """Gets presence the short way; whoever hears of it sends messages."""

    def deliver_presence(self, copies: Copies, to: JID) -> None:
        self.router.deliver(_message("echo", f"about {to.node}"))
        self.got.append(f"presence for {to}")


def test_what_a_presence_causes_comes_behind_it(router: Router) -> None:
    here = Contacts(router, "here.example")
    router.add(here)
    copies = Copies(Element("presence", from_="a@x.example/r"))
    for contact in ("b", "c"):
        router.deliver_presence(copies, f"{contact}@here.example")
    assert here.got == [
        "presence for b@here.example",
        "echo@here.example about b",
        "presence for c@here.example",
        "echo@here.example about c",
    ]
    assert router.queues == {}


def test_a_contact_whose_address_is_damaged_costs_the_others_nothing(router: Router, capfd: Any) -> None:
    here = Contacts(router, "here.example")
    router.add(here)
    copies = Copies(Element("presence", from_="a@x.example/r"))
    for contact in ("@", "b@here.example"):
        router.deliver_presence(copies, contact)
    assert here.got == ["presence for b@here.example", "echo@here.example about b"]
