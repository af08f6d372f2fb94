"""Files between two clients of other people."""

import pytest

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("enter", ["slixmpp"], indirect=True)
def test_a_file_by_the_proxy(enter, account):
    """slixmpp finds the proxy, asks for its address, connects, activates and sends (XEP-0065)."""
    romeo, juliet = enter(account("romeo")), enter(account("juliet"))
    text = "a long letter " * 1_000
    romeo.does("bytes", juliet.full, text)
    assert juliet.hears("bytes")[1] == text
    for each in (romeo, juliet):
        each.leave()
