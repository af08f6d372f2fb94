"""XEP-0077: making an account, changing its password, removing it."""

import json

import pytest

from tests.c2s.test_stream import reload
from tests.client import AuthFailed, Client
from tests.conftest import CONFIG, Account, Place

NS = "jabber:iq:register"
FEATURE = "{http://jabber.org/features/iq-register}register"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def query(id, inner="", type="set"):
    return f"<iq type='{type}' id='{id}'><query xmlns='{NS}'>{inner}</query></iq>"


def form(username, password="secret"):
    return f"<username>{username}</username><password>{password}</password>"


def error(id, condition, type="modify"):
    return f"<iq type='error' id='{id}'><error type='{type}'><{condition} xmlns='{STANZAS}'/></error></iq>"


@pytest.fixture
def stranger(server, make_client):
    """Somebody who has connected, in TLS, and has no account."""
    return make_client(Account("nobody", "", Place(server, "localhost")), login=False)


@pytest.fixture
def start(start_server):
    """`start(c2s={}, host={}, option=value...)`: the localhost of a server with these options."""

    def start(c2s=None, host=None, **options):
        register = {"enabled": True, "per_address": 0, **options}
        config = {
            **CONFIG,
            "hosts": {"localhost": host or {}},
            "modules": {"register": register},
            "c2s": c2s or {},
        }
        return Place(start_server(config), "localhost")

    return start


# -- before login


def test_a_stranger_asks_for_the_fields(stranger):
    assert stranger.features.find(FEATURE) is not None
    stranger.send(query("reg1", type="get"))
    stranger.gets(
        f"<iq type='result' id='reg1'><query xmlns='{NS}'><instructions>...</instructions>"
        "<username/><password/><registered>!absent</registered></query></iq>"
    )


def test_a_stranger_registers_and_logs_in(stranger):
    name = f"Bill-{stranger.fresh()}"
    stranger.send(f"<iq type='set' id='reg2' to='localhost'><query xmlns='{NS}'>{form(name)}</query></iq>")
    stranger.gets("<iq type='result' id='reg2'/>")
    stranger.login(name.lower(), "secret")
    assert stranger.bare == f"{name.lower()}@localhost"
    assert stranger.features.find(FEATURE) is None


def test_the_domain_may_be_spelt_in_capitals(stranger):
    stranger.send(query("reg3", form(f"bill-{stranger.fresh()}")).replace("<iq", "<iq to='LocalHost'"))
    stranger.gets("<iq type='result' id='reg3'/>")


def test_a_name_can_be_had_once(stranger, account):
    stranger.send(query("reg2", form(account().user.upper())))
    stranger.gets(error("reg2", "conflict", "cancel"))


@pytest.mark.parametrize(
    "inner",
    ["<username>bill</username>", "<password>secret</password>", form("bill", ""), form(""), "",
     form("bill", "tiny"), form("admin"), form("ROOT"), form("two words"), form("eve@example.org/x"),
     form("b" * 300), form("bill", "s" * 5000)],
)  # fmt: skip
def test_bad_data_is_not_acceptable(stranger, inner):
    stranger.send(query("reg2", inner))
    stranger.gets(error("reg2", "not-acceptable"))


def test_one_stream_makes_one_account(stranger):
    name = stranger.fresh()
    stranger.register(f"first-{name}", "secret")
    stranger.send(query("again", form(f"second-{name}")))
    stranger.gets(error("again", "not-acceptable"))


def test_one_stream_makes_several_where_the_operator_allows_it(start, make_client):
    place = start(per_stream=3)
    stranger = make_client(Account("nobody", "", place), login=False)
    for name in "abc":
        stranger.register(f"bill-{name}", f"secret {name}")
    stranger.send(query("reg4", form("bill-d")))
    stranger.gets(error("reg4", "not-acceptable"))
    stranger.login("bill-b", "secret b")
    make_client(Account("bill-c", "secret c", place))


def test_a_reload_forgives_no_address(start, make_client):
    place = start(per_address=1, refill="1h")
    stranger = make_client(Account("nobody", "", place), login=False).register("bill", "secret")
    server = place.server
    settings = json.loads(server.file.read_text())
    settings["modules"]["register"]["refill"] = "2h"
    server.file.write_text(json.dumps(settings))
    reload(server, "configuration read again")
    stranger = make_client(Account("nobody", "", place), login=False)
    stranger.send(query("reg2", form("jane")))
    stranger.gets(error("reg2", "not-acceptable", "wait"))


def test_one_address_makes_so_many_accounts(start, make_client):
    place = start(per_address=2, refill="1h")
    for name in ("one", "two"):
        make_client(Account(name, "", place), login=False).register(name, "secret")
    third = make_client(Account("three", "", place), login=False)
    third.send(query("full", form("three")))
    third.gets(error("full", "not-acceptable", "wait"))


def test_who_has_no_account_has_none_to_remove(stranger):
    stranger.send(query("rm", "<remove/>"))
    stranger.gets(error("rm", "unexpected-request", "wait"))


