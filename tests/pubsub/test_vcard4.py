"""XEP-0292 in step with vcard-temp."""

import pytest

from jabberd_py.pubsub.vcards import to_temp, to_vcard4
from jabberd_py.xmpp.element import from_text
from tests.pubsub.words import OWNER, condition, event, items, listen, publish, pubsub

NODE, NS, TEMP = "urn:xmpp:vcard4", "urn:ietf:params:xml:ns:vcard-4.0", "vcard-temp"
CARD = (
    f"<vcard xmlns='{NS}'><fn><text>Peter Saint-Andre</text></fn><n><surname>Saint-Andre</surname><given>Peter</given></n>"
    "<bday><date>1966-08-06</date></bday><tel><parameters><type><text>work</text></type><pref><integer>1</integer></pref>"
    "</parameters><uri>tel:+1-303-308-3282</uri></tel><org><text>XSF</text></org><impp><uri>xmpp:stpeter@jabber.org</uri></impp>"
    "<gender><sex><text>M</text></sex></gender></vcard>"
)
OLD = (
    f"<vCard xmlns='{TEMP}'><FN>Peter Saint-Andre</FN><N><FAMILY>Saint-Andre</FAMILY><GIVEN>Peter</GIVEN></N>"
    "<BDAY>1966-08-06</BDAY><TEL><WORK/><PREF/><NUMBER>+1-303-308-3282</NUMBER></TEL><ORG><ORGNAME>XSF</ORGNAME></ORG>"
    "<JABBERID>stpeter@jabber.org</JABBERID></vCard>"
)


def fn(answer):
    return answer.findtext(f".//{{{TEMP}}}FN") or answer.findtext(f".//{{{NS}}}fn/{{{NS}}}text")


def test_both_forms_say_the_same():
    assert str(to_temp(from_text(CARD))) == OLD
    back = to_vcard4(from_text(OLD), from_text(CARD))
    assert str(back) == CARD  # with the gender, of which vcard-temp knows nothing


@pytest.mark.parametrize("odd", ["<vCard xmlns='vcard-temp'>text<N/><TEL/><ORG/><ADR><X/></ADR></vCard>"])
def test_an_odd_card_is_no_trouble(odd):
    assert to_vcard4(from_text(odd)).payload is None
    to_temp(
        from_text(f"<vcard xmlns='{NS}'>text<n/><tel/><org/><adr/><fn/><impp><uri>sip:x</uri></impp></vcard>")
    )


def test_what_one_client_publishes_an_older_one_finds(romeo, juliet):
    """Examples 1 to 4."""
    assert condition(publish(romeo, NODE, "a", CARD, access_model="open")) == ("result",)
    for who in (romeo, juliet):
        assert fn(items(who, NODE, romeo.bare)) == "Peter Saint-Andre"
        assert fn(who.iq("get", f"<vCard xmlns='{TEMP}'/>", to=romeo.bare)) == "Peter Saint-Andre"
        assert fn(who.iq("get", f"<vcard xmlns='{NS}'/>", to=romeo.bare)) == "Peter Saint-Andre"


def test_what_an_older_client_stores_is_published_and_told(romeo, juliet):
    listen(romeo, NODE)
    assert condition(romeo.iq("set", OLD)) == ("result",)
    romeo.gets(event(NODE, "<item id='current'/>", romeo.bare))
    assert fn(items(juliet, NODE, romeo.bare)) == "Peter Saint-Andre"
    assert condition(romeo.iq("set", f"<vCard xmlns='{TEMP}'/>")) == ("result",)
    romeo.gets(event(NODE, "<retract id='current'/>", romeo.bare))
    gone = romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")
    assert condition(gone) == ("item-not-found",)


def test_who_may_not_read_the_node_sees_no_older_card(romeo, juliet):
    publish(romeo, NODE, "a", CARD, access_model="presence")
    assert fn(romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")) == "Peter Saint-Andre"
    for xml in (f"<vCard xmlns='{TEMP}'/>", f"<vcard xmlns='{NS}'/>"):
        assert condition(juliet.iq("get", xml, to=romeo.bare)) == ("service-unavailable",)


@pytest.mark.parametrize(
    "takes",
    [
        f"<delete node='{NODE}'/>",
        f"<purge node='{NODE}'/>",
        f"<retract node='{NODE}'><item id='current'/></retract>",
    ],
)
def test_who_takes_the_card_away_has_none_in_the_older_form(romeo, juliet, takes):
    assert condition(romeo.iq("set", OLD)) == ("result",)
    ns = {} if "retract" in takes else {"ns": OWNER}
    assert condition(romeo.iq("set", pubsub(takes, **ns))) == ("result",)
    assert condition(romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")) == ("item-not-found",)
    assert condition(juliet.iq("get", f"<vCard xmlns='{TEMP}'/>", to=romeo.bare)) == ("service-unavailable",)


def test_a_card_that_is_too_long_to_be_converted_is_not_an_older_one(romeo):
    romeo.iq("set", OLD)
    many = "".join(f"<tel><uri>tel:{number}</uri></tel>" for number in range(200))
    publish(romeo, NODE, "a", f"<vcard xmlns='{NS}'><fn><text>P</text></fn>{many}</vcard>")
    assert condition(romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")) == ("item-not-found",)


def test_what_only_the_older_form_knows_is_kept(romeo):
    romeo.iq("set", OLD)
    assert condition(romeo.iq("set", f"<vCard xmlns='{TEMP}'><MAILER>x</MAILER></vCard>")) == ("result",)
    answer = romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")
    assert answer.findtext(f".//{{{TEMP}}}MAILER") == "x"


def test_a_vcard_that_is_refused_is_not_kept(romeo):
    many = "".join(f"<TEL><NUMBER>{number}</NUMBER></TEL>" for number in range(300))
    assert condition(romeo.iq("set", f"<vCard xmlns='{TEMP}'>{many}</vCard>")) == ("not-acceptable",)
    assert condition(romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")) == ("item-not-found",)
    romeo.iq("set", OLD)
    romeo.iq("set", f"<vCard xmlns='{TEMP}'>{many}</vCard>")
    assert fn(romeo.iq("get", f"<vCard xmlns='{TEMP}'/>")) == "Peter Saint-Andre"
