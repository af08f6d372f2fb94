"""A stream's life beside its login: binding, silence, shutdown, reload, hosts (RFC 6120 sections 4 and 7)."""

import json
import signal
import ssl
import time

import gevent
import pytest

from jabberd_py.net.tls import make_self_signed
from tests.client import Client
from tests.conftest import CONFIG

BIND = "urn:ietf:params:xml:ns:xmpp-bind"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


@pytest.fixture
def authenticated(account, server):
    """`authenticated(who=None)`: a client that has not bound yet."""
    opened = []

    def authenticated(who=None):
        who = who or account()
        opened.append(Client(server.address()).connect().auth(who.user, who.password))
        return opened[-1]

    yield authenticated
    for client in opened:
        client.close()


def bind_error(client, payload):
    answer = client.iq("set", f"<bind xmlns='{BIND}'>{payload}</bind>")
    assert answer.get("type") == "error"
    return answer[-1][0].tag.rpartition("}")[2]


# -- binding -----------------------------------------------------------------------------------------------


def test_bind_is_offered_after_login_only(authenticated, server):
    before = Client(server.address()).connect()
    assert before.features.find(f"{{{BIND}}}bind") is None
    before.close()
    assert authenticated().features.find(f"{{{BIND}}}bind") is not None


def test_the_server_makes_a_resource(authenticated, account):
    who = account()
    one, two = authenticated(who).bind(), authenticated(who).bind()
    assert one.bare == two.bare == who.bare
    assert one.resource != two.resource and len(one.resource) >= 12
    one.sync()


def test_the_client_asks_for_a_resource(authenticated):
    client = authenticated().bind("Bal cony/é@")
    assert client.resource == "Bal cony/é@"


@pytest.mark.parametrize("resource", ["x" * 1024, "\u0378", "&#x7f;"])
def test_a_bad_resource_is_refused_and_another_may_be_tried(authenticated, resource):
    client = authenticated()
    assert bind_error(client, f"<resource>{resource}</resource>") == "bad-request"
    assert client.bind("good").resource == "good"


def test_the_newer_client_gets_the_resource(authenticated, account):
    who = account()
    old, other = authenticated(who).bind("desk"), authenticated(who).bind("sofa")
    new = authenticated(who).bind("desk")
    assert old.stream_error() == "conflict"
    assert old.closed()
    new.sync()
    other.send(f"<message to='{new.jid}' type='chat'><body>still here?</body></message>")
    new.gets("<message><body>still here?</body></message>")


def test_too_many_sessions(start_server):
    server = start_server({**CONFIG, "hosts": {"localhost": {"sessions_per_user": 2}}})
    Client(server.address()).connect().register("romeo", "secret").close()
    clients = [Client(server.address()).login("romeo", "secret", name) for name in "ab"]
    third = Client(server.address()).connect().auth("romeo", "secret")
    assert bind_error(third, "") == "resource-constraint"
    assert third.bind("a").resource == "a"  # in the place of another it may
    for client in [*clients, third]:
        client.close()


