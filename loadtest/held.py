"""How long one IQ holds the loop: every IQ that the server answers, on an account with 1,000 of everything."""

import itertools
import mmap
import struct
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from xml.etree.ElementTree import Element, XMLPullParser

from .driver import Client, Failed
from .login import HEADER
from .peers.base import DOMAIN, Rosters, Users
from .rows import PASSWORD, Bed, Row, Setup, Size

LONGEST = struct.Struct("dd")
"""What loadtest/watched.py writes: seconds of CPU, and of time."""
MANY = 1000
OWNER, FRIEND, GUEST = "owner", "friend", "guest"
GOAL = 20.0
"""Milliseconds."""
PATIENCE = 60.0
ROOM, NODE = f"den@conference.{DOMAIN}", "many"
Key = tuple[str, str, str, str, str]
"""Domain of an Instance, and target, type, namespace and name of the payload, as it keeps its handlers."""


def fill(size: Size) -> tuple[Users, Rosters]:
    return [(name, PASSWORD) for name in (OWNER, FRIEND, GUEST)], {OWNER: [FRIEND], FRIEND: [OWNER]}


# -- the requests ----------------------------------------------------------------------------------

PRIVACY, MAM, OFFLINE = "jabber:iq:privacy", "urn:xmpp:mam:2", "http://jabber.org/protocol/offline"
RSM, COMMANDS = "http://jabber.org/protocol/rsm", "http://jabber.org/protocol/commands"
PUBSUB, MUC = "http://jabber.org/protocol/pubsub", "http://jabber.org/protocol/muc"
ITEM = "<data xmlns='urn:x'>an item of some words, as people store them</data>"


def listed(number: int) -> str:
    items = (
        f"<item type='jid' value='foe{n}@list{number}.example' action='deny' order='{n}'/>"
        for n in range(MANY)
    )
    return f"<query xmlns='{PRIVACY}'><list name='list{number}'>{''.join(items)}</list></query>"


def page(inner: str = "") -> str:
    return f"<query xmlns='{MAM}'>{inner}<set xmlns='{RSM}'><max>{MANY}</max><before/></set></query>"


def search(words: str) -> str:
    fields = (("FORM_TYPE", MAM), ("{urn:xmpp:fulltext:0}fulltext", words))
    form = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields)
    return page(f"<x xmlns='jabber:x:data' type='submit'>{form}</x>")


def foes() -> str:
    return "".join(f"<item jid='foe{n}@blocked.example'/>" for n in range(MANY))


def preferences() -> str:
    always, never = ("".join(f"<jid>{w}{n}@prefs.example</jid>" for n in range(MANY)) for w in ("yes", "no"))
    return f"<prefs xmlns='{MAM}' default='always'><always>{always}</always><never>{never}</never></prefs>"


def card() -> str:
    photo = b64encode(bytes(60_000)).decode()
    small = "".join(f"<TEL><NUMBER>{n}</NUMBER></TEL>" for n in range(MANY))
    return f"<vCard xmlns='vcard-temp'><FN>Owner</FN><PHOTO><BINVAL>{photo}</BINVAL></PHOTO>{small}</vCard>"


def bookmarks() -> str:
    rooms = (
        f"<conference name='Room {n}' jid='room{n}@rooms.example'><nick>me</nick></conference>"
        for n in range(MANY)
    )
    return f"<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>{''.join(rooms)}</storage></query>"


def private() -> str:
    small = "".join(f"<e{n} xmlns='urn:x'/>" for n in range(400))
    return f"<query xmlns='jabber:iq:private'>{small}</query>"


def members() -> str:
    items = "".join(f"<item affiliation='member' jid='member{n}@elsewhere.example'/>" for n in range(MANY))
    return f"<query xmlns='{MUC}#admin'>{items}</query>"


def settings(kind: str, *fields: tuple[str, str]) -> str:
    texts = (f"<field var='{var}'><value>{value}</value></field>" for var, value in fields)
    type = f"<field var='FORM_TYPE'><value>{kind}</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{type}{''.join(texts)}</x>"


def publish(node: str, ids: range, payload: str = ITEM) -> str:
    items = "".join(f"<item id='i{n}'>{payload}</item>" for n in ids)
    return f"<pubsub xmlns='{PUBSUB}'><publish node='{node}'>{items}</publish></pubsub>"


def retraction() -> str:
    items = "".join(f"<item id='i{n}'/>" for n in range(50))
    return of_node(f"<retract node='{NODE}' notify='1'>{items}</retract>")


def readers(name: str, what: str) -> str:
    each = "".join(f"<{name} jid='reader{n}@elsewhere.example' {what}/>" for n in range(MANY))
    plural = name[:-1] + "ies" if name.endswith("y") else name + "s"
    return f"<pubsub xmlns='{PUBSUB}#owner'><{plural} node='{NODE}'>{each}</{plural}></pubsub>"