def test_without_tls_there_is_no_registration(server, make_client):
    client = make_client(Account("nobody", "", Place(server, "localhost")), login=False, tls="none")
    assert client.features.find(FEATURE) is None
    client.send(query("reg", form("bill")))
    client.gets(error("reg", "not-authorized"))
    client.send(query("get", type="get"))
    client.gets(error("get", "not-authorized"))


def test_strangers_may_be_unwelcome(start, make_client):
    client = make_client(Account("nobody", "", start(strangers=False)), login=False)
    assert client.features.find(FEATURE) is None
    client.send(query("reg", form("bill")))
    client.gets(error("reg", "service-unavailable", "cancel"))


def test_a_host_for_guests_has_no_accounts(start, make_client):
    client = make_client(Account("nobody", "", start(host={"anonymous": True})), login=False)
    assert client.features.find(FEATURE) is None
    client.send(query("reg", form("bill")))
    client.gets(error("reg", "service-unavailable", "cancel"))


# -- logged in


def test_a_user_sees_the_registration(romeo):
    romeo.send(query("reg1", type="get"))
    romeo.gets(
        f"<iq type='result' id='reg1'><query xmlns='{NS}'><registered/><username>{romeo.user}</username>"
        "<password/></query></iq>"
    )


def test_a_user_changes_the_password(romeo, make_client):
    change = f"<query xmlns='{NS}'>{form(romeo.user, 'new secret')}</query>"
    romeo.send(f"<iq type='set' id='change1' to='{romeo.domain}'>{change}</iq>")
    romeo.gets("<iq type='result' id='change1'/>")
    with pytest.raises(AuthFailed):
        make_client(romeo.account, available=False)
    make_client(romeo.account._replace(password="new secret"), available=False)


def test_a_change_that_lacks_something_changes_nothing(romeo, make_client):
    name = f"<username>{romeo.user}</username>"
    for id, inner in (("a", name), ("b", f"{name}<password/>"), ("c", "<password>new secret</password>")):
        romeo.send(query(id, inner))
        romeo.gets(error(id, "bad-request"))
    romeo.send(query("d", form(romeo.user, "tiny")))
    romeo.gets(error("d", "not-acceptable"))
    make_client(romeo.account, available=False)


def test_nobody_changes_the_password_of_another(romeo, juliet, make_client):
    romeo.send(query("change", form(juliet.user, "new secret")))
    romeo.gets(error("change", "not-allowed", "cancel"))
    make_client(juliet.account, available=False)


def test_a_password_travels_in_the_clear_only_where_the_operator_does_without_encryption(start, make_client):
    place = start(c2s={"require_tls": False})
    client = make_client(Account("bill", "secret", place), login=False, tls="none")
    assert client.features.find(FEATURE) is not None
    client.register("bill", "secret").login("bill", "secret")
    client.send(query("change", form("bill", "new secret")))
    client.gets("<iq type='result' id='change'/>")
    make_client(Account("bill", "new secret", place), available=False)


def test_a_user_removes_the_account(romeo, make_client):
    other = make_client(romeo.account, available=False)
    romeo.send(query("unreg1", "<remove/>"))
    romeo.gets("<iq type='result' id='unreg1'/>")
    assert romeo.stream_error() == "not-authorized"
    assert other.stream_error() == "not-authorized"
    with pytest.raises(AuthFailed):
        make_client(romeo.account, available=False)


def test_remove_stands_alone(romeo, make_client):
    romeo.send(query("unreg1", f"<remove/>{form(romeo.user)}"))
    romeo.gets(error("unreg1", "bad-request"))
    make_client(romeo.account, available=False)


def test_removal_may_be_forbidden(start, make_client):
    place = start(removal=False)
    client = make_client(Account("bill", "secret", place), login=False).register("bill", "secret")
    client.login("bill", "secret")
    client.send(query("unreg1", "<remove/>"))
    client.gets(error("unreg1", "not-allowed", "cancel"))


@pytest.mark.topology("two hosts")
def test_users_of_other_hosts_have_no_account_here(romeo, juliet):
    removal = f"<query xmlns='{NS}'><remove/></query>"
    romeo.send(f"<iq type='set' id='rm' to='{juliet.domain}'>{removal}</iq>")
    romeo.gets(error("rm", "registration-required", "auth"))
    romeo.send(f"<iq type='get' id='get' to='{juliet.domain}'><query xmlns='{NS}'/></iq>")
    romeo.gets(error("get", "service-unavailable", "cancel"))


def test_the_first_administrator_registers_like_anybody(start_server, account):
    """And then no other one: their names are theirs."""
    hosts = {"localhost": {"admins": ["boss@localhost", "chief@localhost"]}}
    server = start_server({"hosts": hosts, "modules": {"register": {"enabled": True, "per_address": 0}}})

    def register(name):
        client = Client(server.address("c2s"), "localhost").connect()
        fields = f"<username>{name}</username><password>secret</password>"
        answer = client.iq("set", f"<query xmlns='jabber:iq:register'>{fields}</query>")
        client.close()
        return answer.get("type")

    assert [register(name) for name in ("boss", "chief", "romeo")] == ["result", "error", "result"]
