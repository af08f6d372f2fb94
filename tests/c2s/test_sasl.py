"""SASL (RFC 6120 section 6): every mechanism, and everything that can be wrong with a login."""

import json
import sqlite3
import ssl
from base64 import b64decode

import gevent
import pytest

from jabberd_py.jsm import users as users_file
from jabberd_py.jsm.users import Account, Users
from jabberd_py.xmpp import sasl as server_sasl
from tests.c2s.test_stream import reload
from tests.ca import CA
from tests.client import MECHANISMS, SASL, AuthFailed, Client
from tests.conftest import CONFIG
from tests.match import show
from tests.scram import Scram
from tests.server import ServerProcess
from tests.stream import TLS

SCRAM = [name for name in MECHANISMS if name != "PLAIN"]


@pytest.fixture(scope="module")
def romeo(server):
    Client(server.address()).connect().register("sasl-romeo", "se,cr=et é").close()
    return "sasl-romeo", "se,cr=et é"


@pytest.fixture
def connect(server):
    opened = []

    def connect(tls="starttls", domain="localhost", at=None, **options):
        kind = "c2s_direct" if tls == "direct" else "c2s"
        opened.append(Client((at or server).address(kind), domain, tls, **options))
        return opened[-1].connect()

    yield connect
    for client in opened:
        client.close()


def offered(client):
    return [element.text for element in client.features.iter(f"{{{SASL}}}mechanism")]


def failure(client, user, password, mechanism=None, **options):
    with pytest.raises(AuthFailed) as failed:
        client.auth(user, password, mechanism, **options)
    return failed.value.condition


# -- the mechanisms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tls", ["starttls", "direct"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_login(connect, romeo, mechanism, tls):
    binding = "tls-server-end-point" if mechanism.endswith("-PLUS") else None
    client = connect(tls).auth(*romeo, mechanism, binding=binding).bind("balcony")
    assert client.jid == "sasl-romeo@localhost/balcony"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_wrong_password_may_be_tried_again(connect, romeo, mechanism):
    client = connect()
    assert failure(client, romeo[0], "wrong", mechanism, binding="tls-server-end-point") == "not-authorized"
    client.auth(*romeo, mechanism, binding="tls-server-end-point").bind()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_names_are_prepared(connect, romeo, mechanism):
    assert connect().auth("SASL-Romeo", romeo[1], mechanism).bind().user == romeo[0]


