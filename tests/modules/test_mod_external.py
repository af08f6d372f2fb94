"""External services (XEP-0215): STUN and TURN; the examples are numbered as in the text."""

import hashlib
import hmac
import json
import time
from base64 import b64encode

import pytest

from jabberd_py.modules.mod_external import service
from tests.conftest import CONFIG, Place
from tests.match import show
from tests.server import ServerProcess

NS = "urn:xmpp:extdisco:2"
SERVICES = [
    {"type": "stun", "host": "stun.shakespeare.lit", "port": 9998, "transport": "udp"},
    {"type": "turn", "host": "relay.shakespeare.lit", "port": 9999},
    {"type": "turn", "host": "192.0.2.1", "secret": "its own"},
    {"type": "turns", "host": "192.0.2.1"},
    {"type": "ftp", "host": "ftp.shakespeare.lit", "name": "Shakespearean File Server", "port": 20, "transport": "tcp",
     "username": "guest", "password": "guest"},
]  # fmt: skip


def settings(services=SERVICES, **more):
    external = {"enabled": True, "secret": "north", "ttl": "1h", "services": services, **more}
    return {**CONFIG["modules"], "external": external}


@pytest.fixture(scope="module")
def stage(tmp_path_factory, databases):
    folder = tmp_path_factory.mktemp("external")
    process = ServerProcess({**databases(folder), **CONFIG, "modules": settings()}, folder)
    yield process
    assert process.stop() == 0, process.tail()


@pytest.fixture
def bard(stage, account, make_client):
    return make_client(account("bard", Place(stage, "localhost")))


def ask(who, payload, to=None):
    return who.iq("get", payload, to=to or who.domain)


def check(each, secret, who, ttl=3600):
    """Credentials as coturn accepts them."""
    name = each.get("username")
    end, _, user = name.partition(":")
    assert user == who.bare.partition("@")[0] and abs(int(end) - time.time() - ttl) < 60
    assert each.get("expires") == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(end)))
    assert (
        each.get("password") == b64encode(hmac.digest(secret.encode(), name.encode(), hashlib.sha1)).decode()
    )
    assert each.get("restricted") == "true"


def test_examples_1_and_2_all_services(bard):
    stun, relay, turn, turns, ftp = ask(bard, f"<services xmlns='{NS}'/>")[0]
    assert stun.attrib == {"host": "stun.shakespeare.lit", "port": "9998", "transport": "udp", "type": "stun"}
    assert (relay.get("port"), relay.get("transport"), relay.get("type")) == ("9999", "udp", "turn")
    assert (turns.get("port"), turns.get("transport")) == ("5349", "tcp") and turn.get("port") == "3478"
    check(relay, "north", bard), check(turns, "north", bard), check(turn, "its own", bard)
    assert (ftp.get("name"), ftp.get("username"), ftp.get("password")) == (
        "Shakespearean File Server",
        "guest",
        "guest",
    )
    assert ftp.get("expires") is None


def test_examples_3_and_4_those_of_a_type(bard):
    services = ask(bard, f"<services xmlns='{NS}' type='turn'/>")[0]
    assert services.get("type") == "turn" and [each.get("type") for each in services] == ["turn", "turn"]
    services = ask(bard, f"<services xmlns='{NS}' type='sip'/>")[0]
    assert services.get("type") == "sip" and not len(services)


def test_examples_6_and_7_credentials_for_one(bard):
    answer = ask(bard, f"<credentials xmlns='{NS}'><service host='192.0.2.1' type='turn'/></credentials>")
    (each,) = answer[0]
    assert answer[0].tag == f"{{{NS}}}credentials" and (each.get("host"), each.get("type")) == (
        "192.0.2.1",
        "turn",
    )
    check(each, "its own", bard)


@pytest.mark.parametrize(("wish", "condition"), [
    ("<service host='192.0.2.1' type='turn' port='3478'/>", None),
    ("<service host='192.0.2.1' type='turn' port='1'/>", "item-not-found"),
    ("<service host='stun.shakespeare.lit' type='stun'/>", "item-not-found"),
    ("<service host='nowhere.lit' type='turn'/>", "item-not-found"),
    ("<service host='192.0.2.1'/>", "bad-request"),
    ("<service type='turn'/>", "bad-request"),
    ("", "bad-request"),
])  # fmt: skip
def test_credentials_that_there_are_not(bard, wish, condition):
    answer = ask(bard, f"<credentials xmlns='{NS}'>{wish}</credentials>")
    assert answer.get("type") == ("error" if condition else "result"), show(answer)
    assert condition is None or condition in show(answer)


