"""XEP-0402 in step with XEP-0048 in private XML."""

from tests.pubsub.words import INFO, NS, answer_caps, condition, event, ids, items, publish, pubsub, show_caps

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
    show_caps(romeo, NODE)
    answer_caps(romeo) if not romeo.inbox else None
    romeo.sync()
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
