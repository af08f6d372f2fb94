"""Whom PEP tells: capabilities in all formats, and those who lie about theirs."""

import uuid

import pytest

from jabberd_py.xmpp.capabilities import capability_hash, verification
from jabberd_py.xmpp.element import from_text
from tests.client import subscribe_both
from tests.pubsub.words import CAPS, INFO, event, publish

CLIENT = "https://test.example"


def answer(node):
    """What a client says of itself that wants to hear of the node, and nobody has seen yet."""
    features = sorted([INFO, f"{node}+notify", f"urn:test:{uuid.uuid4()}"])
    rows = "".join(f"<feature var='{each}'/>" for each in features)
    return f"<identity category='client' type='pc' name='test'/>{rows}"


def newer(info):
    name, _, value = capability_hash(from_text(f"<query xmlns='{INFO}'>{info}</query>"), "sha-256").partition(
        "."
    )
    c = f"<c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='{name}'>{value}</hash></c>"
    return c, f"urn:xmpp:caps#{name}.{value}"


def older(info, name="sha-1", function="sha1"):
    ver = verification(from_text(f"<query xmlns='{INFO}'>{info}</query>"), function)
    return f"<c xmlns='{CAPS}' hash='{name}' node='{CLIENT}' ver='{ver}'/>", f"{CLIENT}#{ver}"


def no_hash(info):
    return f"<c xmlns='{CAPS}' node='{CLIENT}' ver='0.9' ext='x'/>", f"{CLIENT}#0.9"


FORMATS = {
    "XEP-0390": newer,
    "sha-1": older,
    "sha-256": lambda info: older(info, "sha-256", "sha256"),
    "no hash": no_hash,
}


def tell(client, node, info):
    asked = client.gets(f"<iq type='get'><query xmlns='{INFO}' node='{node}'/></iq>", 10)
    client.send(
        f"<iq type='result' id='{asked.get('id')}' to='{asked.get('from')}'>"
        f"<query xmlns='{INFO}' node='{node}'>{info}</query></iq>"
    )


@pytest.mark.topology("one host", "two servers")
@pytest.mark.parametrize("format", FORMATS)
def test_who_says_in_whatever_format_that_he_wants_to_know_hears(romeo, juliet, format):
    node = f"urn:test:{uuid.uuid4()}"
    subscribe_both(romeo, juliet)
    info = answer(node)
    c, where = FORMATS[format](info)
    juliet.send(f"<presence>{c}</presence>")
    tell(juliet, where, info)
    if romeo.domain != juliet.domain or format == "no hash":
        tell(juliet, where, info)  # romeo's host asks for itself; without a hash each asks for itself
    juliet.sync()
    publish(romeo, node, "a")
    juliet.gets(event(node, "<item id='a'/>", romeo.bare), 10)


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "no hash"])
def test_a_lie_about_a_hash_counts_for_the_liar_alone(romeo, make_client, format):
    node = f"urn:test:{uuid.uuid4()}"
    honest, liar = answer(node), answer("urn:test:other")
    c, where = FORMATS[format](honest)
    mallory = make_client(romeo.account, resource="mallory")
    mallory.send(f"<presence>{c}</presence>")
    tell(mallory, where, liar)
    mallory.sync()
    victim = make_client(romeo.account, resource="victim")
    victim.send(f"<presence>{c}</presence>")
    tell(victim, where, honest)  # it is asked itself, as nothing is proven
    victim.sync()
    publish(romeo, node, "a")
    victim.gets(event(node, "<item id='a'/>", romeo.bare))
    mallory.nothing("<message/>")
    third = make_client(romeo.account, resource="third")
    third.send(f"<presence>{c}</presence>")
    third.gets("<message/>")  # the last item: nobody had to be asked any more
    third.nothing("<iq type='get'/>")


def hidden(kind, identity, features):
    """An answer with the same hash of XEP-0115, in which a client can do less."""
    if kind == "a name with separators":
        rows = f"<feature var='{'&lt;'.join(features)}'/>"
    elif kind == "an identity":
        first, *features = features
        category, type, language, name = first.split("/", 3)
        identity += f"<identity category='{category}' type='{type}' xml:lang='{language}' name='{name}'/>"
        rows = "".join(f"<feature var='{each}'/>" for each in features)
    else:
        type, var, *values = features
        rows = (
            f"<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>{type}</value></field>"
            f"<field var='{var}'>{''.join(f'<value>{each}</value>' for each in values)}</field></x>"
        )
    return identity + rows


