"""Large nodes of the publish-subscribe service: a hundred thousand items in pages, ten thousand subscribers. Beside what they
cost, each row tells how long the server's loop was held (``held ms``, of CPU) and how much its memory grew (``grew MB``).
"""

import mmap
import re
from collections.abc import Iterator
from contextlib import contextmanager

from . import driver
from .driver import Client, Failed
from .eventing import PUBSUB, SERVICE, all_answer, make, publish, subscribe, tune
from .held import LONGEST
from .rows import OURS, PATIENCE, Bed, Row, Setup, accounts, to_all

ITEMS, SUBSCRIBERS = 100_000, 10_000
PAGE = 100
RSM = "http://jabber.org/protocol/rsm"


@contextmanager
def watched(bed: Bed) -> Iterator[None]:
    """Puts into the details what the block did to the loop and to the memory."""
    bed.settle(60)
    before = bed.peer.pss()
    with open(bed.peer.folder / "held", "r+b") as file, mmap.mmap(file.fileno(), LONGEST.size) as shared:
        shared[:] = bytes(LONGEST.size)
        yield
        bed.details |= {
            "held ms": LONGEST.unpack(shared[:])[0] * 1e3,
            "grew MB": (bed.peer.pss() - before) / 1e6,
        }


def fill(owner: Client, items: int) -> None:
    for begin in range(0, items, PAGE):
        rows = "</item>".join(f"<item id='{each}'>{tune(each)}" for each in range(begin, begin + PAGE))
        xml = f"<pubsub xmlns='{PUBSUB}'><publish node='bench'>{rows}</item></publish></pubsub>"
        all_answer([owner], f"<iq type='set' id='p' to='{SERVICE}'>{xml}</iq>".encode())


class Reader:
    """Asks for one page after the other."""

    def __init__(self, client: Client) -> None:
        self.client = client
        client.socket.settimeout(PATIENCE)

    def page(self, set_: str) -> tuple[int, str]:
        """How many items came, and the id of the last one."""
        xml = f"<pubsub xmlns='{PUBSUB}'><items node='bench'/><set xmlns='{RSM}'><max>{PAGE}</max>{set_}</set></pubsub>"
        self.client.socket.sendall(f"<iq type='get' id='r' to='{SERVICE}'>{xml}</iq>".encode())
        answer = b""
        while b"</iq>" not in answer:
            data = self.client.socket.recv(65536)
            if not data:
                raise Failed("the stream has ended")
            answer += data
        last = re.search(rb"<last>(.*)</last>", answer)
        return answer.count(b"<item "), last[1].decode() if last else ""


def paging(bed: Bed) -> float:
    """Microseconds for each item of a node that is read whole, in pages of 100."""
    items = min(ITEMS, 10 * bed.size.sessions)
    clients = bed.login(accounts(2), False, available=False)
    try:
        make(clients[0], max_items="max")
        fill(clients[0], items)
        reader, read, last = Reader(clients[1]), 0, ""
        with watched(bed):
            used = bed.peer.cpu()
            while True:
                count, last = reader.page(f"<after>{last}</after>" if last else "")
                read += count
                if not count:
                    break
            used = bed.peer.cpu() - used
            for set_ in ("<before/>", f"<index>{items // 2}</index>", f"<before>{items // 2}</before>"):
                reader.page(set_)
        if read != items:
            raise Failed(f"{items} published, {read} read")
        bed.details |= {"items": read}
        return used / read * 1e6
    finally:
        driver.close(clients)
        bed.settle()


def notified(bed: Bed) -> float:
    """Microseconds for each notification to a node's subscribers, one item at a time."""
    clients = bed.login(accounts(min(SUBSCRIBERS, bed.size.sessions)), False, available=False)
    try:
        make(clients[0], max_items="max")
        subscribe(bed, clients)
        with watched(bed):
            return to_all(
                bed,
                clients,
                lambda number: clients[number % 8].send(publish("bench", "one", tune(number), "p", SERVICE)),
                "notifications",
            )
    finally:
        driver.close(clients)
        bed.settle()


LARGE = (
    Row("pages of 100,000 items", "µs", paging, None, Setup(lambda size: (accounts(2), {}), fresh=True, watched=True),
        once=True, only=OURS),
    Row("notify 10,000 subscribers", "µs", notified, 6,
        Setup(lambda size: (accounts(min(SUBSCRIBERS, size.sessions)), {}), fresh=True, watched=True), once=True, only=OURS),
)  # fmt: skip
