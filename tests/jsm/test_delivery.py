"""What becomes of a message that a filter stops, that nobody keeps, or that says something in our name."""

import gevent
import pytest

from tests.client import Client, subscribe_both
from tests.crash.traffic import stanzas_of

SM = "urn:xmpp:sm:3"
SID = "urn:xmpp:sid:0"
HINTS = "urn:xmpp:hints"
PRIVACY = "jabber:iq:privacy"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
UNAVAILABLE = f"<error><service-unavailable xmlns='{STANZAS}'/></error>"
OFFLINE = "http://jabber.org/protocol/offline"
STATE = "http://jabber.org/protocol/chatstates"


@pytest.fixture
def away(account, topology):
    return account("away", topology.juliet)


def tell(sender, to, *texts, payload="", type="chat"):
    for text in texts:
        sender.send(f"<message to='{to}' type='{type}' id='{text}'><body>{text}</body>{payload}</message>")
    sender.sync()


def texts(client):
    return [each.findtext("{jabber:client}body") for each in client.inbox if each.tag.endswith("}message")]


def block(client, jid):
    answer = client.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{jid}'/></block>")
    assert answer.get("type") == "result"


def count(client):
    """Messages that wait, by XEP-0013."""
    query = f"<query xmlns='http://jabber.org/protocol/disco#info' node='{OFFLINE}'/>"
    form = client.iq("get", query).find(".//{jabber:x:data}field[@var='number_of_messages']")
    return int(form.findtext("{jabber:x:data}value"))


def deny(client, jid, name="deny"):
    """An active list of this session that denies messages."""
    item = f"<item type='jid' value='{jid}' action='deny' order='1'><message/></item>"
    for change in (f"<list name='{name}'>{item}</list>", f"<active name='{name}'/>"):
        answer = client.iq("set", f"<query xmlns='{PRIVACY}'>{change}</query>")
        assert answer.get("type") == "result"


def enable(client):
    client.send(f"<enable xmlns='{SM}' resume='true'/>")
    return client.gets(f"<enabled xmlns='{SM}'/>").get("id")


def acknowledge(client, h):
    client.send(f"<a xmlns='{SM}' h='{h}'/>")


# -- what a filter stops ---------------------------------------------------------------------------


@pytest.mark.topology("one host")
def test_what_a_blocked_contact_had_written_does_not_fill_the_store(start_server):
    """Juliet blocks romeo before she takes what he wrote; nothing of it is left, before and after a crash."""
    server = start_server({"hosts": {"localhost": {}}, "modules": {"offline": {"limit": 5}}})
    for name in ("romeo", "juliet", "nurse"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name, resource="x"):
        return Client(server.address("c2s"), "localhost").login(name, "secret", resource)

    romeo, nurse = client("romeo"), client("nurse")
    tell(romeo, "juliet@localhost", "1", "2", "3")
    juliet = client("juliet")
    enable(juliet)
    block(juliet, "romeo@localhost")
    juliet.available()
    for text in "abcdefgh":
        tell(nurse, "juliet@localhost", text)
        juliet.gets(f"<message><body>{text}</body></message>")
    nurse.nothing("<message type='error'/>")
    juliet.nothing("<message/>")
    acknowledge(juliet, stanzas_of(juliet))
    juliet.close()
    tell(nurse, "juliet@localhost", *"ijklm")
    nurse.nothing("<message type='error'/>")
    juliet = client("juliet")
    assert count(juliet) == 5  # the store knows exactly now
    server.kill9()
    server.start()
    juliet = client("juliet").available()
    for text in "ijklm":
        juliet.gets(f"<message><body>{text}</body></message>")
    juliet.nothing("<message/>")
    juliet.close()


