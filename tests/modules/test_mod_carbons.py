"""XEP-0280: Message Carbons."""

import pytest

NS = "urn:xmpp:carbons:2"
FORWARD = "urn:xmpp:forward:0"
MUC = "http://jabber.org/protocol/muc#user"
STATES = "http://jabber.org/protocol/chatstates"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
CARBON = {kind: f"<message><{kind} xmlns='{NS}'/></message>" for kind in ("sent", "received")}


def enable(client, verb="enable"):
    assert client.iq("set", f"<{verb} xmlns='{NS}'/>").get("type") == "result"


@pytest.fixture
def home(romeo, make_client):
    """Romeo's other client, with carbons."""
    client = make_client(romeo.account, resource="home", available=False)
    client.available(-1)
    enable(client)
    romeo.sync()
    romeo.inbox.clear()
    return client


def test_the_server_says_that_it_can(romeo):
    for to in (romeo.domain, romeo.bare):
        info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", to)
        assert {NS, "urn:xmpp:carbons:rules:0"} <= {each.get("var") for each in info[0]}


def test_a_directed_message_is_copied(romeo, juliet, home):
    juliet.send(
        f"<message to='{romeo.jid}' type='chat' id='m'><body>What man art thou</body>"
        "<thread>0e3141</thread></message>"
    )
    got = romeo.gets(
        f"<message from='{juliet.jid}' to='{romeo.jid}' type='chat'><body>What man art thou</body></message>"
    )
    carbon = home.gets(
        f"<message from='{romeo.bare}' to='{home.jid}' type='chat'><received xmlns='{NS}'><forwarded xmlns='{FORWARD}'>"
        f"<message xmlns='jabber:client' from='{juliet.jid}' to='{romeo.jid}' type='chat' id='m'>"
        "<body>What man art thou</body><thread>0e3141</thread>"
        f"<stanza-id xmlns='urn:xmpp:sid:0' by='{romeo.bare}' id='...'/></message></forwarded></received></message>"
    )
    sid = ".//{urn:xmpp:sid:0}stanza-id"
    assert carbon.find(sid).get("id") == got.find(sid).get("id")
    romeo.nothing(CARBON["received"])
    home.nothing("<message/>")


def test_what_one_sends_is_copied(romeo, juliet, home):
    romeo.send(f"<message to='{juliet.jid}' type='chat' id='m'><body>Neither, fair saint</body></message>")
    assert juliet.gets(f"<message from='{romeo.jid}'><body>Neither, fair saint</body></message>") is not None
    home.gets(
        f"<message from='{romeo.bare}' to='{home.jid}' type='chat'><sent xmlns='{NS}'><forwarded xmlns='{FORWARD}'>"
        f"<message xmlns='jabber:client' to='{juliet.jid}' from='{romeo.jid}' type='chat' id='m'>"
        f"<body>Neither, fair saint</body><stanza-id xmlns='urn:xmpp:sid:0' by='{romeo.bare}' id='...'/>"
        "</message></forwarded></sent></message>"
    )
    romeo.nothing("<message/>")
    juliet.nothing("<message/>")


def test_the_sender_needs_no_carbons_and_they_can_be_switched_off(romeo, juliet, home):
    enable(home)  # a second time is no error
    enable(home, "disable")
    enable(home, "disable")
    romeo.send(f"<message to='{juliet.jid}' type='chat'><body>x</body></message>")
    juliet.send(f"<message to='{romeo.jid}' type='chat'><body>x</body></message>")
    home.nothing("<message/>")
    enable(home)
    romeo.send(f"<message to='{juliet.jid}' type='chat'><body>y</body></message>")
    home.gets(CARBON["sent"])


def test_nobody_else_switches(romeo, juliet):
    answer = romeo.iq("set", f"<enable xmlns='{NS}'/>", juliet.bare)
    assert answer.find(f".//{{{STANZAS}}}not-allowed") is not None
    answer = romeo.iq("set", f"<perhaps xmlns='{NS}'/>")
    assert answer.find(f".//{{{STANZAS}}}bad-request") is not None


