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
Key = tuple[str, str, str, str]
"""Target, type, namespace and name of the payload, as an Instance keeps its handlers."""


def fill(size: Size) -> tuple[Users, Rosters]:
    return [(name, PASSWORD) for name in (OWNER, FRIEND, GUEST)], {OWNER: [FRIEND], FRIEND: [OWNER]}


# -- the requests ----------------------------------------------------------------------------------

PRIVACY, MAM, OFFLINE = "jabber:iq:privacy", "urn:xmpp:mam:2", "http://jabber.org/protocol/offline"
RSM = "http://jabber.org/protocol/rsm"


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


def contact(number: int) -> str:
    groups = "".join(f"<group>Group {n}</group>" for n in range(10))
    item = f"<item jid='contact{number}@elsewhere.example' name='Contact {number}'>{groups}</item>"
    return f"<query xmlns='jabber:iq:roster'>{item}</query>"


def node(space: str) -> str:
    return f"<query xmlns='http://jabber.org/protocol/disco#{space}' node='{OFFLINE}'/>"


PAYLOADS: dict[Key, list[Callable[[], str]]] = {
    ("self", "set", "jabber:iq:roster", "query"): [lambda: contact(MANY), lambda: contact(0)],
    ("self", "set", PRIVACY, "query"): [
        lambda: listed(0), lambda: listed(19), lambda: f"<query xmlns='{PRIVACY}'><default name='list0'/></query>",
        lambda: f"<query xmlns='{PRIVACY}'><active name='list1'/></query>",
        lambda: f"<query xmlns='{PRIVACY}'><active/></query>", lambda: f"<query xmlns='{PRIVACY}'><default/></query>",
    ],
    ("self", "get", PRIVACY, "query"): [
        lambda: f"<query xmlns='{PRIVACY}'/>", lambda: f"<query xmlns='{PRIVACY}'><list name='list7'/></query>",
    ],
    ("self", "set", "urn:xmpp:blocking", "block"): [lambda: f"<block xmlns='urn:xmpp:blocking'>{foes()}</block>"],
    ("self", "get", "urn:xmpp:blocking", "blocklist"): [
        # asked before and after: of the full list, which the next one empties again
        lambda: "<blocklist xmlns='urn:xmpp:blocking'/>",
    ],
    ("self", "set", "urn:xmpp:blocking", "unblock"): [
        lambda: "<unblock xmlns='urn:xmpp:blocking'><item jid='foe7@blocked.example'/></unblock>",
        lambda: f"<unblock xmlns='urn:xmpp:blocking'>{foes()}</unblock>",
    ],
    ("self", "set", MAM, "prefs"): [preferences],
    ("self", "get", MAM, "prefs"): [lambda: f"<prefs xmlns='{MAM}'/>"],
    ("self", "get", MAM, "metadata"): [lambda: f"<metadata xmlns='{MAM}'/>"],
    ("self", "set", MAM, "query"): [
        page, lambda: f"<query xmlns='{MAM}'><set xmlns='{RSM}'><max>0</max></set></query>", lambda: search("message"),
        lambda: search("no such words"),
    ],
    ("self", "set", "vcard-temp", "vCard"): [card],
    ("self", "get", "vcard-temp", "vCard"): [lambda: "<vCard xmlns='vcard-temp'/>"],
    ("self", "set", "jabber:iq:private", "query"): [bookmarks, private],
    ("self", "get", "jabber:iq:private", "query"): [
        lambda: "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>",
    ],
    ("self", "get", "http://jabber.org/protocol/disco#info", "query"): [
        lambda: "<query xmlns='http://jabber.org/protocol/disco#info'/>", lambda: node("info"),
    ],
    ("self", "get", "http://jabber.org/protocol/disco#items", "query"): [
        lambda: "<query xmlns='http://jabber.org/protocol/disco#items'/>", lambda: node("items"),
    ],
    ("self", "get", OFFLINE, "offline"): [lambda: f"<offline xmlns='{OFFLINE}'><fetch/></offline>"],
    ("self", "set", OFFLINE, "offline"): [lambda: f"<offline xmlns='{OFFLINE}'><purge/></offline>"],
    ("server", "set", "jabber:iq:register", "query"): [
        lambda: f"<query xmlns='jabber:iq:register'><username>{OWNER}</username><password>{PASSWORD}</password></query>",
    ],
}  # fmt: skip
"""Those whose payload is more than an empty element. Where the target is another account, the empty one will do."""
BARE = {
    "jabber:iq:last", "jabber:iq:register", "jabber:iq:version", "urn:xmpp:ping", "urn:xmpp:time", "jabber:iq:roster",
    "urn:ietf:params:xml:ns:xmpp-session", "urn:xmpp:carbons:2", "http://jabber.org/protocol/disco#info",
    "http://jabber.org/protocol/disco#items", MAM,
}  # fmt: skip
"""Namespaces whose other requests are an empty element."""
LAST = (OFFLINE, "purge")


def requests(keys: list[Key]) -> list[tuple[Key, str]]:
    """(key, payload) of all that is to be asked, what takes something away last. Raises Failed for a key without a request."""
    unknown = [key for key in keys if key not in PAYLOADS and key[2] not in BARE and key[0] != "user"]
    if unknown:
        raise Failed(f"no request is written for {' '.join(unknown[0])}: add it to loadtest/held.py")
    found = []
    for key in keys:
        makes = PAYLOADS.get(key) or [lambda key=key: f"<{key[3]} xmlns='{key[2]}'/>"]  # type: ignore[misc]
        found += [(key, make()) for make in makes]

    def late(one: tuple[Key, str]) -> int:
        key, payload = one
        return 2 if "<purge/>" in payload else 1 if key[1] == "get" or key[3] in ("unblock", "query") else 0

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
    """1,000 contacts, 20 lists of 1,000 items, and the friend's 1,000 messages wait."""
    for number in range(MANY):
        owner.ask("set", contact(number))
    for number in range(20):
        owner.ask("set", listed(number))
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
        for (target, kind, namespace, name), payload in asked:
            shared[:] = bytes(LONGEST.size)
            to = {"self": "", "server": DOMAIN, "user": f"{FRIEND}@{DOMAIN}"}[target]
            answer = owner.ask(kind, payload, to)
            used, took = LONGEST.unpack(shared[:])
            found.append(
                (used * 1e3, took * 1e3, f"{target} {kind} {namespace} {name}", answer.get("type"), payload)
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
    Setup(fill, archive=True, fresh=True, watched=True),
    once=True,
    only="jabberd_py",
)
