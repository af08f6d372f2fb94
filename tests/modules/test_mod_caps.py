"""XEP-0115: the server's capabilities as a hash."""

import json

from jabberd_py.modules.mod_caps import verification
from jabberd_py.xmpp.element import from_text
from tests.conftest import CONFIG, Place

NS = "http://jabber.org/protocol/caps"
INFO = "http://jabber.org/protocol/disco#info"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def ask(client, node):
    number = client.fresh()
    client.send(
        f"<iq type='get' id='{number}' to='{client.domain}'><query xmlns='{INFO}' node='{node}'/></iq>"
    )
    return number


def test_the_hash_stands_in_the_features_and_can_be_asked_for(romeo):
    caps = romeo.features.find(f"{{{NS}}}c")
    assert caps.get("hash") == "sha-1"
    node = f"{caps.get('node')}#{caps.get('ver')}"
    number = ask(romeo, node)
    answer = romeo.gets(
        f"<iq type='result' id='{number}'><query xmlns='{INFO}' node='{node}'>"
        f"<identity category='server' type='im'/><feature var='{NS}'/></query></iq>"
    )
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", romeo.domain)
    assert [child.attrib for child in info[0]] == [child.attrib for child in answer[0]]


def test_another_hash_is_not_ours(romeo):
    caps = romeo.features.find(f"{{{NS}}}c")
    number = ask(romeo, f"{caps.get('node')}#AAAA")
    romeo.gets(f"<iq type='error' id='{number}'><error><item-not-found xmlns='{STANZAS}'/></error></iq>")


def test_the_simple_example():
    info = from_text(
        f"<query xmlns='{INFO}'><identity category='client' type='pc' name='Exodus 0.9.1'/>"
        f"<feature var='http://jabber.org/protocol/muc'/><feature var='{INFO}'/><feature var='{NS}'/>"
        "<feature var='http://jabber.org/protocol/disco#items'/></query>"
    )
    assert verification(info) == "QgayPKawpkPSDYmwT/WM94uAlu0="


def test_the_complex_example():
    info = from_text(
        f"<query xmlns='{INFO}'>"
        "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
        "<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>"
        f"<feature var='{NS}'/><feature var='{INFO}'/><feature var='http://jabber.org/protocol/disco#items'/>"
        "<feature var='http://jabber.org/protocol/muc'/>"
        "<x xmlns='jabber:x:data' type='result'>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
        "<field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>"
        "<field var='software'><value>Psi</value></field><field var='os'><value>Mac</value></field>"
        "<field var='os_version'><value>10.5.1</value></field>"
        "<field var='software_version'><value>0.11</value></field></x></query>"
    )
    assert verification(info) == "q07IKJEyjvHSyhy//CH0CxmKi8w="


def test_a_reload_that_changes_the_answer_changes_the_hash(start_server, account, make_client):
    server = start_server(CONFIG)
    romeo = account("romeo", Place(server, "localhost"))
    before = make_client(romeo, available=False).features.find(f"{{{NS}}}c").get("ver")
    config = json.loads(server.file.read_text())
    config["modules"]["contact"] = {"abuse": "mailto:abuse@example.org"}
    server.file.write_text(json.dumps(config))
    server.ctl("reload")
    client = make_client(romeo, available=False)
    caps = client.features.find(f"{{{NS}}}c")
    assert caps.get("ver") != before
    number = ask(client, f"{caps.get('node')}#{caps.get('ver')}")
    client.gets(
        f"<iq type='result' id='{number}'><query xmlns='{INFO}'><x xmlns='jabber:x:data'/></query></iq>"
    )
