"""What tests of publish-subscribe say."""

import hashlib
import uuid
from base64 import b64encode

from tests.client import Client

NS = "http://jabber.org/protocol/pubsub"
OWNER = NS + "#owner"
EVENT = NS + "#event"
ERRORS = NS + "#errors"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"
CAPS = "http://jabber.org/protocol/caps"
TUNE = "http://jabber.org/protocol/tune"


def tune(title):
    return f"<tune xmlns='{TUNE}'><title>{title}</title></tune>"


def pubsub(inner, ns=NS):
    return f"<pubsub xmlns='{ns}'>{inner}</pubsub>"


def form(form_type, **fields):
    """`pubsub#` fields; a list has several values."""
    rows = "".join(
        f"<field var='pubsub#{name}'>"
        + "".join(f"<value>{each}</value>" for each in (value if isinstance(value, list) else [value]))
        + "</field>"
        for name, value in fields.items()
    )
    return (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{NS}#{form_type}</value></field>{rows}</x>"
    )


def publish(client, node=TUNE, item="i1", payload=None, to=None, **options):
    """The answer. `options`: preconditions."""
    payload = tune("La Traviata") if payload is None else payload
    more = f"<publish-options>{form('publish-options', **options)}</publish-options>" if options else ""
    id = f" id='{item}'" if item else ""
    inner = f"<publish node='{node}'><item{id}>{payload}</item></publish>{more}"
    return client.iq("set", pubsub(inner), to=to)


def configure(client, node=TUNE, to=None, **fields):
    inner = f"<configure node='{node}'>{form('node_config', **fields)}</configure>"
    return client.iq("set", pubsub(inner, OWNER), to=to)


def items(client, node=TUNE, to=None, inner="", **attrs):
    more = "".join(f" {key}='{value}'" for key, value in attrs.items())
    return client.iq("get", pubsub(f"<items node='{node}'{more}>{inner}</items>"), to=to)


def ids(answer):
    assert answer.get("type") == "result", condition(answer)
    return [each.get("id") for each in answer.iter(f"{{{NS}}}item")]


def condition(answer):
    """An error's condition, and the one that is particular to pubsub; ("result",) where all went well."""
    if answer.get("type") == "result":
        return ("result",)
    error = answer.find("{jabber:client}error")
    names = [each.tag for each in error if not each.tag.endswith("}text")]
    return tuple(name.rpartition("}")[2] for name in names)


def show_caps(client: Client, *wanted, others=(INFO,)):
    """The client shows presence with capabilities, and answers whoever asks about them. Returns when it has been asked, or
    when the server knew. `wanted`: nodes."""
    features = sorted([*others, *(f"{each}+notify" for each in wanted)])
    text = "client/pc//test<" + "".join(f"{each}<" for each in features)
    ver = b64encode(hashlib.sha1(text.encode()).digest()).decode()
    client.send(
        f"<presence><c xmlns='{CAPS}' hash='sha-1' node='https://test.example' ver='{ver}'/></presence>"
    )
    client.caps = ver, features


def answer_caps(client: Client):
    """Answers one question about the capabilities, which must come."""
    ver, features = client.caps
    asked = client.gets(f"<iq type='get'><query xmlns='{INFO}' node='https://test.example#{ver}'/></iq>", 10)
    told = "".join(f"<feature var='{each}'/>" for each in features)
    client.send(
        f"<iq type='result' id='{asked.get('id')}' to='{asked.get('from')}'>"
        f"<query xmlns='{INFO}' node='https://test.example#{ver}'>"
        f"<identity category='client' type='pc' name='test'/>{told}</query></iq>"
    )


def listen(client: Client, *wanted):
    """The client shows capabilities that the server has never seen; returns when the server knows them. `wanted`: nodes."""
    show_caps(client, *wanted, others=(INFO, f"urn:test:{uuid.uuid4()}"))
    answer_caps(client)
    client.sync()
    client.inbox.clear()


def event(node, inner, sender):
    return f"<message from='{sender}'><event xmlns='{EVENT}'><items node='{node}'>{inner}</items></event></message>"
