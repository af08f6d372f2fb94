"""RFC 6120 section 8.4: an IQ is answered by its payload's name and namespace, both."""

import pytest

from jabberd_py.hooks import Module, iq
from jabberd_py.instance import Instance
from jabberd_py.router import Router

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ANSWERED = [  # (type, to, namespace, name)
    ("get", "server", "urn:xmpp:ping", "ping"),
    ("get", "self", "urn:xmpp:ping", "ping"),
    ("get", "nobody", "urn:xmpp:ping", "ping"),
    ("get", "server", "urn:xmpp:time", "time"),
    ("get", "server", "jabber:iq:version", "query"),
    ("get", "server", "jabber:iq:last", "query"),
    ("get", "self", "jabber:iq:last", "query"),
    ("get", "server", "http://jabber.org/protocol/disco#info", "query"),
    ("get", "self", "http://jabber.org/protocol/disco#info", "query"),
    ("get", "nobody", "http://jabber.org/protocol/disco#items", "query"),
    ("get", "nobody", "jabber:iq:roster", "query"),
    ("get", "nobody", "jabber:iq:privacy", "query"),
    ("get", "nobody", "urn:xmpp:blocking", "blocklist"),
    ("set", "nobody", "urn:xmpp:carbons:2", "enable"),
    ("set", "self", "urn:xmpp:carbons:2", "disable"),
    ("get", "server", "jabber:iq:register", "query"),
    ("get", "nobody", "urn:xmpp:mam:2", "query"),
    ("get", "nobody", "urn:xmpp:mam:2", "prefs"),
    ("get", "nobody", "urn:xmpp:mam:2", "metadata"),
    ("set", "nobody", "urn:xmpp:mam:2", "query"),
    ("set", "server", "urn:ietf:params:xml:ns:xmpp-session", "session"),
    ("set", "nobody", "vcard-temp", "vCard"),
]


@pytest.mark.parametrize(("type", "to", "namespace", "name"), ANSWERED)
def test_a_payload_of_another_name_is_an_error(romeo, type, to, namespace, name):
    address = {"server": f" to='{romeo.domain}'", "self": f" to='{romeo.bare}'", "nobody": ""}[to]
    for number, payload, answer in (
        (1, name, "result"),
        (2, "nonsense", "error"),
        (3, name.upper(), "error"),
    ):
        romeo.send(f"<iq type='{type}' id='n{number}'{address}><{payload} xmlns='{namespace}'/></iq>")
        error = f"<error type='modify'><bad-request xmlns='{STANZAS}'/></error>" if answer == "error" else ""
        romeo.gets(f"<iq type='{answer}' id='n{number}'>{error}</iq>")


def test_a_nonsense_payload_changes_nothing(romeo):
    item = "<item action='remove' node='1'/>"
    romeo.send(
        "<iq type='set' id='n'><nonsense xmlns='http://jabber.org/protocol/offline'>"
        + item
        + "</nonsense></iq>"
    )
    romeo.gets(f"<iq type='error' id='n'><error><bad-request xmlns='{STANZAS}'/></error></iq>")
    romeo.send(
        "<iq type='set' id='p'><list xmlns='jabber:iq:privacy'><default xmlns='jabber:iq:privacy'/></list></iq>"
    )
    romeo.gets(f"<iq type='error' id='p'><error><bad-request xmlns='{STANZAS}'/></error></iq>")


@pytest.mark.parametrize("type", ["", "type=''", "type='question'", "type='GET'", "type='normal'"])
def test_an_iq_of_unknown_type_is_a_bad_request(romeo, juliet, type):
    error = f"<error type='modify'><bad-request xmlns='{STANZAS}'/></error>"
    for number, to in enumerate((romeo.domain, romeo.bare, "", juliet.domain, juliet.bare, juliet.jid)):
        address = f"to='{to}'" if to else ""
        for id in (f"id='t{number}'", ""):
            romeo.send(f"<iq {type} {id} {address}><ping xmlns='urn:xmpp:ping'/></iq>")
            romeo.gets(f"<iq type='error' {id}>{error}</iq>")
    juliet.nothing("<iq/>")


def test_results_and_errors_stay_unanswered(romeo, juliet):
    for to in (romeo.domain, romeo.bare, juliet.domain, juliet.bare, f"{juliet.bare}/gone"):
        romeo.send(f"<iq type='result' id='r' to='{to}'/>")
        romeo.send(f"<iq type='result' id='r' to='{to}'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>")
        romeo.send(f"<iq type='error' id='r' to='{to}'><error type='cancel'/></iq>")
    romeo.nothing("<iq id='r'/>")


def test_an_unknown_namespace_is_no_service(romeo):
    for to in (f" to='{romeo.domain}'", f" to='{romeo.bare}'", ""):
        romeo.send(f"<iq type='get' id='u'{to}><ping xmlns='urn:example:ping'/></iq>")
        romeo.gets(f"<iq type='error' id='u'><error><service-unavailable xmlns='{STANZAS}'/></error></iq>")


def test_a_module_for_targets_that_the_instance_lacks_is_not_loaded():
    class Occupants(Module):
        @iq("get", "urn:example:seat", "seat", to="occupant")
        def seat(self, request):
            return None

    class Service(Instance):
        targets = ("server", "room", "occupant")

    with pytest.raises(ValueError, match=r"seat: @iq\(to='occupant'\).*server"):
        Instance(Router(), "localhost").load(Occupants, {})
    rooms = Service(Router(), "rooms.localhost")
    rooms.load(Occupants, {})
    assert list(rooms.iqs) == [("occupant", "get", "urn:example:seat", "seat")]


def test_two_modules_cannot_answer_the_same():
    class One(Module):
        @iq("get", "urn:example:seat", "seat")
        def seat(self, request):
            return None

        @iq("get", "urn:example:seat", "row")
        def row(self, request):
            return None

    class Two(Module):
        @iq("get", "urn:example:seat", "row")
        def row(self, request):
            return None

    instance = Instance(Router(), "localhost")
    instance.load(One, {})
    with pytest.raises(ValueError, match=r"One\.row answers"):
        instance.load(Two, {})
