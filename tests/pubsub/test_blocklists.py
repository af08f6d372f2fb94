"""Block lists that somebody else publishes: here another host of the same server."""

import hashlib

import gevent
import pytest

from tests.conftest import CONFIG, Account, Place
from tests.dns import DNSServer
from tests.muc.conftest import Room
from tests.pubsub.words import condition, publish, pubsub

SERVICE = "pubsub.other.localhost"
BANS, DOMAINS = "muc_bans_sha256", "spam_source_domains"


def hashed(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture(scope="module")
def lists():
    return {"lists": [f"{SERVICE} {BANS}", f"{SERVICE} {DOMAINS}"]}


def test_who_is_listed_reaches_no_stranger_and_enters_no_room(start_server, account, make_client, lists):
    host = {"modules": {"blocklists": lists}}
    server = start_server({**CONFIG, "hosts": {"localhost": host, "other.localhost": {}}})
    here, there = Place(server, "localhost"), Place(server, "other.localhost")
    romeo = make_client(account("romeo", here))
    mallory, paris, keeper = (make_client(account(name, there)) for name in ("mallory", "paris", "keeper"))
    bad = hashed(mallory.bare)
    for node in (BANS, DOMAINS):
        keeper.iq("set", pubsub(f"<create node='{node}'/>"), to=SERVICE)
    publish(keeper, BANS, bad, "<report xmlns='urn:xmpp:reporting:1'/>", to=SERVICE)
    server.ctl("reload")
    room = Room("conference.localhost")
    room.enter(romeo, "romeo")
    romeo.iq("set", "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
             to=str(room))  # fmt: skip

    def ping():
        return condition(mallory.iq("get", "<vCard xmlns='vcard-temp'/>", to=romeo.bare))

    for _ in range(100):  # until the list is read
        if ping() == ("forbidden",):
            break
    assert ping() == ("forbidden",)
    mallory.send(f"<presence to='{romeo.bare}' type='subscribe'/>")
    mallory.send(f"<message to='{romeo.bare}' type='chat' id='spam'><body>buy</body></message>")
    mallory.gets(
        "<message type='error' id='spam'><error><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
    room.ask(mallory, "mallory")
    mallory.gets(f"<presence type='error' from='{room}/mallory'><error/></presence>")
    room.enter(paris, "paris")
    paris.send(f"<presence to='{romeo.bare}' type='subscribe'/>")
    romeo.gets(f"<presence from='{paris.bare}' type='subscribe'/>")
    romeo.nothing(f"<presence from='{mallory.bare}' type='subscribe'/>")
    # what is told later counts at once, but only if the list itself says it
    retract = pubsub(f"<retract node='{BANS}' notify='true'><item id='{bad}'/></retract>")
    forged = (
        f"<message to='localhost'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='{BANS}'>"
        f"<retract id='{bad}'/></items></event></message>"
    )
    mallory.send(forged)
    assert ping() == ("forbidden",)
    keeper.iq("set", retract, to=SERVICE)
    for _ in range(100):
        if ping() != ("forbidden",):
            break
    assert ping() != ("forbidden",)
    publish(keeper, DOMAINS, "other.localhost", "<report xmlns='urn:xmpp:reporting:1'/>", to=SERVICE)
    for _ in range(100):
        if ping() == ("forbidden",):
            break
    assert ping() == ("forbidden",)


def test_a_list_is_written_as_address_and_node():
    from jabberd_py.pubsub.blocklists import block_list

    assert block_list("xmppbl.org muc_bans_sha256") == ("xmppbl.org", "muc_bans_sha256")
    for odd in ("xmppbl.org", "a b c", "@ node"):
        with pytest.raises(ValueError):
            block_list(odd)


def test_a_listed_server_gets_no_stream(start_server, make_client):
    """Its users reach nobody, not even contacts; the node of the list is on a service of the host itself."""
    with DNSServer() as names:

        def start(domain, modules):
            config = {**CONFIG, "modules": {**CONFIG["modules"], **modules}, "hosts": {domain: {}}, "s2s": {}}
            server = start_server({**config, "dns": {"nameservers": [names.address]}}, domain)
            for each in (domain, f"pubsub.{domain}", f"conference.{domain}"):
                names.publish(each, *server.address("s2s"))
            server.ctl("accounts", "add", f"me@{domain}", "--password", "secret")
            return server, make_client(Account("me", "secret", Place(server, domain)))

        here, romeo = start(
            "verona.example", {"blocklists": {"lists": [f"pubsub.verona.example {DOMAINS}"], "streams": True}}
        )
        _, mallory = start("spam.example", {})
        service = "pubsub.verona.example"
        romeo.iq("set", pubsub(f"<create node='{DOMAINS}'/>"), to=service)
        publish(romeo, DOMAINS, hashed("spam.example"), "<report xmlns='urn:xmpp:reporting:1'/>", to=service)
        here.ctl("reload")
        with gevent.Timeout(20):
            while "a block list was read" not in here.log.read_text():
                gevent.sleep(0.05)
        for to in (romeo.bare, service):
            answer = mallory.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=to, timeout=20)
            assert condition(answer)[0] in (
                "remote-server-not-found",
                "remote-server-timeout",
                "forbidden",
            ), to
