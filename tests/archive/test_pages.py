"""The archive's queries, its text index and its retention, on all three databases."""

import time

import pytest

from jabberd_py.archive import messages, pages, retention, search, stones
from jabberd_py.archive import query as archive_query
from jabberd_py.archive.messages import Message
from jabberd_py.jsm.host import Host, HostOptions
from jabberd_py.modules.mod_mam import Archive
from jabberd_py.muc.archive import Archive as RoomArchive
from jabberd_py.muc.service import Rooms
from jabberd_py.router import Router
from jabberd_py.xdb import xdb
from jabberd_py.xmpp.element import from_text
from tests.databases import mariadb, postgres  # noqa: F401

NS = archive_query.NS
ROMEO, NURSE = "romeo@example.org", "nurse@example.org"
SECOND = 1000 << 20


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def store(request, tmp_path):
    url = "sqlite:///store.db" if request.param == "sqlite" else request.getfixturevalue(request.param).url
    opened = xdb.open(url, [*messages.tables(), search.ArchiveText], str(tmp_path))
    yield opened
    for table in (*messages.tables(), search.ArchiveText):
        xdb.save(table.delete().execute)
    opened.close()


def keep(*bodies, owner=ROMEO, peer="juliet@example.net", resource="balcony", at=1000, spooled=0, archived=1):
    """A message a second; returns their numbers."""
    ids = [(at + number) * SECOND for number in range(len(bodies))]
    rows = [
        (id, owner, peer, resource, message(id, peer, resource, owner, body), spooled, archived, 0, 0, "")
        for id, body in zip(ids, bodies, strict=True)
    ]
    xdb.rows(Message, rows, messages.COLUMNS).wait()
    return ids


def message(id, peer, resource, owner, body):
    return (
        f"<message from='{peer}/{resource}' to='{owner}' type='chat' id='m{id}'><body>{body}</body></message>"
    )


def ask(rsm="", limit=50, owner=ROMEO, **fields):
    x = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    query = archive_query.read(
        from_text(
            f"<query xmlns='{NS}'><x xmlns='jabber:x:data' type='submit'>"
            f"<field var='FORM_TYPE'><value>{NS}</value></field>{x}</x>"
            f"<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set></query>"
        )
    )
    return pages.page(owner, query, limit)


def find(text, rsm="", limit=50, **fields):
    return ask(rsm, limit, **{"{urn:xmpp:fulltext:0}fulltext": text, **fields}).ids


def test_pages(store):
    ids = keep(*map(str, range(25)))
    keep("hers", owner=NURSE, at=1500)
    keep("only spooled", archived=0, at=2000)
    assert ask(limit=10) == pages.Page(ids[:10], False, 25)
    assert ask(f"<after>{ids[9]}</after>", 10).ids == ids[10:20]
    last = ask(f"<after>{ids[19]}</after>", 10)
    assert last.ids == ids[20:] and last.complete
    assert ask("<before/>", 10) == pages.Page(ids[15:], False, 25)
    assert ask(f"<before>{ids[5]}</before>", 10) == pages.Page(ids[:5], True, 25)
    assert ask(limit=0).count == 25
    assert pages.ends(ROMEO) == [ids[0], ids[-1]]
    assert [id for id, _ in pages.rows(ROMEO, ids[::-1])] == ids[::-1]


def test_a_long_archive_is_counted_only_when_asked(store, monkeypatch):
    monkeypatch.setattr(pages, "COUNTED", 20)
    monkeypatch.setattr(pages, "SLICE", 7)
    ids = keep(*map(str, range(25)))
    assert ask(limit=10).count is None and ask(limit=0).count == 25
    assert ask(limit=10, **{"after-id": ids[9]}).count == 15


def test_resources_in_slices(store, monkeypatch):
    monkeypatch.setattr(pages, "SLICE", 4)
    keep(*map(str, range(10)))
    street = keep("a", "b", "c", resource="street", at=1100)
    keep(*map(str, range(10)), at=1200)
    whom = {"with": "juliet@example.net/street"}
    assert ask(limit=2, **whom).ids == street[:2]
    assert ask("<before/>", 2, **whom).ids == street[1:]
    assert ask(limit=5, **whom) == pages.Page(street, True, 3)
    assert ask(limit=5, **{"with": "juliet@example.net/none"}).ids == []


