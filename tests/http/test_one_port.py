"""XMPP and HTTPS on one port (XEP-0368): ALPN says what the client speaks."""

import pytest

from tests.client import Client
from tests.http.web import Web


class Fresh(Client):
    """A client with direct TLS that names these protocols."""

    protocols: list[str]

    def start_tls(self, protocols=None):
        super().start_tls(self.protocols)


def enter(address, who, protocols):
    client = Fresh(address, "localhost", "direct")
    client.protocols = protocols
    return client.login(who.user, who.password).available()


@pytest.mark.parametrize("protocols", [["xmpp-client"], ["h2", "http/1.1", "xmpp-client"], [], ["h2"]])
def test_a_client_at_the_port_of_the_web(web_server, anybody, web, protocols):
    """Without ALPN its first byte tells what it speaks."""
    romeo = enter(web_server.address("https"), anybody(), protocols)
    assert romeo.socket.selected_alpn_protocol() == ("xmpp-client" if "xmpp-client" in protocols else None)
    romeo.sync()
    assert web("https").get("/health").status == 200
    (session,) = [line for line in web_server.ctl("sessions", "list").splitlines() if romeo.resource in line]
    assert "direct TLS" in session or "127.0.0.1" in session
    romeo.close()


def test_a_browser_without_alpn(web_server):
    assert Web(web_server, "https", alpn=None).get("/health").status == 200


def test_a_browser_at_the_port_of_the_clients(web_server):
    """It is told nothing that it could mistake for an answer."""
    one = Web(web_server, "https", place="c2s_direct")
    assert one.socket.selected_alpn_protocol() == "http/1.1"
    one.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert one.ended()


def test_no_stream_without_tls_at_the_port_of_the_web(web):
    one = web().raw(b"<?xml version='1.0'?><stream:stream to='localhost'>\r\n\r\n")
    assert one.answer().status == 400 and one.ended()
