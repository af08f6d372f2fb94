"""What a node keeps: an acknowledged item, as many as its configuration says, in the order of publishing."""

from tests.conftest import CONFIG, Place
from tests.pubsub.words import OWNER, ids, items, publish, pubsub


def test_no_more_than_the_newest_are_shown_however_many_were_published(romeo):
    for number in range(30):
        publish(romeo, "two", f"i{number}", max_items="2")
        if number in (0, 1, 2, 19, 20, 21):
            assert ids(items(romeo, "two")) == [f"i{each}" for each in range(max(number - 1, 0), number + 1)]
    assert ids(items(romeo, "two")) == ["i28", "i29"]
    old = romeo.iq("get", pubsub("<items node='two'><item id='i27'/></items>"))
    assert ids(old) == []
    gone = romeo.iq("set", pubsub("<retract node='two'><item id='i27'/></retract>"))
    assert gone.get("type") == "error"
    publish(romeo, "two", "i28")  # once more: it is the newest now
    assert ids(items(romeo, "two")) == ["i29", "i28"]


def test_what_was_acknowledged_is_there_after_kill_9_and_no_more_than_that(
    start_server, account, make_client
):
    server = start_server(CONFIG)
    romeo = make_client(account("romeo", Place(server, "localhost")))
    for number in range(5):
        publish(romeo, "two", f"i{number}", max_items="2")
        publish(romeo, "max", f"i{number}", max_items="max")
    server.kill9()
    server.start()
    again = make_client(romeo.account)
    assert ids(items(again, "two")) == ["i3", "i4"]
    assert ids(items(again, "max")) == [f"i{number}" for number in range(5)]
    publish(again, "max", "i0")
    assert ids(items(again, "max")) == ["i1", "i2", "i3", "i4", "i0"]


def test_a_node_of_the_same_name_begins_empty(romeo):
    publish(romeo, "again", "old")
    romeo.iq("set", pubsub("<delete node='again'/>", OWNER))
    publish(romeo, "again", "new", max_items="max")
    assert ids(items(romeo, "again")) == ["new"]