def test_what_is_offered_before_and_inside_tls(connect):
    assert offered(connect("none")) == []
    inside = ["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-512",
              "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"]  # fmt: skip
    for tls in ("starttls", "direct"):
        client = connect(tls)
        assert offered(client) == inside
        bindings = client.features.iter("{urn:xmpp:sasl-cb:0}channel-binding")
        assert [binding.get("type") for binding in bindings] == ["tls-server-end-point"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_nobody_logs_in_without_tls(connect, romeo, mechanism):
    client = connect("none")
    assert client.features.find(f"{{{TLS}}}starttls/{{{TLS}}}required") is not None
    assert failure(client, *romeo, mechanism) == "encryption-required"


def test_plain_needs_tls_even_where_tls_is_not_required(start_server, connect):
    server = start_server({**CONFIG, "c2s": {"require_tls": False}})
    client = connect("none", at=server).register("romeo", "secret")
    assert "PLAIN" not in offered(client) and not any(name.endswith("-PLUS") for name in offered(client))
    assert failure(client, "romeo", "secret", "PLAIN") == "invalid-mechanism"
    assert client.auth("romeo", "secret", "SCRAM-SHA-256").bind().user == "romeo"


# -- channel binding ---------------------------------------------------------------------------------------


def first_answer(client, scram, mechanism):
    return client.sasl("auth", scram.first(), f" mechanism='{mechanism}'")


def test_a_downgrade_is_noticed(connect, romeo):
    """'y': I could bind, but you did not offer it. We did, so somebody stands between."""
    client = connect()
    answer = first_answer(client, Scram("SCRAM-SHA-256", *romeo, flag="y"), "SCRAM-SHA-256")
    assert answer[0].tag == f"{{{SASL}}}not-authorized"
    assert "server-does-support-channel-binding" in show(answer)


def test_another_channel_is_noticed(connect, romeo):
    client = connect()
    scram = Scram("SCRAM-SHA-256-PLUS", *romeo, binding=("tls-server-end-point", b"x" * 32))
    challenge = first_answer(client, scram, "SCRAM-SHA-256-PLUS")
    answer = client.sasl("response", scram.final(b64decode(challenge.text)))
    assert answer[0].tag == f"{{{SASL}}}not-authorized"


@pytest.mark.parametrize("binding", [("tls-unique", b"x"), ("tls-exporter", b"x"), None])
def test_an_unknown_binding(connect, romeo, binding):
    client = connect()
    answer = first_answer(client, Scram("SCRAM-SHA-1-PLUS", *romeo, binding=binding), "SCRAM-SHA-1-PLUS")
    assert answer[0].tag == f"{{{SASL}}}malformed-request"


def test_the_binding_is_that_of_the_certificate_shown(connect, server, romeo):
    """SNI chose one host's certificate, the stream another host."""
    Client(server.address(), "other.localhost").connect().register("sni", "secret").close()
    client = Client(server.address("c2s_direct"), "localhost")
    client.open_socket()
    client.start_tls(["xmpp-client"])
    client.tls = "direct"
    client.open("other.localhost")
    client.domain = "other.localhost"
    client.auth("sni", "secret", "SCRAM-SHA-256-PLUS", binding="tls-server-end-point")
    assert client.bind().bare == "sni@other.localhost"
    client.close()


# -- who is there? -----------------------------------------------------------------------------------------


def first_step(client, user, mechanism):
    """Salt, iterations, and the challenge without what is random."""
    scram = Scram(mechanism, user, "x")
    challenge = b64decode(first_answer(client, scram, mechanism).text).decode()
    said = dict(part.split("=", 1) for part in challenge.split(","))
    client.sasl("abort", b"")
    shape = [(key, len(value)) for key, value in said.items()]
    return said["s"], said["i"], shape


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_the_first_step_does_not_tell_who_exists(connect, romeo, mechanism):
    users = (romeo[0], "ghost", "ghost2")
    steps = {user: [first_step(connect(), user, mechanism) for _ in range(2)] for user in users}
    for one, two in steps.values():
        assert one == two  # the same salt at every try
    assert len({step[0] for step, _ in steps.values()}) == 3
    assert len({str(step[1:]) for step, _ in steps.values()}) == 1
    assert first_step(connect(), "GHOST", mechanism) == steps["ghost"][0]


def test_another_number_of_rounds_does_not_tell_who_exists(start_server, connect):
    """Accounts made before keep their number; among strangers there are such, too."""
    server = start_server()
    connect(at=server).register("romeo", "secret").close()
    settings = json.loads(server.file.read_text())
    settings["hosts"]["localhost"] = {"scram_iterations": 5000}
    server.file.write_text(json.dumps(settings))
    reload(server, "configuration read again")
    assert first_step(connect(at=server), "romeo", "SCRAM-SHA-256")[1] == "4096"
    before = [first_step(connect(at=server), f"ghost{n}", "SCRAM-SHA-256") for n in range(12)]
    assert {step[1] for step in before} == {"4096", "5000"}
    server.restart()
    assert [first_step(connect(at=server), f"ghost{n}", "SCRAM-SHA-256") for n in range(12)] == before


def test_fake_salts_outlive_the_server(start_server, connect):
    server = start_server()
    before = first_step(connect(at=server), "ghost", "SCRAM-SHA-256")
    server.restart()
    assert first_step(connect(at=server), "ghost", "SCRAM-SHA-256") == before


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512-PLUS", "PLAIN"])
def test_the_answers_to_a_wrong_user_and_a_wrong_password_are_the_same(connect, romeo, mechanism):
    said = []
    for user in (romeo[0], "ghost"):
        client = connect()
        before = len(client.received)
        assert failure(client, user, "wrong", mechanism, binding="tls-server-end-point") == "not-authorized"
        answers = bytes(client.received[before:])
        said.append((len(answers), answers[answers.index(b"<failure") :]))
    assert said[0] == said[1]


def test_a_stranger_costs_as_much_as_an_account(monkeypatch):
    """Both ways through PLAIN run PBKDF2 once, with as many rounds; no stop watch, no flaky test."""
    work = []
    real = server_sasl.hashlib.pbkdf2_hmac

    def pbkdf2_hmac(name, password, salt, rounds):
        work.append((name, len(salt), rounds))
        return real(name, password, salt, rounds)

    monkeypatch.setattr(server_sasl.hashlib, "pbkdf2_hmac", pbkdf2_hmac)

    class Host:
        domain = "localhost"

        class options:
            scram_iterations = 4096

    users = Users(Host)
    users._secret, users._rounds = b"x" * 32, [4096]
    keys = users._derive("secret")
    work.clear()
    for rows in ([(keys, False)], []):
        monkeypatch.setattr(users_file, "_account", lambda user, rows=rows: rows)
        assert not users.verify("romeo@localhost", "wrong")
    assert len(work) == 2 and work[0] == work[1]


# -- authorisation -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "PLAIN"])
def test_one_account_cannot_act_for_another(connect, romeo, mechanism):
    for other in ("juliet@localhost", "sasl-romeo@other.localhost", "sasl-romeo", "sasl-romeo@localhost/x"):
        client = connect()
        assert failure(client, *romeo, mechanism, authzid=other) == "invalid-authzid"
        assert b"<challenge" not in client.received
    assert connect().auth(*romeo, mechanism, authzid="sasl-romeo@localhost").bind().user == romeo[0]


@pytest.mark.sqlite
def test_a_disabled_account(start_server, connect):
    server = start_server()
    connect(at=server).register("romeo", "secret")
    server.stop()
    with sqlite3.connect(server.data / "jabberd.sqlite") as store:
        assert store.execute(f"UPDATE {Account._meta.table_name} SET disabled = 1").rowcount == 1
    server.start()
    for mechanism in ("SCRAM-SHA-256", "PLAIN"):
        assert failure(connect(at=server), "romeo", "secret", mechanism) == "account-disabled"
        assert failure(connect(at=server), "romeo", "wrong", mechanism) == "not-authorized"


def test_another_host_is_another_account(connect, romeo):
    assert failure(connect(domain="other.localhost"), *romeo) == "not-authorized"


# -- the exchange ------------------------------------------------------------------------------------------


def condition(answer):
    assert answer.tag == f"{{{SASL}}}failure", show(answer)
    return answer[0].tag.rpartition("}")[2]


def test_an_exchange_that_began_with_an_old_password_fails(connect, server):
    """The account may have another owner by now."""
    connect().register("changing", "secret")
    client = connect()
    scram = Scram("SCRAM-SHA-256", "changing", "secret")
    final = scram.final(b64decode(first_answer(client, scram, "SCRAM-SHA-256").text))
    server.ctl("accounts", "passwd", "changing@localhost", "--password", "another secret")
    assert condition(client.sasl("response", final)) == "not-authorized"
    connect().auth("changing", "another secret").bind()


def test_an_aborted_exchange(connect, romeo):
    client = connect()
    first_answer(client, Scram("SCRAM-SHA-256", *romeo), "SCRAM-SHA-256")
    assert condition(client.sasl("abort", b"")) == "aborted"
    client.auth(*romeo).bind()


@pytest.mark.parametrize("text", ["?", "a", "YWJj=YWJj", "====", "YWJj YWJj", "é"])
def test_malformed_base64(connect, text):
    client = connect()
    client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{text}</auth>")
    assert condition(client.gets(f"<failure xmlns='{SASL}'/>")) == "incorrect-encoding"


@pytest.mark.parametrize(("said", "expected"), [
    ("<response xmlns='{}'>eA==</response>", "malformed-request"),
    ("<success xmlns='{}'/>", "malformed-request"),
    ("<auth xmlns='{}'/>", "invalid-mechanism"),
    ("<auth xmlns='{}' mechanism='EXTERNAL'>=</auth>", "invalid-mechanism"),
    ("<auth xmlns='{}' mechanism='ANONYMOUS'/>", "invalid-mechanism"),
    ("<auth xmlns='{}' mechanism='plain'>eA==</auth>", "invalid-mechanism"),
    ("<auth xmlns='{}' mechanism='PLAIN'>eA==</auth>", "malformed-request"),
    ("<auth xmlns='{}' mechanism='PLAIN'>=</auth>", "malformed-request"),
    ("<auth xmlns='{}' mechanism='SCRAM-SHA-1'>bixhLGI=</auth>", "malformed-request"),
])  # fmt: skip
def test_out_of_order(connect, said, expected):
    client = connect()
    client.send(said.format(SASL))
    assert condition(client.gets(f"<failure xmlns='{SASL}'/>")) == expected


def test_a_response_cannot_be_used_twice(connect, romeo):
    client = connect()
    scram = Scram("SCRAM-SHA-256", romeo[0], "wrong")
    final = scram.final(b64decode(first_answer(client, scram, "SCRAM-SHA-256").text))
    assert condition(client.sasl("response", final)) == "not-authorized"
    assert condition(client.sasl("response", final)) == "malformed-request"


def test_no_initial_response(connect, romeo):
    client = connect()
    answer = client.sasl("auth", None, " mechanism='PLAIN'")
    assert answer.tag == f"{{{SASL}}}challenge" and not answer.text
    answer = client.sasl("response", f"\0{romeo[0]}\0{romeo[1]}".encode())
    assert answer.tag == f"{{{SASL}}}success"


def test_stanzas_sent_along_with_the_login_are_not_taken(connect, romeo):
    """After <success/> the stream begins anew: what came before is of another stream."""
    client = connect()
    client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>AHgAeA==</auth><message to='{romeo[0]}@localhost'/>")
    assert client.stream_error() == "not-authorized"


def test_five_failures_end_the_stream(connect):
    client = connect()
    for _ in range(5):
        assert failure(client, "ghost", "wrong", "PLAIN") == "not-authorized"
    assert client.stream_error() == "policy-violation"
    assert client.closed()


def test_no_second_login(connect, romeo):
    client = connect().auth(*romeo)
    assert offered(client) == []
    client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'/>")
    assert client.stream_error() == "not-authorized"


# -- rate limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "spared"), [("failures_per_account", True), ("failures_per_address", False)]
)
def test_guessing_is_slowed_down(start_server, connect, limit, spared):
    server = start_server({**CONFIG, "c2s": {limit: 3}})
    for user in ("romeo", "juliet"):
        connect(at=server).register(user, "secret").close()
    for _ in range(3):
        assert failure(connect(at=server), "romeo", "wrong") == "not-authorized"
    # now not even the right password tells
    assert failure(connect(at=server), "romeo", "secret", "SCRAM-SHA-1") == "temporary-auth-failure"
    assert failure(connect(at=server), "romeo", "secret", "PLAIN") == "temporary-auth-failure"
    if spared:
        connect(at=server).auth("juliet", "secret").bind()
    else:
        assert failure(connect(at=server), "juliet", "secret") == "temporary-auth-failure"


