"""Events are declared in events.py; what does not fit fails when the module is loaded."""

import ast
from pathlib import Path

import pytest

import jabberd_py
from jabberd_py.events import ARGUMENTS, EVENTS, Event
from jabberd_py.hooks import Module, on
from jabberd_py.instance import Instance
from jabberd_py.jsm.notes import Note
from jabberd_py.modules import load_services
from jabberd_py.router import Router


def load(kind, instance=Instance):
    return instance(Router(), "localhost").load(kind, {})


def test_a_typo_in_an_event_stops_the_start():
    class Greeter(Module):
        @on("avialable")
        def greet(self, session):
            pass

    with pytest.raises(
        ValueError, match=r"Greeter\.greet: no such event: 'avialable'; did you mean 'available'"
    ):
        load(Greeter)


@pytest.mark.parametrize(
    "handler",
    [lambda self: None, lambda self, user: None, lambda self, user, stanza, sessions, more: None],
    ids=["none", "too few", "too many"],
)
def test_a_handler_with_other_arguments_stops_the_start(handler):
    kind = type("Counter", (Module,), {"count": on("received")(handler)})
    with pytest.raises(ValueError, match=r"event 'received' calls it with \(user, stanza, sessions\)"):
        load(kind)


def test_one_handler_may_serve_events_with_different_arguments():
    class Counter(Module):
        @on("received", "offline")
        def count(self, user, stanza, sessions=None):
            pass

        @on("start", "component")
        def look(self, *args):
            pass

    load(Counter)


@pytest.mark.parametrize(("event", "kind"), [("out", "messages"), ("start", "message")])
def test_a_kind_is_one_of_a_stanza_event(event, kind):
    class Nosy(Module):
        @on(event, kind=kind)
        def hear(self, *args):
            pass

    with pytest.raises(ValueError, match="kind is message, presence, iq, of stanza events"):
        load(Nosy)


def test_a_service_has_events_of_its_own():
    class Rooms(Instance):
        events = (Event("entering", ("occupant", "stanza"), "may this occupant enter?"),)

    class Bouncer(Module):
        @on("entering")
        def check(self, occupant, stanza):
            return None

    load(Bouncer, Rooms)
    with pytest.raises(ValueError, match="no such event: 'entering'"):
        load(Bouncer)


def test_every_event_is_explained():
    assert {name for event in EVENTS for name in event.arguments} == set(ARGUMENTS)
    for service in load_services().values():
        asked = {name for event in service.events for name in event.arguments}
        assert asked - set(ARGUMENTS) <= set(service.arguments) <= asked
    assert len({event.name for event in EVENTS}) == len(EVENTS)
    assert all(event.arguments[-1] in ("stanza", "element") for event in EVENTS if not event.told)


def told():
    """(place, event, number of arguments) of every call that tells an event, or looks at its handlers."""
    for path in Path(jabberd_py.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(ast.Attribute(_, "tell" | "call"), [ast.Constant(str() as event), *given]):
                    yield path.name, event, len(given)
                case ast.Subscript(ast.Attribute(_, "chains" | "told"), ast.Constant(str() as event)):
                    yield path.name, event, None


def test_what_the_server_tells_is_declared():
    declared = [EVENTS, *(service.events for service in load_services().values())]
    known = {event.name: len(event.arguments) for events in declared for event in events}
    wrong = []
    for place, event, number in told():
        if number == 0 and event.startswith("component"):
            number = 1  # `Component.tell` adds itself
        if event not in known or number not in (None, known[event]):
            wrong.append((place, event, number))
    assert not wrong


# -- what service discovery asks ---------------------------------------------------------------------------


def test_a_typo_in_what_service_discovery_asks_stops_the_start():
    with pytest.raises(TypeError, match=r"Shop\.disco_itmes: .* did you mean 'disco_items'"):
        type("Shop", (Module,), {"disco_itmes": lambda self: []})
    with pytest.raises(TypeError, match=r"account_identity: .* did you mean 'account_identities'"):
        type("Shop", (Module,), {"account_identity": ()})


def test_a_method_for_service_discovery_with_other_arguments_stops_the_start():
    class Shop(Module):
        def disco_node(self, request, node):
            return None

    with pytest.raises(TypeError, match="disco_node: its arguments are"):

        class Stall(Shop):
            def disco_node(self, node):
                return None


def test_notes_of_a_session_have_one_meaning():
    Note("tests: one", "for this test")
    with pytest.raises(ValueError, match="tests: one"):
        Note("tests: one", "for another")
