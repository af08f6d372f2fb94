"""The archive of an owner that is no account: what a room needs of it."""

import pytest

from jabberd_py import archive
from jabberd_py.archive import messages
from jabberd_py.archive.search import ArchiveText
from jabberd_py.xdb import xdb
from jabberd_py.xmpp.element import Element, from_text
from tests.databases import mariadb, postgres  # noqa: F401

ROOM, OTHER = "garden@conference.example.org", "hall@conference.example.org"
READER = "juliet@example.org/balcony"
FORM = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>{}</x>"


@pytest.fixture(params=["sqlite", "mariadb", "postgres"])
def store(request, tmp_path):
    url = "sqlite:///store.db" if request.param == "sqlite" else request.getfixturevalue(request.param).url
    tables = [*messages.tables(), ArchiveText]
    opened = xdb.open(url, tables, str(tmp_path))
    messages.start()
    yield opened
    for table in tables:
        xdb.save(table.delete().execute)
    opened.close()


def say(nick, text, room=ROOM):
    xml = f"<message from='{room}/{nick}' type='groupchat' id='{text}'><body>{text}</body></message>"
    return archive.keep(room, room, nick, xml).number


def ask(payload="", fields="", room=ROOM, show=None, limit=50):
    """(the results' numbers and bodies, <fin/>)"""
    form = FORM.format(fields) if fields else ""
    query = archive.read(
        from_text(f"<query xmlns='urn:xmpp:mam:2' queryid='q'>{form}{payload}</query>"), fulltext=False
    )
    got = []
    fin, count = archive.answer(
        room, query, archive.Reader(READER, got.append), query.page.limit(limit, 250), show
    )
    assert count == len(got)
    found = []
    for each in got:
        assert each.attrs == {"from": room, "to": READER}
        result = each.child("result")
        assert result.attrs["queryid"] == "q"
        message = result.child("forwarded").child("message")
        found.append((int(result.attrs["id"]), message.text_of("body")))
    return found, fin


def rsm(content):
    return f"<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>"


def field(var, *values):
    return f"<field var='{var}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def test_a_room_says_what_was_said(store):
    said = [(say(nick, text), text) for nick, text in (("romeo", "a"), ("juliet", "b"), ("romeo", "c"))]
    say("nurse", "elsewhere", OTHER)
    found, fin = ask()
    assert found == said and fin.attrs == {"complete": "true"}
    assert ask(rsm("<max>2</max><before/>"))[0] == said[1:]
    assert ask(rsm(f"<max>2</max><after>{said[0][0]}</after>"))[0] == said[1:]
    assert ask("<flip-page/>" + rsm("<max>2</max>"))[0] == said[1::-1]
    assert ask(fields=field("with", f"{ROOM}/romeo"))[0] == [said[0], said[2]]
    assert ask(fields=field("ids", said[1][0]))[0] == [said[1]]
    assert ask(fields=field("after-id", said[0][0]) + field("before-id", said[2][0]))[0] == [said[1]]
    start, end = archive.metadata(ROOM).elements()
    assert (start.attrs["id"], end.attrs["id"]) == (str(said[0][0]), str(said[2][0]))
    assert not list(archive.metadata("nobody@conference.example.org").elements())


def test_who_waits_for_the_ticket_finds_it_committed(store):
    kept = archive.keep(ROOM, ROOM, "romeo", "<message/>", number=(known := archive.next_id()))
    kept.ticket.wait()
    assert kept.number == known and messages.Fresh.select().count() + messages.Message.select().count() == 1


def test_a_moderated_message_leaves_a_tombstone(store):
    kept, other = say("romeo", "rude"), say("romeo", "kind")
    moderated = Element("moderated", "urn:xmpp:message-moderate:1", by=f"{ROOM}/juliet")
    assert archive.bury(ROOM, kept, moderated).wait() is True
    assert archive.bury(OTHER, other, moderated).wait() is False
    assert archive.bury(ROOM, 7, moderated).wait() is False
    assert ask()[0] == [(kept, None), (other, "kind")]


def test_what_a_reader_may_not_see(store):
    say("romeo", "secret")
    assert ask(show=lambda xml: xml.replace("secret", "..."))[0][0][1] == "..."


def test_a_room_that_is_gone_has_said_nothing(store):
    say("romeo", "a")
    say("romeo", "b")
    kept = say("nurse", "c", OTHER)
    assert archive.purge(ROOM) == 2
    assert ask()[0] == [] and ask(room=OTHER)[0] == [(kept, "c")]


def test_old_messages_go(store, monkeypatch):
    from jabberd_py.archive import retention

    monkeypatch.setattr(retention, "YOUNG", 0)
    numbers = [say("romeo", text) for text in "abcd"]
    say("romeo", "x", OTHER)
    archive.trim("conference.example.org", None, 2)
    assert [id for id, _ in ask()[0]] == numbers[2:]
    archive.trim("conference.example.org", 0.0, None)
    assert ask()[0] == [] and ask(room=OTHER)[0] == []