def test_strangers_are_slowed_down_like_accounts(start_server, connect):
    server = start_server({**CONFIG, "c2s": {"failures_per_account": 2}})
    for _ in range(2):
        assert failure(connect(at=server), "ghost", "wrong") == "not-authorized"
    assert failure(connect(at=server), "ghost", "wrong") == "temporary-auth-failure"


def test_guessing_from_elsewhere_locks_nobody_out(start_server, connect):
    """One address guesses until it is refused; the owner does not even notice, and neither does a reload help the other."""
    server = start_server({**CONFIG, "c2s": {"failures_per_account": 3}})
    connect(at=server).register("romeo", "secret").close()
    for _ in range(3):
        assert failure(connect(at=server, source="127.0.0.66"), "romeo", "wrong") == "not-authorized"
    reload(server, "configuration read again")
    for password in ("wrong", "secret"):
        villain = connect(at=server, source="127.0.0.66")
        assert failure(villain, "romeo", password, "PLAIN") == "temporary-auth-failure"
    connect(at=server).auth("romeo", "secret").bind()


def test_an_address_full_of_guesses_keeps_out_strangers_only(start_server, connect):
    """Behind one router somebody guesses; who has logged in from there goes on doing so."""
    server = start_server({**CONFIG, "c2s": {"failures_per_address": 3}})
    for user in ("romeo", "juliet"):
        connect(at=server).register(user, "secret").close()
    connect(at=server).auth("juliet", "secret").bind()
    for number in range(3):
        assert failure(connect(at=server), f"ghost{number}", "wrong") == "not-authorized"
    assert failure(connect(at=server), "romeo", "secret") == "temporary-auth-failure"
    connect(at=server).auth("juliet", "secret", "SCRAM-SHA-1").bind()
    connect(at=server).auth("juliet", "secret", "PLAIN").bind()