def test_search(store):
    one, two, three = keep("The quick brown fox", "the lazy dog", "A quick &lt;b&gt; DOG'S life")
    keep("quick fox", owner=NURSE, at=2000)
    assert find("quick") == [one, three]
    assert find("quick brown") == [one]
    assert find("LAZY") == find("the lazy") == find("lazý") == [two]
    assert find("quick", "<before/>", 1) == [three]
    assert find("quick", limit=1) == [one]
    assert find("quick", **{"after-id": one}) == [three]
    assert find("quick", **{"with": "paris@example.net"}) == []
    assert find("quick' OR \"lazy* -- ") == []
    (four,) = keep("quicksilver and a quick fish", at=3000)
    assert find("quick") == [one, three, four]
    xdb.delete_owner(ROMEO)
    assert find("quick") == []


def test_a_tombstone_leaves_the_index(store):
    (one,) = keep("secret")
    assert find("secret") == [one]
    stones.retract(
        stones.Retraction(
            ROMEO, "juliet@example.net", "balcony", False, f"m{one}", "r", "2026-01-01T00:00:00Z"
        )
    )
    stones.settle(ROMEO)
    assert find("secret") == []
    ((_, xml),) = pages.rows(ROMEO, [one])
    stone = from_text(xml)
    assert stone.child("retracted", stones.RETRACT).attrs == {"id": "r", "stamp": "2026-01-01T00:00:00Z"}
    assert not stone.has("body") and stone.id == f"m{one}"


def expire(who, upto, limit):
    position, rounds = 0, 0
    while position is not None:
        position = xdb.save(retention.expire, who, position, upto, limit)
        rounds += 1
    return rounds


def test_what_is_old_goes_and_what_waits_stays_until_it_is_delivered(store):
    old = keep(*"abcde")
    waiting = keep("waiting", at=1100, spooled=1)
    other = keep("other host", owner="romeo@other.example.org", at=1200)
    new = keep("new", at=2000)
    assert expire("@example.org", 1900 * SECOND, 2) == 4
    left = [(row.id, row.archived) for row in Message.select().order_by(Message.id)]
    assert left == [(waiting[0], 0), (other[0], 1), (new[0], 1)]
    assert ask().ids == new and old[0] not in find("new")


def test_too_many(store):
    ids = keep(*map(str, range(10)))
    keep("few", owner=NURSE, at=3000)
    ((owner, last),) = retention.too_many("example.org", 4)
    assert (owner, last) == (ROMEO, ids[5])
    expire(owner, last, 3)
    assert ask().ids == ids[6:]


def test_a_search_goes_on_until_the_page_is_full(store, monkeypatch):
    monkeypatch.setattr(pages, "SLICE", 20)  # one word at a time
    keep(*(["word"] * 5), peer="a@example.net")
    first = keep("word", peer="b@example.net", at=2000)
    keep(*(["word"] * 5), peer="a@example.net", at=3000)
    second = keep("word", peer="b@example.net", at=4000)
    assert find("word", **{"with": "b@example.net"}) == first + second
    assert find("word", "<before/>", 1, **{"with": "b@example.net"}) == second


def archive(settings, **host):
    return Archive(Host(Router(), "example.org", HostOptions(host)), settings)


def test_the_hourly_job(store):
    now = int(time.time())
    keep(*"abc", at=now - 7200)
    ids = keep(*"defgh", at=now - 600)
    archive({}).trim()
    assert len(ask().ids) == 8
    archive({"keep": "1h"}).trim()
    assert ask().ids == ids
    archive({"keep_most": 2}).trim()
    assert ask().ids == ids[3:]


