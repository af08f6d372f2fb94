"""What publish-subscribe costs: publishing, notifications, and presence and logins of clients that take part in it."""

import hashlib
import re
import select
import time
from base64 import b64encode

from . import driver
from .driver import Client, Failed, Loop
from .peers.base import DOMAIN, Rosters, Users
from .rows import CONTACTS, OURS, PATIENCE, READERS, Bed, Row, Setup, Size, accounts, rosters, to_all

SERVICE = f"pubsub.{DOMAIN}"
PUBSUB = "http://jabber.org/protocol/pubsub"
INFO = "http://jabber.org/protocol/disco#info"
KEPT = 10
"""Items that a node of the row "publish" keeps; each publish drops the oldest."""
NODES, WANTED = 30, 10
"""Nodes of an account, and how many of them its client wants to hear of."""
IN_FLIGHT = 8
"""Items on their way to all subscribers at a time, by as many publishers: more of them come than the server can send."""
ROUNDS = 3
"""Times that everybody logs in; the cheapest counts, since what others do on the machine only adds to it."""
MANY = 50
"""Contacts of an account that logs in."""


def publish(node: str, item: str, payload: str, id: str, to: str = "", options: str = "") -> bytes:
    address = f" to='{to}'" if to else ""
    return (
        f"<iq type='set' id='{id}'{address}><pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='{item}'>"
        f"{payload}</item></publish>{options}</pubsub></iq>"
    ).encode()


def options(**fields: str) -> str:
    rows = "".join(f"<field var='pubsub#{var}'><value>{each}</value></field>" for var, each in fields.items())
    return (
        "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>"
        f"<value>{PUBSUB}#publish-options</value></field>{rows}</x></publish-options>"
    )


def tune(number: int) -> str:
    return f"<tune xmlns='http://jabber.org/protocol/tune'><title>Title {number}</title><artist>An artist</artist></tune>"


def all_answer(clients: list[Client], data: bytes, marker: bytes = b"</iq>") -> None:
    """Everybody sends it and gets one answer."""
    loop = Loop(clients, marker)
    for client in clients:
        client.send(data)
    if not loop.run(lambda *_: None, lambda: loop.received >= len(clients), PATIENCE):
        raise Failed(f"{len(clients)} asked, {loop.received} answered")


def publishing(bed: Bed) -> float:
    """Microseconds for an item that is on the disk when its publisher gets the answer: users publish to nodes of their own. In
    the details: the same with publish options, as most clients send it."""
    clients = bed.login(accounts(bed.size.users), False, available=False)
    try:
        wanted = options(max_items=str(KEPT), persist_items="true", access_model="whitelist")
        for number in range(KEPT):
            all_answer(clients, publish("bench", f"old{number}", tune(number), "o", options=wanted))
        with_options = _published(bed, clients, wanted)
        figure = _published(bed, clients, "")
        bed.details["with options"] = with_options
        return figure
    finally:
        driver.close(clients)
        bed.settle()


def _published(bed: Bed, clients: list[Client], wanted: str) -> float:
    """Microseconds for an item; each client publishes the next one when it has the answer to the last."""
    loop = Loop(clients, b"</iq>")
    sent, stop = 0, 0.0

    def more(client: Client, count: int) -> None:
        nonlocal sent
        if time.monotonic() < stop:
            sent += 1
            client.send(publish("bench", f"new{sent}", tune(sent), "n", options=wanted))

    bed.settle()
    before, own, stop = bed.peer.cpu(), time.process_time(), time.monotonic() + bed.size.seconds
    for client in clients:
        more(client, 0)
    if not loop.run(more, lambda: loop.received >= sent, bed.size.seconds + PATIENCE):
        raise Failed(f"{sent} published, {loop.received} answered")
    own = time.process_time() - own
    bed.settle()
    used = bed.peer.cpu() - before
    bed.details |= {
        "items": sent,
        "a second": sent / bed.size.seconds,
        "driver": own / sent * 1e6,
    }
    return used / sent * 1e6


