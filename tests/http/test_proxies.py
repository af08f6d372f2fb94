"""What proxies write about their client. No server is needed for it."""

import pytest

from jabberd_py.http import proxies
from jabberd_py.http.proxies import Proxies

TRUSTED = Proxies(["127.0.0.1", "2001:db8::1"])


@pytest.mark.parametrize(("text", "hops", "schemes"), [
    ("", [""], [""]),
    ("for=192.0.2.1", ["192.0.2.1"], [""]),
    ('For="[2001:db8::1]:80";Proto=HTTPS', ["[2001:db8::1]:80"], ["https"]),
    ("for=192.0.2.1 ; proto = http;by=x, for=192.0.2.2", ["192.0.2.1", "192.0.2.2"], ["http", ""]),
    ('for="_gazonk"', ["_gazonk"], [""]),
    ("proto=https;for", [""], ["https"]),
])  # fmt: skip
def test_the_header_forwarded(text, hops, schemes):
    assert proxies._forwarded(text) == (hops, schemes)


def test_a_long_header_is_read_in_one_pass():
    """8,000 letters without an equals sign took 0.7 s: a regular expression began anew at each."""
    assert not hasattr(proxies, "re")
    assert proxies._forwarded(8000 * "a") == ([""], [""])
    assert proxies._forwarded(8000 * " ") == ([""], [""])
    assert proxies._forwarded('for="' + 4000 * "\\a") == ([4000 * "\\a"], [""])


@pytest.mark.parametrize(("hop", "address"), [
    ("192.0.2.1", "192.0.2.1"), ("192.0.2.1:80", "192.0.2.1"), ("2001:db8::2", "2001:db8::2"),
    ("[2001:db8::2]:80", "2001:db8::2"),
    ("::ffff:127.0.0.1", "127.0.0.1"), ("[::ffff:192.0.2.1]:80", "192.0.2.1"), ("::ffff:7f00:1", "127.0.0.1"),
    ("unknown", None), ("", None), ("[", None), ("999.0.0.1", None),
])  # fmt: skip
def test_an_address_that_a_proxy_has_written(hop, address):
    """An IPv4 address in the form of IPv6 is the IPv4 address."""
    assert proxies._address(hop) == address


def test_a_proxy_that_is_written_as_ipv6_is_trusted_like_itself():
    said = {"HTTP_X_FORWARDED_FOR": "192.0.2.9, ::ffff:127.0.0.1"}
    assert TRUSTED.client("127.0.0.1", said, tls=False)[0] == "192.0.2.9"
