"""Hostile files of accounts elsewhere (XEP-0227)."""

import io
import re
import time
import xml.etree.ElementTree as ET
import zipfile
from urllib.parse import urlsplit

import pytest

from tests.people.conftest import PASSWORD
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
            "/account/data/import",
            page.page.form("Import").fields,
            multipart={"file": file if isinstance(file, bytes) else file.encode()},
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
    assert "profile and settings: 1" in bring(
        HEAD + much + "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>" + TAIL
    )


def test_messages_of_a_file_are_of_the_past(bring):
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    stamps = ("2100-01-01T00:00:00Z", "0001-01-01T00:00:00Z", now, "yesterday", "")
    wrong = [result(stamp, "x") for stamp in stamps]
    right = [result("2020-01-01T00:00:00Z", "x", id) for id in ("9" * 19, "9" * 4000, "\u00b2", "-1")]
    said = bring(archive(*wrong, *right))
    assert re.search(r"messages of the archive: 4, refused: 5", said), said


def test_many_messages_of_a_file_have_one_time(bring):
    many = archive(*(result("2021-01-01T00:00:00Z", str(n)) for n in range(300)))
    for _ in range(2):
        assert "messages of the archive: 300" in bring(many)


CARD = f"{HEAD}<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>{TAIL}"


def zipped(name, text, kind=zipfile.ZIP_DEFLATED, more=0):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        archive.writestr(name, text)
        for number in range(more):
            archive.writestr(f"{number:0200}", b"")
    return file.getvalue()


def test_an_archive_is_brought(bring):
    assert "profile and settings: 1" in bring(zipped("account.xml", CARD))


@pytest.mark.parametrize(
    "file",
    [zipped("other.xml", CARD), zipped("account.xml", CARD, zipfile.ZIP_LZMA), zipped("account.xml", CARD)[:-30],
     zipped("account.xml", CARD, more=3000), zipped("account.xml", CARD) + b"x", b"PK\x03\x04" + b"x" * 100],
    ids=["other", "lzma", "half", "many", "more", "rubbish"],
)  # fmt: skip
def test_an_archive_that_is_none_of_ours(bring, people_server, file):
    said = bring(file)
    assert "archive" in said.partition("A file with everything")[0] and "Imported" not in said


def test_what_is_not_brought_is_told(bring):
    blocked = "<blocklist xmlns='urn:xmpp:blocking'><item jid='spam.example'/></blocklist>"
    items = "<items node='own:notes'><item id='a'><x xmlns='y'/></item></items>"
    node = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'>{items}</pubsub>"
    strange = "<x xmlns='urn:strange'/><presence xmlns='jabber:client' type='subscribe' from='a@b.example'/>"
    late = "<offline-messages><message xmlns='jabber:client' from='a@b.example' to='montague@old.example'><body>x</body>"
    late += "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/></message></offline-messages>"
    said = bring(HEAD + blocked + node + strange + late + TAIL)
    said = said.partition("A file with")[0]
    assert (
        "items of nodes: 1, parts of profile and settings: 1, unread messages, which are in the archive now: 1."
        in said
    ), said
    assert "Not imported: {urn:strange}x: nothing that is known here; people who wait for your answer" in said


def test_a_contact_with_a_broken_address_does_not_end_an_import(person, browser):
    page = browser(person().bare)
    page.get("/account/data")
    items = "<item jid=''/><item/><item jid='a b@x'/><item jid='good@elsewhere.example'/>"
    file = f"{HEAD}<query xmlns='jabber:iq:roster'>{items}</query>{TAIL}".encode()
    said = page.post("/account/data/import", page.page.form("Import").fields, multipart={"file": file}).text
    assert "contacts: 1" in said and "refused: 3" in said
    page.get("/account/data")
    file = f"{HEAD}<foo xmlns='bar'>{'<a/>' * 100_001}</foo>{TAIL}".encode()
    said = page.post("/account/data/import", page.page.form("Import").fields, multipart={"file": file}).text
    assert "too much that is not known here" in said


