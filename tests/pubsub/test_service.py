"""XEP-0060 at pubsub.HOST."""

from tests.pubsub.words import (
    EVENT,
    INFO,
    ITEMS,
    NS,
    OWNER,
    condition,
    configure,
    form,
    ids,
    items,
    publish,
    pubsub,
    tune,
)


def subscribe(client, node, to, jid=None):
    return client.iq("set", pubsub(f"<subscribe node='{node}' jid='{jid or client.bare}'/>"), to=to)


def test_the_host_shows_it(romeo, service):
    found = romeo.iq("get", f"<query xmlns='{ITEMS}'/>", to=romeo.domain)[0]
    assert service in [each.get("jid") for each in found]
    info = romeo.iq("get", f"<query xmlns='{INFO}'/>", to=service)[0]
    assert (info[0].get("category"), info[0].get("type")) == ("pubsub", "service")
    features = {each.get("var") for each in info}
    assert {NS, f"{NS}#publish", f"{NS}#access-whitelist"} <= features
    assert f"{NS}#auto-create" not in features


def test_publish_subscribe_retract(romeo, juliet, service, node):
    made = subscribe(juliet, node, service)
    assert made.find(f".//{{{NS}}}subscription").get("subscription") == "subscribed"
    assert ids(publish(romeo, node, to=service)) == ["i1"]
    juliet.gets(
        f"<message from='{service}' to='{juliet.bare}' type='headline'><event xmlns='{EVENT}'><items node='{node}'>"
        f"<item id='i1'>{tune('La Traviata')}</item></items></event></message>",
        10,
    )
    assert ids(items(juliet, node, service)) == ["i1"]
    assert condition(publish(juliet, node, to=service)) == ("forbidden",)
    romeo.iq("set", pubsub(f"<retract node='{node}' notify='true'><item id='i1'/></retract>"), to=service)
    juliet.gets(
        f"<message><event xmlns='{EVENT}'><items node='{node}'><retract id='i1'/></items></event></message>",
        10,
    )
    gone = juliet.iq("set", pubsub(f"<unsubscribe node='{node}' jid='{juliet.bare}'/>"), to=service)
    assert condition(gone) == ("result",)
    publish(romeo, node, to=service)
    juliet.nothing("<message/>")


def test_whoever_may_not_read_any_longer_is_no_longer_subscribed(romeo, juliet, service, node):
    subscribe(juliet, node, service)
    assert condition(configure(romeo, node, service, access_model="whitelist")) == ("result",)
    juliet.gets(
        f"<message from='{service}'><event xmlns='{EVENT}'><subscription node='{node}' jid='{juliet.bare}'"
        " subscription='none'/></event></message>",
        10,
    )
    assert condition(items(juliet, node, service)) == ("not-allowed", "closed-node")
    change = (
        f"<affiliations node='{node}'><affiliation jid='{juliet.bare}' affiliation='{{}}'/></affiliations>"
    )
    romeo.iq("set", pubsub(change.format("member"), OWNER), to=service)
    assert ids(items(juliet, node, service)) == []
    subscribe(juliet, node, service)
    romeo.iq("set", pubsub(change.format("outcast"), OWNER), to=service)
    juliet.gets(f"<message><event xmlns='{EVENT}'><subscription subscription='none'/></event></message>", 10)
    assert condition(subscribe(juliet, node, service)) == ("forbidden",)


def test_pages(romeo, service, node):
    for number in range(7):
        publish(romeo, node, item=f"i{number}", to=service)

    def page(inner, **attrs):
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{inner}</set>"
        answer = romeo.iq("get", pubsub(f"<items node='{node}'/>{rsm}"), to=service)
        found = answer.find(".//{http://jabber.org/protocol/rsm}set")
        return ids(answer), found.findtext("{http://jabber.org/protocol/rsm}count")

    assert page("<max>3</max>") == (["i0", "i1", "i2"], "7")
    assert page("<max>3</max><after>i2</after>") == (["i3", "i4", "i5"], "7")
    assert page("<max>3</max><before/>") == (["i4", "i5", "i6"], "7")
    assert page("<max>3</max><before>i1</before>") == (["i0"], "7")
    assert page("<max>0</max>") == ([], "7")
    assert ids(items(romeo, node, service, max_items=2)) == ["i5", "i6"]
    assert ids(items(romeo, node, service, inner="<item id='i3'/><item id='i1'/>")) == ["i3", "i1"]
    configure(romeo, node, service, max_items="2")
    assert ids(items(romeo, node, service)) == ["i5", "i6"]


