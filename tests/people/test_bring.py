"""Hostile files of accounts elsewhere (XEP-0227)."""

import re
import time

import pytest

from tests.people.test_pages import browser as browser  # a fixture

HEAD = "<server-data xmlns='urn:xmpp:pie:0'><host jid='old.example'><user name='montague'>"
TAIL = "</user></host></server-data>"


def result(stamp, text, id="a"):
    return (
        f"<result xmlns='urn:xmpp:mam:2' id='{id}'><forwarded xmlns='urn:xmpp:forward:0'>"
        f"<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/><message xmlns='jabber:client' from='montague@old.example'"
        f" to='nurse@example.org' type='chat'><body>{text}</body></message></forwarded></result>"
    )


def archive(*results):
    return f"{HEAD}<archive xmlns='urn:xmpp:pie:0#mam'>{''.join(results)}</archive>{TAIL}"


@pytest.fixture
def bring(person, browser):
    """Brings a file; what the page says then."""
    page = browser(person().bare)

    def send(file):
        page.get("/account/data")
        return page.post(
            "/account/data/import", page.page.form("Import").fields, multipart={"file": file.encode()}
        ).text

    return send


@pytest.mark.parametrize(
    "part",
    ["<query xmlns='jabber:iq:private'><x xmlns='x'>" + "<a/>" * 5_000 + "</x></query>",
     "<vCard xmlns='vcard-temp'>" + "<a/>" * 5_000 + "</vCard>",
     "<archive xmlns='urn:xmpp:pie:0#mam'><result>" + "<a/>" * 5_000 + "</result></archive>",
     "<x xmlns='x'>" + "x" * 300_000 + "</x>"],
    ids=["private", "profile", "message", "text"],
)  # fmt: skip
def test_a_part_of_a_file_has_bounds(bring, part):
    assert "too long" in bring(HEAD + part + TAIL)


def test_what_is_not_taken_from_a_file_is_not_kept(bring):
    much = (
        "<x xmlns='x'>" + "<a/>" * 20_000 + "</x><offline-messages>" + "<a/>" * 20_000 + "</offline-messages>"
    )
    assert "1 other" in bring(HEAD + much + "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>" + TAIL)


def test_messages_of_a_file_are_of_the_past(bring):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    stamps = ("2100-01-01T00:00:00Z", "0001-01-01T00:00:00Z", now, "yesterday", "")
    wrong = [result(stamp, "x") for stamp in stamps]
    right = [result("2020-01-01T00:00:00Z", "x", id) for id in ("9" * 19, "9" * 4000, "\u00b2", "-1")]
    said = bring(archive(*wrong, *right))
    assert re.search(r"4 archive, 5 failed", said), said


def test_many_messages_of_a_file_have_one_time(bring):
    many = archive(*(result("2021-01-01T00:00:00Z", str(n)) for n in range(300)))
    for _ in range(2):
        assert "300 archive" in bring(many)
