"""XEP-0055: users who want to be found are found."""

import pytest

from tests.conftest import CONFIG, Place
from tests.pubsub.words import INFO, condition, configure, publish
from tests.server import ServerProcess

NS, REGISTER, RSM, FORMS = (
    "jabber:iq:search",
    "jabber:iq:register",
    "http://jabber.org/protocol/rsm",
    "jabber:x:data",
)
WHERE = "directory.localhost"


@pytest.fixture(scope="module")
def place(tmp_path_factory, databases):
    """The directory is off by default: a server of its own for all tests here."""
    folder = tmp_path_factory.mktemp("directory")
    config = {**databases(folder), **CONFIG, "services": {"directory": {"enabled": True, "page": 3}}}
    process = ServerProcess(config, folder)
    yield Place(process, "localhost")
    assert process.stop() == 0


@pytest.fixture
def person(account, make_client, place):
    """`person(first, last, ...)`: a new client whose user has that vCard."""

    def make(first="", last="", nick="", email="", listed=True, domain="localhost"):
        client = make_client(account("person", Place(place.server, domain)))
        name = f"<N><FAMILY>{last}</FAMILY><GIVEN>{first}</GIVEN></N>"
        card = f"<vCard xmlns='vcard-temp'>{name}<NICKNAME>{nick}</NICKNAME><EMAIL><USERID>{email}</USERID></EMAIL></vCard>"
        assert condition(client.iq("set", card)) == ("result",)
        if listed:
            assert condition(client.iq("set", f"<query xmlns='{REGISTER}'/>", to=WHERE)) == ("result",)
        return client

    return make


def search(client, more="", **fields):
    inner = "".join(f"<{name}>{text}</{name}>" for name, text in fields.items())
    return client.iq("set", f"<query xmlns='{NS}'>{inner}{more}</query>", to=WHERE)


def found(answer):
    assert condition(answer) == ("result",)
    return {
        item.get("jid"): {each.tag.rpartition("}")[2]: each.text for each in item}
        for item in answer.iter(f"{{{NS}}}item")
    }


def test_the_directory_is_found_and_says_what_it_searches(person):
    """Examples 1, 2 and 7."""
    client = person()
    items = client.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", to="localhost")
    assert WHERE in [each.get("jid") for each in items[0]]
    info = client.iq("get", f"<query xmlns='{INFO}'/>", to=WHERE)
    identity = info.find(f".//{{{INFO}}}identity")
    assert (identity.get("category"), identity.get("type")) == ("directory", "user")
    assert NS in {each.get("var") for each in info.iter(f"{{{INFO}}}feature")}
    client.send(f"<iq type='get' id='s' to='{WHERE}'><query xmlns='{NS}'/></iq>")
    client.gets(
        f"<iq type='result' id='s'><query xmlns='{NS}'><instructions>...</instructions><first/><last/><nick/><email/>"
        f"<x xmlns='{FORMS}' type='form'><field var='FORM_TYPE' type='hidden'><value>{NS}</value></field>"
        "<field var='first' type='text-single' label='Given Name'/><field var='last'/><field var='nick'/><field var='email'/>"
        "</x></query></iq>"
    )


def test_who_has_registered_is_found_by_the_beginning_of_any_field(person):
    """Examples 3, 4 and 5."""
    juliet = person("Juliet", "Capulet", "JuliC", "juliet@shakespeare.lit")
    tybalt = person("Tybalt", "Capulet", "ty", "tybalt@shakespeare.lit")
    hidden = person("Rosaline", "Capulet", "rose", "rosaline@shakespeare.lit", listed=False)
    assert found(search(hidden, last="CAPU")).keys() == {juliet.bare, tybalt.bare}
    assert found(search(hidden, last="capulet", first="jul")) == {
        juliet.bare: {
            "first": "Juliet",
            "last": "Capulet",
            "nick": "JuliC",
            "email": "juliet@shakespeare.lit",
        }
    }
    assert found(search(hidden, nick="rose")) == {}
    assert found(search(hidden, last="apulet")) == {}
    empty = search(hidden, last="nobody")
    assert condition(empty) == ("result",) and len(empty[0]) == 0


def test_the_form_gives_a_table(person):
    """Examples 8 and 9."""
    benvolio = person("Benvolio", "Montague", "ben", "b@montague.net")
    form = (
        f"<x xmlns='{FORMS}' type='submit'><field var='FORM_TYPE' type='hidden'><value>{NS}</value></field>"
        "<field var='first'><value>benv</value></field><field var='last'/></x>"
    )
    benvolio.send(f"<iq type='set' id='s' to='{WHERE}'><query xmlns='{NS}'>{form}</query></iq>")
    benvolio.gets(
        f"<iq type='result' id='s'><query xmlns='{NS}'><x xmlns='{FORMS}' type='result'><reported><field var='first'/>"
        "<field var='last'/><field var='nick'/><field var='email'/><field var='jid'/></reported><item>"
        "<field var='first'><value>Benvolio</value></field><field var='last'><value>Montague</value></field>"
        f"<field var='jid'><value>{benvolio.bare}</value></field></item></x></query></iq>"
    )
    wrong = form.replace(f"<value>{NS}</value>", "<value>other</value>")
    assert condition(search(benvolio, wrong)) == ("bad-request",)


