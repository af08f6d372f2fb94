"""Messages for a component that is away: acknowledged, they outlive us; in order, once, or they come back."""

import json
import sqlite3

import gevent
import pytest

from tests.component.component import Component, silent
from tests.conftest import CONFIG, Place
from tests.federation.rawpeer import Raw, RawServer

IRC = "irc.localhost"
SM = "urn:xmpp:sm:3"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
LATE = f"<error type='wait'><remote-server-timeout xmlns='{STANZAS}'/></error>"
pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def house(start_server):
    return start_server(config("60s"))


def config(wait):
    components = {IRC: {"secret": "secret", "wait": wait, "also": ["mirc.localhost"]}}
    return {**CONFIG, "component": {"port": 0, "buffer": "64 KiB"}, "components": components}


def managed(server, account, make_client):
    """A client that is told what the server has."""
    romeo = make_client(account(place=Place(server, "localhost")))
    romeo.send(f"<enable xmlns='{SM}' resume='true'/>")
    romeo.token = romeo.gets(f"<enabled xmlns='{SM}'/>").get("id")
    return romeo


def join(server):
    return Component(server.address("component"), IRC).join()


def acknowledged(client):
    client.send(f"<r xmlns='{SM}'/>")
    return int(client.gets(f"<a xmlns='{SM}'/>").get("h"))


def bodies(component):
    return [e.findtext("{jabber:client}body") for e in component.inbox if e.tag.endswith("}message")]


def says(client, *texts, to=f"#chan@{IRC}", more=""):
    for text in texts:
        client.send(f"<message to='{to}' type='chat' id='{text}'><body>{text}</body>{more}</message>")


def again(server, how):
    if how == "kill -9":
        server.kill9()
        server.start()
    else:
        server.restart()


def rows(server):
    with sqlite3.connect(server.data / "jabberd.sqlite") as db:
        return list(db.execute("SELECT way, destination, owner, xml FROM outbox"))


@pytest.mark.sqlite
@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
def test_what_was_acknowledged_reaches_the_component_after_a_restart(house, account, make_client, how):
    romeo = managed(house, account, make_client)
    says(romeo, *map(str, range(30)))
    says(romeo, "other", to="x@mirc.localhost")
    assert acknowledged(romeo) >= 31
    again(house, how)
    irc = join(house)
    irc.sync()
    assert bodies(irc) == [*map(str, range(30)), "other"]
    with gevent.Timeout(5):
        while rows(house):
            irc.sync()
    again(house, how)
    irc = join(house)
    irc.sync()
    assert bodies(irc) == []


def test_a_clean_stop_keeps_what_nobody_was_told_about(house, account, make_client):
    juliet = make_client(account(place=Place(house, "localhost")))
    says(juliet, "one", "two")
    juliet.sync()
    house.restart()
    irc = join(house)
    irc.sync()
    assert bodies(irc) == ["one", "two"]


@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
def test_the_error_comes_even_across_a_restart(start_server, account, make_client, how):
    server = start_server(config("5s"))
    romeo = managed(server, account, make_client)
    says(romeo, "late")
    acknowledged(romeo)
    again(server, how)
    client = make_client(romeo.account, login=False)
    client.auth(romeo.account.user, romeo.account.password)
    client.send(f"<resume xmlns='{SM}' previd='{romeo.token}' h='0'/>")
    client.gets(f"<resumed xmlns='{SM}'/>")
    client.gets(f"<message type='error' id='late' from='#chan@{IRC}'>{LATE}</message>", 15)
    irc = join(server)
    irc.sync()
    assert bodies(irc) == []


class Deaf(Component):
    """Connected, but it reads only when it is told to."""

    def open_socket(self):
        self.socket = silent(self.address)
        self._read_on()

    def listens(self):
        self.reader = gevent.spawn(self._read)
        self.closed()


@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
def test_what_the_socket_did_not_take_comes_on_the_next_stream(house, account, make_client, how):
    irc = Deaf(house.address("component"), IRC).join()
    irc.reader.kill()
    romeo = managed(house, account, make_client)
    numbers = [str(number) for number in range(650)]
    says(romeo, *numbers, more=f"<f xmlns='urn:f'>{'x' * 9000}</f>")
    assert acknowledged(romeo) >= len(numbers)
    again(house, how)
    irc.listens()
    fresh = join(house)
    fresh.sync()
    assert bodies(irc) + bodies(fresh) == numbers
    assert bodies(irc) and bodies(fresh)


