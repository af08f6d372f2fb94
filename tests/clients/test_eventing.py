"""Nodes, collections, personal events, avatars and bookmarks, with clients of other people and what they have for them."""

import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.client import Client, subscribe_both
from tests.clients.conftest import PROGRAMS, Guest
from tests.conftest import Account, Place

pytestmark = pytest.mark.timeout(120)
SERVICE = "pubsub.localhost"
AVATAR, BOOKMARKS = "urn:xmpp:avatar:metadata", "urn:xmpp:bookmarks:1"


class Company(NamedTuple):
    """Three programs of a kind: two devices of romeo's, and juliet, who is his contact."""

    romeo: Guest
    other: Guest
    juliet: Guest


@pytest.fixture(scope="module", params=PROGRAMS)
def company(request: pytest.FixtureRequest, server) -> Iterator[Company]:
    """One for all tests: each uses nodes of its own."""
    command, place = PROGRAMS[request.param](), Place(server, "localhost")
    tail = uuid.uuid4().hex[:6]
    romeo, juliet = (Account(f"{name}-{tail}", "secret", place) for name in ("romeo", "juliet"))
    for each in (romeo, juliet):
        server.ask("accounts add", jid=each.bare, password=each.password)
    clients = [Client(server.address("c2s"), "localhost").connect() for _ in range(2)]
    for client, who in zip(clients, (romeo, juliet), strict=True):
        client.login(who.user, who.password).send("<presence/>")
    subscribe_both(*clients)
    for client in clients:
        client.close()
    guests: list[Guest] = []
    try:
        guests.extend(Guest(command, who) for who in (romeo, romeo, juliet))
        yield Company(*guests)
        for guest in guests:
            guest.leave()
    finally:
        for guest in guests:
            guest.kill()


def name(start: str) -> str:
    return f"{start}-{uuid.uuid4().hex[:6]}"


def says(guest: Guest, *words: str) -> list[str]:
    """What the guest says about it when it does so. The events that come meanwhile stay to be heard."""
    *said, _ = guest.does(*words)
    guest.heard[:0] = [each for each in said if each[0] in ("event", "avatar")]
    about = [each for each in said if each[0] not in ("event", "avatar", "online")]
    assert len(about) <= 1, about
    return about[0] if about else []


def done(guest: Guest, *words: str) -> None:
    assert says(guest, *words) == []


def test_a_node(company):
    """Made, configured, filled, read, followed, emptied and deleted."""
    romeo, _, juliet = company
    node = name("notes")
    done(romeo, "create node", SERVICE, node, "title=Notes", "max_items=2")
    assert says(romeo, "create node", SERVICE, node) == ["error", "conflict"]
    assert says(juliet, "subscribe", SERVICE, node, "deliver=0") == ["subscribed", "subscribed"]
    assert says(juliet, "options", SERVICE, node) == ["options", "deliver", "0"]
    done(romeo, "publish", SERVICE, node, "zero", "nobody hears of it")
    done(juliet, "unsubscribe", SERVICE, node)
    assert says(juliet, "subscribe", SERVICE, node, "deliver=1") == ["subscribed", "subscribed"]
    assert says(juliet, "options", SERVICE, node) == ["options", "deliver", "1"]
    for id in ("one", "two"):
        done(romeo, "publish", SERVICE, node, id, f"note {id}")
        heard = juliet.until("event", "item", node, id)
        assert heard[-1][4] == f"note {id}"
    assert says(juliet, "publish", SERVICE, node, "three", "hers") == ["error", "forbidden"]
    assert says(juliet, "items", SERVICE, node) == ["items", "one=note one", "two=note two"]
    assert says(juliet, "items", SERVICE, node, "two") == ["items", "two=note two"]
    done(romeo, "retract", SERVICE, node, "one")
    juliet.hears("event", "retract", node, "one")
    assert says(juliet, "items", SERVICE, node) == ["items", "two=note two"]
    done(romeo, "configure node", SERVICE, node, "publish_model=open", "max_items=1")
    done(juliet, "publish", SERVICE, node, "three", "hers")
    assert says(romeo, "items", SERVICE, node) == ["items", "three=hers"]
    done(romeo, "purge node", SERVICE, node)
    assert says(romeo, "items", SERVICE, node) == ["items"]
    assert says(juliet, "delete node", SERVICE, node) == ["error", "forbidden"]
    done(romeo, "delete node", SERVICE, node)
    juliet.hears("event", "delete", node)
    assert says(romeo, "items", SERVICE, node) == ["error", "item-not-found"]


