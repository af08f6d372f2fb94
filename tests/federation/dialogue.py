"""What two people on two servers do; written once, for any two servers.

Every function takes two logged-in clients, `a` begins. They know of each other after `meet`.
"""

from xml.etree.ElementTree import Element

from tests.client import Client, subscribe_both
from tests.match import matches, parse

FIRST = (
    30.0  # seconds: names are looked up (Prosody waits up to a second before each question), TLS, dialback
)
SOON = 10.0

# Inside an element one attribute at most: some servers keep attributes in no order. No quotes, no line ends,
# nothing with a prefix: these may be written in several ways.
PAYLOADS = {
    "unicode": "<body>\u00e9\u0301 \u03a9 \u4e2d\u6587 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \U0001f339 "
    "\U0001f469\u200d\U0001f680 \ufffd \ud7ff\ue000 \u2028\u0085 &amp;lt; &lt;b&gt;</body>",
    "unknown namespaces": "<rose xmlns='urn:example:verona'><thorn sharp='&lt;\u00e9&amp;'>"
    "<petal xmlns='urn:example:other'>r<red/>d</petal>\t</thorn><body/> tail </rose>",
    "white space": "<pre xmlns='urn:example:pre'>  two  <i> </i>\n  lines\t</pre>",
    "the content namespace below another": "<x xmlns='urn:example:x'><y xmlns='urn:example:y'/>"
    "<body xmlns='jabber:client'>hi</body></x>",
}
PREFIXED = (
    "<v:rose xmlns:v='urn:example:verona' v:kind='tea' xml:lang='it' name='&quot;rosa&apos;'>"
    "<v:thorn/><w xmlns='urn:example:w' v:k='1'/></v:rose>"
)


def meet(a: Client, b: Client) -> None:
    """Subscription both ways, and each sees the other's presence. The very first stanza is from `a` to `b`."""
    a.send(f"<message to='{b.jid}' type='chat' id='first'><body>hello</body></message>")
    b.gets(f"<message from='{a.jid}' id='first' type='chat'><body>hello</body></message>", FIRST)
    b.send(f"<message to='{a.jid}' type='chat' id='second'><body>hello to you</body></message>")
    a.gets(f"<message from='{b.jid}' id='second'><body>hello to you</body></message>", FIRST)
    subscribe_both(a, b)
    for one, other in ((a, b), (b, a)):
        roster = one.iq("get", "<query xmlns='jabber:iq:roster'/>")
        wanted = f"<item jid='{other.bare}' subscription='both'/>"
        assert not matches(f"<iq type='result'><query xmlns='jabber:iq:roster'>{wanted}</query></iq>", roster)


def presence(a: Client, b: Client) -> None:
    """Changes are seen; who comes back is told who is there; who goes is gone."""
    for one, other in ((a, b), (b, a)):
        one.send(
            "<presence><show>away</show><status>a la guerre \u2694</status><priority>7</priority></presence>"
        )
        other.gets(
            f"<presence from='{one.jid}' type='!absent'><show>away</show>"
            "<status>a la guerre \u2694</status><priority>7</priority></presence>",
            SOON,
        )
        one.send("<presence type='unavailable'><status>bye</status></presence>")
        other.gets(f"<presence from='{one.jid}' type='unavailable'/>", SOON)
        one.send("<presence/>")
        other.gets(f"<presence from='{one.jid}' type='!absent'/>", SOON)
        one.gets(f"<presence from='{other.jid}' type='!absent'/>", SOON)  # by a probe


def unsubscribe(a: Client, b: Client) -> None:
    a.send(f"<presence to='{b.bare}' type='unsubscribe'/>")
    b.gets(f"<presence from='{a.bare}' type='unsubscribe'/>", SOON)
    b.send(f"<presence to='{a.bare}' type='unsubscribe'/>")
    a.gets(f"<presence from='{b.bare}' type='unsubscribe'/>", SOON)


def messages(a: Client, b: Client) -> None:
    """Payloads come out byte by byte as they went in; order is kept."""
    for one, other in ((a, b), (b, a)):
        for name, payload in PAYLOADS.items():
            number = one.fresh()
            one.send(f"<message to='{other.jid}' type='chat' id='{number}'>{payload}</message>")
            got = other.gets(f"<message from='{one.jid}' id='{number}'/>", SOON)
            if "jabberd2" not in one.domain + other.domain:
                assert payload.encode() in other.received, f"{name}: {bytes(other.received[-1500:])!r}"
            elif (
                "jabber:client" not in payload
            ):  # it takes that for its own, and writes <red/> as <red></red>
                assert _same(parse(payload), got[0]), f"{name}: {bytes(other.received[-1500:])!r}"
        if "jabberd2" not in one.domain + other.domain:  # it loses prefixes of attributes
            one.send(f"<message to='{other.jid}' id='{number}p'>{PREFIXED}</message>")
            got = other.gets(f"<message from='{one.jid}' id='{number}p'/>", SOON)
            assert _same(parse(PREFIXED), got[0]), bytes(other.received[-1500:])
        for count in range(50):
            one.send(f"<message to='{other.jid}' type='chat' id='row'><body>{count}</body></message>")
        bodies = [other.gets("<message id='row'/>", SOON).findtext("{jabber:client}body") for _ in range(50)]
        assert bodies == [str(count) for count in range(50)]


