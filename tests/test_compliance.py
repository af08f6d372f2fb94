"""XEP-0479, and what the tester of the client Conversations asks of a server."""

import re
from pathlib import Path

import pytest

from jabberd_py.ctl.docs import compliance
from jabberd_py.ctl.suites import ROWS
from tests.client import Client

INFO, ITEMS = "http://jabber.org/protocol/disco#info", "http://jabber.org/protocol/disco#items"
PUBSUB = "http://jabber.org/protocol/pubsub"
ROOT = Path(__file__).parents[1]


def test_every_proof_is_a_test_that_exists() -> None:
    for row in ROWS:
        for each in row.tests:
            file, _, test = each.partition("::")
            assert re.search(rf"^def {test}\(", (ROOT / file).read_text(), re.M), each


def test_a_row_is_met_by_all_its_protocols() -> None:
    lines = [line for line in compliance({"RFC 7395", "XEP-0206"}).splitlines() if line.startswith("| Web ")]
    assert [line.split(" | ")[4] for line in lines] == ["no"]
    lines = [
        line
        for line in compliance({"RFC 7395", "XEP-0206", "XEP-0124"}).splitlines()
        if line.startswith("| Web ")
    ]
    assert [line.split(" | ")[4] for line in lines] == ["yes"]


def features(client: Client, to: str | None = None, node: str = "") -> set[str | None]:
    more = f" node='{node}'" if node else ""
    answer = client.iq("get", f"<query xmlns='{INFO}'{more}/>", to=to)
    assert answer.get("type") == "result"
    return {each.get("var") for each in answer.iter(f"{{{INFO}}}feature")}


# -- the tester of Conversations --------------------------------------------------------------------------


def test_the_stream_offers_what_a_phone_wants(romeo: Client) -> None:
    names = {element.tag for element in romeo.features}
    wanted = {
        "{http://jabber.org/protocol/caps}c",
        "{urn:xmpp:features:rosterver}ver",
        "{urn:xmpp:sm:3}sm",
        "{urn:xmpp:csi:0}csi",
    }
    assert wanted <= names


@pytest.mark.parametrize(
    "feature", ["msgoffline", "urn:xmpp:carbons:2", "urn:xmpp:blocking", "urn:xmpp:ping", "vcard-temp"]
)
def test_the_domain_offers(romeo: Client, feature: str) -> None:
    assert feature in features(romeo, romeo.domain)


@pytest.mark.parametrize(
    "feature",
    [
        "urn:xmpp:mam:2", "urn:xmpp:pep-vcard-conversion:0", "urn:xmpp:bookmarks-conversion:0", "urn:xmpp:bookmarks:1#compat",
        "urn:xmpp:bookmarks:1#compat-pep", f"{PUBSUB}#publish-options", f"{PUBSUB}#persistent-items", f"{PUBSUB}#publish",
        f"{PUBSUB}#filtered-notifications", f"{PUBSUB}#access-open",
    ],
)  # fmt: skip
def test_the_account_offers(romeo: Client, feature: str) -> None:
    assert feature in features(romeo, romeo.bare)


def test_rooms_upload_and_proxy_are_found(romeo: Client) -> None:
    items = romeo.iq("get", f"<query xmlns='{ITEMS}'/>", to=romeo.domain)
    found = {each.get("jid"): features(romeo, each.get("jid")) for each in items.iter(f"{{{ITEMS}}}item")}
    for feature in (
        "http://jabber.org/protocol/muc",
        "urn:xmpp:http:upload:0",
        "http://jabber.org/protocol/bytestreams",
        PUBSUB,
    ):
        assert [jid for jid, features in found.items() if feature in features], feature


def test_a_room_can_have_an_archive(romeo: Client) -> None:
    room = f"compliance-{romeo.user}@conference.{romeo.domain}"
    romeo.send(f"<presence to='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    romeo.gets(
        f"<presence from='{room}/romeo'><x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>"
    )
    owner = "http://jabber.org/protocol/muc#owner"
    form = romeo.iq("get", f"<query xmlns='{owner}'/>", to=room)
    fields = {each.get("var") for each in form.iter("{jabber:x:data}field")}
    assert fields & {"muc#roomconfig_enablearchiving", "mam", "muc#roomconfig_enable_archiving"}
    assert (
        romeo.iq(
            "set", f"<query xmlns='{owner}'><x xmlns='jabber:x:data' type='submit'/></query>", to=room
        ).get("type")
        == "result"
    )
    assert "urn:xmpp:mam:2" in features(romeo, room)


def test_keys_of_omemo_are_published_with_options(romeo: Client, juliet: Client) -> None:
    """The options are asked for with every publish; a node that others may not read is opened."""
    node = "eu.siacs.conversations.axolotl.devicelist"
    field = "<field var='pubsub#access_model'><value>open</value></field>"
    options = (
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{PUBSUB}#publish-options</value></field>{field}</x></publish-options>"
    )
    item = "<item id='current'><list xmlns='eu.siacs.conversations.axolotl'><device id='1'/></list></item>"
    publish = f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'>{item}</publish>{{}}</pubsub>"
    assert romeo.iq("set", publish.format("")).get("type") == "result"  # an old client, without options
    refused = romeo.iq("set", publish.format(options))
    assert refused.find(f".//{{{PUBSUB}#errors}}precondition-not-met") is not None
    config = (
        f"<pubsub xmlns='{PUBSUB}#owner'><configure node='{node}'><x xmlns='jabber:x:data' type='submit'>"
        f"<field var='FORM_TYPE' type='hidden'><value>{PUBSUB}#node_config</value></field>{field}</x></configure></pubsub>"
    )
    assert romeo.iq("set", config).get("type") == "result"
    assert romeo.iq("set", publish.format(options)).get("type") == "result"
    answer = juliet.iq("get", f"<pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub>", to=romeo.bare)
    assert answer.find(".//{eu.siacs.conversations.axolotl}device") is not None


def test_a_direct_invitation_arrives_and_waits_for_the_absent(romeo: Client, juliet: Client) -> None:
    """XEP-0249, example 1."""
    invitation = (
        f"<message to='{juliet.bare}'><x xmlns='jabber:x:conference' jid='darkcave@conference.{romeo.domain}' "
        "reason='Hey Hecate, this is the place for all good witches!'/></message>"
    )
    arrives = f"<message from='{romeo.jid}'><x xmlns='jabber:x:conference'/></message>"
    romeo.send(invitation)
    juliet.gets(arrives, 10)
    juliet.send("<presence type='unavailable'/>")
    juliet.sync()
    romeo.send(invitation)
    juliet.nothing("<message/>")
    juliet.available()
    juliet.gets(arrives, 10)
