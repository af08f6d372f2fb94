"""XEP-0402 in step with XEP-0048 in private XML."""

import pytest

from tests.client import subscribe_both
from tests.pubsub.words import INFO, NS, OWNER, condition, event, ids, items, listen, publish, pubsub

NODE = "urn:xmpp:bookmarks:1"
OLD = "storage:bookmarks"
PRIVATE = "jabber:iq:private"


def store(client, inner):
    return client.iq("set", f"<query xmlns='{PRIVATE}'><storage xmlns='{OLD}'>{inner}</storage></query>")


def stored(client):
    """{jid: (name, autojoin, nick)} as an older client sees it, and the number of other bookmarks."""
    answer = client.iq("get", f"<query xmlns='{PRIVATE}'><storage xmlns='{OLD}'/></query>")
    storage = answer[0][0]
    rooms = {
        each.get("jid"): (each.get("name"), each.get("autojoin"), each.findtext(f"{{{OLD}}}nick"))
        for each in storage.findall(f"{{{OLD}}}conference")
    }
    return rooms, len(storage) - len(rooms)


def room(name, nick="JC", more=""):
    return f"<conference xmlns='{NODE}' name='{name}' autojoin='true'><nick>{nick}</nick>{more}</conference>"


def test_the_account_says_so(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
    assert f"{NODE}#compat" in [each.get("var") for each in info]


def test_what_a_new_client_publishes_an_old_one_finds(romeo):
    assert stored(romeo) == ({}, 0)
    extensions = "<extensions><state xmlns='urn:example' minimized='true'/></extensions>"
    publish(
        romeo,
        NODE,
        "play@rooms.example",
        room("The Play", more=extensions),
        access_model="whitelist",
        max_items="max",
    )
    assert stored(romeo) == ({"play@rooms.example": ("The Play", "true", "JC")}, 0)
    store(
        romeo,
        "<conference jid='play@rooms.example' name='The Thing' autojoin='1'><nick>JC</nick></conference>",
    )
    found = items(romeo, NODE)
    assert found.find(f".//{{{NODE}}}conference").get("name") == "The Thing"
    assert found.find(".//{urn:example}state").get("minimized") == "true"


def test_what_an_old_client_stores_a_new_one_finds_and_hears(romeo, make_client):
    listen(romeo, NODE)
    other = make_client(romeo.account, resource="old")
    both = (
        "<conference jid='a@rooms.example' name='A'/><conference jid='b@rooms.example' name='B'/>"
        "<url name='Works' url='http://example.org/'/>"
    )
    assert condition(store(other, both)) == ("result",)
    assert sorted(ids(items(romeo, NODE))) == ["a@rooms.example", "b@rooms.example"]
    romeo.gets(event(NODE, "<item id='a@rooms.example'/>", romeo.bare))
    assert stored(other)[1] == 1
    store(other, "<conference jid='b@rooms.example' name='B'/>")
    romeo.gets(event(NODE, "<retract id='a@rooms.example'/>", romeo.bare))
    romeo.nothing("<message/>")  # b is as it was
    romeo.iq("set", pubsub(f"<retract node='{NODE}'><item id='b@rooms.example'/></retract>", NS))
    assert stored(other) == ({}, 0)


def test_bookmarks_from_before_are_taken_over(start_server, account, make_client):
    from tests.conftest import CONFIG, Place

    old = {**CONFIG, "modules": {**CONFIG["modules"], "bookmarks": False}}
    server = start_server(old)
    romeo = account("romeo", Place(server, "localhost"))
    client = make_client(romeo)
    store(client, "<conference jid='a@rooms.example' name='A'/><url name='Works' url='http://example.org/'/>")
    server.stop()
    server = start_server(CONFIG)
    client = make_client(romeo._replace(place=Place(server, "localhost")))
    assert ids(items(client, NODE)) == ["a@rooms.example"]
    assert stored(client) == ({"a@rooms.example": ("A", None, None)}, 1)


def test_bookmarks_of_an_imported_account_are_taken_over(server, make_client, tmp_path):
    from tests.conftest import Account, Place

    rooms = "<storage xmlns='storage:bookmarks'><conference jid='b@rooms.example' name='B'/></storage>"
    file = tmp_path / "nurse.xml"
    file.write_text(
        "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='angelica' password='secret'>"
        f"<query xmlns='jabber:iq:private'>{rooms}</query></user></host></server-data>"
    )
    server.ctl("accounts", "import", str(file))
    client = make_client(Account("angelica", "secret", Place(server, "localhost")))
    assert ids(items(client, NODE)) == ["b@rooms.example"]


def copied(client):
    """{jid: name} of the node of XEP-0048."""
    found = items(client, OLD)
    return {each.get("jid"): each.get("name") for each in found.iter(f"{{{OLD}}}conference")}


def test_the_account_says_that_it_converts(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
    found = [each.get("var") for each in info]
    assert {f"{NODE}#compat-pep", "urn:xmpp:bookmarks-conversion:0"} <= set(found)


def test_three_forms_are_in_step_whoever_writes(romeo, make_client):
    """XEP-0402 section 5, XEP-0411."""
    listen(romeo, NODE)
    middle = make_client(romeo.account, resource="middle")
    listen(middle, OLD)
    publish(romeo, NODE, "a@rooms.example", room("A"), access_model="whitelist", max_items="max")
    middle.gets(event(OLD, "<item id='current'/>", romeo.bare))
    assert copied(romeo) == {"a@rooms.example": "A"}
    assert stored(romeo)[0].keys() == {"a@rooms.example"}
    both = (
        f"<storage xmlns='{OLD}'><conference jid='a@rooms.example' name='A' autojoin='true'><nick>JC</nick></conference>"
        "<conference jid='b@rooms.example' name='B'/><url name='Works' url='http://example.org/'/></storage>"
    )
    romeo.inbox.clear()
    assert condition(publish(middle, OLD, "current", both)) == ("result",)
    romeo.gets(event(NODE, "<item id='b@rooms.example'/>", romeo.bare))
    romeo.nothing("<message/>")  # a is as it was
    assert ids(items(romeo, NODE)) == ["a@rooms.example", "b@rooms.example"]
    assert stored(romeo) == (
        {"a@rooms.example": ("A", "true", "JC"), "b@rooms.example": ("B", None, None)}, 1
    )  # fmt: skip
    middle.inbox.clear()
    store(romeo, "<conference jid='b@rooms.example' name='C'/>")
    middle.gets(event(OLD, "<item id='current'/>", romeo.bare))
    middle.nothing("<message/>")  # once, however many changed
    assert copied(romeo) == {"b@rooms.example": "C"}
    romeo.iq("set", pubsub(f"<retract node='{NODE}'><item id='b@rooms.example'/></retract>", NS))
    assert copied(romeo) == {}


def test_bookmarks_that_others_could_read_are_closed(romeo, juliet):
    publish(romeo, OLD, "current", f"<storage xmlns='{OLD}'/>", access_model="open")
    publish(romeo, NODE, "a@rooms.example", room("A"), access_model="whitelist", max_items="max")
    assert condition(items(juliet, OLD, romeo.bare)) == ("not-allowed", "closed-node")
    assert copied(romeo) == {"a@rooms.example": "A"}


def test_what_an_old_client_keeps_private_is_not_shown_to_contacts(romeo, juliet):
    """A program may make a node that contacts may read."""
    subscribe_both(romeo, juliet)
    publish(romeo, NODE, "a@rooms.example", room("A"), access_model="presence", max_items="1")
    assert condition(items(juliet, NODE, romeo.bare)) == ("result",)
    store(romeo, "<conference jid='b@rooms.example' name='B'/>")
    assert condition(items(juliet, NODE, romeo.bare)) == ("not-allowed", "closed-node")
    assert ids(items(romeo, NODE)) == ["b@rooms.example"]


@pytest.mark.parametrize("node", [NODE, OLD])
def test_whoever_says_nothing_of_access_keeps_his_bookmarks_for_himself(romeo, juliet, node):
    subscribe_both(romeo, juliet)
    listen(juliet, node)
    if node == NODE:
        for name in "abc":
            publish(romeo, NODE, f"{name}@rooms.example", room(name.upper()))
        assert len(ids(items(romeo, NODE))) == 3
    else:
        inner = "<conference jid='a@rooms.example'><password>secret</password></conference>"
        publish(romeo, OLD, "current", f"<storage xmlns='{OLD}'>{inner}</storage>")
    assert condition(items(juliet, node, romeo.bare)) == ("not-allowed", "closed-node")
    juliet.nothing("<message/>")


def test_a_list_of_an_old_client_fits_where_a_new_one_has_made_room_for_a_single_item(romeo):
    """Some programs publish their first bookmark without `max_items`."""
    publish(romeo, NODE, "a@rooms.example", room("A"), access_model="whitelist")
    three = "".join(f"<conference jid='{name}@rooms.example' name='{name.upper()}'/>" for name in "abc")
    assert condition(store(romeo, three)) == ("result",)
    assert sorted(ids(items(romeo, NODE))) == [f"{name}@rooms.example" for name in "abc"]
    assert copied(romeo) == {f"{name}@rooms.example": name.upper() for name in "abc"}
    assert stored(romeo)[0].keys() == copied(romeo).keys()
    publish(romeo, NODE, "d@rooms.example", room("D"))
    assert len(copied(romeo)) == 4


def test_a_bookmark_of_any_size_stays_out_of_the_older_forms(romeo):
    publish(romeo, NODE, "a@rooms.example", room("A"), access_model="whitelist", max_items="max")
    publish(romeo, NODE, "b@rooms.example", room("B" * 100_000))
    assert copied(romeo) == {"a@rooms.example": "A"}
    assert stored(romeo)[0].keys() == {"a@rooms.example"}
    store(romeo, "<conference jid='a@rooms.example' name='C'/>")
    assert ids(items(romeo, NODE)) == ["b@rooms.example", "a@rooms.example"]


def test_a_list_that_cannot_be_taken_apart_is_refused(romeo):
    many = "".join(f"<conference jid='r{number}@rooms.example'/>" for number in range(1001))
    refused = publish(romeo, OLD, "current", f"<storage xmlns='{OLD}'>{many}</storage>")
    assert condition(refused) == ("policy-violation",)
    assert condition(publish(romeo, OLD, "current", "<other xmlns='urn:test'/>")) == ("bad-request",)
    assert condition(items(romeo, OLD)) == ("item-not-found",)


def in_pep(client):
    """The rooms of `storage:bookmarks`."""
    return [each.get("jid") for each in items(client, OLD).iter(f"{{{OLD}}}conference")]


@pytest.mark.parametrize(
    "takes",
    [
        f"<delete node='{NODE}'/>",
        f"<purge node='{NODE}'/>",
        f"<retract node='{NODE}'><item id='a@rooms.example'/></retract>",
    ],
)
def test_who_takes_all_bookmarks_away_has_none_in_any_form(romeo, takes):
    options = {"access_model": "whitelist", "max_items": "max"}
    publish(romeo, NODE, "a@rooms.example", room("A"), **options)
    assert in_pep(romeo) == ["a@rooms.example"]
    assert condition(romeo.iq("set", pubsub(takes, NS if "retract" in takes else OWNER))) == ("result",)
    assert in_pep(romeo) == [] and stored(romeo) == ({}, 0)
    publish(romeo, NODE, "b@rooms.example", room("B"), **options)
    assert in_pep(romeo) == list(stored(romeo)[0]) == ["b@rooms.example"]


@pytest.mark.parametrize(
    "takes",
    [
        f"<delete node='{OLD}'/>",
        f"<purge node='{OLD}'/>",
        f"<retract node='{OLD}' notify='1'><item id='current'/></retract>",
    ],
)
def test_a_copy_that_is_taken_away_is_made_again(romeo, takes):
    """A client that cleans up after its change to XEP-0402 takes no bookmarks away."""
    publish(romeo, NODE, "a@rooms.example", room("A"), access_model="whitelist", max_items="max")
    listen(romeo, OLD)
    romeo.sync()
    romeo.inbox.clear()
    assert condition(romeo.iq("set", pubsub(takes, NS if "retract" in takes else OWNER))) == ("result",)
    romeo.gets(event(OLD, "<item id='current'/>", romeo.bare), 10)
    assert in_pep(romeo) == list(stored(romeo)[0]) == ids(items(romeo, NODE)) == ["a@rooms.example"]


def test_a_copy_that_a_crash_has_left_behind_is_made_again(start_server, account, make_client):
    """Here the module is off while a room is added, and while one is removed."""
    from tests.conftest import CONFIG, Place

    server = start_server(CONFIG)
    romeo = account("romeo", Place(server, "localhost"))
    client = make_client(romeo)
    options = {"access_model": "whitelist", "max_items": "max"}
    publish(client, NODE, "a@rooms.example", room("A"), **options)
    assert list(copied(client)) == ["a@rooms.example"]
    for wanted in (["a@rooms.example", "b@rooms.example"], ["b@rooms.example"]):
        server.stop()
        server = start_server({**CONFIG, "modules": {**CONFIG["modules"], "bookmarks": False}})
        client = make_client(romeo._replace(place=Place(server, "localhost")))
        if len(wanted) == 2:
            publish(client, NODE, "b@rooms.example", room("B"))
        else:
            client.iq("set", pubsub(f"<retract node='{NODE}'><item id='a@rooms.example'/></retract>", NS))
        server.stop()
        server = start_server(CONFIG)
        client = make_client(romeo._replace(place=Place(server, "localhost")), available=False)
        listen(client, OLD)
        while list(copied(client)) != wanted:  # each question is a turn
            client.sync()
