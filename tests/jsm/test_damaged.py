"""One damaged row stops neither the server nor its owner."""

import sqlite3
from contextlib import closing

import pytest

from tests.client import Client

SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"


@pytest.fixture
def server(start_server):
    process = start_server({"hosts": {"localhost": {}}})
    for name in ("romeo", "juliet"):
        process.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    return process


def client(server, name):
    return Client(server.address("c2s"), "localhost").connect().auth(name, "secret")


def damage(server, *statements):
    """The server is down meanwhile."""
    with closing(sqlite3.connect(server.data / "jabberd.sqlite")) as db:
        for sql in statements:
            assert db.execute(sql).rowcount, sql
        db.commit()


def enable(c):
    c.send(f"<enable xmlns='{SM}' resume='true'/>")
    return c.gets(f"<enabled xmlns='{SM}'/>").get("id")


def resumed(server, name, token, h=0):
    c = client(server, name)
    c.send(f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>")
    answer = c.take(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"), "<resumed/>", 5)
    c.close()
    return answer.tag == f"{{{SM}}}resumed"


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("notes", "'{\"carbons\": tr'"),
        ("notes", "'[]x'"),
        ("notes", "NULL"),
        ("queue", "'[[\"<message/>\", 1'"),
        ("queue", "'[1, 2]'"),
        ("presence", "'<presence><prio'"),
        ("presence", "'<presence><priority>high</priority></presence>'"),
        ("handled", "'many'"),
        ("sent", "'many'"),
        ("expires", "'soon'"),
        ("owner", "'@@@'"),
    ],
)
def test_a_resumable_stream(server, column, value):
    """That session is over; the other one is resumed."""
    tokens = {}
    for name in ("romeo", "juliet"):
        c = client(server, name).bind("desk").available()
        tokens[name] = enable(c)
    assert server.stop() == 0
    try:
        damage(server, f"UPDATE resumable_stream SET {column} = {value} WHERE owner = 'romeo@localhost'")
    except sqlite3.IntegrityError:
        value = "''"
        damage(server, f"UPDATE resumable_stream SET {column} = {value} WHERE owner = 'romeo@localhost'")
    server.start()
    assert not resumed(server, "romeo", tokens["romeo"])
    assert resumed(server, "juliet", tokens["juliet"])
    assert "a damaged row is passed over" in server.tail()


@pytest.mark.sqlite
@pytest.mark.parametrize("mark", ["'x'", "9223372036854775807", "-5", "x'00'"])
def test_a_mark(server, mark):
    """Romeo gets his messages, the new and the old."""
    juliet, romeo = client(server, "juliet").bind(), client(server, "romeo").bind().available()
    juliet.send("<message to='romeo@localhost' id='m0'><body>x</body></message>")
    romeo.gets("<message id='m0'/>")
    romeo.close()
    juliet.send("<message to='romeo@localhost' id='m1'><body>x</body></message>")
    juliet.sync()
    juliet.close()
    assert server.stop() == 0
    damage(server, f"UPDATE mark SET delivered = {mark} WHERE owner = 'romeo@localhost'")
    server.start()
    juliet = client(server, "juliet").bind()
    juliet.send("<message to='romeo@localhost' id='m2'><body>x</body></message>")
    juliet.sync()
    romeo = client(server, "romeo").bind().available()
    romeo.gets("<message id='m1'/>")
    romeo.gets("<message id='m2'/>")
    for each in (romeo, juliet):
        each.close()


@pytest.mark.sqlite
def test_what_an_account_keeps(server):
    """Roster, requests, privacy lists, preferences, vCard, private XML, stored messages, keys: what is whole is there."""
    romeo = client(server, "romeo").bind()
    for jid in ("a@x.example", "b@x.example"):
        romeo.iq("set", f"<query xmlns='jabber:iq:roster'><item jid='{jid}'><group>g</group></item></query>")
    romeo.iq("set", "<block xmlns='urn:xmpp:blocking'><item jid='c@x.example'/></block>")
    romeo.iq("set", f"<prefs xmlns='{MAM}' default='always'><always/><never/></prefs>")
    romeo.iq("set", "<vCard xmlns='vcard-temp'><FN>R</FN></vCard>")
    romeo.iq("set", "<query xmlns='jabber:iq:private'><a xmlns='a:b'>x</a></query>")
    romeo.close()
    juliet = client(server, "juliet").bind().available()
    juliet.send("<presence to='romeo@localhost' type='subscribe'/>")
    for id in ("m1", "m2"):
        juliet.send(f"<message to='romeo@localhost' id='{id}'><body>x</body></message>")
    juliet.sync()
    juliet.close()
    assert server.stop() == 0
    damage(
        server,
        "UPDATE roster_item SET groups = '[\"g' WHERE jid = 'a@x.example'",
        "UPDATE roster_item SET request = '<presence fr' WHERE jid = 'juliet@localhost'",
        "UPDATE privacy_list SET items = substr(items, 1, 20)",
        "UPDATE archive_preferences SET never = '[\"x'",
        "UPDATE document SET xml = '<vCard xmlns=' WHERE namespace = 'vcard-temp'",
        "UPDATE private SET xml = '<query'",
        "UPDATE message SET xml = '<message' WHERE id = (SELECT min(id) FROM message WHERE owner = 'romeo@localhost')",
        "UPDATE document SET xml = 'zz' WHERE namespace = 'jabberd_py:sasl-secret'",
    )
    server.start()
    romeo = client(server, "romeo").bind().available()
    romeo.gets("<message id='m2'/>")
    romeo.gets("<presence type='subscribe' from='juliet@localhost'/>")
    roster = romeo.iq("get", "<query xmlns='jabber:iq:roster'/>")
    assert "b@x.example" in {item.get("jid") for item in roster[0]}
    for kind, payload in (
        ("get", "<blocklist xmlns='urn:xmpp:blocking'/>"),
        ("set", "<block xmlns='urn:xmpp:blocking'><item jid='d@x.example'/></block>"),
        ("get", f"<prefs xmlns='{MAM}'/>"),
        ("set", f"<query xmlns='{MAM}'/>"),
        ("get", "<vCard xmlns='vcard-temp'/>"),
        ("get", "<query xmlns='jabber:iq:private'><a xmlns='a:b'/></query>"),
    ):
        assert romeo.iq(kind, payload).get("type") == "result", payload
    romeo.close()


@pytest.mark.sqlite
def test_the_keys_of_an_account(server):
    """Romeo cannot log in until he has a new password; others can."""
    assert server.stop() == 0
    damage(server, "UPDATE account SET keys = substr(keys, 1, 30) WHERE owner = 'romeo@localhost'")
    server.start()
    client(server, "juliet").bind().close()
    server.ctl("accounts", "passwd", "romeo@localhost", "--password", "secret")
    client(server, "romeo").bind().close()


@pytest.mark.sqlite
def test_what_the_server_notes_for_itself(server):
    """Clocks that were wrong, and the numbers of rounds that strangers are shown."""
    assert server.stop() == 0
    damage(
        server,
        "UPDATE document SET xml = 'x' || xml || ' 0' WHERE namespace = 'jabberd_py:scram-iterations'",
        "INSERT INTO document (owner, namespace, xml) VALUES ('', 'jabberd_py:clock', '[[1, ')",
    )
    server.start()
    client(server, "romeo").bind().close()
    server.ctl("accounts", "add", "mercutio@localhost", "--password", "secret")
    client(server, "mercutio").bind().close()