def of_node(inner: str, owner: bool = False) -> str:
    return f"<pubsub xmlns='{PUBSUB}{'#owner' if owner else ''}'>{inner}</pubsub>"


def contact(number: int) -> str:
    groups = "".join(f"<group>Group {n}</group>" for n in range(10))
    item = f"<item jid='contact{number}@elsewhere.example' name='Contact {number}'>{groups}</item>"
    return f"<query xmlns='jabber:iq:roster'>{item}</query>"


def node(space: str) -> str:
    return f"<query xmlns='http://jabber.org/protocol/disco#{space}' node='{OFFLINE}'/>"


PAYLOADS: dict[tuple[str, str, str], list[Callable[[], str]]] = {
    ("set", "jabber:iq:roster", "query"): [lambda: contact(MANY), lambda: contact(0)],
    ("set", PRIVACY, "query"): [
        lambda: listed(0), lambda: listed(19), lambda: f"<query xmlns='{PRIVACY}'><default name='list0'/></query>",
        lambda: f"<query xmlns='{PRIVACY}'><active name='list1'/></query>",
        lambda: f"<query xmlns='{PRIVACY}'><active/></query>", lambda: f"<query xmlns='{PRIVACY}'><default/></query>",
    ],
    ("get", PRIVACY, "query"): [
        lambda: f"<query xmlns='{PRIVACY}'/>", lambda: f"<query xmlns='{PRIVACY}'><list name='list7'/></query>",
    ],
    ("set", "urn:xmpp:blocking", "block"): [lambda: f"<block xmlns='urn:xmpp:blocking'>{foes()}</block>"],
    ("get", "urn:xmpp:blocking", "blocklist"): [
        # asked before and after: of the full list, which the next one empties again
        lambda: "<blocklist xmlns='urn:xmpp:blocking'/>",
    ],
    ("set", "urn:xmpp:blocking", "unblock"): [
        lambda: "<unblock xmlns='urn:xmpp:blocking'><item jid='foe7@blocked.example'/></unblock>",
        lambda: f"<unblock xmlns='urn:xmpp:blocking'>{foes()}</unblock>",
    ],
    ("set", MAM, "prefs"): [preferences],
    ("get", MAM, "prefs"): [lambda: f"<prefs xmlns='{MAM}'/>"],
    ("get", MAM, "metadata"): [lambda: f"<metadata xmlns='{MAM}'/>"],
    ("set", MAM, "query"): [
        page, lambda: f"<query xmlns='{MAM}'><set xmlns='{RSM}'><max>0</max></set></query>", lambda: search("message"),
        lambda: search("no such words"),
    ],
    ("set", "vcard-temp", "vCard"): [card],
    ("get", "vcard-temp", "vCard"): [lambda: "<vCard xmlns='vcard-temp'/>"],
    ("set", "jabber:iq:private", "query"): [bookmarks, private],
    ("get", "jabber:iq:private", "query"): [
        lambda: "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>",
    ],
    ("get", "http://jabber.org/protocol/disco#info", "query"): [
        lambda: "<query xmlns='http://jabber.org/protocol/disco#info'/>", lambda: node("info"),
    ],
    ("get", "http://jabber.org/protocol/disco#items", "query"): [
        lambda: "<query xmlns='http://jabber.org/protocol/disco#items'/>", lambda: node("items"),
    ],
    ("get", OFFLINE, "offline"): [lambda: f"<offline xmlns='{OFFLINE}'><fetch/></offline>"],
    ("set", OFFLINE, "offline"): [lambda: f"<offline xmlns='{OFFLINE}'><purge/></offline>"],
    ("set", PUBSUB, "pubsub"): [
        lambda: publish(NODE, range(1), f"<big xmlns='urn:x'>{'x' * 100_000}</big>"), lambda: publish(NODE, range(MANY)),
        lambda: of_node(f"<create node='fresh'/><configure>{settings(PUBSUB + '#node_config')}</configure>"),
        retraction,
        lambda: of_node(f"<subscribe node='{NODE}' jid='{OWNER}@{DOMAIN}'/>"),
    ],
    ("get", PUBSUB, "pubsub"): [
        lambda: of_node(f"<items node='{NODE}'/>"), lambda: of_node(f"<items node='{NODE}' max_items='{MANY}'/>"),
        lambda: of_node("<subscriptions/>"), lambda: of_node("<affiliations/>"),
    ],
    ("set", f"{PUBSUB}#owner", "pubsub"): [
        lambda: readers("affiliation", "affiliation='member'"), lambda: readers("subscription", "subscription='subscribed'"),
        lambda: of_node(
            f"<configure node='{NODE}'>{settings(PUBSUB + '#node_config', ('pubsub#title', 'A node'))}</configure>", True
        ),
        lambda: of_node(f"<purge node='{NODE}'/>", True), lambda: of_node(f"<delete node='{NODE}'/>", True),
    ],
    ("get", f"{PUBSUB}#owner", "pubsub"): [
        lambda: of_node("<default/>", True), lambda: of_node(f"<configure node='{NODE}'/>", True),
        lambda: of_node(f"<affiliations node='{NODE}'/>", True), lambda: of_node(f"<subscriptions node='{NODE}'/>", True),
    ],
    ("set", COMMANDS, "command"): [
        lambda: f"<command xmlns='{COMMANDS}' node='http://jabber.org/protocol/admin#get-registered-users-list'/>",
    ],
    ("set", "http://jabber.org/protocol/bytestreams", "query"): [
        lambda: "<query xmlns='http://jabber.org/protocol/bytestreams' sid='s'><activate>a@b.example/c</activate></query>",
    ],
    ("get", "urn:xmpp:http:upload:0", "request"): [
        lambda: "<request xmlns='urn:xmpp:http:upload:0' filename='a.png' size='1000'/>",
    ],
    ("set", "urn:xmpp:mamtrim:0", "trim"): [lambda: "<trim xmlns='urn:xmpp:mamtrim:0'/>"],
    ("set", f"{MUC}#admin", "query"): [members],
    ("get", f"{MUC}#admin", "query"): [lambda: f"<query xmlns='{MUC}#admin'><item affiliation='member'/></query>"],
    ("set", f"{MUC}#owner", "query"): [
        lambda: f"<query xmlns='{MUC}#owner'>{settings(MUC + '#roomconfig', ('muc#roomconfig_roomname', 'Den'))}</query>",
    ],
    ("set", "urn:xmpp:message-moderate:1", "moderate"): [
        lambda: "<moderate xmlns='urn:xmpp:message-moderate:1' id='1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate>",
    ],
    ("set", "urn:xmpp:mucsub:0", "subscribe"): [
        lambda: "<subscribe xmlns='urn:xmpp:mucsub:0' nick='owner'><event node='urn:xmpp:mucsub:nodes:messages'/></subscribe>",
    ],
    ("set", "jabber:iq:register", "query"): [
        lambda: f"<query xmlns='jabber:iq:register'><username>{OWNER}</username><password>{PASSWORD}</password></query>",
    ],
}  # fmt: skip
"""Those whose payload is more than an empty element. Where the target is another account, the empty one will do."""
BARE = {
    "jabber:iq:last", "jabber:iq:register", "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time", "jabber:iq:roster",
    "urn:ietf:params:xml:ns:xmpp-session", "urn:xmpp:carbons:2", "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items", MAM, "urn:xmpp:extdisco:2", "urn:ietf:params:xml:ns:vcard-4.0",
    "http://jabber.org/protocol/bytestreams", f"{MUC}#owner", f"{MUC}#unique", "urn:xmpp:mucsub:0", "urn:xmpp:gcreport:0",
    "urn:xmpp:channel-search:0:search",
}  # fmt: skip
"""Namespaces whose other requests are an empty element."""
LAST = ("<purge", "<delete", "<trim")
"""What takes something away."""