def test_it_is_only_for_the_users_of_the_host(stage, bard, account, make_client):
    stranger = make_client(account("mallory", Place(stage, "other.localhost")))
    for payload in (f"<services xmlns='{NS}'/>", f"<credentials xmlns='{NS}'/>"):
        answer = ask(stranger, payload, bard.domain)
        assert answer.get("type") == "error" and "forbidden" in show(answer)


def test_it_is_found(bard, romeo):
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    assert NS in show(ask(bard, query))
    assert NS not in show(ask(romeo, query))  # of a server that knows none
    assert "service-unavailable" in show(ask(romeo, f"<services xmlns='{NS}'/>"))


def test_example_5_who_has_asked_is_told_of_changes(stage, account, make_client):
    everything, turn, nobody = (
        make_client(account(name, Place(stage, "localhost"))) for name in ("a", "b", "c")
    )
    ask(everything, f"<services xmlns='{NS}'/>")
    ask(turn, f"<services xmlns='{NS}' type='turn'/>")
    whole = json.loads(stage.file.read_text())
    new = {"type": "stun", "host": "new.lit"}
    stage.file.write_text(
        json.dumps({**whole, "modules": settings([new, *SERVICES[:2], *SERVICES[3:]], secret="south")})
    )
    try:
        stage.ctl("reload")
        push = turn.gets(f"<iq type='set' from='localhost'><services xmlns='{NS}' type='turn'/></iq>")
        turn.send(f"<iq type='result' id='{push.get('id')}' to='localhost'/>")
        told = {(each.get("host"), each.get("action")) for each in push[0]}
        assert told == {("192.0.2.1", "delete"), ("relay.shakespeare.lit", "modify")}
        check(next(each for each in push[0] if each.get("action") == "modify"), "south", turn)
        push = everything.gets(
            f"<iq type='set' from='localhost'><services xmlns='{NS}' type='!absent'/></iq>"
        )
        told = {(each.get("type"), each.get("host"), each.get("action")) for each in push[0]}
        assert (
            ("stun", "new.lit", "add") in told and ("turns", "192.0.2.1", "modify") in told and len(told) == 4
        )
        nobody.nothing(f"<iq><services xmlns='{NS}'/></iq>")
    finally:
        stage.file.write_text(json.dumps(whole))
        stage.ctl("reload")


@pytest.mark.parametrize(("text", "wanted"), [
    ("stun:stun.example.org", ("stun", "stun.example.org", 3478, "udp")),
    ("TURNS:[2001:db8::1]", ("turns", "2001:db8::1", 5349, "tcp")),
    ("turn:192.0.2.1:80?transport=tcp", ("turn", "192.0.2.1", 80, "tcp")),
])  # fmt: skip
def test_a_service_as_its_uri(text, wanted):
    assert service(text)[:4] == wanted and service(service(text)) == service(text)


@pytest.mark.parametrize(("value", "said"), [
    ("turn.example.org", "must be such as"),
    ("https://turn.example.org", "must be such as"),
    ("turn:turn.example.org:99999", "1 to 65535"),
    ("turn:turn.example.org?transport=sctp", "udp or tcp"),
    ({"host": "a"}, "has a type"),
    ({"type": "two words", "host": "a"}, "has a type"),
    ({"type": "turn"}, "has a host"),
    ({"type": "turn", "host": "a b"}, "has a host"),
    ({"type": "turn", "host": "a", "port": 0}, "1 to 65535"),
    ({"type": "turn", "host": "a", "port": "x"}, "1 to 65535"),
    ({"type": "turn", "host": "a", "transport": "sctp"}, "udp or tcp"),
    ({"type": "turn", "host": "a", "secrt": "b"}, "did you mean 'secret'"),
    ({"type": "turn", "host": "a", "username": "b"}, "credentials"),
    ({"type": "turn", "host": "a", "username": "b", "password": "c", "secret": "d"}, "credentials"),
])  # fmt: skip
def test_mistakes_in_the_configuration(value, said):
    with pytest.raises(ValueError, match=said):
        service(value)