def test_a_node_that_is_here_keeps_what_it_has(person, browser):
    romeo = person()
    pubsub = "http://jabber.org/protocol/pubsub"
    nick = "<nick xmlns='http://jabber.org/protocol/nick'>{}</nick>"
    item = f"<item id='current'>{nick}</item>"
    publish = f"<publish node='http://jabber.org/protocol/nick'>{item.format('Here')}</publish>"
    romeo.iq("set", f"<pubsub xmlns='{pubsub}'>{publish}</pubsub>")
    page = browser(romeo.bare)
    page.get("/account/data")
    there = f"<items node='http://jabber.org/protocol/nick'>{item.format('Elsewhere')}</items>"
    notes = "<items node='own:notes'><item id='a'><x xmlns='y'/></item></items>"
    file = f"{HEAD}<pubsub xmlns='{pubsub}'>{there}{notes}</pubsub>{TAIL}".encode()
    assert (
        "items of nodes: 1"
        in page.post("/account/data/import", page.page.form("Import").fields, multipart={"file": file}).text
    )
    answer = romeo.iq(
        "get", f"<pubsub xmlns='{pubsub}'><items node='http://jabber.org/protocol/nick'/></pubsub>"
    )
    assert answer.findtext(".//{http://jabber.org/protocol/nick}nick") == "Here"
    # of a node without a configuration nobody else reads anything
    form = romeo.iq("get", f"<pubsub xmlns='{pubsub}#owner'><configure node='own:notes'/></pubsub>")
    values = {
        field.get("var"): field.findtext("{jabber:x:data}value")
        for field in form.iter("{jabber:x:data}field")
    }
    assert values["pubsub#access_model"] == "whitelist"


def test_all_data_with_uploaded_files(person, browser, ctl):
    romeo = person()
    slot = (
        "<request xmlns='urn:xmpp:http:upload:0' filename='my:cat?.txt' size='4' content-type='text/plain'/>"
    )
    put = urlsplit(
        romeo.iq("get", slot, to="upload.localhost").find(".//{urn:xmpp:http:upload:0}put").get("url")
    )
    page = browser(romeo.bare)
    page.request("PUT", put.path, b"meow", Content_Type="text/plain")
    page.get("/account/data")
    answer = page.send("Download my data", files="yes", old=PASSWORD)
    assert answer.headers["content-disposition"] == 'attachment; filename="account.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        first, second = archive.namelist()
        assert (first, archive.read(second)) == ("account.xml", b"meow") and second.startswith(
            "files/00001-my_"
        )
        account = ET.fromstring(archive.read(first)).find(".//{jabberd_py:about}account")
    assert account.find("{jabberd_py:about}file").get("bytes") == "4" and account.get("created")
    assert account.find("{jabberd_py:about}session") is not None
    page.get("/account/data")

    def bring(file):
        page.get("/account/data")
        return page.post(
            "/account/data/import", page.page.form("Import").fields, multipart={"file": file}
        ).text

    said = bring(answer.body)
    assert "uploaded files: 1" in said and "rooms and devices: they stay where they are" in said
    assert "uploaded files" not in bring(answer.body)  # it is here now
    assert {each["name"] for each in ctl("uploads", "show", romeo.bare)} == {"my:cat?.txt", "my_cat_.txt"}


def test_files_of_an_archive_have_the_limits_of_uploads(person, browser, ctl):
    romeo = person()
    page = browser(romeo.bare)

    def bring(**files):
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("account.xml", HEAD + TAIL)
            for name, data in files.items():
                archive.writestr(f"files/00001-{name}", data)
        page.get("/account/data")
        fields = page.page.form("Import").fields
        return page.post("/account/data/import", fields, multipart={"file": made.getvalue()}).text

    huge = b"\0" * (101 << 20)  # a few bytes in the archive
    said = bring(huge=huge, small=b"meow")
    assert "uploaded files: 1" in said and "files: the file is too large" in said
    assert [each["name"] for each in ctl("uploads", "show", romeo.bare)] == ["small"]