def test_what_a_blocked_contact_had_written_is_not_among_those_to_pick(romeo, nurse, away, make_client):
    """XEP-0013: what is counted can be had."""
    tell(romeo, away.bare, "romeos")
    tell(nurse, away.bare, "nurses")
    client = make_client(away, available=False)
    block(client, romeo.bare)
    items = "http://jabber.org/protocol/disco#items"
    listed = client.iq("get", f"<query xmlns='{items}' node='{OFFLINE}'/>")
    assert [item.get("name") for item in listed[0]] == [nurse.jid]
    assert client.iq("get", f"<offline xmlns='{OFFLINE}'><fetch/></offline>").get("type") == "result"
    client.gets("<message><body>nurses</body></message>")
    client.nothing("<message/>")


def test_the_best_client_denies_and_another_one_allows(romeo, away, make_client):
    high = make_client(away, resource="high").available(5)
    low = make_client(away, resource="low").available(0)
    deny(high, romeo.bare)
    tell(romeo, away.bare, "one")
    low.gets("<message><body>one</body></message>")
    high.nothing("<message/>")
    romeo.nothing("<message type='error'/>")


def test_the_only_client_that_takes_messages_denies(romeo, away, make_client):
    """Another one is there, without presence: the message waits for one that may have it."""
    high = make_client(away, resource="high").available(5)
    quiet = make_client(away, resource="quiet", available=False)
    deny(high, romeo.bare)
    tell(romeo, away.bare, "one", "two")
    romeo.nothing("<message type='error'/>")
    high.nothing("<message/>")
    quiet.available(0)
    for text in ("one", "two"):
        quiet.gets(f"<message><body>{text}</body></message>")
    high.nothing("<message/>")


def test_stored_messages_go_to_the_client_that_allows_them(romeo, away, make_client):
    tell(romeo, away.bare, "one")
    high = make_client(away, resource="high", available=False)
    deny(high, romeo.bare)
    high.available(5)
    high.nothing("<message/>")
    low = make_client(away, resource="low").available(0)
    low.gets("<message><body>one</body></message>")
    high.nothing("<message/>")


def test_a_list_that_is_put_away_lets_through_what_it_kept_back(romeo, away, make_client):
    tell(romeo, away.bare, "one")
    client = make_client(away, available=False)
    deny(client, romeo.bare)
    client.available()
    client.nothing("<message/>")
    client.iq("set", f"<query xmlns='{PRIVACY}'><active/></query>")
    client.gets("<message><body>one</body></message>")


@pytest.mark.topology("one host")
def test_what_is_kept_back_does_not_hold_up_the_mark(start_server):
    """One message waits for another client; those behind it were delivered and do not come again after a crash."""
    server = start_server({"hosts": {"localhost": {}}, "modules": {"offline": {"limit": 3}}})
    for name in ("romeo", "juliet", "nurse"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name, resource="x"):
        return Client(server.address("c2s"), "localhost").login(name, "secret", resource)

    romeo, nurse = client("romeo"), client("nurse")
    tell(romeo, "juliet@localhost", "old")
    juliet = client("juliet")
    deny(juliet, "romeo@localhost")
    juliet.available()
    for text in "abcdef":
        tell(nurse, "juliet@localhost", text)
        juliet.gets(f"<message><body>{text}</body></message>")
    juliet.close()
    tell(nurse, "juliet@localhost", "g", "h")
    nurse.nothing("<message type='error'/>")
    phone = client("juliet", "phone").available()
    for text in ("old", "g", "h"):
        phone.gets(f"<message><body>{text}</body></message>")
    phone.nothing("<message/>")
    phone.close()
    romeo.close()
    nurse.close()


