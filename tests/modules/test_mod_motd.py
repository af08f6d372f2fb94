"""The message of the day."""

import pytest

from tests.conftest import CONFIG, Account, Place


@pytest.fixture
def place(start_server):
    config = {**CONFIG, "modules": {**CONFIG["modules"], "motd": {"message": "Verona's day"}}}
    return Place(start_server(config), "localhost")


def test_it_comes_once(place, account, make_client):
    romeo = account("romeo", place)
    first = make_client(romeo)
    first.gets(
        f"<message from='localhost' to='{first.jid}' type='!absent'><body>Verona&apos;s day</body></message>"
    )
    make_client(romeo).nothing("<message/>")
    first.available(1)
    first.nothing("<message/>")


def test_it_is_in_the_archive_as_all_that_one_was_told(place, account, make_client):
    romeo = make_client(account("romeo", place))
    romeo.gets("<message from='localhost'><body>Verona&apos;s day</body></message>")
    romeo.iq("set", "<query xmlns='urn:xmpp:mam:2'/>")
    romeo.gets("<message><result xmlns='urn:xmpp:mam:2'><forwarded xmlns='urn:xmpp:forward:0'><message "
               "xmlns='jabber:client' from='localhost'><body>Verona&apos;s day</body></message></forwarded></result>"
               "</message>")  # fmt: skip


def test_it_comes_once_also_across_a_restart(place, account, make_client):
    romeo = account("romeo", place)
    make_client(romeo).gets("<message from='localhost'><body>Verona&apos;s day</body></message>")
    place.server.restart()
    make_client(romeo).nothing("<message/>")


def test_who_takes_no_messages_gets_none(place, account, make_client):
    romeo = account("romeo", place)
    make_client(romeo, available=False).available(-1).nothing("<message/>")
    make_client(romeo).gets("<message from='localhost'/>")


def test_another_text_comes_again(start_server, account, make_client):
    config = {**CONFIG, "modules": {**CONFIG["modules"], "motd": {"message": "one"}}}
    server = start_server(config)
    romeo = account("romeo", Place(server, "localhost"))
    make_client(romeo).gets("<message><body>one</body></message>")
    server.stop()
    config["modules"]["motd"]["message"] = "two"
    server = start_server(config)
    again = make_client(Account(romeo.user, romeo.password, Place(server, "localhost")))
    again.gets("<message><body>two</body></message>")


def test_commands_set_and_reset_it(place, account, make_client):
    romeo = account("romeo", place)
    place.server.ctl("motd", "set", "Another day", "--host", "localhost")
    client = make_client(romeo)
    client.gets("<message><body>Another day</body></message>")
    assert "Another day" in place.server.ctl("motd", "show")
    place.server.ctl("motd", "reset", "--host", "localhost")
    make_client(romeo).gets("<message><body>Verona&apos;s day</body></message>")