def make(owner: Client, **fields: str) -> None:
    """The service's node ``bench``, where everybody may publish. ``fields``: of its configuration."""
    fields = {"publish_model": "open", **fields}
    rows = "".join(f"<field var='pubsub#{var}'><value>{each}</value></field>" for var, each in fields.items())
    all_answer([owner], (
        f"<iq type='set' id='c' to='{SERVICE}'><pubsub xmlns='{PUBSUB}'><create node='bench'/><configure>"
        f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{PUBSUB}#node_config</value></field>"
        f"{rows}</x></configure></pubsub></iq>"
    ).encode())  # fmt: skip


def subscribe(bed: Bed, clients: list[Client]) -> None:
    """All of them, to the node ``bench``."""
    for client in clients:
        client.send((
            f"<iq type='set' id='s' to='{SERVICE}'><pubsub xmlns='{PUBSUB}'>"
            f"<subscribe node='bench' jid='{client.jid}'/></pubsub></iq>"
        ).encode())  # fmt: skip
    bed.quiet(Loop(clients, b">"))


def notifying(bed: Bed) -> float:
    """Microseconds for each of the notifications to 1,000 subscribers of a node, `IN_FLIGHT` items on their way. In the
    details: when the next item comes after everybody has the last one. Then each notification is a write to a socket."""
    clients = bed.login(accounts(READERS), False, available=False)
    try:
        make(clients[0])
        subscribe(bed, clients)

        def say(number: int) -> None:
            clients[number % IN_FLIGHT].send(
                publish("bench", f"item{number % 50}", tune(number), "p", SERVICE)
            )

        single = to_all(bed, clients, say, "notifications")
        figure = to_all(bed, clients, say, "notifications", IN_FLIGHT)
        bed.details["one at a time"] = single
        return figure
    finally:
        driver.close(clients)
        bed.settle()


# -- clients with capabilities -----------------------------------------------------------------------


def capabilities() -> tuple[str, str]:
    """The <c/> of a client that wants to hear of `WANTED` nodes, and its features as it answers disco#info."""
    features = sorted([INFO, *(f"urn:bench:{number}+notify" for number in range(WANTED))])
    text = "client/pc//bench<" + "".join(f"{each}<" for each in features)
    ver = b64encode(hashlib.sha1(text.encode()).digest()).decode()
    c = f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://bench.example' ver='{ver}'/>"
    return c, "".join(f"<feature var='{each}'/>" for each in features)


def teach(client: Client) -> None:
    """The client shows its capabilities and answers the question for them, if the server does not know them."""
    c, features = capabilities()
    client.send(f"<presence>{c}</presence>".encode())
    came, deadline = b"", time.monotonic() + 10  # a busy machine takes its time
    while time.monotonic() < deadline:
        if select.select([client.socket], [], [], 0.2)[0]:
            came += client.socket.recv(65536)
        asked = re.search(rb"<iq [^>]*>(?=<query [^>]*disco#info)", came)
        if asked:
            id, sender = (
                re.search(rb" %b='([^']*)'" % key, asked[0])[1].decode() for key in (b"id", b"from")
            )  # type: ignore[index]
            client.send((
                f"<iq type='result' id='{id}' to='{sender}'><query xmlns='{INFO}'>"
                f"<identity category='client' type='pc' name='bench'/>{features}</query></iq>"
            ).encode())  # fmt: skip
            return
    # it knew them


