"""Announcements by administrators."""

import pytest

from jabberd_py.jsm.host import Host, HostOptions
from jabberd_py.jsm.users import PAGE
from jabberd_py.jsm.users import Account as Row
from jabberd_py.modules.mod_announce import Announce
from jabberd_py.router import Router
from jabberd_py.xdb import xdb
from tests.client import Client
from tests.conftest import CONFIG, Account, Place

STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
ADMIN = "escalus@localhost"


@pytest.fixture
def place(start_server):
    config = {**CONFIG, "hosts": {"localhost": {"admins": [ADMIN]}}}
    return Place(start_server(config), "localhost")


@pytest.fixture
def escalus(place, make_client):
    """The prince, who administers Verona."""
    place.server.ask("accounts add", jid=ADMIN, password="secret")
    return make_client(Account("escalus", "secret", place))


def announce(client, where, body="Verona is closed", type="normal"):
    to = f"localhost/announce/{where}"
    client.send(
        f"<message to='{to}' id='a' type='{type}'><subject>News</subject><body>{body}</body></message>"
    )


def test_those_online_hear_it(escalus, place, account, make_client):
    here = make_client(account("romeo", place))
    silent = make_client(account("tybalt", place), available=False)
    announce(escalus, "online")
    for client in (here, escalus):
        client.gets(
            f"<message from='localhost' to='{client.jid}' type='!absent'><subject>News</subject>"
            "<body>Verona is closed</body></message>"
        )
    silent.nothing("<message/>")


def test_all_accounts_hear_it(escalus, place, account, make_client):
    here = make_client(account("romeo", place))
    announce(escalus, "all")
    here.gets(f"<message from='localhost' to='{here.bare}'><body>Verona is closed</body></message>")


def test_a_motd_is_for_those_online_now_and_for_others_later(escalus, place, account, make_client):
    here, later = make_client(account("romeo", place)), account("juliet", place)
    announce(escalus, "motd")
    here.gets(f"<message from='localhost' to='{here.jid}'><body>Verona is closed</body></message>")
    make_client(later).gets("<message from='localhost'><body>Verona is closed</body></message>")
    make_client(later).nothing("<message/>")


def test_a_motd_can_be_changed_silently_and_deleted(escalus, place, account, make_client):
    announce(escalus, "motd/update")
    escalus.nothing("<message/>")
    make_client(account("romeo", place)).gets(
        "<message from='localhost'><body>Verona is closed</body></message>"
    )
    announce(escalus, "motd/delete", "")
    escalus.nothing("<message/>")
    make_client(account("juliet", place)).nothing("<message/>")


@pytest.mark.parametrize("where", ["online", "all", "motd", "motd/update", "motd/delete", "", "elsewhere"])
def test_others_are_forbidden(escalus, place, account, make_client, where):
    romeo = make_client(account("romeo", place))
    announce(romeo, where)
    romeo.gets(
        f"<message type='error' id='a'><error type='auth'><forbidden xmlns='{STANZAS}'/></error></message>"
    )
    escalus.nothing("<message/>")


def test_an_announcement_says_something_to_somebody(escalus):
    announce(escalus, "online", "")
    escalus.gets(f"<message type='error' id='a'><error><bad-request xmlns='{STANZAS}'/></error></message>")
    announce(escalus, "elsewhere")
    escalus.gets(f"<message type='error' id='a'><error><item-not-found xmlns='{STANZAS}'/></error></message>")


def test_an_error_announces_nothing(escalus):
    announce(escalus, "online", type="error")
    escalus.nothing("<message/>")


def test_the_command_line_announces(escalus, place):
    place.server.ctl("announce", "Good night", "--host", "localhost")
    escalus.gets("<message from='localhost'><body>Good night</body></message>")


def test_every_account_is_found_page_by_page(tmp_path):
    users = [f"user{number:04}@localhost" for number in range(2 * PAGE)]
    rows = [
        {"owner": user, "keys": "", "created": 0} for user in [*users, "a@other.localhost", "z@example.org"]
    ]
    store = xdb.open(f"sqlite:///{tmp_path}/db", [Row])
    try:
        xdb.save(lambda: Row.insert_many(rows).execute())
        assert list(Announce(Host(Router(), "localhost", HostOptions()))._accounts()) == users
    finally:
        store.close()


def test_an_announcement_goes_by_each_ones_privacy_list_and_state(start_server):
    """What goes to many passes the same filters as what goes to one."""
    server = start_server(
        {"hosts": {"localhost": {"admins": ["romeo@localhost"]}}, "modules": {"announce": True}}
    )
    for name in ("romeo", "juliet", "nurse"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")

    def client(name):
        return Client(server.address("c2s"), "localhost").login(name, "secret", "x").available()

    romeo, juliet, nurse = client("romeo"), client("juliet"), client("nurse")
    nurse.send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
    nurse.gets("<enabled xmlns='urn:xmpp:sm:3'/>")
    for type in ("headline", "normal"):
        for text in ("one", "two"):
            body = f"<body>{text}</body><stanza-id xmlns='urn:xmpp:sid:0' by='juliet@localhost' id='forged'/>"
            romeo.send(f"<message to='localhost/announce/online' type='{type}'>{body}</message>")
            for each in (juliet, nurse):
                got = each.gets(f"<message from='localhost' to='{each.jid}'><body>{text}</body></message>")
                if each is juliet:
                    assert "forged" not in {e.get("id") for e in got.findall("{urn:xmpp:sid:0}stanza-id")}
    nurse.gets("<r xmlns='urn:xmpp:sm:3'/>")
    for each in (romeo, juliet, nurse):
        each.close()