RULES = [
    ("type='chat'", "<body>x</body>", True, True),
    ("type='chat'", "<any xmlns='thing'/>", True, True),
    ("type='normal'", "<body>x</body>", True, True),
    ("", "<body>x</body>", True, True),
    ("", "<subject>x</subject>", False, False),
    ("", "<received xmlns='urn:xmpp:receipts' id='1'/>", True, True),
    ("", f"<composing xmlns='{STATES}'/>", True, True),
    ("", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", True, True),
    ("type='headline'", "<body>x</body>", False, False),
    ("", "<x xmlns='jabber:x:conference' jid='room@muc.example.org'/>", True, True),
    ("", f"<x xmlns='{MUC}'><invite from='a@b'/></x>", True, True),
    ("type='chat'", f"<body>psst</body><x xmlns='{MUC}'/>", True, False),
    ("type='chat'", f"<body>x</body><private xmlns='{NS}'/><no-copy xmlns='urn:xmpp:hints'/>", False, False),
    ("type='chat'", f"<body>x</body><private xmlns='{NS}'/>", False, False),
    ("type='chat'", "<body>x</body><no-copy xmlns='urn:xmpp:hints'/>", False, False),
    ("type='chat'", f"<received xmlns='{NS}'><forwarded xmlns='{FORWARD}'/></received>", False, False),
    ("type='error' id='unknown'", "<error type='cancel'/>", False, False),
]


@pytest.mark.parametrize(("attributes", "payload", "sent", "received"), RULES)
def test_the_rules(romeo, juliet, home, attributes, payload, sent, received):
    romeo.send(f"<message to='{juliet.jid}' {attributes}>{payload}</message>")
    juliet.gets("<message/>")
    if sent:
        home.gets(CARBON["sent"])
    home.nothing("<message/>")
    juliet.send(f"<message to='{romeo.jid}' {attributes}>{payload}</message>")
    romeo.gets("<message/>")
    if received:
        home.gets(CARBON["received"])
    home.nothing("<message/>")


def test_an_error_that_answers_a_copied_message(romeo, juliet, home):
    error = "<error type='cancel'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
    romeo.send(f"<message to='{juliet.jid}' type='chat' id='r1'><body>x</body></message>")
    home.gets(CARBON["sent"])
    juliet.gets("<message id='r1'/>")
    juliet.send(f"<message to='{romeo.jid}' type='error' id='r1'>{error}</message>")
    romeo.gets("<message type='error' id='r1'/>")
    home.gets(f"<message type='error'><received xmlns='{NS}'>...</received></message>")
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='j1'><body>x</body></message>")
    romeo.gets("<message id='j1'/>")
    home.gets(CARBON["received"])
    romeo.send(f"<message to='{juliet.jid}' type='error' id='j1'>{error}</message>")
    home.gets(f"<message type='error'><sent xmlns='{NS}'>...</sent></message>")


def test_an_error_that_the_server_itself_makes_is_copied_too(romeo, home):
    romeo.send("<message to='nobody@nowhere.invalid' type='chat' id='e'><body>x</body></message>")
    home.gets(CARBON["sent"])
    romeo.gets("<message type='error' id='e' from='nobody@nowhere.invalid'/>", 15)
    copied = "<message xmlns='jabber:client' type='error' id='e' from='nobody@nowhere.invalid'/>"
    inner = f"<forwarded xmlns='{FORWARD}'>{copied}</forwarded>"
    home.gets(f"<message type='error'><received xmlns='{NS}'>{inner}</received></message>")


def test_a_message_to_the_bare_address(romeo, juliet, home):
    juliet.send(f"<message to='{romeo.bare}' type='chat'><body>x</body></message>")
    romeo.gets("<message><body>x</body></message>")
    home.gets(CARBON["received"])
    home.nothing("<message/>")


def test_to_oneself_is_copied_once(romeo, home):
    enable(romeo)
    romeo.send(f"<message to='{romeo.bare}' type='chat'><body>note</body></message>")
    romeo.gets("<message><body>note</body></message>")
    home.gets(CARBON["received"])
    home.nothing("<message/>")
    romeo.nothing("<message/>")


def test_a_lost_session_keeps_its_carbons(romeo, juliet, home, make_client):
    home.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    token = home.gets("<enabled xmlns='urn:xmpp:sm:3'/>").get("id")
    home.abort()
    romeo.send(f"<message to='{juliet.jid}' type='chat'><body>while away</body></message>")
    romeo.sync()
    again = make_client(romeo.account, login=False)
    again.auth(romeo.account.user, romeo.account.password)
    again.send(f"<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='0'/>")
    again.gets("<resumed xmlns='urn:xmpp:sm:3'/>")
    again.gets(CARBON["sent"])