def test_a_new_vcard_is_found_and_the_old_one_is_not(person):
    client = person("Mercutio", "Escalus", "merc", "m@example.org")
    name = "<vCard xmlns='vcard-temp'><N><FAMILY>Queen Mab</FAMILY><GIVEN>Mercutio</GIVEN></N></vCard>"
    assert condition(client.iq("set", name)) == ("result",)
    assert found(search(client, last="escalus")) == {}
    assert found(search(client, last="queen  mab")) == {
        client.bare: {"first": "Mercutio", "last": "Queen Mab", "nick": None, "email": None}
    }
    card = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><n><surname>Ghost</surname><given>M</given></n></vcard>"
    assert condition(publish(client, "urn:xmpp:vcard4", "a", card, access_model="open")) == ("result",)
    assert client.bare in found(search(client, last="ghost"))


def test_what_strangers_may_not_read_is_not_found(person):
    card = "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><n><surname>Secretive</surname></n></vcard>"
    client = person(listed=False)
    answer = publish(client, "urn:xmpp:vcard4", "a", card)
    configured = "access_model"
    if condition(answer) == ("result",):
        from tests.pubsub.words import configure

        assert condition(configure(client, "urn:xmpp:vcard4", **{configured: "whitelist"})) == ("result",)
    assert condition(client.iq("set", f"<query xmlns='{REGISTER}'/>", to=WHERE)) == ("result",)
    assert found(search(client, last="secretive")) == {}


def test_who_leaves_is_found_no_longer(person, place):
    client = person("Paris", "Count")
    ask = f"<query xmlns='{REGISTER}'/>"
    assert client.iq("get", ask, to=WHERE).find(f".//{{{REGISTER}}}registered") is not None
    assert condition(client.iq("set", f"<query xmlns='{REGISTER}'><remove/></query>", to=WHERE)) == (
        "result",
    )
    assert found(search(client, first="paris")) == {}
    assert client.iq("get", ask, to=WHERE).find(f".//{{{REGISTER}}}registered") is None
    for listed, there in (("1", True), ("0", False)):
        form = (
            f"<query xmlns='{REGISTER}'><x xmlns='{FORMS}' type='submit'>"
            f"<field var='FORM_TYPE'><value>{REGISTER}</value></field>"
            f"<field var='listed'><value>{listed}</value></field></x></query>"
        )
        assert condition(client.iq("set", form, to=WHERE)) == ("result",)
        assert (client.bare in found(search(client, first="paris"))) == there
    other = person("Sampson", "Servant")
    asker = person()
    assert other.bare in found(search(asker, first="sampson"))
    place.server.ctl("accounts", "delete", other.bare)
    assert found(search(asker, first="sampson")) == {}


def test_many_results_come_in_pages(person):
    people = [person(f"Citizen{n}", "Verona") for n in range(5)]
    asker = people[0]

    def page(inner):
        answer = search(
            asker, f"<set xmlns='{RSM}'><max>2</max>{inner}</set>", first="citizen", last="verona"
        )
        rows = [item.get("jid") for item in answer.iter(f"{{{NS}}}item")]
        return rows, answer.findtext(f".//{{{RSM}}}last"), answer.findtext(f".//{{{RSM}}}first")

    everybody = [each.bare for each in people]
    first, last, _ = page("")
    second, last, top = page(f"<after>{last}</after>")
    third, _, _ = page(f"<after>{last}</after>")
    assert first + second + third == everybody
    assert page(f"<before>{top}</before>")[0] == first
    assert page("<before/>")[0] == everybody[-2:]
    assert len(found(search(asker, first="citizen"))) == 3  # no more than a page
    for odd in (f"<after>nobody@{asker.domain}</after>", "<index>1</index>"):
        answer = search(asker, f"<set xmlns='{RSM}'>{odd}</set>", first="citizen")
        assert condition(answer) in {("item-not-found",), ("feature-not-implemented",)}


@pytest.mark.parametrize("fields", [{}, {"first": ""}, {"first": "  "}, {"other": "x"}])
def test_who_asks_for_nothing_gets_nothing(person, fields):
    assert condition(search(person("A", "B"), **fields)) == ("not-acceptable",)


def test_odd_values_are_only_text(person):
    client = person("Odd%", "Under_score", "x" * 5000, "it&apos;s@example.org")
    assert client.bare in found(search(client, first="odd%"))
    assert client.bare not in found(search(client, first="%"))
    assert client.bare in found(search(client, email="it&apos;s"))
    assert client.bare in found(search(client, nick="x" * 5000))
    assert found(search(client, last="_")) == {}


def test_strangers_neither_search_nor_register(person):
    stranger = person("S", "T", listed=False, domain="other.localhost")
    assert condition(search(stranger, first="s")) == ("forbidden",)
    for type in ("get", "set"):
        assert condition(stranger.iq(type, f"<query xmlns='{REGISTER}'/>", to=WHERE)) == ("forbidden",)


def test_who_closes_the_card_is_found_no_longer(person):
    one, other = person("Rosalinde", "Capulet"), person(listed=False)
    assert one.bare in found(search(other, first="rosalinde"))
    assert condition(configure(one, "urn:xmpp:vcard4", access_model="whitelist")) == ("result",)
    assert one.bare not in found(search(other, first="rosalinde"))
