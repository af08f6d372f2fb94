"""XEP-0157: contact addresses."""

import pytest

from jabberd_py.modules.mod_contact import uri
from tests.conftest import CONFIG, Place

INFO = "http://jabber.org/protocol/disco#info"


def test_the_addresses_stand_in_a_form(start_server, account, make_client):
    contact = {
        "abuse": ["mailto:abuse@example.org", "xmpp:abuse@example.org"],
        "status": "https://example.org/s",
    }
    server = start_server({**CONFIG, "modules": {**CONFIG["modules"], "contact": contact}})
    client = make_client(account("romeo", Place(server, "localhost")), available=False)
    client.send(f"<iq type='get' id='d' to='localhost'><query xmlns='{INFO}'/></iq>")
    client.gets(
        f"<iq type='result' id='d'><query xmlns='{INFO}'><x xmlns='jabber:x:data' type='result'>"
        "<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>"
        "<field var='abuse-addresses'><value>mailto:abuse@example.org</value>"
        "<value>xmpp:abuse@example.org</value></field>"
        "<field var='status-addresses'><value>https://example.org/s</value></field>"
        "<field var='sales-addresses'>!absent</field></x></query></iq>"
    )


def test_without_addresses_there_is_no_form(romeo):
    romeo.send(f"<iq type='get' id='d' to='{romeo.domain}'><query xmlns='{INFO}'/></iq>")
    romeo.gets(f"<iq id='d'><query xmlns='{INFO}'><x xmlns='jabber:x:data'>!absent</x></query></iq>")


@pytest.mark.parametrize("text", ["abuse@example.org", "mailto:", "mailto:two words", ":x", ""])
def test_an_address_is_a_uri(text):
    with pytest.raises(ValueError):
        uri(text)