def presence(bed: Bed) -> float:
    """Microseconds for each presence delivered to one of `CONTACTS` contacts, whose clients all take part in PEP and whose
    accounts have published."""
    clients = bed.login(accounts(bed.size.users), False, available=False)
    try:
        teach(clients[0])
        c = capabilities()[0]
        for client in clients[1:]:
            client.send(f"<presence>{c}</presence>".encode())
        for number in (0, 1):
            all_answer(clients, publish(f"urn:bench:{number}", "current", tune(number), "p"))
        bed.quiet(Loop(clients, b">"))
        loop = Loop(clients, b"</presence>")
        changes = [
            f"<presence><show>away</show><status>change {n}</status>{c}</presence>".encode() for n in (0, 1)
        ]
        sent, fan = 0, CONTACTS + 1

        def change() -> None:
            nonlocal sent
            clients[sent % len(clients)].send(changes[sent // len(clients) % 2])
            sent += 1

        def more(*_: object) -> None:
            while time.monotonic() < stop and sent * fan - loop.received < 20 * fan:
                change()

        before, stop = bed.peer.cpu(), time.monotonic() + bed.size.seconds
        more()
        if not loop.run(more, lambda: loop.received >= sent * fan, bed.size.seconds + PATIENCE):
            raise Failed(f"{sent * fan} expected, {loop.received} received")
        used = bed.peer.cpu() - before
        bed.details |= {"delivered": sent * fan}
        return used / (sent * fan) * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def with_nodes(size: Size) -> tuple[Users, Rosters]:
    """``user...`` have `MANY` contacts, all online; ``bare...`` have, too, and never publish."""
    pupils = [(f"bare{number}", password) for number, (_, password) in enumerate(accounts(size.users // 2))]
    friends = accounts(MANY + 1)
    publishers = [(f"full{number}", password) for number, (_, password) in enumerate(pupils)]
    known = {name: [friend for friend, _ in friends[1:]] for name, _ in (*pupils, *publishers)}
    for name, _ in friends[1:]:
        known[name] = [each for each, _ in (*pupils, *publishers)]
    return [*friends, *pupils, *publishers], known


def coming(bed: Bed) -> float:
    """How many times as much it costs that a user logs in and shows presence to `MANY` contacts if he has `NODES` nodes, and
    his client wants to hear of `WANTED`."""
    users, _ = with_nodes(bed.size)
    plain = [each for each in users if each[0].startswith("bare")]
    full = [each for each in users if each[0].startswith("full")]
    friends = bed.login(users[1 : MANY + 1], False)
    c = capabilities()[0]
    try:
        clients = bed.login(full, False, available=False)
        teach(clients[0])
        for number in range(NODES):
            all_answer(clients, publish(f"urn:bench:{number}", "current", tune(number), "p"))
        driver.close(clients)
        bed.quiet(Loop(friends, b">"))
        costs: tuple[list[float], list[float]] = [], []
        for number in range(
            2 * ROUNDS
        ):  # by turns, so that both meet the same caches and the same neighbours
            who, says = ((plain, "<presence/>"), (full, f"<presence>{c}</presence>"))[number % 2]
            bed.settle()
            before = bed.peer.cpu()
            clients = bed.login(who, False, available=False)
            for client in clients:
                client.send(says.encode())
            loop = Loop(clients, b"</message>" if who is full else b"</presence>")
            bed.quiet(loop)
            if who is full and loop.received != WANTED * len(full):
                raise Failed(f"{WANTED * len(full)} last items expected, {loop.received} received")
            costs[number % 2].append((bed.peer.cpu() - before) / len(who) * 1e3)
            driver.close(clients)
            bed.quiet(Loop(friends, b">"))
        least, most = map(min, costs)
        bed.details |= {"without ms": least, "with ms": most}
        return most / least
    finally:
        driver.close(friends)
        bed.settle()


FEW = Setup(lambda size: (accounts(size.users), rosters(size.users)))
MANY_READERS = Setup(lambda size: (accounts(READERS), {}), fresh=True)

EVENTING = (
    Row("publish", "µs", publishing, 80, FEW, only=OURS),
    Row("notify 1,000 subscribers", "µs", notifying, 6, MANY_READERS, only=OURS),
    Row("presence with PEP", "µs", presence, 10, FEW, only=OURS),
    Row("login with 30 nodes", "times", coming, 1.5, Setup(with_nodes, fresh=True), only=OURS),
)
