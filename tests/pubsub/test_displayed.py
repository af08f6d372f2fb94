"""XEP-0490: the examples that a server answers, by their number, and what goes beside."""

from tests.pubsub.words import INFO, NS, condition, event, ids, items, listen, publish, pubsub

MDS = "urn:xmpp:mds:displayed:0"
OPTIONS = {
    "persist_items": "true",
    "max_items": "max",
    "send_last_published_item": "never",
    "access_model": "whitelist",
}


def displayed(id, by):
    return f"<displayed xmlns='{MDS}'><stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='{id}'/></displayed>"


def test_examples_1_to_4_a_chat_is_marked_and_the_marks_are_read(romeo):
    for chat in ("juliet@montegue.example", "example@conference.shakespeare.example"):
        assert publish(romeo, MDS, chat, displayed("a1", romeo.bare), **OPTIONS).get("type") == "result"
    found = items(romeo, MDS)
    assert ids(found) == ["juliet@montegue.example", "example@conference.shakespeare.example"]
    assert found.find(f".//{{{MDS}}}displayed")[0].get("id") == "a1"


def test_examples_5_and_6_the_account_says_that_it_assists(romeo):
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=romeo.bare)[0]
    assert "urn:xmpp:mds:server-assist:0" in [each.get("var") for each in info]


def test_examples_8_to_10_one_message_tells_the_other_side_and_ones_own_clients(romeo, juliet, make_client):
    phone = make_client(romeo.account, resource="phone")
    phone.iq("set", "<enable xmlns='urn:xmpp:carbons:2'/>")
    listen(phone, MDS)
    marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='the-msg-1'/>"
    store = "<store xmlns='urn:xmpp:hints'/>"
    romeo.send(
        f"<message to='{juliet.bare}' type='chat' id='m1'>{marker}{displayed('s1', romeo.bare)}{store}</message>"
    )
    got = juliet.gets(f"<message from='{romeo.jid}'>{marker}{store}</message>", 10)
    assert MDS not in "".join(each.tag for each in got.iter())
    phone.gets(event(MDS, f"<item id='{juliet.bare}'>{displayed('s1', romeo.bare)}</item>", romeo.bare))
    carbon = phone.gets("<message><sent xmlns='urn:xmpp:carbons:2'/></message>")
    assert MDS not in "".join(each.tag for each in carbon.iter())
    assert ids(items(romeo, MDS)) == [juliet.bare]
    form = romeo.iq("get", pubsub(f"<configure node='{MDS}'/>", NS + "#owner"))
    values = {each.get("var"): each[0].text for each in form.iter("{jabber:x:data}field") if len(each)}
    assert values["pubsub#access_model"] == "whitelist" and values["pubsub#max_items"] == "max"


def test_markers_of_several_chats_stay_where_a_client_has_made_room_for_one(romeo, juliet):
    publish(romeo, MDS, "first@montegue.example", displayed("a", romeo.bare), access_model="whitelist")
    romeo.send(
        f"<message to='{juliet.bare}' type='chat' id='m1'><body>hi</body>{displayed('s1', romeo.bare)}</message>"
    )
    juliet.gets(f"<message from='{romeo.jid}'/>", 10)
    assert ids(items(romeo, MDS)) == ["first@montegue.example", juliet.bare]


def test_markers_that_a_client_sets_without_a_word_are_private_and_all_stay(romeo, juliet):
    for chat in ("first@montegue.example", "second@montegue.example"):
        publish(romeo, MDS, chat, displayed("a", romeo.bare))
    assert ids(items(romeo, MDS)) == ["first@montegue.example", "second@montegue.example"]
    assert condition(items(juliet, MDS, romeo.bare)) == ("not-allowed", "closed-node")


def test_a_message_has_one_marker(romeo, juliet):
    many = displayed("s1", romeo.bare) * 1000
    romeo.send(f"<message to='{juliet.bare}' type='chat' id='many'><body>hi</body>{many}</message>")
    error = romeo.gets("<message id='many' type='error'/>")
    assert condition(error) == ("bad-request",)
    romeo.send(
        f"<message to='{juliet.bare}' type='chat' id='two'><body>hi</body>{displayed('s1', romeo.bare) * 2}</message>"
    )
    romeo.gets("<message id='two' type='error'/>")
    assert condition(items(romeo, MDS)) == ("item-not-found",)
