"""XEP-0114: components come, talk, misbehave and go."""

import hashlib
import json

import gevent
import pytest

from tests.component.component import ACCEPT, CONNECT, Awaiting, Component, silent
from tests.conftest import CONFIG, Place
from tests.server import ServerProcess

IRC = "irc.localhost"
COMPONENTS = {
    IRC: {"secret": "secret", "name": "IRC", "also": ["mirc.localhost"]},
    "away.localhost": {"secret": "secret", "wait": "1s", "hidden": True},
    "quiet.localhost": {"secret": "secret", "queue": 20, "wait": "1s", "hidden": True},
    "only.localhost": {"secret": "secret", "conflict": "refuse", "hosts": ["other.localhost"]},
}
LISTENER = {"port": 0, "buffer": "64 KiB", "max_stanza": "10 KiB"}


@pytest.fixture(scope="module")
def server(tmp_path_factory, databases):
    folder = tmp_path_factory.mktemp("components")
    config = {**databases(folder), **CONFIG, "component": LISTENER, "components": COMPONENTS}
    process = ServerProcess(config, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def irc(server):
    component = Component(server.address("component"), IRC).join()
    yield component
    component.close()


def component(server, domain=IRC):
    return Component(server.address("component"), domain)


def state(server, domain):
    rows = {row["domain"]: row for row in json.loads(server.ctl("components", "--json"))}
    return rows[domain]


# -- the handshake ---------------------------------------------------------------------------------------


def test_the_handshake_of_the_xep(server):
    c = component(server).header()
    c.identified()
    assert c.stream["from"] == IRC and len(c.stream["id"]) == 32
    assert f"xmlns='{ACCEPT}'".encode() in c.received
    c.shake().gets("<handshake/>")
    assert state(server, IRC)["state"] == "connected"
    c.close()


def test_a_wrong_secret_is_refused(server):
    c = component(server).header().shake("sacred")
    assert c.stream_error() == "not-authorized"
    assert c.closed()


def test_a_handshake_that_is_no_ascii_is_refused(server):
    c = component(server).header()
    c.identified()
    c.send("<handshake>é</handshake>")
    assert c.stream_error() == "not-authorized"


def test_guessing_is_limited_and_does_not_lock_others_out(server):
    for _ in range(12):
        c = component(server, "quiet.localhost").header().shake("sacred")
        assert c.stream_error() == "not-authorized"
        c.close()
    c = component(server, "quiet.localhost").header().shake()
    assert c.stream_error() == "not-authorized"
    component(server, "away.localhost").join().close()


@pytest.mark.parametrize(
    ("to", "content", "condition"),
    [
        ("localhost", ACCEPT, "host-unknown"),
        ("no.localhost", ACCEPT, "host-unknown"),
        ("mirc.localhost", ACCEPT, "host-unknown"),
        ("@", ACCEPT, "host-unknown"),
        (IRC, "jabber:client", "invalid-namespace"),
        (IRC, CONNECT, "invalid-namespace"),
    ],
)
def test_a_wrong_header_gets_its_error_inside_of_a_stream(server, to, content, condition):
    c = component(server).header(to, content)
    assert c.stream_error() == condition
    assert c.closed()


def test_nobody_speaks_before_the_handshake(server):
    c = component(server).header()
    c.identified()
    c.send(f"<message from='{IRC}' to='admin@localhost'><body>hi</body></message>")
    assert c.stream_error() == "not-authorized"


def test_the_newest_connection_wins(server, irc):
    second = component(server).join()
    assert irc.stream_error() == "conflict"
    assert state(server, IRC)["state"] == "connected"
    second.sync()
    second.close()


def test_or_it_is_refused(server):
    first = component(server, "only.localhost").join()
    second = component(server, "only.localhost").header().shake()
    assert second.stream_error() == "conflict"
    first.sync()
    first.close()


# -- stanzas ---------------------------------------------------------------------------------------------


@pytest.mark.topology("one host")
def test_messages_both_ways_with_what_is_unknown_byte_for_byte(irc, romeo):
    inner = "<body>¡héé 𝄞!</body><x xmlns='urn:x:unknown' a=\"1\"><y:z xmlns:y='urn:y'>&lt;</y:z><w/></x>"
    irc.send(f"<message from='#chan@{IRC}/nick' to='{romeo.jid}' id='m1' type='chat'>{inner}</message>")
    romeo.gets(f"<message from='#chan@{IRC}/nick' id='m1' type='chat'><body>¡héé 𝄞!</body></message>")
    assert inner[inner.index("<x") :].encode() in romeo.received
    romeo.send(f"<message to='#chan@{IRC}' id='m2' type='chat'>{inner}</message>")
    irc.gets(f"<message from='{romeo.jid}' to='#chan@{IRC}' id='m2'><body>¡héé 𝄞!</body></message>")
    assert inner.encode() in irc.received


@pytest.mark.topology("one host")
def test_a_message_that_leaves_names_its_language(irc, romeo):
    """RFC 6120 section 8.1.5. On the way to a client of ours it need not: the stream headers say the same."""
    romeo.send(f"<message to='rose@{IRC}'><body>sweet</body></message>")
    irc.gets("<message xml:lang='en'><body>sweet</body></message>")
    romeo.send(f"<message to='rose@{IRC}' xml:lang='it'><body>dolce</body></message>")
    irc.gets("<message xml:lang='it'><body>dolce</body></message>")


def test_namespaces_are_translated_and_forwarded_stanzas_are_not(irc, romeo):
    forwarded = "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>in</body></message></forwarded>"
    romeo.send(f"<message to='{IRC}' id='m3'><body xmlns='jabber:client'>out</body>{forwarded}</message>")
    irc.gets("<message id='m3'><body>out</body></message>")
    assert b"<body>out</body>" in irc.received and forwarded.encode() in irc.received
    irc.send(
        f"<message xmlns='jabber:client' from='{IRC}' to='{romeo.jid}' id='m4'><body>hi</body></message>"
    )
    romeo.gets("<message id='m4'><body>hi</body></message>")
    irc.send(
        f"<message from='{IRC}' to='{romeo.jid}' id='m5'><body xmlns='{ACCEPT}'>hi</body>{forwarded}</message>"
    )
    romeo.gets(f"<message id='m5'><body>hi</body>{forwarded}</message>")


@pytest.mark.topology("one host")
def test_iqs_and_more_domains_on_one_stream(irc, romeo):
    romeo.send("<iq type='get' to='mirc.localhost' id='q1'><query xmlns='jabber:iq:gateway'/></iq>")
    asked = irc.gets("<iq type='get' to='mirc.localhost' id='q1'><query xmlns='jabber:iq:gateway'/></iq>")
    irc.send(f"<iq type='result' id='q1' from='mirc.localhost' to='{asked.get('from')}'/>")
    romeo.gets("<iq type='result' id='q1' from='mirc.localhost'/>")
    irc.sync()


@pytest.mark.topology("one host")
def test_registration_and_the_subscription_of_a_gateway(irc, romeo):
    register = "<query xmlns='jabber:iq:register'/>"
    romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    romeo.send(f"<iq type='get' to='{IRC}' id='r1'>{register}</iq>")
    irc.gets(f"<iq type='get' id='r1' from='{romeo.jid}'>{register}</iq>")
    irc.send(f"<iq type='result' id='r1' from='{IRC}' to='{romeo.jid}'/>")
    irc.send(f"<presence type='subscribe' from='{IRC}' to='{romeo.bare}'/>")
    romeo.gets(f"<presence type='subscribe' from='{IRC}'/>")
    romeo.send(f"<presence type='subscribed' to='{IRC}'/><presence type='subscribe' to='{IRC}'/>")
    irc.gets(f"<presence type='subscribed' from='{romeo.bare}' to='{IRC}'/>")
    irc.gets(f"<presence type='!absent' from='{romeo.jid}'/>")
    irc.gets(f"<presence type='subscribe' from='{romeo.bare}'/>")
    irc.send(
        f"<presence type='subscribed' from='{IRC}' to='{romeo.bare}'/><presence from='{IRC}' to='{romeo.bare}'/>"
    )
    romeo.gets(
        f"<iq type='set'><query xmlns='jabber:iq:roster'><item jid='{IRC}' subscription='both'/></query></iq>"
    )
    romeo.gets(f"<presence from='{IRC}' type='!absent'/>")
    irc.send(f"<presence type='probe' from='{IRC}' to='{romeo.bare}'/>")
    irc.gets(f"<presence from='{romeo.jid}' type='!absent'/>")
    romeo.close()
    irc.gets(f"<presence type='unavailable' from='{romeo.jid}' to='{IRC}'/>")


@pytest.mark.topology("one host")
def test_a_gateway_whose_users_have_escaped_addresses(irc, romeo):
    r"""XEP-0106 examples 2 and 3, by XEP-0100 4.1.3: `treville@musketeers.lit` is `treville\40musketeers.lit` here. The
    gateway makes the address; on its way through prompt, roster, presence, messages, archive and block list it is the same."""
    ask = "<query xmlns='jabber:iq:gateway'>{}</query>"
    for name in (r"treville\40musketeers.lit", r"d\27artagnan\2f\3a", r"at\26t\20guy", r"c\5c40\40d\e9"):
        theirs = f"{name}@{IRC}"
        number = romeo.fresh()
        romeo.send(
            f"<iq type='set' id='{number}' to='{IRC}'>{ask.format('<prompt>any &amp; all</prompt>')}</iq>"
        )
        irc.gets(
            f"<iq type='set' id='{number}' from='{romeo.jid}'>{ask.format('<prompt>any &amp; all</prompt>')}</iq>"
        )
        answer = ask.format(f"<jid>{theirs}</jid>")
        irc.send(f"<iq type='result' id='{number}' from='{IRC}' to='{romeo.jid}'>{answer}</iq>")
        assert romeo.answer(number)[0][0].text == theirs
        item = f"<query xmlns='jabber:iq:roster'><item jid='{theirs}' name='T'{{}}/></query>"
        romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
        romeo.iq("set", item.format(""))
        romeo.gets(f"<iq type='set'>{item.format('')}</iq>")
        romeo.send(f"<presence type='subscribe' to='{theirs}'/>")
        irc.gets(f"<presence type='subscribe' from='{romeo.bare}' to='{theirs}'/>")
        irc.send(f"<presence type='subscribed' from='{theirs}' to='{romeo.bare}'/>"
                 f"<presence from='{theirs}/phone' to='{romeo.bare}'/>")  # fmt: skip
        romeo.gets(f"<presence from='{theirs}' type='subscribed'/>")
        romeo.gets(f"<presence from='{theirs}/phone' type='!absent'/>")
        irc.send(f"<presence type='subscribe' from='{theirs}' to='{romeo.bare}'/>")
        romeo.gets(f"<presence type='subscribe' from='{theirs}'/>")
        romeo.send(f"<presence type='subscribed' to='{theirs}'/>")
        irc.gets(f"<presence type='!absent' from='{romeo.jid}' to='{theirs}'/>")
        romeo.send(f"<message to='{theirs}' type='chat' id='out'><body>one</body></message>")
        irc.gets(f"<message from='{romeo.jid}' to='{theirs}' id='out'><body>one</body></message>")
        irc.send(
            f"<message from='{theirs}/phone' to='{romeo.bare}' type='chat' id='in'><body>two</body></message>"
        )
        romeo.gets(f"<message from='{theirs}/phone' id='in'><body>two</body></message>")
        number = romeo.fresh()
        romeo.send(f"<iq type='get' id='{number}' to='{theirs}'><vCard xmlns='vcard-temp'/></iq>")
        irc.gets(f"<iq type='get' id='{number}' to='{theirs}'><vCard xmlns='vcard-temp'/></iq>")
        irc.send(f"<iq type='result' id='{number}' from='{theirs}' to='{romeo.jid}'/>")
        assert romeo.answer(number).get("from") == theirs
        block = f"<block xmlns='urn:xmpp:blocking'><item jid='{theirs}'/></block>"
        assert romeo.iq("set", block).get("type") == "result"
        irc.gets(f"<presence type='unavailable' from='{romeo.jid}' to='{theirs}'/>")
        irc.send(
            f"<message from='{theirs}' to='{romeo.bare}' type='chat' id='no'><body>three</body></message>"
        )
        irc.gets(f"<message type='error' to='{theirs}' id='no'/>")
        romeo.iq("set", "<unblock xmlns='urn:xmpp:blocking'/>")
        irc.inbox.clear()


@pytest.mark.topology("one host")
def test_an_address_that_is_not_escaped_is_none(irc, romeo):
    """What XEP-0106 forbids on the wire is no address, and is not guessed to be another."""
    for name in ("treville@musketeers.lit", "d&apos;artagnan", "at&amp;t", "a b", "a:b", "&lt;foo&gt;"):
        romeo.send(f'<message to="{name}@{IRC}" type="chat" id="bad"><body>one</body></message>')
        error = romeo.gets("<message type='error' id='bad'/>")
        assert error.find(".//{urn:ietf:params:xml:ns:xmpp-stanzas}jid-malformed") is not None
    irc.sync()
    assert not [each for each in irc.inbox if each.tag.endswith("}message")]


@pytest.mark.topology("one host")
def test_the_hosts_show_their_components(server, irc, romeo, account, make_client):
    items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
    shown = {i.get("jid"): i.get("name") for i in romeo.iq("get", items, "localhost")[0]}
    assert shown[IRC] == "IRC" and "mirc.localhost" in shown
    assert not {"away.localhost", "only.localhost"} & shown.keys()
    other = {i.get("jid") for i in romeo.iq("get", items, "other.localhost")[0]}
    assert {IRC, "only.localhost"} <= other
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    romeo.send(f"<iq type='get' to='{IRC}' id='d1'>{info}</iq>")
    irc.gets(f"<iq type='get' to='{IRC}' id='d1'>{info}</iq>")


# -- hostile ---------------------------------------------------------------------------------------------

BAD = {
    "no from": ("<message to='a@localhost'/>", "improper-addressing"),
    "no to": (f"<message from='{IRC}'/>", "improper-addressing"),
    "an empty to": (f"<message from='{IRC}' to=''/>", "improper-addressing"),
    "an empty from": ("<message from='' to='a@localhost'/>", "improper-addressing"),
    "endless": (f"<message from='{IRC}' to='a@localhost'><body>{'a' * 60_000}", "policy-violation"),
    "bottomless": (f"<message from='{IRC}' to='a@localhost'>{'<a>' * 2000}", "policy-violation"),
    "dtd": ("<!DOCTYPE x>", "restricted-xml"),
    "no stanza": ("<hello/>", "unsupported-stanza-type"),
    "a server's": (f"<message xmlns='jabber:server' from='{IRC}' to='a@localhost'/>", "invalid-namespace"),
    "not XML": ("<message></iq>", "not-well-formed"),
}
GOES_ON = {
    "forged": ("message", "from='juliet@localhost' to='a@localhost'", "<body>x</body>", "not-allowed"),
    "another component": ("message", "from='away.localhost' to='a@localhost'", "", "not-allowed"),
    "below": ("presence", f"from='a.{IRC}' to='a@localhost'", "", "not-allowed"),
    "a bad name": ("message", f"from='19:a1b2%group\u2028@{IRC}' to='a@localhost'", "", "jid-malformed"),
    "a bad nick": ("presence", f"from='room@{IRC}/\U0001fa77\u0378' to='a@localhost'", "", "jid-malformed"),
    "no node": ("message", f"from='@{IRC}' to='a@localhost'", "", "jid-malformed"),
    "a bad nick, to": ("message", f"from='{IRC}' to='a@localhost/\u0378'", "", "jid-malformed"),
    "large": ("message", f"from='{IRC}' to='a@localhost'", f"<body>{'a' * 11000}</body>", "policy-violation"),
    "deep": ("message", f"from='{IRC}' to='a@localhost'", f"{'<a>' * 100}{'</a>' * 100}", "policy-violation"),
    "large, forged": (
        "message",
        "from='x@localhost' to='a@localhost'",
        f"<b>{'a' * 11000}</b>",
        "not-allowed",
    ),
    "no payload": ("iq", f"type='get' from='{IRC}' to='localhost'", "", "bad-request"),
    "two payloads": (
        "iq",
        f"type='set' from='{IRC}' to='localhost'",
        "<a xmlns='a'/><b xmlns='b'/>",
        "bad-request",
    ),
    "presence of no type": ("presence", f"type='odd' from='{IRC}' to='a@localhost'", "", "bad-request"),
}


@pytest.mark.parametrize("name", GOES_ON)
def test_one_bad_stanza_is_answered_and_the_gateway_lives_on(irc, name):
    kind, attributes, inner, condition = GOES_ON[name]
    irc.send(f"<{kind} id='bad' {attributes}>{inner}</{kind}>")
    irc.gets(f"<{kind} id='bad' type='error'><error><{condition} "
             "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></" + kind + ">")  # fmt: skip
    irc.sync()


@pytest.mark.parametrize(("inner", "condition"), [
    (f"<a xmlns='urn:x'>{'a' * 11000}</a>", "policy-violation"),
    ("<a xmlns='urn:x'/><b xmlns='urn:x'/>", "bad-request"),
])  # fmt: skip
def test_who_waits_for_an_answer_that_cannot_be_taken_gets_an_error(irc, romeo, inner, condition):
    romeo.send(f"<iq type='get' id='q' to='{IRC}'><a xmlns='urn:x'/></iq>")
    irc.gets(f"<iq type='get' id='q' from='{romeo.jid}'/>")
    irc.send(f"<iq type='result' id='q' from='{IRC}' to='{romeo.jid}'>{inner}</iq>")
    romeo.gets(f"<iq type='error' id='q' from='{IRC}'><error><{condition} "
               "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")  # fmt: skip
    irc.sync()


def test_an_error_or_answer_that_cannot_be_taken_is_dropped(irc):
    irc.send(f"<message type='error' id='bad' from='x\u2028@{IRC}' to='a@localhost'/>"
             "<iq type='result' id='bad' from='juliet@localhost' to='a@localhost'/>")  # fmt: skip
    irc.sync()
    assert not [each for each in irc.inbox if each.tag.endswith("}message")]


@pytest.mark.topology("one host")
def test_addresses_are_passed_on_prepared(irc, romeo):
    irc.send(
        f"<message from='Nick@{IRC.upper()}/R' to='{romeo.jid.replace('localhost', 'LOCALHOST')}' id='p'/>"
    )
    romeo.gets(f"<message from='nick@{IRC}/R' to='{romeo.jid}' id='p'/>")


def test_one_that_only_listens_stays(start_server, account, make_client):
    """Four times as long as the silence after which TCP asks whether it is there."""
    server = start_server({**CONFIG, "component": {"port": 0, "keepalive": "1s", "handshake_timeout": "1s"},
                           "components": {IRC: {"secret": "secret"}}})  # fmt: skip
    listener = component(server).join()
    juliet = make_client(account(place=Place(server, "localhost")))
    with gevent.Timeout(30):
        while (row := state(server, IRC))["seconds"] < 4:
            assert row["state"] == "connected"
            juliet.send(f"<message to='{IRC}' id='l'/>")
            listener.gets("<message id='l'/>")
    assert server.stop() == 0


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_ends_the_stream(server, irc, name):
    xml, condition = BAD[name]
    irc.polite = False
    irc.send(xml)
    assert irc.stream_error() == condition
    assert irc.closed()


def test_a_wrong_stanza_gets_an_error_and_the_stream_goes_on(server, irc):
    irc.send(
        f"<message from='{IRC}' to='@localhost' id='e1'/><iq from='{IRC}' to='localhost' type='get' id='e2'/>"
    )
    irc.gets("<message type='error' id='e1'><error type='modify'><jid-malformed "
             "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")  # fmt: skip
    irc.gets("<iq type='error' id='e2'><error type='modify'/></iq>")
    irc.sync()


def test_a_stanza_without_an_end_is_never_delivered(server, make_client, irc):
    juliet = make_client()
    irc.send(f"<message from='{IRC}' to='{juliet.bare}'><body>half")
    irc.abort()
    again = component(server).join()
    again.sync()
    juliet.nothing("<message/>")
    again.close()


def test_who_does_not_read_makes_others_wait_only_so_long(server, make_client):
    juliet = make_client()
    sock = silent(server.address("component"))
    sock.sendall(f"<stream:stream xmlns='{ACCEPT}' xmlns:stream='http://etherx.jabber.org/streams' "
                 "to='away.localhost'>".encode())  # fmt: skip
    head = b""
    while b" id='" not in head:
        head += sock.recv(1)
    while not head.endswith(b">"):
        head += sock.recv(1)
    id = head.rpartition(b" id='")[2].partition(b"'")[0].decode()
    sock.sendall(f"<handshake>{hashlib.sha1((id + 'secret').encode()).hexdigest()}</handshake>".encode())
    while not head.endswith(b"<handshake/>"):
        head += sock.recv(1)
    for number in range(3000):
        juliet.send(f"<message to='away.localhost' id='f{number}'><body>{'x' * 3000}</body></message>")
    juliet.sync()
    row = state(server, "away.localhost")
    assert row["state"] == "connected" and row["waiting"] <= 1000 and row["bounced"] > 0
    juliet.gets("<message type='error' from='away.localhost'><error type='wait'>"
                "<resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")  # fmt: skip
    juliet.gets("<message type='error'><error><remote-server-timeout "
                "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>", 10)  # fmt: skip
    sock.close()


# -- away ------------------------------------------------------------------------------------------------


def test_what_waits_comes_when_the_component_is_back(server, make_client, irc):
    juliet = make_client()
    irc.close()
    juliet.send(f"<message to='x@{IRC}' id='w1'><body>one</body></message>"
                f"<presence to='r@{IRC}/n'><status>first</status></presence>"
                f"<presence to='r@{IRC}/n'><status>last</status></presence>"
                f"<message to='x@{IRC}' id='w2'><body>two</body></message>")  # fmt: skip
    juliet.sync()
    assert state(server, IRC)["waiting"] == 3
    again = component(server).join()
    again.gets("<message id='w2'/>")
    got = [e.get("id") or e.findtext("{jabber:client}status") for e in again.inbox]
    assert got == ["w1", "last"]
    again.close()


MUC = "<x xmlns='http://jabber.org/protocol/muc'/>"
IN_ORDER = {
    "a state replaces the state before it": (["<show>away</show>", "<show>dnd</show>"], [1]),
    "of another room it does not": (["<show>away</show>", "to='other@irc.localhost/n'"], [0, 1]),
    "nor what joined": ([MUC, "<show>dnd</show>", "<show>xa</show>"], [0, 2]),
    "nor does the end": (["<show>away</show>", "type='unavailable'", "<show>dnd</show>"], [0, 1, 2]),
    "nor past a message": (
        ["<show>away</show>", "message", "<show>dnd</show>", "<show>xa</show>"],
        [0, 1, 3],
    ),
    "nor past a request": (["<show>away</show>", "iq", "<show>dnd</show>"], [0, 1, 2]),
    "join, say, leave": ([MUC, "message", "type='unavailable'"], [0, 1, 2]),
}


@pytest.mark.parametrize("name", IN_ORDER)
def test_what_waits_keeps_its_order(server, make_client, irc, name):
    said, expected = IN_ORDER[name]
    juliet = make_client()
    irc.close()
    for number, what in enumerate(said):
        attributes = what if "='" in what and not what.startswith("<") else ""
        to = "" if "to='" in attributes else f"to='r@{IRC}/n'"
        inner = what if what.startswith("<") else "<ping xmlns='urn:xmpp:ping'/>" if what == "iq" else ""
        kind = {"message": "message type='chat'", "iq": "iq type='get'"}.get(what, "presence")
        juliet.send(f"<{kind} id='{number}' {to} {attributes}>{inner}</{kind.partition(' ')[0]}>")
    juliet.sync()
    again = component(server).join()
    again.sync()
    assert [int(e.get("id")) for e in again.inbox] == expected
    again.close()


def test_what_waits_too_long_comes_back_and_then_all_does_at_once(server, make_client):
    component(server, "quiet.localhost")
    juliet = make_client()
    late = "<remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
    juliet.send("<message to='quiet.localhost' id='l1'><body>hi</body></message>")
    juliet.gets(f"<message type='error' id='l1'><error type='wait'>{late}<text xmlns='urn:ietf:params:xml:ns:"
                "xmpp-stanzas'>quiet.localhost is not connected...</text></error></message>", 10)  # fmt: skip
    assert state(server, "quiet.localhost")["state"] == "down"
    juliet.send("<presence to='quiet.localhost/room'/>")
    juliet.gets(f"<presence type='error' from='quiet.localhost/room'><error>{late}</error></presence>", 1)
    juliet.send("<presence to='quiet.localhost'/>")
    juliet.nothing("<presence type='error'/>")


# -- the other way round, and reload ---------------------------------------------------------------------


def test_the_server_connects_and_comes_back(start_server, account, make_client):
    sms = Awaiting("sms.localhost")
    port = sms.address[1]
    components = {"sms.localhost": {"secret": "secret", "connect": f"127.0.0.1:{port}"}}
    server = start_server({**CONFIG, "components": components})
    assert "component" not in server.listeners
    sms.accept()
    assert sms.stream["from"] == "sms.localhost" and f"xmlns='{CONNECT}'".encode() in sms.received
    juliet = make_client(account(place=Place(server, "localhost")))
    juliet.send("<message to='x@sms.localhost' id='s1'><body>hi</body></message>")
    sms.gets(f"<message from='{juliet.jid}' id='s1'><body>hi</body></message>")
    sms.send(f"<message from='x@sms.localhost' to='{juliet.jid}' id='s2'><body>ho</body></message>")
    juliet.gets("<message from='x@sms.localhost' id='s2'><body>ho</body></message>")
    sms.abort()
    with gevent.Timeout(10):
        while state(server, "sms.localhost")["state"] == "connected":
            pass  # the command takes its time; what is sent to a cut line is lost, the protocol acknowledges nothing
    juliet.send("<message to='x@sms.localhost' id='s3'><body>again</body></message>")
    sms.accept("def").gets("<message id='s3'/>")
    assert server.stop() == 0


def test_reload_adds_and_removes_components(start_server, account, make_client):
    server = start_server({**CONFIG, "component": {"port": 0}})
    assert "component" not in server.listeners
    config = json.loads(server.file.read_text())
    config["component"] = {"port": 0}
    config["components"] = {"a.localhost": {"secret": ""}}
    server.file.write_text(json.dumps(config))
    with pytest.raises(
        AssertionError, match=r"components.a.localhost.secret: a component must have a secret"
    ):
        server.ctl("reload")
    config["components"] = {"a.localhost": {"secret": "secret"}}
    server.file.write_text(json.dumps(config))
    server.ctl("reload")
    [row] = json.loads(server.ctl("components", "--json"))
    assert row["domain"] == "a.localhost" and row["state"] == "away"
    juliet = make_client(account(place=Place(server, "localhost")))
    juliet.send("<message to='a.localhost' id='w'><body>hi</body></message>")
    juliet.sync()
    del config["components"]
    server.file.write_text(json.dumps(config))
    server.ctl("reload")
    juliet.gets("<message type='error' id='w'/>")
    assert json.loads(server.ctl("components", "--json")) == []
    assert server.stop() == 0


def test_contacts_at_a_gateway_come_and_go_with_it(server, make_client):
    juliet = make_client()
    juliet.iq("get", "<query xmlns='jabber:iq:roster'/>")
    gateway = component(server, "away.localhost").join()
    juliet.send("<presence type='subscribe' to='x@away.localhost'/>")
    gateway.gets("<presence type='subscribe' to='x@away.localhost'/>")
    gateway.send(f"<presence type='subscribed' from='x@away.localhost' to='{juliet.bare}'/>"
                 f"<presence from='x@away.localhost' to='{juliet.bare}'/>")  # fmt: skip
    juliet.gets("<presence from='x@away.localhost' type='!absent'/>")
    gateway.close()
    juliet.gets("<presence from='x@away.localhost' type='unavailable'/>", 10)
    gateway = component(server, "away.localhost").join()
    gateway.gets(f"<presence type='probe' from='{juliet.jid}' to='x@away.localhost'/>")
    gateway.close()


def test_each_client_is_told_once_that_a_gateway_is_gone(server, account, make_client):
    who = account(place=Place(server, "localhost"))
    juliet, phone = make_client(who), make_client(who)
    juliet.iq("get", "<query xmlns='jabber:iq:roster'/>")
    gateway = component(server, "away.localhost").join()
    juliet.send("<presence type='subscribe' to='y@away.localhost'/>")
    gateway.gets("<presence type='subscribe' to='y@away.localhost'/>")
    gateway.send(f"<presence type='subscribed' from='y@away.localhost' to='{juliet.bare}'/>")
    juliet.gets("<presence type='subscribed' from='y@away.localhost'/>")
    gateway.sync()
    gateway.close()
    for each in (juliet, phone):
        each.gets("<presence from='y@away.localhost' type='unavailable'/>", 10)
    for each in (juliet, phone):
        each.nothing("<presence from='y@away.localhost' type='unavailable'/>")