def test_a_stream_that_breaks_gives_back_what_it_holds(house, account, make_client):
    """Without a restart: also what nobody was told about."""
    irc = Deaf(house.address("component"), IRC).join()
    irc.reader.kill()
    juliet = make_client(account(place=Place(house, "localhost")))
    numbers = [str(number) for number in range(650)]
    says(juliet, *numbers, more=f"<f xmlns='urn:f'>{'x' * 9000}</f>")
    juliet.sync()
    fresh = join(house)  # the old stream is replaced
    fresh.sync()
    irc.listens()
    assert bodies(irc) + bodies(fresh) == numbers
    assert bodies(irc) and bodies(fresh)


def test_what_the_configuration_has_given_away_comes_back(house, account, make_client):
    """After the restart the domain is no component's: the sender is told."""
    romeo = managed(house, account, make_client)
    says(romeo, "gone")
    acknowledged(romeo)
    house.kill9()
    settings = json.loads(house.file.read_text())
    del settings["components"]
    house.file.write_text(json.dumps(settings))
    house.start()
    client = make_client(romeo.account, login=False)
    client.auth(romeo.account.user, romeo.account.password)
    client.send(f"<resume xmlns='{SM}' previd='{romeo.token}' h='0'/>")
    client.gets(f"<message type='error' id='gone' from='#chan@{IRC}'/>", 15)


@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
def test_what_another_server_was_told_that_we_have_is_kept(start_server, how):
    peer = RawServer(None)
    routes = {"good.example": peer.route}
    s2s = {"require_tls": False, "routes": routes}
    server = start_server({**config("60s"), "s2s": s2s})
    raw = Raw(server.address("s2s"), "localhost", "good.example", tls="none").prove()
    raw.send(f"<enable xmlns='{SM}'/>")
    raw.gets(f"<enabled xmlns='{SM}'/>")
    raw.send(f"<message from='juliet@good.example/x' to='x@{IRC}'><body>hi</body></message>")
    assert acknowledged(raw) == 1
    raw.close()
    again(server, how)
    irc = join(server)
    irc.sync()
    assert bodies(irc) == ["hi"]
    peer.stop()


@pytest.mark.parametrize("how", ["SIGTERM", "kill -9"])
def test_what_changes_a_subscription_reaches_the_component_after_a_restart(house, account, make_client, how):
    """The roster says already that it was sent: nobody would send it again."""
    romeo = managed(house, account, make_client)
    romeo.send(f"<presence to='a@{IRC}' type='subscribe'/><presence to='a@{IRC}' type='unsubscribe'/>")
    romeo.iq("set", f"<query xmlns='jabber:iq:roster'><item jid='a@{IRC}' subscription='remove'/></query>")
    romeo.send(f"<presence to='b@{IRC}' type='subscribe'/>")
    romeo.iq("set", f"<query xmlns='jabber:iq:roster'><item jid='b@{IRC}' subscription='remove'/></query>")
    assert acknowledged(romeo) >= 4
    again(house, how)
    irc = join(house)
    irc.sync()
    said = [(e.get("to"), e.get("type")) for e in irc.inbox if e.tag.endswith("}presence")]
    said = [(to, type) for to, type in said if type != "probe"]
    assert said == [(f"{who}@{IRC}", type) for who in "ab" for type in ("subscribe", "unsubscribe")]


@pytest.mark.sqlite
def test_what_need_not_last_is_not_written(house, account, make_client):
    romeo = managed(house, account, make_client)
    juliet = make_client(account(place=Place(house, "localhost")))
    says(juliet, "untold")
    juliet.sync()
    says(romeo, "store", more="<no-store xmlns='urn:xmpp:hints'/>")
    romeo.send(
        f"<presence to='x@{IRC}/n'/><iq type='get' to='{IRC}' id='i'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    says(romeo, "told")
    acknowledged(romeo)
    [(way, destination, owner, xml)] = rows(house)
    assert (way, destination) == ("component", IRC) and "<body>told</body>" in xml
    assert owner.partition("@")[2] == "localhost"
