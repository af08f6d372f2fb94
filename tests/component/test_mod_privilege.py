"""XEP-0356: a component does in users' names what it was granted, and nothing else."""

import pytest

from tests.client import subscribe_both
from tests.component.component import Component
from tests.conftest import CONFIG, Place
from tests.server import ServerProcess

NS = "urn:xmpp:privilege:2"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
FORBIDDEN = f"<error type='auth'><forbidden xmlns='{STANZAS}'/></error>"
ROSTER = "<query xmlns='jabber:iq:roster'/>"
GRANTS = {
    "roster": "both",
    "message": "outgoing",
    "presence": "roster",
    "iq": {"jabber:iq:version": "get", "jabber:iq:private": "both"},
}
COMPONENTS = {
    "may.localhost": {"secret": "secret", "hosts": ["localhost"], **GRANTS},
    "may-not.localhost": {"secret": "secret"},
    "reader.localhost": {"secret": "secret", "roster": "get", "roster_push": False},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, databases):
    folder = tmp_path_factory.mktemp("privileges")
    config = {**databases(folder), **CONFIG, "component": {"port": 0}, "components": COMPONENTS}
    process = ServerProcess(config, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def join(server):
    joined = []

    def enter(domain):
        joined.append(Component(server.address("component"), domain).join())
        return joined[-1]

    yield enter
    for each in joined:
        each.close()


@pytest.fixture
def juliet(server, account, make_client):
    client = make_client(account("juliet", Place(server, "localhost")))
    client.iq("get", ROSTER)
    return client


def test_a_component_is_told_what_it_may_do(join):
    may = join("may.localhost")
    may.gets(
        f"<message from='localhost' to='may.localhost'><privilege xmlns='{NS}'>"
        "<perm access='roster' type='both' push='true'/><perm access='message' type='outgoing'/>"
        "<perm access='iq'><namespace ns='jabber:iq:version' type='get'/>"
        "<namespace ns='jabber:iq:private' type='both'/></perm>"
        "<perm access='presence' type='roster'/></privilege></message>"
    )
    may.gets("<message><privilege xmlns='urn:xmpp:privilege:1'><perm access='roster' type='both' push='!absent'/>"
             "<perm access='presence' type='roster'/></privilege></message>")  # fmt: skip
    may.sync()
    assert not may.inbox  # other.localhost is none of its hosts
    reader = join("reader.localhost")
    for host in ("localhost", "other.localhost"):
        reader.gets(f"<message from='{host}'><privilege xmlns='{NS}'><perm access='roster' type='get' push='false'/>"
                    "</privilege></message>")  # fmt: skip
    nobody = join("may-not.localhost")
    nobody.sync()
    assert not nobody.inbox


def test_rosters(join, juliet):
    may = join("may.localhost")
    item = "<query xmlns='jabber:iq:roster'><item jid='%s' name='N'%s><group>G</group></item></query>"
    assert (
        may.ask("set", item % ("x@may.localhost", " subscription='both'"), juliet.bare).get("type")
        == "result"
    )
    juliet.gets("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='x@may.localhost' subscription='both' "
                "name='N'><group>G</group></item></query></iq>")  # fmt: skip
    may.gets(f"<presence from='{juliet.jid}' to='x@may.localhost' type='!absent'/>")
    may.gets(f"<iq type='set' from='{juliet.bare}' to='may.localhost'><query xmlns='jabber:iq:roster'>"
             "<item jid='x@may.localhost' subscription='both'/></query></iq>")  # fmt: skip
    assert (
        may.ask("set", item % ("r@example.org", " subscription='both'"), juliet.bare).get("type") == "result"
    )
    juliet.gets("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='r@example.org' "
                "subscription='none'/></query></iq>")  # fmt: skip
    got = may.ask("get", ROSTER, juliet.bare)
    assert {each.get("jid") for each in got[0]} == {"x@may.localhost", "r@example.org"}
    gone = "<query xmlns='jabber:iq:roster'><item jid='x@may.localhost' subscription='remove'/></query>"
    assert may.ask("set", gone, juliet.bare).get("type") == "result"
    may.gets("<iq type='set'><query xmlns='jabber:iq:roster'><item subscription='remove'/></query></iq>")
    assert may.ask("get", ROSTER, "nobody@localhost").get("type") == "error"
    juliet.iq("set", "<query xmlns='jabber:iq:roster'><item jid='q@example.org'/></query>")
    may.gets("<iq type='set'><query xmlns='jabber:iq:roster'><item jid='q@example.org'/></query></iq>")


@pytest.mark.parametrize(("domain", "kind"), [("may-not.localhost", "get"), ("reader.localhost", "set")])
def test_rosters_without_the_grant(join, juliet, domain, kind):
    component = join(domain)
    component.send(f"<iq type='{kind}' id='r' from='{domain}' to='{juliet.bare}'>{ROSTER}</iq>")
    component.gets(f"<iq type='error' id='r' from='{juliet.bare}'>{FORBIDDEN}</iq>")


def test_a_user_of_the_component_has_no_privileges(join, juliet):
    may = join("may.localhost")
    may.send(f"<iq type='get' id='r' from='evil@may.localhost' to='{juliet.bare}'>{ROSTER}</iq>")
    may.gets(f"<iq type='error' id='r'>{FORBIDDEN}</iq>")


def said(sender, to, body="hi"):
    return (
        f"<privilege xmlns='{NS}'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "
        f"from='{sender}' to='{to}' id='foo'><body>{body}</body><x xmlns='urn:x'/></message></forwarded></privilege>"
    )


def test_messages(join, juliet, server, account, make_client):
    romeo = make_client(account("romeo", Place(server, "localhost")))
    may = join("may.localhost")
    for sender in (juliet.bare, "localhost"):
        may.send(f"<message from='may.localhost' to='localhost' id='m'>{said(sender, romeo.jid)}</message>")
        romeo.gets(
            f"<message from='{sender}' to='{romeo.jid}' id='foo'><body>hi</body><x xmlns='urn:x'/></message>"
        )
    for sender in (juliet.jid, "x@other.localhost", "nobody@localhost", "may.localhost"):
        may.send(f"<message from='may.localhost' to='localhost' id='m'>{said(sender, romeo.jid)}</message>")
        may.gets(f"<message type='error' id='m' from='localhost'>{FORBIDDEN}</message>")
    may.send(
        f"<message from='may.localhost' to='other.localhost' id='o'>{said('other.localhost', romeo.jid)}</message>"
    )
    may.gets(f"<message type='error' id='o'>{FORBIDDEN}</message>")
    other = join("may-not.localhost")
    other.send(
        f"<message from='may-not.localhost' to='localhost' id='m'>{said(juliet.bare, romeo.jid)}</message>"
    )
    other.gets(f"<message type='error' id='m'>{FORBIDDEN}</message>")
    juliet.send(f"<message to='localhost' id='m'>{said('localhost', romeo.jid)}</message>")
    juliet.gets(f"<message type='error' id='m'>{FORBIDDEN}</message>")
    romeo.nothing("<message/>")


CARBONS = "urn:xmpp:carbons:2"


def speaks(component, sender, to, body):
    component.send(f"<message from='may.localhost' to='localhost' id='m'>{said(sender, to, body)}</message>")
    component.sync()


def test_what_is_said_for_a_user_is_archived_and_copied(join, juliet, server, account, make_client):
    """Once in the archive of each, and on all clients of the one who said it, as if a client had."""
    romeo = make_client(account("romeo", Place(server, "localhost")))
    juliet.iq("set", f"<enable xmlns='{CARBONS}'/>")
    may = join("may.localhost")
    speaks(may, juliet.bare, romeo.jid, "here")
    speaks(may, juliet.bare, "x@may-not.localhost", "there")
    for body in ("here", "there"):
        copied = f"<message xmlns='jabber:client' from='{juliet.bare}'><body>{body}</body></message>"
        inner = f"<forwarded xmlns='urn:xmpp:forward:0'>{copied}</forwarded>"
        juliet.gets(f"<message from='{juliet.bare}'><sent xmlns='{CARBONS}'>{inner}</sent></message>")
    for client, bodies in ((juliet, ["here", "there"]), (romeo, ["here"])):
        client.inbox.clear()
        client.iq("set", "<query xmlns='urn:xmpp:mam:2'/>")
        found = [
            each.findtext(".//{jabber:client}body") for each in client.inbox if each.tag.endswith("message")
        ]
        assert found == bodies


def test_filters_of_the_user_hold_for_what_is_said_for_him(join, juliet, server, account, make_client):
    romeo = make_client(account("romeo", Place(server, "localhost")))
    juliet.iq("set", f"<block xmlns='urn:xmpp:blocking'><item jid='{romeo.bare}'/></block>")
    may = join("may.localhost")
    speaks(may, juliet.bare, romeo.jid, "no")
    may.gets(
        f"<message type='error' id='m' from='localhost'><error><not-acceptable xmlns='{STANZAS}'/></error></message>"
    )
    got = may.ask("get", wrapped(VERSION, f" to='{romeo.jid}'"), juliet.bare)
    assert got.find(".//{jabber:client}iq").get("type") == "error"
    romeo.sync()
    assert not [each for each in romeo.inbox if each.tag.endswith(("message", "iq"))]


def wrapped(payload, inner="", type="get"):
    return f"<privileged_iq xmlns='{NS}'><iq xmlns='jabber:client' type='{type}' id='in'{inner}>{payload}</iq></privileged_iq>"


VERSION = "<query xmlns='jabber:iq:version'/>"


def test_iqs(join, juliet):
    may = join("may.localhost")
    got = may.ask("get", wrapped(VERSION, " to='other.localhost'"), juliet.bare)
    assert got.get("type") == "result" and got.get("from") == juliet.bare
    iq = got.find(f"{{{NS}}}privilege/{{urn:xmpp:forward:0}}forwarded/{{jabber:client}}iq")
    assert (iq.get("from"), iq.get("to"), iq.get("id")) == ("other.localhost", juliet.bare, "in")
    assert iq.findtext(".//{jabber:iq:version}name") == "jabberd_py"
    note = "<query xmlns='jabber:iq:private'><n xmlns='urn:n'>%s</n></query>"
    assert may.ask("set", wrapped(note % "hi", type="set"), juliet.bare).get("type") == "result"
    assert juliet.iq("get", note % "")[0][0].text == "hi"
    got = may.ask("get", wrapped(VERSION, " to='nobody@localhost/x'"), juliet.bare)
    assert got.get("type") == "result" and got.find(".//{jabber:client}iq").get("type") == "error"


@pytest.mark.parametrize(
    "payload",
    [
        wrapped("<query xmlns='jabber:iq:last'/>"),
        wrapped(VERSION, type="set"),
        wrapped(VERSION, " from='other@localhost'"),
        wrapped(VERSION).replace(" xmlns='jabber:client'", ""),
        f"<privileged_iq xmlns='{NS}'/>",
    ],
)
def test_iqs_without_the_grant(join, juliet, payload):
    may = join("may.localhost")
    may.send(f"<iq type='get' id='i' from='may.localhost' to='{juliet.bare}'>{payload}</iq>")
    may.gets(f"<iq type='error' id='i'>{FORBIDDEN}</iq>")


def test_presence(join, juliet, server, account, make_client):
    romeo = make_client(account("romeo", Place(server, "other.localhost")))
    subscribe_both(juliet, romeo)
    may = join("may.localhost")
    may.gets(f"<presence from='{juliet.jid}' to='may.localhost' type='!absent'/>")
    may.gets(f"<presence from='{romeo.jid}' to='may.localhost' type='!absent'/>")  # his host is asked
    romeo.send("<presence><show>away</show></presence>")
    may.gets(f"<presence from='{romeo.jid}'><show>away</show></presence>")
    juliet.send("<presence><status>balcony</status></presence>")
    may.gets(f"<presence from='{juliet.jid}'><status>balcony</status></presence>")
    romeo.close()
    may.gets(f"<presence from='{romeo.jid}' type='unavailable'/>")
    juliet.close()
    may.gets(f"<presence from='{juliet.jid}' type='unavailable'/>")
    may.sync()
    assert not [each for each in may.inbox if each.tag.endswith("}presence")]
