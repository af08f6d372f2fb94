"""One user who takes more than a share, in a process of its own that yields to the users who ping.

``python -m loadtest.attacker HOST PORT KIND SECONDS < PASSWORD``: prints what was done as JSON.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from . import login as logins
from .driver import Client, close
from .peers.base import DOMAIN

NAME, BIG = "attacker", "popular"
FIRST = 90_000
"""The number of the first address: nobody else's."""
BLOCK = 64 * 1024
"""Bytes that are sent again and again; at least one stanza."""
STORED = 500
"""Messages in the archive that is queried."""
RESOURCES = 1000

Found = dict[str, float]
MESSAGE = f"<message to='user0@{DOMAIN}/bench' type='chat'><body>{'x' * 150}</body></message>"
PINGS = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"
CHANGES = "<presence><show>away</show></presence><presence/>"
QUERY = (
    "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
    "<max>250</max></set></query></iq>"
)
HALL = f"hall@conference.{DOMAIN}"
"""The room that the attacker's contacts are in."""
MUC = "<x xmlns='http://jabber.org/protocol/muc'/>"
ROOMS = 5000
ROSTER = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>" + CHANGES


def enter(names: list[tuple[str, str]], address: tuple[str, int], password: str) -> list[Client]:
    clients = [Client(name, password, resource) for name, resource in names]
    logins.login(clients, address, False, first=FIRST)
    return clients


def flood(client: Client, text: str, seconds: float, found: Found, reads: bool = True) -> None:
    """As fast as the server takes it."""
    block = text.encode() * max(1, BLOCK // len(text))
    stanzas = sum(map(text.count, ("<message ", "<iq ", "<presence")))
    at, stop = 0, time.monotonic() + seconds
    with select.epoll() as epoll:
        epoll.register(client.socket.fileno(), select.EPOLLOUT | (select.EPOLLIN if reads else 0))
        while time.monotonic() < stop:
            for _, event in epoll.poll(0.1):
                if event & select.EPOLLOUT:
                    with suppress(BlockingIOError):
                        done = client.socket.send(block[at:])
                        at = (at + done) % len(block)
                        found["stanzas"] += done / len(text) * stanzas
                        found["MB"] += done / 1e6
                if event & ~select.EPOLLOUT:
                    client.count(b">")


def one(text: str, name: str = NAME) -> Callable[..., None]:
    def attack(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
        (client,) = enter([(name, "a")], address, password)
        client.send(b"<presence/>")
        flood(client, text, seconds, found)

    return attack


def archive(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
    (client,) = enter([(NAME, "a")], address, password)
    flood(client, MESSAGE, 0.2, found)
    found["stanzas"] = 0
    flood(client, QUERY, seconds - 0.2, found)


def deaf(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
    """One session never reads what another one sends it, as fast as it can."""
    writer, reader = enter([(NAME, "a"), (NAME, "deaf")], address, password)
    reader.send(b"<presence/>")
    flood(writer, MESSAGE.replace("user0@localhost/bench", reader.jid), seconds, found)


def join(room: str, nick: str = NAME) -> str:
    return f"<presence to='{room}/{nick}'>{MUC}</presence>"


def leave(room: str) -> str:
    return f"<presence to='{room}/{NAME}' type='unavailable'/>"


def in_hall(text: str) -> Callable[..., None]:
    """Floods from one who is in the room."""

    def attack(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
        (client,) = enter([(NAME, "a")], address, password)
        client.send(join(HALL).encode())
        flood(client, text, seconds, found)

    return attack


def resources(address: tuple[str, int], password: str, seconds: float, found: Found) -> None:
    clients = [Client(NAME, password, f"r{number}") for number in range(RESOURCES)]
    refused: list[str] = []
    stop = time.monotonic() + seconds
    logins.login(clients, address, False, 20, FIRST, refused)
    inside = [client for client in clients if client.socket is not None]
    found |= {"stanzas": RESOURCES, "refused": len(refused)}
    for client in inside:
        with suppress(OSError):
            client.send(b"<presence/>")
    time.sleep(max(0.0, stop - time.monotonic()))
    close(inside)


KINDS: dict[str, Callable[..., None]] = {
    "messages": one(MESSAGE),
    "IQs": one(PINGS),
    "presences": one(CHANGES),
    "archive queries": archive,
    "never reads": deaf,
    "roster of 10,000": one(ROSTER, BIG),
    "1,000 resources": resources,
    "5,000 rooms": one("".join(join(f"room{n}@conference.{DOMAIN}") for n in range(ROOMS))),
    "room messages": in_hall(f"<message to='{HALL}' type='groupchat'><body>{'x' * 150}</body></message>"),
    "room joins": one(join(HALL) + leave(HALL)),
    "room nicks": in_hall("".join(f"<presence to='{HALL}/nick{n}'/>" for n in range(100))),
}


def main(kinds: dict[str, Callable[..., None]], host: str, port: str, kind: str, seconds: str) -> None:
    with suppress(OSError):
        os.nice(10)
    found: Found = {"stanzas": 0, "MB": 0, "cut": 0}
    try:
        kinds[kind]((host, int(port)), sys.stdin.readline().strip(), float(seconds), found)
    except (logins.Failed, OSError) as error:
        print(f"{kind}: {str(error)[:200]}", file=sys.stderr)
        found["cut"] = 1
    print(json.dumps(found))


if __name__ == "__main__":
    main(KINDS, *sys.argv[1:])