def test_stanzas_before_binding(authenticated):
    client = authenticated()
    client.send("<presence/>")
    assert client.stream_error() == "not-authorized"
    client = authenticated()
    client.send("<iq type='get' id='1' to='conference.localhost'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert client.stream_error() == "not-authorized"


def test_the_server_answers_requests_before_login_and_binding(authenticated, account, server):
    """RFC 6120 section 7.1: only what is for others ends the stream."""
    stranger, who = Client(server.address()).connect(), account()
    for client, own in ((stranger, []), (authenticated(who), [who.bare])):
        for to in (None, "localhost", *own):
            refused = client.iq("get", "<query xmlns='jabber:iq:version'/>", to=to)
            assert refused.find(f".//{{{STANZAS}}}not-authorized") is not None, to
    assert stranger.iq("set", f"<bind xmlns='{BIND}'/>").get("type") == "error"
    stranger.login(*who[:2], "late").sync()
    stranger.close()


def test_the_session_of_rfc_3921(authenticated):
    client = authenticated().bind().session()
    answer = client.iq("set", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>", to="localhost")
    assert answer.get("type") == "result"


# -- the header --------------------------------------------------------------------------------------------


def test_the_header(server):
    client = Client(server.address(), "other.localhost", tls="none").connect()
    assert client.stream["from"] == "other.localhost"
    assert client.stream["version"] == "1.0"
    assert client.stream["{http://www.w3.org/XML/1998/namespace}lang"] == "en"
    ids = {client.stream["id"]}
    client.close()
    client = Client(server.address()).connect()
    ids.add(client.stream["id"])
    assert len(ids) == 2 and all(len(id) >= 16 for id in ids)
    client.close()


def test_the_language_of_the_stream_is_that_of_its_stanzas(account, server, make_client):
    who, juliet = account("romeo"), make_client()
    romeo = German(server.address()).login(who.user, who.password)
    romeo.send(f"<message to='{juliet.jid}'><body>Guten Tag</body></message>")
    romeo.send(f"<message to='{juliet.jid}' xml:lang='fr'><body>Bonjour</body></message>")
    juliet.gets("<message xml:lang='de'><body>Guten Tag</body></message>")
    juliet.gets("<message xml:lang='fr'><body>Bonjour</body></message>")
    romeo.close()


class German(Client):
    def send(self, xml):
        super().send(xml.replace("xml:lang='en'", "xml:lang='de'"))


# -- silence -----------------------------------------------------------------------------------------------


def test_silence_ends_a_stream_and_white_space_does_not(start_server):
    server = start_server({**CONFIG, "c2s": {"idle_timeout": "2s"}})
    Client(server.address()).connect().register("romeo", "secret").close()
    silent, alive = (Client(server.address()).login("romeo", "secret", name) for name in "ab")

    def keep_alive():
        while True:
            alive.send(" ")
            gevent.sleep(0.5)

    keeper = gevent.spawn(keep_alive)
    assert silent.stream_error(10) == "connection-timeout"
    assert silent.closed()
    keeper.kill()
    alive.sync()
    alive.close()


@pytest.mark.parametrize("managed", [False, True])
def test_who_only_listens_is_asked_before_it_is_cut_off(start_server, managed):
    server = start_server({**CONFIG, "c2s": {"idle_timeout": "1s"}})
    Client(server.address()).connect().register("romeo", "secret").close()
    listener = Client(server.address()).login("romeo", "secret")
    question = (
        "<r xmlns='urn:xmpp:sm:3'/>" if managed else "<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    if managed:
        listener.send("<enable xmlns='urn:xmpp:sm:3'/>")
        listener.gets("<enabled xmlns='urn:xmpp:sm:3'/>")
    for _ in range(3):  # who answers stays, how long it may last
        asked = listener.gets(question, 10)
        if managed:
            listener.send("<a xmlns='urn:xmpp:sm:3' h='0'/>")
        else:
            assert asked.get("from") == "localhost" and asked.get("to") == listener.jid
            listener.send(f"<iq type='result' id='{asked.get('id')}' to='localhost'/>")
    assert listener.stream_error(10) == "connection-timeout"
    listener.close()


def test_who_takes_what_comes_is_there(start_server):
    """It says nothing, answers nothing, and reads: no silence."""
    server = start_server({**CONFIG, "c2s": {"idle_timeout": "2s"}})
    Client(server.address()).connect().register("romeo", "secret").close()
    listener, friend = (Client(server.address()).login("romeo", "secret", name) for name in "ab")
    for number in range(20):
        friend.send(f"<message to='{listener.jid}' id='{number}'/>")
        listener.gets(f"<message id='{number}'/>")
        gevent.sleep(0.4)
    assert not listener.lost
    assert listener.stream_error(20) == "connection-timeout"
    friend.close()


# -- signals -----------------------------------------------------------------------------------------------


def test_sigterm_says_goodbye(start_server):
    server = start_server()
    Client(server.address()).connect().register("romeo", "secret").close()
    clients = [
        Client(server.address()).login("romeo", "secret"),
        Client(server.address("c2s_direct"), tls="direct").login("romeo", "secret"),
        Client(server.address()).connect(),
        Client(server.address(), tls="none").connect(),
    ]
    waiting = [gevent.spawn(client.stream_error, 10) for client in clients]
    assert server.stop() == 0
    gevent.joinall(waiting, raise_error=True)
    assert [each.value for each in waiting] == ["system-shutdown"] * 4
    assert all(client.closed() for client in clients)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_0_also_when_a_client_does_not_answer(start_server, number):
    server = start_server()
    deaf = Client(server.address(), tls="none")
    deaf.polite = False
    deaf.connect()
    began = time.monotonic()
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert time.monotonic() - began < 4  # a second is enough for it


def serial(client):
    return client.socket.getpeercert(True)


def reload(server, seen):
    """SIGHUP, and wait until the log says ``seen``."""
    start = server.log.stat().st_size
    server.process.send_signal(signal.SIGHUP)
    with gevent.Timeout(10, AssertionError(f"no {seen!r} in the log: {server.tail(start)}")):
        while seen not in server.tail(start):
            gevent.sleep(0.02)


def test_sighup_reads_certificates_and_options_again(start_server):
    server = start_server()
    old = Client(server.address()).connect().register("romeo", "secret").login("romeo", "secret")
    folder = server.data / "certificates"
    make_self_signed(["localhost"], folder / "localhost.pem", folder / "localhost.key")
    settings = json.loads(server.file.read_text())
    settings["c2s"]["max_stanza"] = "20 KiB"
    settings["log"] = {"level": "debug"}
    server.file.write_text(json.dumps(settings))
    reload(server, "configuration read again")
    new = Client(server.address(), cafile=str(folder / "localhost.pem")).connect()
    new.auth("romeo", "secret", "SCRAM-SHA-256-PLUS", binding="tls-server-end-point").bind()
    assert serial(new) != serial(old)
    old.sync()  # streams go on as they began
    old.send(f"<message to='{old.jid}'><body>{'x' * 100_000}</body></message>")
    old.sync()
    start = server.log.stat().st_size
    new.send(f"<message><body>{'x' * 100_000}</body></message>")
    assert new.stream_error() == "policy-violation"
    new.close()
    old.abort()
    with gevent.Timeout(5, AssertionError("the log level is as it was")):
        while "connection lost" not in server.tail(start):  # a debug message
            gevent.sleep(0.02)


@pytest.mark.parametrize("fault", ["option", "certificate"])
def test_a_mistake_changes_nothing(start_server, fault):
    server = start_server()
    if fault == "option":
        settings = json.loads(server.file.read_text())
        server.file.write_text(json.dumps({**settings, "c2s": {**settings["c2s"], "max_stanzaz": 5}}))
    else:
        (server.data / "certificates" / "localhost.pem").write_text("no certificate")
    reload(server, "the new configuration is wrong")
    client = Client(server.address()).connect().register("romeo", "secret").login("romeo", "secret")
    client.sync()
    client.close()


# -- limits ------------------------------------------------------------------------------------------------


def test_the_limits_of_the_stream_are_told(server, account):
    """XEP-0478: before the login they are others than afterwards."""
    romeo = account("romeo")
    client = Client(server.address()).connect()
    for size in ("10240", "262144"):
        limits = client.features.find("{urn:xmpp:stream-limits:0}limits")
        told = {each.tag.partition("}")[2]: each.text for each in limits}
        assert told == {"max-bytes": size, "idle-seconds": "1800"}
        if not client.user:
            client.auth(romeo.user, romeo.password)
    client.close()


# -- two hosts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "direct"])
@pytest.mark.parametrize("domain", ["localhost", "other.localhost"])
def test_every_host_shows_its_own_certificate(server, domain, tls):
    certificate = server.data / "certificates" / f"{domain}.pem"
    kind = "c2s_direct" if tls == "direct" else "c2s"
    client = Client(server.address(kind), domain, tls, cafile=str(certificate)).connect()  # verified
    assert serial(client) == ssl.PEM_cert_to_DER_cert(certificate.read_text())
    assert client.socket.selected_alpn_protocol() == ("xmpp-client" if tls == "direct" else None)
    client.close()


def test_the_same_name_on_two_hosts_is_two_people(server):
    for domain, password in (("localhost", "secret one"), ("other.localhost", "secret two")):
        Client(server.address(), domain).connect().register("twin", password).close()
    one = Client(server.address(), "localhost").login("twin", "secret one", "x").available()
    two = Client(server.address(), "other.localhost").login("twin", "secret two", "x").available()
    one.send("<message to='twin@other.localhost/x'><body>brother</body></message>")
    two.gets("<message from='twin@localhost/x' to='twin@other.localhost/x'><body>brother</body></message>")
    one.nothing("<message/>")
    one.close()
    two.close()


@pytest.mark.parametrize("tls", ["starttls", "direct"])
@pytest.mark.parametrize(("domain", "a_labels"), [
    ("m\xfcller.example", "xn--mller-kva.example"), ("stra\xdfe.example", "xn--strae-oqa.example"),
])  # fmt: skip
def test_a_host_outside_ascii_shows_its_own_certificate(start_server, domain, a_labels, tls):
    """Clients name it in their hello as DNS spells it (IDNA 2008); the certificate has that name, too."""
    server = start_server({**CONFIG, "hosts": {"localhost": {}, domain: {}}})
    file = server.data / "certificates" / f"{domain}.pem"
    kind = "c2s_direct" if tls == "direct" else "c2s"
    client = Client(server.address(kind), a_labels, tls, cafile=str(file)).connect()  # verified
    assert serial(client) == ssl.PEM_cert_to_DER_cert(file.read_text())
    client.close()
    (row,) = [
        row
        for row in json.loads(server.ctl("--json", "check", "certificates", code=None))
        if row["domain"] == domain
    ]
    assert row["names"][0] == a_labels and not any("is not for" in each for each in row["trouble"])


def test_who_administers_may_be_spelt_in_capitals(start_server):
    server = start_server({**CONFIG, "hosts": {"localhost": {"admins": ["Romeo@LocalHost"]}}})
    server.ask("accounts add", jid="romeo@localhost", password="secret")
    romeo = Client(server.address()).login("romeo", "secret").available()
    romeo.send("<message to='localhost/announce/online'><body>hear ye</body></message>")
    romeo.gets("<message from='localhost'><body>hear ye</body></message>")
    romeo.close()


def test_no_tls_begins_for_a_host_that_has_gone(start_server):
    """<proceed/> would be a promise that cannot be kept."""
    server = start_server()
    client = Client(server.address(), "other.localhost", "none").connect()
    settings = json.loads(server.file.read_text())
    del settings["hosts"]["other.localhost"]
    server.file.write_text(json.dumps(settings))
    reload(server, "configuration read again")
    client.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    assert client.stream_error() == "host-gone"
    client.close()
