"""Block lists that somebody else publishes: here another host of the same server."""

import hashlib

import pytest

from tests.conftest import CONFIG, Place
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
    from jabberd_py.pubsub.blocklists import BlockList, block_list

    assert block_list("xmppbl.org muc_bans_sha256") == BlockList("xmppbl.org", "muc_bans_sha256")
    for odd in ("xmppbl.org", "a b c", "@ node"):
        with pytest.raises(ValueError):
            block_list(odd)