def test_nodes_and_items_in_pages(romeo, service):
    """XEP-0030 with XEP-0059."""
    names = [f"page-{romeo.user}-{number}" for number in range(5)]
    parent = f"parent-{romeo.user}"
    create = f"<create node='{parent}'/><configure>{form('node_config', node_type='collection')}</configure>"
    romeo.iq("set", pubsub(create), to=service)
    for name in names:
        create = f"<create node='{name}'/><configure>{form('node_config', collection=parent)}</configure>"
        romeo.iq("set", pubsub(create), to=service)

    def page(inner):
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'>{inner}</set>"
        answer = romeo.iq("get", f"<query xmlns='{ITEMS}' node='{parent}'>{rsm}</query>", to=service)
        if answer.get("type") == "error":
            return condition(answer)
        set_ = answer.find(".//{http://jabber.org/protocol/rsm}set")
        first = set_.find("{http://jabber.org/protocol/rsm}first")
        index = None if first is None else first.get("index")
        count = set_.findtext("{http://jabber.org/protocol/rsm}count")
        return [each.get("node") for each in answer.iter(f"{{{ITEMS}}}item")], index, count

    assert page("<max>2</max>") == (names[:2], "0", "5")
    assert page(f"<max>2</max><after>{names[1]}</after>") == (names[2:4], "2", "5")
    assert page("<max>2</max><before/>") == (names[3:], "3", "5")
    assert page(f"<max>2</max><before>{names[1]}</before>") == (names[:1], "0", "5")
    assert page("<max>0</max>") == ([], None, "5")
    assert page("<after>none</after>") == ("item-not-found",)


def test_what_is_kept_survives(start_server, account, make_client):
    from tests.conftest import CONFIG, Place

    server = start_server(CONFIG)
    romeo = make_client(account("romeo", Place(server, "localhost")))
    create = f"<create node='n'/><configure>{form('node_config', title='Verona', access_model='whitelist')}</configure>"
    assert condition(romeo.iq("set", pubsub(create), to="pubsub.localhost")) == ("result",)
    assert ids(publish(romeo, "n", to="pubsub.localhost")) == ["i1"]
    assert ids(publish(romeo, "own")) == ["i1"]
    configure(romeo, "n", "pubsub.localhost", access_model="authorize")
    juliet = make_client(account("juliet", Place(server, "localhost")))
    assert condition(subscribe(juliet, "n", "pubsub.localhost")) == ("result",)
    shows = "<field var='pubsub#show-values'><value>away</value></field>"
    kind = f"<field var='FORM_TYPE'><value>{NS}#subscribe_options</value></field>"
    wish = f"<options><x xmlns='jabber:x:data' type='submit'>{kind}{shows}</x></options>"
    mine = pubsub(f"<subscribe node='n' jid='{romeo.bare}'/>{wish}")
    assert condition(romeo.iq("set", mine, to="pubsub.localhost")) == ("result",)
    inner = f"<create node='all'/><configure>{form('node_config', node_type='collection', children='n')}</configure>"
    assert condition(romeo.iq("set", pubsub(inner), to="pubsub.localhost")) == ("result",)
    server.kill9()
    server = start_server(CONFIG)
    romeo = make_client(romeo.account._replace(place=Place(server, "localhost")))
    assert ids(items(romeo, "n", "pubsub.localhost")) == ["i1"]
    assert ids(items(romeo, "own")) == ["i1"]
    shown = romeo.iq("get", pubsub("<configure node='n'/>", OWNER), to="pubsub.localhost")
    values = {
        each.get("var"): each.findtext("{jabber:x:data}value") for each in shown.iter("{jabber:x:data}field")
    }
    assert values["pubsub#title"] == "Verona" and values["pubsub#access_model"] == "authorize"
    assert values["pubsub#collection"] == "all"
    juliet = make_client(juliet.account._replace(place=Place(server, "localhost")))
    for client, state in ((romeo, "subscribed"), (juliet, "pending")):
        found = client.iq("get", pubsub("<subscriptions/>"), to="pubsub.localhost")
        assert [each.get("subscription") for each in found.iter(f"{{{NS}}}subscription")] == [state]
    shown = romeo.iq("get", pubsub(f"<options node='n' jid='{romeo.bare}'/>"), to="pubsub.localhost")
    field = next(
        each for each in shown.iter("{jabber:x:data}field") if each.get("var") == "pubsub#show-values"
    )
    assert [each.text for each in field.findall("{jabber:x:data}value")] == ["away"]