@pytest.mark.topology("one host")
@pytest.mark.parametrize("kind", ["a name with separators", "an identity", "a form"])
def test_features_are_not_hidden_behind_the_hash_of_another_client(romeo, make_client, kind):
    """The hash does not tell where a name ends: XEP-0115 section 5.1 on "&lt;"."""
    node = f"urn:test:{uuid.uuid4()}"
    features = sorted([INFO, f"{node}+notify", "urn:test:z"])
    identity = "<identity category='client' type='pc' name='test'/>"
    c, where = older(identity + "".join(f"<feature var='{each}'/>" for each in features))
    mallory = make_client(romeo.account, resource="mallory")
    mallory.send(f"<presence>{c}</presence>")
    tell(mallory, where, hidden(kind, identity, features))
    mallory.sync()
    victim = make_client(romeo.account, resource="victim")
    victim.send(f"<presence>{c}</presence>")
    tell(victim, where, identity + "".join(f"<feature var='{each}'/>" for each in features))
    victim.sync()
    publish(romeo, node, "a")
    victim.gets(event(node, "<item id='a'/>", romeo.bare))


@pytest.mark.topology("one host")
def test_a_client_that_answers_nothing_keeps_no_other_from_being_asked(romeo, account, make_client):
    """It says something else of itself again and again, as often as clients are asked at a time."""
    mallory = make_client(account())
    for number in range(110):
        mallory.send(f"<presence><c xmlns='{CAPS}' hash='sha-1' node='{CLIENT}' ver='{number}'/></presence>")
    mallory.sync()
    node = f"urn:test:{uuid.uuid4()}"
    info = answer(node)
    c, where = newer(info)
    romeo.send(f"<presence>{c}</presence>")
    tell(romeo, where, info)
    romeo.sync()
    publish(romeo, node, "a")
    romeo.gets(event(node, "<item id='a'/>", romeo.bare))


@pytest.mark.topology("one host")
def test_clients_of_one_account_are_asked_one_after_the_other(romeo, make_client):
    """A few at a time; the last ones wait, and are not forgotten."""
    node = f"urn:test:{uuid.uuid4()}"
    clients = [make_client(romeo.account, resource=f"r{number}") for number in range(6)]
    infos = [answer(node) for _ in clients]
    told = [newer(info) for info in infos]
    for client, (c, _) in zip(clients, told, strict=True):
        client.send(f"<presence>{c}</presence>")
        client.sync()
    for client, (_, where), info in zip(clients, told, infos, strict=True):
        tell(client, where, info)
    for client in clients:
        client.sync()
    publish(romeo, node, "a")
    for client in clients:
        client.gets(event(node, "<item id='a'/>", romeo.bare))


@pytest.mark.parametrize("c", [
    f"<c xmlns='{CAPS}'/>",
    f"<c xmlns='{CAPS}' hash='sha-1' node='' ver=''/>",
    f"<c xmlns='{CAPS}' hash='sha-1' node='x' ver='{'v' * 9000}'/>",
    "<c xmlns='urn:xmpp:caps'/>",
    "<c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='md2'>x</hash></c>",
    f"<c xmlns='urn:xmpp:caps'><hash xmlns='urn:xmpp:hashes:2' algo='sha-256'>{'v' * 9000}</hash></c>",
])  # fmt: skip
def test_odd_capabilities_are_as_good_as_none(romeo, c):
    romeo.send(f"<presence>{c}</presence>")
    romeo.sync()
    romeo.nothing("<iq type='get'/>")


def test_one_user_does_not_keep_others_from_being_asked(romeo, juliet):
    """Romeo answers no question, and shows another hash each time."""
    for number in range(210):
        romeo.send(
            f"<presence><c xmlns='{CAPS}' hash='sha-1' node='{CLIENT}' ver='{number:028}'/></presence>"
        )
    romeo.sync()
    info = answer("urn:test:asked")
    c, where = FORMATS["sha-1"](info)
    juliet.send(f"<presence>{c}</presence>")
    tell(juliet, where, info)