def test_a_collection(company):
    """Who follows the collection hears what is published in it, and where from."""
    romeo, _, juliet = company
    top, leaf, far = name("top"), name("leaf"), name("far")
    done(romeo, "create node", SERVICE, top, "node_type=collection")
    done(romeo, "create node", SERVICE, leaf, f"collection={top}")
    done(romeo, "create node", SERVICE, far)
    assert says(juliet, "nodes", SERVICE, top) == ["nodes", leaf]
    wish = ("subscription_type=items", "subscription_depth=all")
    assert says(juliet, "subscribe", SERVICE, top, *wish) == ["subscribed", "subscribed"]
    done(romeo, "publish", SERVICE, far, "zero", "outside")
    done(romeo, "publish", SERVICE, leaf, "one", "inside")
    heard = juliet.until("event", "item", leaf, "one", "inside", top)
    assert not [each for each in heard if far in each]
    assert says(juliet, "items", SERVICE, leaf) == ["items", "one=inside"]
    assert says(juliet, "items", SERVICE, top) == ["error", "feature-not-implemented"]
    done(romeo, "configure node", SERVICE, far, f"collection={top}")
    assert says(juliet, "nodes", SERVICE, top)[1:] in ([leaf, far], [far, leaf])
    done(romeo, "publish", SERVICE, far, "two", "inside now")
    juliet.hears("event", "item", far, "two", "inside now", top)
    done(romeo, "delete node", SERVICE, top)
    assert says(romeo, "items", SERVICE, leaf) == ["items", "one=inside"]


def test_personal_events(company):
    """Contacts and other devices hear of the nodes that their capabilities name, first the last item, and of no others."""
    romeo, other, juliet = company
    wanted, secret, unwanted = name("wanted"), name("secret"), name("unwanted")
    done(romeo, "publish", "", wanted, "current", "first", "access_model=presence")
    for each in (other, juliet):
        done(each, "listen", wanted)
        each.hears("event", "item", wanted, "current", "first")
    done(juliet, "listen", secret)
    done(romeo, "publish", "", unwanted, "current", "x", "access_model=presence")
    done(romeo, "publish", "", secret, "current", "x", "access_model=whitelist")
    done(romeo, "publish", "", wanted, "current", "second", "access_model=presence")
    for each in (other, juliet):
        heard = each.until("event", "item", wanted, "current", "second")
        assert not [event for event in heard if {unwanted, secret} & set(event)]
    assert says(juliet, "items", romeo.jid, secret) == ["error", "not-allowed"]
    assert says(juliet, "items", romeo.jid, wanted) == ["items", "current=second"]
    refused = says(romeo, "publish", "", wanted, "current", "x", "access_model=open")
    assert refused == ["error", "conflict"]
    done(romeo, "retract", "", wanted, "current")
    for each in (other, juliet):
        each.hears("event", "retract", wanted, "current")


def test_an_avatar(company):
    """Who is there sees it, and who wants to see it later."""
    romeo, other, juliet = company
    done(other, "listen", AVATAR)
    done(romeo, "avatar", "a picture")
    assert other.hears("avatar", romeo.jid)[3] == "a picture"
    done(juliet, "listen", AVATAR)
    assert juliet.hears("avatar", romeo.jid)[3] == "a picture"
    done(romeo, "avatar", "another picture")
    for each in (other, juliet):
        while each.hears("avatar", romeo.jid)[3] != "another picture":
            pass


def test_bookmarks_in_three_forms(company):
    """Whichever form a program writes, it reads the same in the others; another device hears of it."""
    romeo, other, _ = company
    # the first bookmark may come before the server knows what the other one wants: then it is the last item
    done(romeo, "create node", "", BOOKMARKS, "send_last_published_item=on_sub_and_presence")
    done(other, "listen", BOOKMARKS)
    known = []
    for form in ("0402", "private", "0048"):
        jid = f"{form}@rooms.example"
        done(romeo, "bookmark", form, jid, f"Room {form}")
        other.hears("event", "item", BOOKMARKS, jid)
        known.append(f"{jid}=Room {form}/me")
        for each in ("0402", "private", "0048"):
            assert says(romeo, "bookmarks", each) == ["bookmarks", *sorted(known)], (form, each)
    for form, jid in (("private", "0402@"), ("0048", "private@"), ("0402", "0048@")):
        done(romeo, "unbookmark", form, f"{jid}rooms.example")
        other.hears("event", "retract", BOOKMARKS, f"{jid}rooms.example")
        known = [each for each in known if not each.startswith(jid)]
        for each in ("0402", "private", "0048"):
            assert says(romeo, "bookmarks", each) == ["bookmarks", *sorted(known)], (form, each)
