"""Addresses: of proxies, and our own."""

import ipaddress
import socket

import pytest

from jabberd_py.net.networks import reached_at


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("192.0.2.7", "192.0.2.7"),
        ("::1", "[::1]"),
        ("2001:db8::7", "[2001:db8::7]"),
    ],
)
def test_a_link_leads_to_the_address_that_is_listened_at(address: str, link: str) -> None:
    assert reached_at(address) == link


@pytest.mark.parametrize("address", ["::", "0.0.0.0"])
def test_who_listens_everywhere_is_reached_at_an_address_of_the_machine(address: str) -> None:
    found = reached_at(address)
    if found == socket.gethostname():
        return  # there is no way to the internet
    assert not ipaddress.ip_address(found.strip("[]")).is_unspecified