def test_wrong_requests(romeo, service, node):
    for inner, space, kind, says in (
        ("<publish/>", NS, "set", ("bad-request", "nodeid-required")),
        (f"<publish node='{node}'/>", NS, "set", ("bad-request", "item-required")),
        (f"<publish node='{node}'><item id='a'/></publish>", NS, "set", ("bad-request", "payload-required")),
        (f"<publish node='{node}'><item>{tune('a') * 2}</item></publish>", NS, "set", ("bad-request", "invalid-payload")),
        ("<publish node='none'><item/></publish>", NS, "set", ("item-not-found",)),
        (f"<retract node='{node}'/>", NS, "set", ("bad-request", "item-required")),
        (f"<retract node='{node}'><item id='none'/></retract>", NS, "set", ("item-not-found",)),
        ("<items/>", NS, "get", ("bad-request", "nodeid-required")),
        ("<items node='none'/>", NS, "get", ("item-not-found",)),
        (f"<create node='{node}'/>", NS, "set", ("conflict",)),
        (f"<subscribe node='{node}'/>", NS, "set", ("bad-request", "jid-required")),
        (f"<subscribe node='{node}' jid='else@localhost'/>", NS, "set", ("bad-request", "invalid-jid")),
        (f"<unsubscribe node='{node}' jid='{romeo.bare}'/>", NS, "set", ("unexpected-request", "not-subscribed")),
        ("<configure/>", OWNER, "get", ("bad-request", "nodeid-required")),
        (f"<options node='{node}'/>", NS, "get", ("bad-request", "jid-required")),
        (f"<configure node='{node}'>{form('node_config', access_model='secret')}</configure>", OWNER, "set",
         ("not-acceptable", "unsupported-access-model")),
        (f"<configure node='{node}'>{form('node_config', max_items='-1')}</configure>", OWNER, "set", ("not-acceptable",)),
        (f"<affiliations node='{node}'><affiliation jid='{romeo.bare}' affiliation='none'/></affiliations>", OWNER, "set",
         ("not-acceptable",)),
        ("<nonsense/>", NS, "get", ("bad-request",)),
        ("", NS, "get", ("bad-request",)),
    ):  # fmt: skip
        assert condition(romeo.iq(kind, pubsub(inner, space), to=service)) == says, inner


def test_what_is_too_large(romeo, service, node):
    for inner, says in (
        (f"<create node='{'n' * 501}'/>", ("not-acceptable",)),
        (f"<publish node='{node}'><item id='{'i' * 501}'>{tune('a')}</item></publish>", ("not-acceptable",)),
        (
            f"<publish node='{node}'><item>{tune('a' * 200000)}</item></publish>",
            ("not-acceptable", "payload-too-big"),
        ),
    ):
        assert condition(romeo.iq("set", pubsub(inner), to=service)) == says


def test_a_node_whose_last_owner_is_deleted_goes_with_him(
    romeo, juliet, service, make_client, account, topology
):
    tybalt = account("tybalt", topology.romeo)
    client = make_client(tybalt)
    his, shared = f"his-{tybalt.bare}", f"shared-{tybalt.bare}"
    for node in (his, shared):
        assert client.iq("set", pubsub(f"<create node='{node}'/>"), to=service).get("type") == "result"
        inner = f"<subscribe node='{node}' jid='{juliet.bare}'/>"
        assert juliet.iq("set", pubsub(inner), to=service).get("type") == "result"
    owner = f"<affiliation jid='{romeo.bare}' affiliation='owner'/>"
    inner = f"<affiliations node='{shared}'>{owner}</affiliations>"
    assert client.iq("set", pubsub(inner, OWNER), to=service).get("type") == "result"
    juliet.send("<presence/>")
    juliet.sync()
    topology.romeo.server.ctl("accounts", "delete", tybalt.bare)
    juliet.gets(f"<message from='{service}'><event xmlns='{EVENT}'><delete node='{his}'/></event></message>")
    assert condition(items(romeo, his, service)) == ("item-not-found",)
    assert condition(items(romeo, shared, service)) == ("result",)
    assert condition(configure(romeo, shared, service, title="romeo's")) == ("result",)