@pytest.mark.parametrize("user", ["romeo", "ghost"])
def test_guessing_from_everywhere_slows_strangers_but_not_the_owner(start_server, connect, user):
    server = start_server({**CONFIG, "c2s": {"failures_per_account_in_all": 3}})
    connect(at=server).register("romeo", "secret").close()
    connect(at=server, source="127.0.0.9").auth("romeo", "secret").bind()
    for number in range(3):
        assert failure(connect(at=server, source=f"127.0.1.{number}"), user, "wrong") == "not-authorized"
    owner, *crowd = [connect(at=server, source=f"127.0.{2 + number}.9") for number in range(13)]
    owner.close()
    owner = connect(at=server, source="127.0.0.9")
    answers = [gevent.spawn(failure, each, user, "wrong", "PLAIN") for each in crowd]
    gevent.joinall(answers, count=2)  # the first may try at once, the twelfth is sent away
    owner.auth("romeo", "secret").bind()
    said = [each.value for each in answers if each.ready()]
    assert sorted(said) == ["not-authorized", "temporary-auth-failure"]
    gevent.joinall(answers, count=3)  # the second had to wait for its turn
    assert [each.value for each in answers if each.ready()].count("not-authorized") == 2
    gevent.killall(answers)
    for each in crowd:
        each.abort()


