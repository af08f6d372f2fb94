"""Avatars and nodes, with a client of other people."""

import pytest

from tests.client import subscribe_both

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize("enter", ["slixmpp"], indirect=True)
def test_an_avatar_reaches_contacts_and_other_devices(enter, account, make_client):
    romeo, juliet = account("romeo"), account("juliet")
    a, b = make_client(romeo), make_client(juliet)
    subscribe_both(a, b)
    guest, other, friend = enter(romeo), enter(romeo), enter(juliet)
    heard = guest.does("avatar", "a picture")
    for each in (other, friend):
        assert each.hears("avatar")[1] == romeo.bare
    own = [each for each in heard if each[0] == "avatar"] or [guest.hears("avatar")]
    assert own[0][3] == "a picture"
    late = enter(juliet)
    assert late.hears("avatar")[3] == "a picture"
    for each in (guest, other, friend, late):
        each.leave()


@pytest.mark.parametrize("enter", ["slixmpp"], indirect=True)
def test_a_node_of_the_service(enter, account):
    guest = enter(account("romeo"))
    said = guest.does("service", "pubsub.localhost")
    assert [each for each in said if each[0] in ("items", "config")] == [["items", "one"], ["config", "open"]]
    guest.leave()