def _same(one: Element, other: Element) -> bool:
    return (
        (one.tag, one.attrib, one.text or "", len(one))
        == (other.tag, other.attrib, other.text or "", len(other))
        and all((x.tail or "") == (y.tail or "") for x, y in zip(one, other, strict=True))
        and all(map(_same, one, other))
    )


def questions(a: Client, b: Client) -> None:
    """IQs to the other's server, to the other's account, and to the other in person; and what nobody answers."""
    for one, other in ((a, b), (b, a)):
        domain = other.domain
        answer = one.iq("get", "<query xmlns='jabber:iq:version'/>", domain, SOON)
        assert answer.findtext(".//{jabber:iq:version}name"), answer
        answer = one.iq("get", "<ping xmlns='urn:xmpp:ping'/>", domain, SOON)
        assert (answer.get("type"), answer.get("from"), answer.get("to")) == ("result", domain, one.jid)
        answer = one.iq("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", domain, SOON)
        assert not matches(
            "<iq type='result'><query xmlns='http://jabber.org/protocol/disco#info'>"
            "<identity category='server' type='im'/></query></iq>",
            answer,
        )
        answer = one.iq("get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", domain, SOON)
        assert answer.get("type") == "result"
        name = f"{other.user} \u00e6 Capulet"
        card = f"<vCard xmlns='vcard-temp'><FN>{name}</FN></vCard>"
        assert other.iq("set", card).get("type") == "result"
        answer = one.iq("get", "<vCard xmlns='vcard-temp'/>", other.bare, SOON)
        assert answer.findtext(".//{vcard-temp}FN") == name
        number = one.fresh()
        one.send(f"<iq type='get' id='{number}' to='{other.jid}'><rose xmlns='urn:example:verona'/></iq>")
        other.gets(
            f"<iq type='get' id='{number}' from='{one.jid}'><rose xmlns='urn:example:verona'/></iq>", SOON
        )
        other.send(
            f"<iq type='result' id='{number}' to='{one.jid}'><rose xmlns='urn:example:verona'>red</rose></iq>"
        )
        one.gets(
            f"<iq type='result' id='{number}' from='{other.jid}'><rose xmlns='urn:example:verona'>red</rose></iq>"
        )
        answer = one.iq("get", "<ping xmlns='urn:xmpp:ping'/>", f"{other.bare}/nobody", SOON)
        assert (answer.get("type"), answer.get("from")) == ("error", f"{other.bare}/nobody")


def room(visitor: Client, host: Client) -> None:
    """A visitor makes a room on the host's side, both talk in it, the host leaves first."""
    address = f"{visitor.user}@conference.{host.domain}"
    for one, nick in ((visitor, "stranger"), (host, "native")):
        one.send(f"<presence to='{address}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        one.gets(
            f"<presence from='{address}/{nick}' type='!absent'>"
            "<x xmlns='http://jabber.org/protocol/muc#user'><status code='110'/></x></presence>",
            FIRST,
        )
        if one is visitor:
            form = "<x xmlns='jabber:x:data' type='submit'/>"
            owner = f"<query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query>"
            assert one.iq("set", owner, address, SOON).get("type") == "result"
    visitor.gets(f"<presence from='{address}/native'/>", SOON)
    for one, nick in ((visitor, "stranger"), (host, "native")):
        one.send(f"<message to='{address}' type='groupchat'>{PAYLOADS['unicode']}</message>")
        for reader in (visitor, host):
            reader.gets(
                f"<message from='{address}/{nick}' type='groupchat'>{PAYLOADS['unicode']}</message>", SOON
            )
    host.send(f"<presence to='{address}/native' type='unavailable'/>")
    visitor.gets(f"<presence from='{address}/native' type='unavailable'/>", SOON)
    visitor.send(f"<presence to='{address}/stranger' type='unavailable'/>")
    visitor.gets(f"<presence from='{address}/stranger' type='unavailable'/>", SOON)


def whole(a: Client, b: Client, rooms: tuple[bool, bool]) -> None:
    """Everything above; `rooms`: whether there is a room service where `a`, where `b` is at home."""
    meet(a, b)
    presence(a, b)
    messages(a, b)
    questions(a, b)
    if rooms[1]:
        room(a, b)
    if rooms[0]:
        room(b, a)
    unsubscribe(a, b)
