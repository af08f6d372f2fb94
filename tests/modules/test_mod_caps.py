"""XEP-0115: the server's capabilities as a hash."""

import json

import pytest

from jabberd_py.instance import Instance
from jabberd_py.modules import mod_caps
from jabberd_py.router import Router
from jabberd_py.xmpp.capabilities import capability_hash, proves, verification
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


# -- XEP-0390 ------------------------------------------------------------------------------------

FEATURES = """
http://jabber.org/protocol/si http://jabber.org/protocol/bytestreams http://jabber.org/protocol/chatstates
http://jabber.org/protocol/disco#info http://jabber.org/protocol/disco#items urn:xmpp:ping jabber:iq:time jabber:iq:privacy
jabber:iq:version http://jabber.org/protocol/rosterx urn:xmpp:time jabber:x:oob http://jabber.org/protocol/ibb
http://jabber.org/protocol/si/profile/file-transfer urn:xmpp:receipts jabber:iq:roster jabber:iq:last
"""
ROWS = "".join(f"<feature var='{each}'/>" for each in FEATURES.split())
SIMPLE = f"<query xmlns='{INFO}'><identity category='client' name='BombusMod' type='mobile'/>{ROWS}</query>"


def test_the_simple_example_of_xep_0390():
    info = from_text(SIMPLE)
    for name, value in (
        ("sha-256", "kzBZbkqJ3ADrj7v08reD1qcWUwNGHaidNUgD7nHpiw8="),
        ("sha3-256", "79mdYAfU9rEdTOcWDO7UEAt6E56SUzk/g6TnqUeuD9Q="),
    ):
        assert capability_hash(info, name) == f"{name}.{value}"
        assert proves(info, "urn:xmpp:caps", f"{name}.{value}", "en")
        assert not proves(info, "urn:xmpp:caps", f"{name}.A{value[1:]}")
    assert not proves(info, "urn:xmpp:caps", "md5.abc")
    for odd in ("<x xmlns='jabber:x:data' type='result'/>", "<other xmlns='urn:x'/>"):
        assert not proves(
            from_text(SIMPLE.replace("</query>", odd + "</query>")), "urn:xmpp:caps", "sha-256.x"
        )


def test_the_newer_hash_stands_in_the_features_and_can_be_asked_for(romeo):
    hash = romeo.features.find("{urn:xmpp:caps}c")[0]
    number = ask(romeo, f"urn:xmpp:caps#{hash.get('algo')}.{hash.text}")
    answer = romeo.gets(f"<iq type='result' id='{number}'><query xmlns='{INFO}'/></iq>")
    assert "urn:xmpp:caps" in [each.get("var") for each in answer[0]]


def test_a_hash_that_nobody_proves_costs_the_store_one_question(monkeypatch):
    """Its client shows it in each presence to each contact."""
    asked = []
    monkeypatch.setattr(mod_caps.Capability, "select", lambda *columns: Nothing(asked))
    caps = mod_caps.Caps(Instance(Router(), "example.org"), {"remembered": 2})
    for ver in ("a", "a", "a", "b", "b", "c", "c"):
        assert caps.features_of(("sha-1", ver)) is None
    assert len(asked) == 3
    assert list(caps.absent) == [("sha-1", "b"), ("sha-1", "c")]  # no more than are remembered
    caps._keep(("sha-1", "c"), frozenset({INFO}))  # a client has proven it
    assert caps.features_of(("sha-1", "c")) == {INFO}
    assert len(asked) == 3


class Nothing:
    """A query that finds nothing."""

    def __init__(self, asked):
        self.asked = asked

    def where(self, *conditions):
        return self

    def scalar(self):
        self.asked.append(self)


@pytest.mark.parametrize("answer", [
    "<identity category='client' type='pc' name='test'/><feature var='a+notify&lt;b+notify&lt;c'/>",
    "<identity category='client' type='pc' name='test&lt;a+notify'/><feature var='b+notify'/><feature var='c'/>",
    "<identity category='client' type='pc' name='test'/><feature var='a+notify'/><x xmlns='jabber:x:data' type='result'>"
    "<field var='FORM_TYPE' type='hidden'><value>b+notify</value></field><field var='c'/></x>",
])  # fmt: skip
def test_an_answer_that_only_has_the_same_string_proves_nothing(answer):
    """Whoever shows a client's hash before the client does cannot say what that client wants."""
    info = "http://jabber.org/protocol/disco#info"
    honest = (
        "<identity category='client' type='pc' name='test'/>"
        "<feature var='a+notify'/><feature var='b+notify'/><feature var='c'/>"
    )
    honest, forged = (from_text(f"<query xmlns='{info}'>{each}</query>") for each in (honest, answer))
    ver = verification(honest)
    assert proves(honest, "sha-1", ver) and not proves(forged, "sha-1", ver)