def requests(keys: list[Key]) -> list[tuple[Key, str]]:
    """(key, payload) of all that is to be asked, what takes something away last. Raises Failed for a key without a request."""
    unknown = [key for key in keys if key[2:] not in PAYLOADS and key[3] not in BARE and key[1] != "user"]
    if unknown:
        raise Failed(f"no request is written for {' '.join(unknown[0])}: add it to loadtest/held.py")
    found = []
    for key in keys:
        makes = PAYLOADS.get(key[2:]) or [lambda key=key: f"<{key[4]} xmlns='{key[3]}'/>"]  # type: ignore[misc]
        found += [(key, make()) for make in makes]

    def late(one: tuple[Key, str]) -> int:
        key, payload = one
        if any(last in payload for last in LAST):
            return 2
        return 1 if key[2] == "get" or key[4] in ("unblock", "query") else 0

    return sorted(found, key=late)


# -- asking -----------------------------------------------------------------------------------------


class Asker:
    """A client that reads all, and knows the answers to its IQs."""

    numbers = itertools.count(1)

    def __init__(self, client: Client) -> None:
        self.client = client
        self.socket = client.socket
        self.socket.settimeout(PATIENCE)
        self.parser = XMLPullParser(("start", "end"))
        self.parser.feed(HEADER)
        self.depth, self.answers, self.root = 0, 0, Element("none")

    def send(self, xml: str) -> None:
        self.socket.sendall(xml.encode())

    def ask(self, kind: str, payload: str, to: str = "") -> Element:
        """The answer."""
        id = f"h{next(self.numbers)}"
        target = f" to='{to}'" if to else ""
        self.send(f"<iq type='{kind}' id='{id}'{target}>{payload}</iq>")
        while True:
            for event, element in self.parser.read_events():
                self.depth += 1 if event == "start" else -1
                if event == "start" and self.depth == 1:
                    self.root = element
                if event == "end" and self.depth == 1:
                    self.root.clear()
                    if element.get("id") == id and element.get("type") in ("result", "error"):
                        return element
            data = self.socket.recv(65536)
            if not data:
                raise Failed(f"the stream ended at {payload[:60]}")
            self.parser.feed(data)


