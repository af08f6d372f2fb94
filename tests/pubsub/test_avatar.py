"""XEP-0084, XEP-0153, XEP-0398: an avatar that new clients publish and a photo that old ones put into the vCard."""

import hashlib
from base64 import b64encode

import pytest

from tests.client import subscribe_both
from tests.pubsub.words import INFO, OWNER, condition, ids, items, publish, pubsub

DATA, METADATA = "urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata"
UPDATE = "vcard-temp:x:update"
IMAGE = b"\x89PNG a picture"
HASH = hashlib.sha1(IMAGE).hexdigest()
TEXT = b64encode(IMAGE).decode()


def avatar(client, **options):
    publish(client, DATA, HASH, f"<data xmlns='{DATA}'>{TEXT}</data>", **options)
    info = f"<info bytes='{len(IMAGE)}' id='{HASH}' type='image/png'/>"
    return publish(client, METADATA, HASH, f"<metadata xmlns='{METADATA}'>{info}</metadata>", **options)


def vcard(client, to=None):
    answer = client.iq("get", "<vCard xmlns='vcard-temp'/>", to=to)
    return condition(answer) if answer.get("type") == "error" else answer.findtext(".//{vcard-temp}BINVAL")


def presence(sender, hash):
    return f"<presence from='{sender.jid}'><x xmlns='{UPDATE}'><photo>{hash}</photo></x></presence>"


def test_the_account_says_so(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
    assert "urn:xmpp:pep-vcard-conversion:0" in [each.get("var") for each in info]


def test_an_avatar_is_in_the_vcard_for_those_who_may_see_it(romeo, juliet):
    assert vcard(romeo) == ("item-not-found",)
    assert vcard(juliet, romeo.bare) == ("service-unavailable",)
    avatar(romeo)
    assert vcard(romeo) == TEXT
    assert vcard(juliet, romeo.bare) == ("service-unavailable",)
    subscribe_both(romeo, juliet)
    assert vcard(juliet, romeo.bare) == TEXT


def test_contacts_hear_the_hash(romeo, juliet):
    subscribe_both(romeo, juliet)
    avatar(romeo)
    juliet.gets(presence(romeo, HASH), 10)
    romeo.send("<presence><show>away</show></presence>")
    juliet.gets(presence(romeo, HASH).replace("</presence>", "<show>away</show></presence>"), 10)
    romeo.send(f"<presence><show>dnd</show><x xmlns='{UPDATE}'><photo/></x></presence>")
    found = juliet.gets(f"<presence from='{romeo.jid}'><show>dnd</show></presence>", 10)
    assert found.findtext(f"{{{UPDATE}}}x/{{{UPDATE}}}photo") in (None, "")
    publish(romeo, METADATA, "none", f"<metadata xmlns='{METADATA}'/>")
    romeo.send("<presence><show>xa</show></presence>")
    found = juliet.gets(f"<presence from='{romeo.jid}'><show>xa</show></presence>", 10)
    assert found.find(f"{{{UPDATE}}}x/{{{UPDATE}}}photo").text is None  # no photo, and contacts shall know it


def test_a_photo_in_the_vcard_becomes_the_avatar(romeo, juliet):
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{TEXT}</BINVAL></PHOTO>"
    romeo.iq("set", f"<vCard xmlns='vcard-temp'><FN>Romeo</FN>{photo}</vCard>")
    assert ids(items(juliet, METADATA, romeo.bare)) == [HASH]
    assert items(juliet, DATA, romeo.bare).findtext(f".//{{{DATA}}}data") == TEXT
    assert vcard(juliet, romeo.bare) == TEXT
    romeo.iq("set", "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>")
    assert vcard(juliet, romeo.bare) is None
    assert items(juliet, METADATA, romeo.bare).find(f".//{{{METADATA}}}info") is None
    romeo.iq("set", "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>no base64!</BINVAL></PHOTO></vCard>")
    assert items(juliet, METADATA, romeo.bare).find(f".//{{{METADATA}}}info") is None


def test_what_is_no_hash_is_not_shown(romeo, juliet):
    subscribe_both(romeo, juliet)
    info = f"<info bytes='9' id='{'a' * 50_000}' type='image/png'/>"
    publish(romeo, METADATA, "x", f"<metadata xmlns='{METADATA}'>{info}</metadata>")
    romeo.send("<presence><show>away</show></presence>")
    found = juliet.gets(f"<presence from='{romeo.jid}'><show>away</show></presence>", 10)
    assert found.find(f"{{{UPDATE}}}x/{{{UPDATE}}}photo").text is None


@pytest.mark.parametrize(
    "takes",
    [
        f"<delete node='{METADATA}'/>",
        f"<purge node='{METADATA}'/>",
        f"<retract node='{METADATA}'><item id='{HASH}'/></retract>",
    ],
)
def test_an_avatar_that_is_taken_away_does_not_come_back(romeo, juliet, takes):
    """As a photo of the vCard, which the avatar was once made of, or has replaced."""
    subscribe_both(romeo, juliet)
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{TEXT}</BINVAL></PHOTO>"
    romeo.iq("set", f"<vCard xmlns='vcard-temp'><FN>Romeo</FN>{photo}</vCard>")
    juliet.gets(presence(romeo, HASH), 10)
    ns = {} if "retract" in takes else {"ns": OWNER}
    assert condition(romeo.iq("set", pubsub(takes, **ns))) == ("result",)
    juliet.gets(presence(romeo, ""), 10)
    assert vcard(romeo) is None and vcard(juliet, romeo.bare) is None
    romeo.send("<presence><show>away</show></presence>")
    juliet.gets(presence(romeo, "").replace("</presence>", "<show>away</show></presence>"), 10)
    avatar(romeo, access_model="open")
    juliet.gets(presence(romeo, HASH), 10)
    assert vcard(juliet, romeo.bare) == TEXT


def test_an_avatar_that_is_elsewhere_is_no_older_photo(romeo, juliet):
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{TEXT}</BINVAL></PHOTO>"
    romeo.iq("set", f"<vCard xmlns='vcard-temp'><FN>Romeo</FN>{photo}</vCard>")
    info = f"<info bytes='9' id='{'a' * 40}' type='image/png' url='https://a.example/b.png'/>"
    publish(romeo, METADATA, "x", f"<metadata xmlns='{METADATA}'>{info}</metadata>")
    assert vcard(romeo) is None and vcard(juliet, romeo.bare) is None


def test_a_client_that_shows_no_photo_is_not_given_one(romeo, juliet):
    """XEP-0398 section 5: also where the avatar changes later."""
    subscribe_both(romeo, juliet)
    romeo.send(f"<presence><show>dnd</show><x xmlns='{UPDATE}'><photo/></x></presence>")
    juliet.gets(presence(romeo, "").replace("</presence>", "<show>dnd</show></presence>"), 10)
    avatar(romeo)
    juliet.gets(presence(romeo, "").replace("</presence>", "<show>dnd</show></presence>"), 10)
    romeo.send("<presence/>")
    juliet.gets(presence(romeo, HASH), 10)
