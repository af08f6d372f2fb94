"""XEP-0054: vcard-temp."""

from tests.conftest import CONFIG, Account, Place

NS = "vcard-temp"
CARD = f"<vCard xmlns='{NS}'><FN>Romeo &amp; Co</FN><N><FAMILY>Montague</FAMILY><MIDDLE/></N></vCard>"
EMPTY = f"<vCard xmlns='{NS}'/>"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def keep(client, card=CARD):
    client.send(f"<iq type='set' id='keep'>{card}</iq>")
    client.gets("<iq type='result' id='keep'/>")


def test_a_card_is_kept_and_replaced_as_a_whole(romeo):
    keep(romeo)
    for number, to in enumerate((f" to='{romeo.bare}'", "")):
        romeo.send(f"<iq type='get' id='v{number}'{to}>{EMPTY}</iq>")
        romeo.gets(f"<iq type='result' id='v{number}'>{CARD}</iq>")
    keep(romeo, f"<vCard xmlns='{NS}'><FN>R</FN></vCard>")
    romeo.send(f"<iq type='get' id='v'>{EMPTY}</iq>")
    romeo.gets(f"<iq type='result' id='v'><vCard xmlns='{NS}'><FN>R</FN><N>!absent</N></vCard></iq>")


def test_an_empty_card_removes_it(romeo):
    keep(romeo)
    keep(romeo, EMPTY)
    romeo.send(f"<iq type='get' id='v'>{EMPTY}</iq>")
    romeo.gets(
        f"<iq type='error' id='v'><error type='cancel'><item-not-found xmlns='{STANZAS}'/></error></iq>"
    )


def test_anybody_may_read_it(romeo, juliet):
    keep(romeo)
    juliet.send(f"<iq type='get' id='v' to='{romeo.bare}'>{EMPTY}</iq>")
    juliet.gets(f"<iq type='result' id='v' from='{romeo.bare}'>{CARD}</iq>")


def test_no_card_looks_like_no_account(romeo, juliet):
    for number, to in enumerate((juliet.bare, f"nobody@{juliet.domain}")):
        romeo.send(f"<iq type='get' id='v{number}' to='{to}'>{EMPTY}</iq>")
        romeo.gets(
            f"<iq type='error' id='v{number}' from='{to}'><error type='cancel'>"
            f"<service-unavailable xmlns='{STANZAS}'/></error></iq>"
        )


def test_nobody_writes_on_the_card_of_another(romeo, juliet):
    keep(juliet)
    romeo.send(f"<iq type='set' id='v' to='{juliet.bare}'><vCard xmlns='{NS}'><FN>Fool</FN></vCard></iq>")
    romeo.gets(f"<iq type='error' id='v'><error type='auth'><forbidden xmlns='{STANZAS}'/></error></iq>")
    romeo.send(f"<iq type='get' id='w' to='{juliet.bare}'>{EMPTY}</iq>")
    romeo.gets(f"<iq type='result' id='w'>{CARD}</iq>")


def test_a_card_has_a_largest_size(start_server, account, make_client):
    server = start_server({**CONFIG, "modules": {**CONFIG["modules"], "vcard": {"max_size": 200}}})
    client = make_client(account("romeo", Place(server, "localhost")), available=False)
    keep(client)
    client.send(f"<iq type='set' id='v'><vCard xmlns='{NS}'><DESC>{'é' * 100}</DESC></vCard></iq>")
    client.gets(f"<iq type='error' id='v'><error><policy-violation xmlns='{STANZAS}'/></error></iq>")
    client.send(f"<iq type='get' id='w'>{EMPTY}</iq>")
    client.gets(f"<iq type='result' id='w'>{CARD}</iq>")


def test_guests_keep_nothing(start_server, make_client):
    server = start_server({**CONFIG, "hosts": {"localhost": {"anonymous": True}}})
    guest = make_client(Account("", "", Place(server, "localhost")), available=False)
    guest.send(f"<iq type='set' id='v'>{CARD}</iq>")
    guest.gets(f"<iq type='error' id='v'><error><not-allowed xmlns='{STANZAS}'/></error></iq>")