# -- EXTERNAL and ANONYMOUS --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certified(tmp_path_factory, databases):
    """A server that trusts an authority, and has an anonymous host; the authority is its ``authority``."""
    folder = tmp_path_factory.mktemp("certified")
    authority = CA(folder)
    hosts = {**CONFIG["hosts"], "guest.localhost": {"anonymous": True}}
    config = {**CONFIG, **databases(folder), "hosts": hosts, "tls": {"client_ca": str(authority.file)}}
    server = ServerProcess(config, folder / "server")
    server.authority = authority
    Client(server.address()).connect().register("romeo", "secret").close()
    yield server
    assert server.stop() == 0


@pytest.mark.parametrize("tls", ["starttls", "direct"])
@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate(certified, connect, tls, maximum):
    certificate = certified.authority.certificate(xmpp_addr=["romeo@localhost"])
    client = connect(tls, at=certified, certificate=certificate, maximum=maximum)
    assert "EXTERNAL" in offered(client)
    assert client.auth().bind().bare == "romeo@localhost"


def test_a_certificate_is_for_those_it_names(certified, connect):
    several = certified.authority.certificate(
        xmpp_addr=["juliet@localhost", "romeo@localhost", "romeo@example.org"]
    )
    client = connect(at=certified, certificate=several)
    assert failure(client, "", "", "EXTERNAL") == "not-authorized"  # which of them?
    assert failure(client, "", "", "EXTERNAL", authzid="nurse@localhost") == "invalid-authzid"
    assert failure(client, "", "", "EXTERNAL", authzid="romeo@example.org") == "invalid-authzid"
    assert failure(client, "", "", "EXTERNAL", authzid="juliet@localhost") == "not-authorized"  # no account
    assert client.auth("", "", "EXTERNAL", authzid="romeo@localhost").bind().bare == "romeo@localhost"


@pytest.mark.parametrize("names", [(), ("romeo@other.localhost",), ("@",)])
def test_a_certificate_for_nobody_here(certified, connect, names):
    certificate = certified.authority.certificate("nobody", xmpp_addr=names)
    client = connect(at=certified, certificate=certificate)
    assert "EXTERNAL" not in offered(client)
    assert failure(client, "", "", "EXTERNAL", authzid="romeo@localhost") == "invalid-mechanism"


def test_without_a_certificate_nothing_changes(certified, connect):
    client = connect(at=certified)
    assert "EXTERNAL" not in offered(client)
    assert client.auth("romeo", "secret").bind().user == "romeo"


def test_a_certificate_of_another_authority(certified, connect, tmp_path):
    stranger = CA(tmp_path, "stranger")
    with pytest.raises((OSError, AssertionError)):
        connect(at=certified, certificate=stranger.certificate(xmpp_addr=["romeo@localhost"]))


def test_anonymous(certified, connect):
    clients = [connect(domain="guest.localhost", at=certified) for _ in range(2)]
    for client in clients:
        assert offered(client) == ["ANONYMOUS"]
        client.login()
        assert client.bare.endswith("@guest.localhost")
        client.sync()
    assert clients[0].bare != clients[1].bare
    guest = connect(domain="guest.localhost", at=certified)
    assert failure(guest, "romeo", "secret", "PLAIN") == "invalid-mechanism"
