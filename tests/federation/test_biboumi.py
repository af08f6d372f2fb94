"""biboumi, unmodified, as an external component: an XMPP user in an IRC channel."""

import json

import gevent
import pytest

from tests.conftest import CONFIG, Place
from tests.federation.irc import Biboumi, IrcClient, Ircd
from tests.server import ServerProcess

IRC = "irc.localhost"
MUC = "<x xmlns='http://jabber.org/protocol/muc'/>"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    ircd = Ircd(tmp_path_factory.mktemp("irc"))
    yield ircd
    ircd.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory, databases, network):
    folder = tmp_path_factory.mktemp("gateway")
    components = {IRC: {"secret": "tell", "name": "IRC"}}
    config = {**databases(folder), **CONFIG, "component": {"port": 0}, "components": components}
    process = ServerProcess(config, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture(scope="module")
def biboumi(server, tmp_path_factory):
    gateway = Biboumi(tmp_path_factory.mktemp("biboumi"), server.address("component"), IRC, "tell")
    with gevent.Timeout(20):
        while json.loads(server.ctl("components", "--json"))[0]["state"] != "connected":
            pass
    yield gateway
    gateway.stop()


@pytest.fixture
def romeo(server, account, make_client):
    return make_client(account("romeo", Place(server, "localhost")), resource="orchard")


def test_a_user_finds_the_gateway_and_asks_it(biboumi, romeo):
    items = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "localhost")
    assert IRC in {item.get("jid") for item in items[0]}
    info = romeo.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", IRC)
    assert ("conference", "irc") in {(i.get("category"), i.get("type")) for i in info[0]}
    assert romeo.iq("get", "<query xmlns='jabber:iq:version'/>", IRC).get("type") == "result"
    assert romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", IRC).get("type") == "result"


def test_a_user_talks_in_a_channel(network, biboumi, romeo):
    juliet = IrcClient(network.address, "juliet")
    juliet.say("JOIN #verona").hears("366")
    room = f"#verona%{network.address}@{IRC}"
    romeo.send(f"<presence to='{room}/romeo'>{MUC}</presence>")
    romeo.gets(f"<presence from='{room}/juliet' type='!absent'/>", 20)
    romeo.gets(f"<presence from='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc#user'>"
               "<status code='110'/></x></presence>", 20)  # fmt: skip
    assert "romeo" in juliet.hears("JOIN")
    romeo.send(
        f"<message to='{room}' type='groupchat' id='g1'><body>O, wilt thou leave me so — ¿ sí ?</body></message>"
    )
    assert "O, wilt thou leave me so — ¿ sí ?" in juliet.hears("PRIVMSG #verona")
    romeo.gets(
        f"<message from='{room}/romeo' type='groupchat'><body>O, wilt thou leave me so — ¿ sí ?</body></message>"
    )
    juliet.say("PRIVMSG #verona :What satisfaction canst thou have tonight?")
    romeo.gets(
        f"<message from='{room}/juliet' type='groupchat'><body>What satisfaction...</body></message>", 20
    )
    romeo.send(f"<message to='juliet%{network.address}@{IRC}' type='chat'><body>psst</body></message>")
    juliet.hears(":psst")
    juliet.say("PRIVMSG romeo :hush")
    romeo.gets("<message type='chat'><body>hush</body></message>", 20)
    romeo.close()  # the server tells the gateway, as it does any room
    juliet.hears("PART #verona")
    juliet.close()


def test_the_gateway_restarts_and_what_was_asked_meanwhile_is_answered(server, network, biboumi, romeo):
    biboumi.stop()
    with gevent.Timeout(20):
        while json.loads(server.ctl("components", "--json"))[0]["state"] == "connected":
            pass
    romeo.send(f"<iq type='get' to='{IRC}' id='late'><ping xmlns='urn:xmpp:ping'/></iq>")
    biboumi.start()
    romeo.gets(f"<iq type='result' id='late' from='{IRC}'/>", 20)