def test_copies_keep_to_a_clients_own_list(romeo, away, make_client):
    """XEP-0280: a client that denies romeo gets no copy of what he writes to another one."""
    phone, desk = make_client(away, resource="phone"), make_client(away, resource="desk")
    desk.iq("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    deny(desk, romeo.bare)
    tell(romeo, phone.jid, "one")
    phone.gets("<message><body>one</body></message>")
    desk.nothing("<message/>")


# -- what nobody keeps -----------------------------------------------------------------------------

NO_STORE = f"<no-store xmlns='{HINTS}'/>"


@pytest.mark.parametrize("resource", ["", "/gone"])
@pytest.mark.parametrize("payload", [f"<body>x</body>{NO_STORE}", "<thread>x</thread>", ""])
def test_what_nobody_keeps_is_answered(romeo, away, resource, payload):
    romeo.send(f"<message to='{away.bare}{resource}' type='chat' id='m'>{payload}</message>")
    romeo.gets(f"<message type='error' id='m' from='{away.bare}{resource}'>{UNAVAILABLE}</message>")


@pytest.mark.parametrize("type", ["normal", "chat"])
def test_a_message_that_has_only_a_subject_waits(romeo, away, make_client, type):
    """XEP-0160 section 3: all of these are kept, but for chat states."""
    romeo.send(f"<message to='{away.bare}' type='{type}' id='m'><subject>come at once</subject></message>")
    romeo.nothing("<message/>")
    make_client(away).gets(f"<message type='{type}' id='m'><subject>come at once</subject></message>")


@pytest.mark.parametrize("name", ["away", "nobody"])
@pytest.mark.parametrize(
    ("type", "payload", "answered"),
    [
        ("chat", f"<body>x</body>{NO_STORE}", True),
        ("normal", f"<body>x</body>{NO_STORE}", True),
        ("chat", "<thread>x</thread>", True),
        ("chat", "", True),
        ("groupchat", "<body>x</body>", True),
        ("chat", f"<composing xmlns='{STATE}'/>", False),
        ("chat", f"<gone xmlns='{STATE}'/><thread>t</thread>{NO_STORE}", False),
        ("headline", "<body>x</body>", False),
        ("error", f"<body>x</body>{UNAVAILABLE}", False),
    ],
)
def test_an_account_that_is_there_looks_like_none(romeo, away, name, type, payload, answered):
    """What is not kept is answered, or not, whether there is such an account or not."""
    to = away.bare if name == "away" else f"nobody-{away.bare}"
    romeo.send(f"<message to='{to}' type='{type}' id='m'>{payload}</message>")
    if answered:
        romeo.gets(f"<message type='error' id='m' from='{to}'>{UNAVAILABLE}</message>")
    romeo.nothing("<message/>")


@pytest.fixture
def impatient(start_server):
    """A server whose lost sessions wait one second."""
    server = start_server({"hosts": {"localhost": {}}, "c2s": {"resume_timeout": 1}})
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    return lambda name, resource="x": Client(server.address("c2s"), "localhost").login(
        name, "secret", resource
    )


@pytest.mark.parametrize(
    ("to", "type"),
    [("", "chat"), ("", "normal"), ("/phone", "chat"), ("/phone", "normal"), ("/phone", "groupchat")],
)
def test_a_client_that_never_comes_back(impatient, to, type):
    """XEP-0198: what is not kept, and was not acknowledged, goes back to its sender."""
    romeo, phone = impatient("romeo"), impatient("juliet", "phone").available()
    enable(phone)
    tell(romeo, f"juliet@localhost{to}", "one", payload=NO_STORE, type=type)
    phone.gets("<message id='one'/>")
    phone.abort()
    romeo.gets(f"<message type='error' id='one'>{UNAVAILABLE}</message>", 10)
    romeo.close()


def test_another_client_gets_what_is_not_kept(impatient):
    romeo, phone = impatient("romeo"), impatient("juliet", "phone").available(5)
    desk = impatient("juliet", "desk").available()
    enable(phone)
    tell(romeo, "juliet@localhost", "one", payload=NO_STORE)
    phone.gets("<message id='one'/>")
    phone.abort()
    desk.gets("<message id='one'/>", 10)
    romeo.nothing("<message/>")
    for each in (romeo, desk):
        each.close()


def test_what_is_not_kept_comes_once(impatient):
    """Both of juliet's clients have it; one never comes back, and did not say so."""
    romeo, phone = impatient("romeo"), impatient("juliet", "phone").available()
    desk = impatient("juliet", "desk").available()
    token = enable(phone)
    tell(romeo, "juliet@localhost", "one", payload=NO_STORE)
    desk.gets("<message id='one'/>")
    phone.gets("<message id='one'/>")
    phone.abort()
    with gevent.Timeout(10):
        while (
            impatient("juliet", "watch")
            .iq("get", "<query xmlns='x'/>", "juliet@localhost/phone")
            .find(f".//{{{STANZAS}}}service-unavailable")
            is None
        ):
            gevent.sleep(0.1)
    assert token
    romeo.nothing("<message/>")
    desk.nothing("<message/>")
    for each in (romeo, desk):
        each.close()


# -- in our name -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "payload"),
    [
        ("chat", "<body>x</body>"),
        ("chat", f"<body>x</body>{NO_STORE}"),
        ("headline", "<body>x</body>"),
        ("groupchat", "<body>x</body>"),
        ("error", f"<body>x</body>{UNAVAILABLE}"),
        ("chat", f"<composing xmlns='{STATE}'/>"),
        ("normal", "<subject>x</subject>"),
    ],
)
@pytest.mark.parametrize("loud", [False, True])
def test_a_forged_stanza_id_goes(romeo, juliet, type, payload, loud):
    """XEP-0359: in whatever comes in, and however the address is written."""
    by = juliet.bare.upper() if loud else juliet.bare
    ids = f"<stanza-id xmlns='{SID}' by='{by}' id='forged'/><stanza-id xmlns='{SID}' by='room@muc.example' id='room'/>"
    romeo.send(f"<message to='{juliet.jid}' type='{type}' id='m'>{payload}{ids}</message>")
    got = juliet.gets("<message id='m'/>")
    found = {each.get("id") for each in got.findall(f"{{{SID}}}stanza-id")}
    assert "forged" not in found and "room" in found