def test_the_retention_of_the_host_counts_where_the_archive_says_nothing(store):
    now = int(time.time())
    keep(*"abc", at=now - 10_800)
    ids = keep(*"defgh", at=now - 5400)
    for settings in ({"keep": None}, {"keep": "4h"}):
        archive(settings, retention="1h").trim()
        assert len(ask().ids) == 8
    archive({}, retention="2h").trim()
    assert ask().ids == ids
    host = Host(Router(), "example.org", HostOptions({"retention": "1h"}))
    rooms = RoomArchive(Rooms(host.router, host, "rooms.example.org"))
    room = keep(*"ij", owner="hall@rooms.example.org", at=now - 6000)
    rooms.configure({"keep_for": 7200.0})
    rooms.trim()
    assert ask(owner="hall@rooms.example.org").ids == room
    rooms.configure({})
    rooms.trim()
    assert not ask(owner="hall@rooms.example.org").ids and ask().ids == ids


def test_an_index_is_made_for_texts_that_are_there_already(store):
    """As after a copy from another database."""
    (one,) = keep("copied")
    search.prepare(ROMEO)
    assert find("copied") == [one]


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        ("<body>one</body><body xml:lang='de'>eins</body>", "one"),
        ("<html xmlns='http://jabber.org/protocol/xhtml-im'><body xmlns='http://www.w3.org/1999/xhtml'>x</body></html>", ""),
        ("<a xmlns='urn:x'><body>x</body></a><body xmlns='jabber:client'>a &amp; b<![CDATA[ <c>]]></body>", "a & b <c>"),
        ("<body><i xmlns='urn:x'>x</i>y</body>", "y"),
        ("<body/>", ""),
        (f"<a xmlns='urn:x'>{'<b/>' * 5000}</a><body>after</body>", "after"),
        ("<body>broken", ""),
    ],
)  # fmt: skip
def test_the_body_of_a_message_is_found_without_a_tree(inner, text):
    assert search.body(f"<message from='a@b/c' to='d@e' type='chat'>{inner}</message>") == text


def test_what_is_retracted_while_it_is_indexed_is_not_found(store):
    (one,) = keep("secret")
    found = [(one, "secret")]
    xdb.save(stones.bury, ROMEO, one, f"<retracted xmlns='{stones.RETRACT}'/>")
    search.prepare(ROMEO)
    xdb.save(search._add, ROMEO, found)
    assert find("secret") == []


def test_a_tombstone_has_the_start_tag_and_the_badge_of_the_room(store):
    badge = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='{}'/>"
    (one,) = keep("x")
    xml = f"<message from='r@c/a&gt;b' id='i&apos;d' type='groupchat'><body>{badge.format(1)}</body>{badge.format(2)}</message>"
    xdb.save(Message.update(xml=xml).where(Message.id == one).execute)
    assert xdb.save(stones.bury, ROMEO, one, "<retracted xmlns='urn:x'/>")
    kept = from_text(Message.get(Message.id == one).xml)
    assert (kept.from_.resource, kept.id, kept.type) == ("a>b", "i'd", "groupchat")
    assert [each.name for each in kept.elements()] == ["occupant-id", "retracted"]
    assert kept.child("occupant-id", "urn:xmpp:occupant-id:0").attrs["id"] == "2"


def test_a_retraction_names_a_message_of_its_sender(store):
    (one,) = keep("x")
    peer = "juliet@example.net"
    known = stones.Retraction(ROMEO, peer, "balcony", False, f"m{one}", "r", "2026-01-01T00:00:00Z")
    assert stones.find(known) == one
    for wrong in (
        {"original": "m"},
        {"peer": "nurse@example.net"},
        {"sent": True},
        {"user": "x@example.org"},
    ):
        assert stones.find(known._replace(**wrong)) is None
    assert stones.find(known._replace(resource="garden")) == one
    xml = Message.get(Message.id == one).xml.replace(
        "</message>", f"<x xmlns='{stones.ROOM_USER}'/></message>"
    )
    xdb.save(Message.update(xml=xml).where(Message.id == one).execute)
    assert stones.find(known._replace(resource="garden")) is None and stones.find(known) == one
