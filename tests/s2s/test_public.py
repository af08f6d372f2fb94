"""What users read of a failure is not how this server is set up."""

from typing import Any

import pytest

from tests.client import Client


@pytest.mark.parametrize(
    "settings",
    [{"dns": {"nameservers": ["127.0.0.1#1"], "timeout": "1s"}},
     {"s2s": {"routes": {"far.example": "127.0.0.1:1"}, "connect_timeout": "2s"}}],
)  # fmt: skip
def test_errors_for_users_show_no_resolver_and_no_route(start_server: Any, settings: dict[str, Any]) -> None:
    server = start_server({"hosts": {"localhost": {}}, "s2s": {}, **settings})
    server.ctl("accounts", "add", "romeo@localhost", "--password", "secret")
    romeo = Client(server.address("c2s"), "localhost").login("romeo", "secret")
    romeo.send("<iq type='get' id='far' to='far.example'><ping xmlns='urn:xmpp:ping'/></iq>")
    answer = romeo.gets("<iq type='error' id='far'/>", 20)
    text = answer.findtext(".//{*}text") or ""
    assert "far.example" in text and "127.0.0.1" not in text and "resolver" not in text
    assert "127.0.0.1" in server.ctl("s2s")  # the administrator reads all of it
