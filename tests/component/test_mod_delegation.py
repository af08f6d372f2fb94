"""XEP-0355: a component answers for a namespace of the host, and for nothing else."""

import pytest

from tests.component.component import Component
from tests.conftest import CONFIG, Place
from tests.server import ServerProcess

NS = "urn:xmpp:delegation:2"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
PUBSUB = "http://jabber.org/protocol/pubsub"
PEP = "pep.localhost"
UNAVAILABLE = (
    "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
)
DELEGATE = {
    PUBSUB: [],
    "jabber:iq:private": ["key"],
    "vcard-temp": [],
    f"{NS}:bare:disco#info:*": [],
    f"{NS}:bare:disco#items:*": [],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory, databases):
    folder = tmp_path_factory.mktemp("delegation")
    components = {PEP: {"secret": "secret", "hosts": ["localhost"], "delegate": DELEGATE, "roster": "both"}}
    config = {**databases(folder), **CONFIG, "component": {"port": 0}, "components": components}
    process = ServerProcess(config, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def pep(server):
    component = Component(server.address("component"), PEP).join()
    component.gets(
        f"<message from='localhost' to='{PEP}'><delegation xmlns='{NS}'><delegated namespace='{PUBSUB}'/>"
        "<delegated namespace='jabber:iq:private'><attribute name='key'/></delegated></delegation></message>"
    )
    component.gets("<message><delegation xmlns='urn:xmpp:delegation:1'/></message>")
    features = {"::": "#publish", ":bare:": "#access-presence"}
    for namespace in (PUBSUB, "jabber:iq:private", "vcard-temp"):
        for kind, feature in features.items():
            query = f"<query xmlns='{INFO}' node='{NS}{kind}{namespace}'/>"
            asked = component.gets(f"<iq type='get' from='localhost' to='{PEP}'>{query}</iq>")
            component.send(
                f"<iq type='result' id='{asked.get('id')}' from='{PEP}' to='localhost'><query xmlns='{INFO}'>"
                f"<identity category='pubsub' type='{kind.strip(':') or 'service'}'/>"
                f"<feature var='{namespace}{feature}'/></query></iq>"
            )
    component.sync()
    yield component
    component.close()


@pytest.fixture
def juliet(server, account, make_client):
    return make_client(account("juliet", Place(server, "localhost")))


def forwarded(pep, template):
    """The request that the server forwards, once it matches; (its own id, the inner stanza)."""
    outer = pep.gets(f"<iq type='set' from='localhost' to='{PEP}'><delegation xmlns='{NS}'>"
                     f"<forwarded xmlns='urn:xmpp:forward:0'>{template}</forwarded></delegation></iq>")  # fmt: skip
    return outer.get("id")


def answer(pep, number, inner, type="result"):
    pep.send(f"<iq type='{type}' id='{number}' from='{PEP}' to='localhost'><delegation xmlns='{NS}'>"
             f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></delegation></iq>")  # fmt: skip


@pytest.mark.parametrize("to", ["", " to='localhost'", " to='{bare}'"])
def test_a_request_is_answered_by_the_component(pep, juliet, to):
    to = to.format(bare=juliet.bare)
    publish = f"<pubsub xmlns='{PUBSUB}'><publish node='mood'/></pubsub>"
    juliet.send(f"<iq type='set' id='p1'{to}>{publish}</iq>")
    number = forwarded(
        pep, f"<iq xmlns='jabber:client' type='set' id='p1' from='{juliet.jid}'{to}>{publish}</iq>"
    )
    answer(pep, number, f"<iq xmlns='jabber:client' type='result' id='p1' to='{juliet.jid}'>"
           f"<pubsub xmlns='{PUBSUB}'><ok xmlns='urn:x'/></pubsub></iq>")  # fmt: skip
    juliet.gets(f"<iq type='result' id='p1'><pubsub xmlns='{PUBSUB}'><ok xmlns='urn:x'/></pubsub></iq>")


BAD = {
    "to": "<iq xmlns='jabber:client' type='result' id='p1' to='somebody@localhost'/>",
    "from": "<iq xmlns='jabber:client' type='result' id='p1' to='{jid}' from='evil@localhost'/>",
    "id": "<iq xmlns='jabber:client' type='result' id='p2' to='{jid}'/>",
    "type": "<iq xmlns='jabber:client' type='set' id='p1' to='{jid}'/>",
    "namespace": "<iq type='result' id='p1' to='{jid}'/>",
    "nothing": "",
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_answer_is_none(pep, juliet, what):
    juliet.send(f"<iq type='get' id='p1'><pubsub xmlns='{PUBSUB}'/></iq>")
    answer(pep, forwarded(pep, "<iq xmlns='jabber:client' id='p1'/>"), BAD[what].format(jid=juliet.jid))
    juliet.gets(f"<iq type='error' id='p1'>{UNAVAILABLE}</iq>")
    juliet.nothing("<iq type='result'/>")


def test_an_error_is_service_unavailable_and_so_is_a_component_that_is_away(pep, juliet):
    juliet.send(f"<iq type='get' id='p1'><pubsub xmlns='{PUBSUB}'/></iq>")
    number = forwarded(pep, "<iq xmlns='jabber:client' id='p1'/>")
    pep.send(f"<iq type='error' id='{number}' from='{PEP}' to='localhost'><error type='auth'>"
             "<forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")  # fmt: skip
    juliet.gets(f"<iq type='error' id='p1'>{UNAVAILABLE}</iq>")
    pep.close()
    juliet.sync()
    juliet.send(f"<iq type='get' id='p2'><pubsub xmlns='{PUBSUB}'/></iq>")
    juliet.gets(f"<iq type='error' id='p2'>{UNAVAILABLE}</iq>")


def test_an_answer_from_somebody_else_is_none(pep, juliet, server, account, make_client):
    juliet.send(f"<iq type='get' id='p1'><pubsub xmlns='{PUBSUB}'/></iq>")
    number = forwarded(pep, "<iq xmlns='jabber:client' id='p1'/>")
    inner = f"<iq xmlns='jabber:client' type='result' id='p1' to='{juliet.jid}'/>"
    romeo = make_client(account("romeo", Place(server, "localhost")))
    romeo.send(f"<iq type='result' id='{number}' to='localhost'><delegation xmlns='{NS}'>"
               f"<forwarded xmlns='urn:xmpp:forward:0'>{inner}</forwarded></delegation></iq>")  # fmt: skip
    juliet.nothing("<iq type='result' id='p1'/>")


def test_without_the_attribute_the_server_answers(pep, juliet):
    note = "<query xmlns='jabber:iq:private'%s><n xmlns='urn:n'/></query>"
    keyed = note % " key='1'"
    assert juliet.iq("set", note % "").get("type") == "result"
    juliet.send(f"<iq type='get' id='k'>{keyed}</iq>")
    forwarded(pep, f"<iq xmlns='jabber:client' id='k'>{keyed}</iq>")


def test_the_component_itself_is_answered_by_the_server(pep, juliet):
    got = pep.ask("get", "<vCard xmlns='vcard-temp'/>", juliet.bare)
    assert got.get("type") in ("result", "error")
    assert not [each for each in pep.inbox if each.tag.endswith("}iq")]  # nothing was forwarded to it


def test_discovery_shows_what_the_component_can(pep, juliet):
    info = juliet.iq("get", f"<query xmlns='{INFO}'/>", "localhost")[0]
    features = {each.get("var") for each in info}
    assert {NS, f"{PUBSUB}#publish"} <= features and "vcard-temp" not in features
    assert ("pubsub", "service") in {(each.get("category"), each.get("type")) for each in info}
    mine = juliet.iq("get", f"<query xmlns='{INFO}'/>", juliet.bare)[0]
    assert f"{PUBSUB}#access-presence" in {each.get("var") for each in mine}
    assert ("pubsub", "bare") in {(each.get("category"), each.get("type")) for each in mine}
    other = juliet.iq("get", f"<query xmlns='{INFO}'/>", "other.localhost")[0]
    assert ("pubsub", "service") not in {(each.get("category"), each.get("type")) for each in other}


@pytest.mark.parametrize(
    ("namespace", "node"), [(INFO, " node='blog'"), (ITEMS, " node='blog'"), (ITEMS, "")]
)
def test_the_remaining_nodes_of_accounts_are_the_components(pep, juliet, namespace, node):
    query = f"<query xmlns='{namespace}'{node}/>"
    juliet.send(f"<iq type='get' id='d' to='{juliet.bare}'>{query}</iq>")
    number = forwarded(pep, f"<iq xmlns='jabber:client' id='d'>{query}</iq>")
    answer(pep, number, f"<iq xmlns='jabber:client' type='result' id='d' to='{juliet.jid}'>{query}</iq>")
    juliet.gets(f"<iq type='result' id='d' from='{juliet.bare}'>{query}</iq>")
