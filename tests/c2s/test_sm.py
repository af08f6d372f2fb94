"""XEP-0198: Stream Management."""

import pytest

from tests.client import Client

SM = "urn:xmpp:sm:3"


def enable(client, resume=True):
    client.send(f"<enable xmlns='{SM}' resume='{'true' if resume else 'false'}'/>")
    return client.gets(f"<enabled xmlns='{SM}'/>").attrib


def acknowledged(client, h):
    client.send(f"<r xmlns='{SM}'/>")
    client.gets(f"<a xmlns='{SM}' h='{h}'/>")


def back(make_client, account, token, h):
    """The same account on a new stream, which resumes the old one."""
    client = make_client(account, login=False)
    client.connect()
    client.auth(account.user, account.password)
    client.send(f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>")
    return client


def test_both_sides_count(romeo, juliet):
    enable(romeo, resume=False)
    romeo.send(f"<message to='{juliet.jid}' type='chat' id='1'><body>one</body></message>")
    romeo.send("<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>")
    acknowledged(romeo, 2)
    romeo.gets("<iq id='2'/>")
    romeo.gets(f"<r xmlns='{SM}'/>")
    romeo.send(f"<a xmlns='{SM}' h='1'/>")
    juliet.gets("<message id='1'/>")


def test_more_than_was_sent_ends_the_stream(romeo):
    enable(romeo)
    romeo.send(f"<a xmlns='{SM}' h='99'/>")
    assert romeo.stream_error() == "undefined-condition"


def test_a_lost_stream_is_resumed(romeo, juliet, make_client):
    token = enable(romeo)["id"]
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m1'><body>one</body></message>")
    romeo.gets("<message id='m1'/>")
    romeo.abort()
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m2'><body>two</body></message>")
    juliet.send(f"<message to='{romeo.bare}' type='chat' id='m3'><body>three</body></message>")
    juliet.nothing("<message type='error'/>")
    again = back(make_client, romeo.account, token, 1)
    again.gets(f"<resumed xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets("<message id='m2'/>")
    again.gets("<message id='m3'/>")
    again.send(f"<r xmlns='{SM}'/>")
    again.gets(f"<a xmlns='{SM}' h='0'/>")
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m4'><body>four</body></message>")
    again.gets("<message id='m4'/>")


def test_what_was_not_acknowledged_comes_again(romeo, juliet, make_client):
    token = enable(romeo)["id"]
    juliet.send(f"<message to='{romeo.jid}' type='chat' id='m1'><body>one</body></message>")
    first = romeo.gets("<message id='m1'/>")
    romeo.abort()
    again = back(make_client, romeo.account, token, 0)
    again.gets(f"<resumed xmlns='{SM}'/>")
    second = again.gets("<message id='m1'/>")
    sid = "{urn:xmpp:sid:0}stanza-id"
    assert first.find(sid).get("id") == second.find(sid).get("id")


def test_a_stranger_cannot_take_it(romeo, juliet, make_client):
    token = enable(romeo)["id"]
    thief = back(make_client, juliet.account, token, 0)
    thief.gets(f"<failed xmlns='{SM}'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
    thief.bind()


def test_the_session_of_a_connected_stream_moves(romeo, make_client):
    token = enable(romeo)["id"]
    again = back(make_client, romeo.account, token, 0)
    again.gets(f"<resumed xmlns='{SM}'/>")
    assert romeo.stream_error() == "conflict"


@pytest.mark.topology("one host")
def test_resumption_after_a_restart(start_server, tmp_path):
    server = start_server()
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name):
        c = Client(server.address("c2s"), "localhost")
        c.connect()
        c.auth(name, "secret")
        return c

    romeo, juliet = client("romeo"), client("juliet")
    for each in (romeo, juliet):
        each.bind("desk")
        each.available()
    token = enable(romeo)["id"]
    juliet.send("<message to='romeo@localhost/desk' type='chat' id='m1'><body>one</body></message>")
    romeo.gets("<message id='m1'/>")
    romeo.send("<message to='juliet@localhost' type='chat' id='r1'><body>got it</body></message>")
    juliet.gets("<message id='r1'/>")
    server.restart()
    again = client("romeo")
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets(f"<resumed xmlns='{SM}' previd='{token}' h='1'/>")
    again.gets("<message id='m1'/>")
    again.close()
