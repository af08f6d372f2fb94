"""What proxies write about their client. No server is needed for it."""

import pytest

from jabberd_py.http import proxies


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