def test_a_forged_stanza_id_is_not_archived(romeo, juliet):
    ids = f"<stanza-id xmlns='{SID}' by='{juliet.bare.title()}' id='forged'/>"
    romeo.send(f"<message to='{juliet.bare}' type='chat' id='m'><body>x</body>{ids}</message>")
    assert "forged" not in {e.get("id") for e in juliet.gets("<message id='m'/>")}
    juliet.iq("set", "<query xmlns='urn:xmpp:mam:2'/>")
    result = juliet.gets("<message><result xmlns='urn:xmpp:mam:2'>...</result></message>")
    assert "forged" not in {each.get("id") for each in result.iter(f"{{{SID}}}stanza-id")}


@pytest.mark.parametrize("loud", [False, True])
@pytest.mark.parametrize("type", ["chat", "headline", "groupchat"])
def test_a_delay_in_our_name_goes(romeo, juliet, type, loud):
    domain = juliet.domain.upper() if loud else juliet.domain
    said = "<delay xmlns='urn:xmpp:delay' from='{}' stamp='2002-09-10T23:08:25Z'/>"
    delays = said.format(domain) + said.format("room@muc.example")
    romeo.send(f"<message to='{juliet.jid}' type='{type}' id='m'><body>x</body>{delays}</message>")
    got = juliet.gets("<message id='m'/>")
    old = [each for each in got.findall("{urn:xmpp:delay}delay") if each.get("stamp").startswith("2002")]
    assert [each.get("from") for each in old] == ["room@muc.example"]


def test_the_account_says_that_its_stanza_ids_can_be_trusted(romeo):
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", romeo.bare)
    assert SID in {each.get("var") for each in info[0]}


def test_who_waits_for_an_answer_that_is_wrong_gets_an_error(romeo, juliet):
    subscribe_both(romeo, juliet)
    romeo.send(f"<iq type='get' id='q' to='{juliet.jid}'><a xmlns='urn:x'/></iq>")
    juliet.gets("<iq type='get' id='q'/>")
    juliet.send(f"<iq type='result' id='q' to='{romeo.jid}'><a xmlns='urn:x'/><b xmlns='urn:x'/></iq>")
    romeo.gets(f"<iq type='error' id='q' from='{juliet.jid}'><error><bad-request "
               "xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")  # fmt: skip
    juliet.sync()
