"""XEP-0030, XEP-0128: who learns what, and from whom."""

from tests.client import subscribe_both
from tests.conftest import CONFIG, Account, Place

INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


def ask(client, namespace, to=None, node=None):
    number = client.fresh()
    to = f" to='{to}'" if to else ""
    node = f" node='{node}'" if node else ""
    client.send(f"<iq type='get' id='{number}'{to}><query xmlns='{namespace}'{node}/></iq>")
    return number


def error(number, condition, type="cancel"):
    return (
        f"<iq type='error' id='{number}'><error type='{type}'><{condition} xmlns='{STANZAS}'/></error></iq>"
    )


def features(answer):
    return [feature.get("var") for feature in answer.iter(f"{{{INFO}}}feature")]


def test_the_server_says_what_it_is_and_can(romeo):
    number = ask(romeo, INFO, romeo.domain)
    answer = romeo.gets(
        f"<iq type='result' id='{number}' from='{romeo.domain}'><query xmlns='{INFO}' node='!absent'>"
        "<identity category='server' type='im' name='...'/>"
        f"<feature var='{INFO}'/><feature var='{ITEMS}'/><feature var='urn:xmpp:ping'/>"
        "<feature var='jabber:iq:version'/><feature var='vcard-temp'/><feature var='jabber:iq:roster'/>"
        "<feature var='http://jabber.org/protocol/pubsub'/>"
        "<feature var='http://jabber.org/protocol/pubsub#access-whitelist'/></query></iq>"
    )
    found = features(answer)
    assert found == sorted(set(found))


def test_the_server_answers_a_stranger_of_another_host(make_client, account, topology):
    guest = make_client(account("guest", topology.juliet), available=False)
    number = ask(guest, INFO, topology.romeo.domain)
    guest.gets(
        f"<iq type='result' id='{number}'><query xmlns='{INFO}'><identity category='server'/></query></iq>"
    )


def test_other_hosts_are_not_items_of_this_one(romeo):
    number = ask(romeo, ITEMS, romeo.domain)
    romeo.gets(
        f"<iq type='result' id='{number}'><query xmlns='{ITEMS}'>"
        "<item jid='other.localhost'>!absent</item></query></iq>"
    )


def test_items_may_be_declared(start_server, account, make_client):
    modules = {**CONFIG["modules"], "disco": {"items": ["rooms.example.org"], "title": "Verona"}}
    server = start_server({**CONFIG, "modules": modules})
    client = make_client(account("romeo", Place(server, "localhost")), available=False)
    number = ask(client, ITEMS, "localhost")
    client.gets(
        f"<iq type='result' id='{number}'><query xmlns='{ITEMS}'><item jid='rooms.example.org'/></query></iq>"
    )
    number = ask(client, INFO, "localhost")
    client.gets(f"<iq id='{number}'><query xmlns='{INFO}'><identity name='Verona'/></query></iq>")


def test_nobody_has_a_node_that_nobody_made(romeo):
    for namespace in (INFO, ITEMS):
        for to in (romeo.domain, romeo.bare):
            romeo.gets(error(ask(romeo, namespace, to, "no-such-node"), "item-not-found"))


def test_a_user_sees_the_own_account(romeo):
    for to in (None, romeo.bare):
        number = ask(romeo, INFO, to)
        romeo.gets(
            f"<iq type='result' id='{number}'><query xmlns='{INFO}'>"
            f"<identity category='account' type='registered'/><feature var='{INFO}'/></query></iq>"
        )
    number = ask(romeo, ITEMS, romeo.bare)
    romeo.gets(
        f"<iq type='result' id='{number}'><query xmlns='{ITEMS}'><item jid='{romeo.jid}'/></query></iq>"
    )


def test_a_stranger_learns_nothing_of_an_account(romeo, juliet):
    nobody = f"nobody@{juliet.domain}"
    for to in (juliet.bare, nobody):
        romeo.gets(error(ask(romeo, INFO, to), "service-unavailable"))
        romeo.gets(error(ask(romeo, INFO, to, "node"), "service-unavailable"))
        for node in (None, "node"):
            number = ask(romeo, ITEMS, to, node)
            romeo.gets(
                f"<iq type='result' id='{number}' from='{to}'><query xmlns='{ITEMS}'>"
                "<item>!absent</item></query></iq>"
            )


def test_a_contact_learns_of_an_account_and_its_resources(romeo, juliet):
    subscribe_both(romeo, juliet)
    number = ask(romeo, INFO, juliet.bare)
    answer = romeo.gets(
        f"<iq type='result' id='{number}' from='{juliet.bare}'><query xmlns='{INFO}'>"
        "<identity category='account' type='registered'/><feature var='vcard-temp'/></query></iq>"
    )
    assert "jabber:iq:private" not in features(answer)
    number = ask(romeo, ITEMS, juliet.bare)
    romeo.gets(
        f"<iq type='result' id='{number}'><query xmlns='{ITEMS}'><item jid='{juliet.jid}'/></query></iq>"
    )
    romeo.gets(error(ask(romeo, INFO, juliet.bare, "no-such-node"), "item-not-found"))


def test_a_resource_answers_for_itself(romeo, juliet):
    number = ask(romeo, INFO, juliet.jid)
    juliet.gets(f"<iq type='get' id='{number}' from='{romeo.jid}'><query xmlns='{INFO}'/></iq>")
    juliet.send(f"<iq type='result' id='{number}' to='{romeo.jid}'><query xmlns='{INFO}'/></iq>")
    romeo.gets(f"<iq type='result' id='{number}' from='{juliet.jid}'/>")


def test_the_account_of_a_guest_is_anonymous(start_server, make_client):
    server = start_server({**CONFIG, "hosts": {"localhost": {"anonymous": True}}})
    guest = make_client(Account("", "", Place(server, "localhost")), available=False)
    answer = guest.iq("get", f"<query xmlns='{INFO}'/>", to=guest.bare)
    identities = [(each.get("category"), each.get("type")) for each in answer.iter(f"{{{INFO}}}identity")]
    assert identities == [("account", "anonymous")]
    kept = ("pubsub", "bookmarks", "private", "vcard", "pep", "mds")
    assert [each for each in features(answer) if any(word in each for word in kept)] == []
    create = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='mine'/></pubsub>"
    answer = guest.iq("set", create, to="pubsub.localhost")
    assert answer.find(f".//{{{STANZAS}}}forbidden") is not None  # nobody would own the node afterwards
