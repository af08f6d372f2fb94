"""The whole server on MariaDB and PostgreSQL: it makes its tables, works, and outlives a restart of the database."""

import json

import gevent
import pytest

from tests.client import AuthFailed, Client
from tests.databases import mariadb, postgres  # noqa: F401
from tests.match import show

ROSTER = "jabber:iq:roster"
SM = "urn:xmpp:sm:3"


@pytest.fixture(params=["mariadb", "postgres"])
def database(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def server(database, start_server):
    server = start_server({"hosts": {"localhost": {}}, "database": database.url})
    for name in ("romeo", "juliet"):
        if name not in server.ctl("accounts", "list"):
            server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    return server


@pytest.fixture
def login(server):
    opened = []

    def login(name, resource="desk"):
        client = Client(server.address("c2s"), "localhost")
        opened.append(client)
        return client.login(name, "secret", resource)

    yield login
    for client in opened:
        client.close()


def roster_add(client, jid):
    query = f"<query xmlns='{ROSTER}'><item jid='{jid}' name='N'><group>g</group></item></query>"
    answer = client.iq("set", query)
    assert answer.get("type") == "result", show(answer)


def test_login_messages_roster_vcard_blocking(server, login):
    romeo, juliet = login("romeo").available(), login("juliet").available()
    romeo.send("<message to='juliet@localhost' type='chat' id='1'><body>hi</body></message>")
    juliet.gets("<message id='1'><body>hi</body></message>")
    long = "d" * 200 + "@" + ".".join(["e" * 60] * 4)
    for jid in ("juliet@localhost", "𠀀@example.org", long):
        roster_add(romeo, jid)
    romeo.iq("set", "<vCard xmlns='vcard-temp'><FN>Romeo ♥ Montague</FN></vCard>")
    romeo.iq("set", "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@example.org'/></block>")
    romeo.iq("set", "<query xmlns='jabber:iq:private'><x xmlns='a:b'>" + "k" * 5000 + "</x></query>")
    romeo.close()
    juliet.sync()
    juliet.send("<message to='romeo@localhost' type='chat' id='2'><body>later</body></message>")
    juliet.sync()
    server.restart()
    romeo = login("romeo").available()
    romeo.gets("<message id='2'><body>later</body><delay xmlns='urn:xmpp:delay'/></message>")
    items = romeo.iq("get", f"<query xmlns='{ROSTER}'/>").findall(f".//{{{ROSTER}}}item")
    assert {item.get("jid") for item in items} >= {"juliet@localhost", "𠀀@example.org", long}
    assert romeo.iq("get", "<vCard xmlns='vcard-temp'/>").findtext(".//{vcard-temp}FN") == "Romeo ♥ Montague"
    blocked = romeo.iq("get", "<blocklist xmlns='urn:xmpp:blocking'/>").findall(".//{urn:xmpp:blocking}item")
    assert [item.get("jid") for item in blocked] == ["tybalt@example.org"]
    private = romeo.iq("get", "<query xmlns='jabber:iq:private'><x xmlns='a:b'/></query>")
    assert private.findtext(".//{a:b}x") == "k" * 5000
    last = login("juliet", "phone").iq("get", "<query xmlns='jabber:iq:last'/>", "localhost")
    assert 0 <= int(last.find("{jabber:iq:last}query").get("seconds")) < 1000


def test_a_stream_is_resumed_after_a_restart(server, login):
    romeo, juliet = login("romeo").available(), login("juliet").available()
    romeo.send(f"<enable xmlns='{SM}' resume='true'/>")
    token = romeo.gets(f"<enabled xmlns='{SM}'/>").get("id")
    juliet.send(f"<enable xmlns='{SM}'/>")
    juliet.send("<message to='romeo@localhost/desk' type='chat' id='m1'><body>one</body></message>")
    juliet.send(f"<r xmlns='{SM}'/>")
    juliet.gets(f"<a xmlns='{SM}' h='1'/>")
    romeo.gets("<message id='m1'/>")
    server.kill9()
    server.start()
    again = Client(server.address("c2s"), "localhost").connect().auth("romeo", "secret")
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets(f"<resumed xmlns='{SM}' previd='{token}'/>")
    again.gets("<message id='m1'/>")
    again.close()


def test_the_database_restarts(database, server, login):
    """What was answered is there; while the database is away, the sender is told; then it goes on."""
    romeo = login("romeo")
    romeo.send(f"<enable xmlns='{SM}'/>")
    romeo.gets(f"<enabled xmlns='{SM}'/>")
    said, refused = [], set()

    def say(id):
        romeo.send(
            f"<message to='juliet@localhost' type='chat' id='{id}'><body>{id}</body></message><r xmlns='{SM}'/>"
        )
        romeo.gets(f"<a xmlns='{SM}'/>", 20)
        said.append(id)

    for number in range(10):
        say(f"before-{number}")
    database.kill()
    for number in range(3):
        say(f"away-{number}")
        error = romeo.gets(f"<message type='error' id='away-{number}'/>", 20)
        assert error.find("{*}error").get("type") == "wait"
        refused.add(f"away-{number}")
    romeo.sync()
    database.start()
    for number in range(10):
        say(f"after-{number}")
    juliet = login("juliet").available()
    for id in said:
        if id not in refused:
            juliet.gets(f"<message id='{id}'/>", 10)
    juliet.nothing("<message/>")
    roster_add(juliet, "romeo@localhost")
    with gevent.Timeout(10):
        assert juliet.iq("get", f"<query xmlns='{ROSTER}'/>").findall(f".//{{{ROSTER}}}item")


def test_while_the_database_is_away_nobody_logs_in_and_everything_says_why(database, server, login):
    romeo = login("romeo").available()
    start = server.log.stat().st_size
    database.kill()
    for _ in range(3):
        other = Client(server.address("c2s"), "localhost").connect()
        with pytest.raises(AuthFailed, match="temporary-auth-failure"):
            other.auth("juliet", "secret")
        other.close()
    answer = romeo.iq("get", "<vCard xmlns='vcard-temp'/>")
    assert answer.get("type") == "error" and answer.find(".//{*}resource-constraint") is not None
    said = server.tail(start)
    assert said.count("the store cannot be read") == 1 and "Traceback" not in said and "    | " not in said, (
        said
    )
    assert json.loads(server.ctl("stats", "--json"))["store_trouble"]
    rows = json.loads(server.ctl("check", "store", "--json", code=1))
    assert any("does not answer" in row["trouble"] for row in rows)
    assert "failed" in [row["found"] for row in rows if row["check"] == "last read"]
    assert any(each.startswith("store: ") for each in json.loads(server.ctl("status", "--json"))["warnings"])
    database.start()
    back = login("juliet", "back")
    # a write may have failed while the database was starting: the next one tells that it is there again
    assert back.iq("set", "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>").get("type") == "result"
    assert json.loads(server.ctl("stats", "--json"))["store_trouble"] is None
    assert server.tail(start).count("the store can be read again") == 1
    server.ctl("check", "store")


def test_readers_that_do_not_read_hold_no_connection(database, start_server):
    """More than the pool has connections: they ask for what is kept and take none of it. Others log in and ask."""
    limits = {"buffer": "4 MiB", "rate_bytes": "1 GiB", "rate_stanzas": 100_000}
    config = {"hosts": {"localhost": {}}, "database": database.url, "c2s": limits}
    server = start_server(config, "slow")
    for name in ("nurse", "mercutio"):
        if name not in server.ctl("accounts", "list"):
            server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def login(name, resource):
        return Client(server.address("c2s"), "localhost").login(name, "secret", resource)

    mercutio = login("mercutio", "desk").available()
    body = "x" * 50_000
    for number in range(300):  # the kernel takes some megabytes unread
        mercutio.send(
            f"<message to='nurse@localhost' type='chat' id='{number}'><body>{body}</body></message>"
        )
    mercutio.sync()
    greedy = [login("nurse", f"archive{number}") for number in range(6)]
    greedy += [login("nurse", f"offline{number}") for number in range(6)]
    for number, client in enumerate(greedy):
        client.reader.kill()
        query = "<query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>250</max></set></query>"
        fetch = "<offline xmlns='http://jabber.org/protocol/offline'><fetch/></offline>"
        client.send(
            f"<iq type='set' id='q'>{query}</iq>" if number < 6 else f"<iq type='get' id='q'>{fetch}</iq>"
        )
    for number in range(8):  # those queries are under way, and all that follows goes through the same pool
        mercutio.sync()
        other = login("mercutio", f"other{number}")
        with gevent.Timeout(5):
            assert other.iq("get", f"<query xmlns='{ROSTER}'/>").get("type") == "result"
            assert other.iq("get", "<query xmlns='urn:xmpp:mam:2'/>").get("type") == "result"
        other.close()
    for client in greedy:
        client.abort()
    mercutio.close()