def prepare(owner: Asker, friend: Asker) -> None:
    """1,000 contacts, 20 lists of 1,000 items, a room with 1,000 members and messages, 1,000 nodes here and there and one with
    1,000 items; and the friend's 1,000 messages wait."""
    for number in range(MANY):
        owner.ask("set", contact(number))
    for number in range(20):
        owner.ask("set", listed(number))
    owner.send(f"<presence to='{ROOM}/owner'><x xmlns='{MUC}'/></presence>")
    owner.ask("set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query>", ROOM)
    owner.ask("set", members(), ROOM)
    for number in range(MANY):
        owner.send(
            f"<message to='{ROOM}' type='groupchat' id='r{number}'><body>{number} in the room</body></message>"
        )
    for place in ("", f"pubsub.{DOMAIN}"):
        many = settings(f"{PUBSUB}#node_config", ("pubsub#max_items", "max"), ("pubsub#persist_items", "1"))
        owner.ask("set", of_node(f"<create node='{NODE}'/><configure>{many}</configure>"), place)
        for number in range(MANY):
            owner.ask("set", publish(NODE, range(number, number + 1)), place)
        for number in range(MANY - 100):  # the server needs some of the 1,000 itself
            owner.ask("set", of_node(f"<create node='node{number}'/>"), place)
    body = "a message of some words, as people write them " * 3
    for number in range(MANY):
        friend.send(
            f"<message to='{OWNER}@{DOMAIN}' type='chat' id='{number}'><body>{number} {body}</body></message>"
        )
    friend.ask("get", "<ping xmlns='urn:xmpp:ping'/>", DOMAIN)


def held(bed: Bed) -> float:
    """Milliseconds of CPU of the longest round of the loop. Each request's own are printed."""
    folder: Path = bed.peer.folder
    keys = sorted({tuple(line.split("\t")) for line in (folder / "iqs").read_text().splitlines()})
    asked = requests(keys)  # type: ignore[arg-type]
    clients = bed.login([(OWNER, PASSWORD), (FRIEND, PASSWORD)], False, available=False)
    longest = 0.0
    with open(folder / "held", "r+b") as file, mmap.mmap(file.fileno(), LONGEST.size) as shared:
        owner, friend = map(Asker, clients)
        prepare(owner, friend)
        found = []
        for (domain, target, kind, namespace, name), payload in asked:
            shared[:] = bytes(LONGEST.size)
            to = {"self": "", "server": domain, "user": f"{FRIEND}@{DOMAIN}", "room": ROOM}[target]
            answer = owner.ask(kind, payload, to)
            used, took = LONGEST.unpack(shared[:])
            found.append(
                (
                    used * 1e3,
                    took * 1e3,
                    f"{to or 'self'} {kind} {namespace} {name}",
                    answer.get("type"),
                    payload,
                )
            )
        found.append(login(bed, shared))
    for used, took, label, type, payload in sorted(found, reverse=True):
        detail = f"{len(payload):,} bytes: {payload[:50]}"
        print(f"{used:8.2f} ms of CPU {took:8.2f} ms  {type:6} {label}  ({detail})", file=sys.stderr)
        longest = max(longest, used)
    bed.details |= {"requests": len(found), "over 20 ms": sum(used > GOAL for used, *_ in found)}
    for client in clients:
        client.close()
    return longest


def login(bed: Bed, shared: mmap.mmap) -> tuple[float, float, str, str, str]:
    """Another session of the owner's comes: roster, presence, the waiting messages."""
    shared[:] = bytes(LONGEST.size)
    (client,) = bed.login([(OWNER, PASSWORD)], False, available=False, first=7)
    asker = Asker(client)
    asker.ask("get", "<query xmlns='jabber:iq:roster'/>")
    asker.send("<presence/>")
    asker.ask("get", "<ping xmlns='urn:xmpp:ping'/>")
    used, took = LONGEST.unpack(shared[:])
    client.close()
    return used * 1e3, took * 1e3, "a login with roster and presence", "result", ""


HELD = Row(
    "held",
    "ms",
    held,
    GOAL,
    Setup(fill, archive=True, fresh=True, watched=True, rooms=True),
    once=True,
    only="jabberd_py",
)
