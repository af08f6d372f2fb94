"""A conversation over a line that is cut again and again, over restarts and crashes of the server. Both ends do what XEP-0198
asks of them: who resumes, sends again what the `h` of <resumed/> does not cover. Then all is there, once, and in order."""

import itertools
import re
from collections import Counter
from contextlib import suppress

import gevent
import pytest
from gevent.lock import RLock

from tests.client import Client
from tests.crash.traffic import CLIENT, PASSWORD, SID, SM
from tests.match import show

CONFIG = {
    "hosts": {"localhost": {}},
    "c2s": {"require_tls": False},
    "modules": {"offline": {"limit": 10_000}},
}
PEOPLE = ("romeo", "juliet")
SOME = 15  # new messages heard between two troubles


class Talker:
    """Talks to one peer, resumes whenever its stream is lost, and keeps what it heard: (body, stanza-id)."""

    def __init__(self, server, name, peer):
        self.server, self.name, self.peer = server, name, peer
        self.client, self.token, self.up = None, None, False
        self.said, self.resumed, self.ended = 0, 0, False
        self.unacknowledged, self.acknowledged, self.h = [], 0, 0
        self.heard = []
        self.exposed = set()  # what was not acknowledged when the server crashed
        self.lock = RLock()  # one write at a time
        assert self.connect()
        self.send("<presence/>")
        self.greenlets = [gevent.spawn(self.live), gevent.spawn(self.talk)]

    # -- the stream

    def connect(self):
        """True if that worked; the server may be down."""
        try:
            c = Client(self.server.address(), "localhost", "none").connect().auth(self.name, PASSWORD)
            if self.token is None:
                c.bind("desk")
                c.send(f"<enable xmlns='{SM}' resume='true'/>")
                self.token = c.gets(f"<enabled xmlns='{SM}' resume='true'/>").get("id")
                answer = None
            else:
                c.send(f"<resume xmlns='{SM}' previd='{self.token}' h='{self.h}'/>")
                answer = c.take(lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"), "<resumed/>", 5)
        except (OSError, AssertionError, KeyError):  # it is down: no address, or no answer
            return False
        if answer is not None:
            assert answer.tag == f"{{{SM}}}resumed", "the server forgot the session"
            self.resumed += 1
            self.covers(int(answer.get("h")))
        with self.lock, suppress(OSError):
            self.client, self.up = c, True
            c.send("".join(self.unacknowledged))
        return True

    def covers(self, h):
        assert self.acknowledged <= h, f"acknowledged {self.acknowledged} stanzas, then only {h}"
        del self.unacknowledged[: h - self.acknowledged]
        self.acknowledged = h

    def cut(self):
        self.up = False
        self.client.abort()

    def live(self):
        while not self.ended:
            c = self.client
            c.news.clear()
            while c.inbox and not c.lost:  # what the cut line still held was never heard
                self.hear(c.inbox.pop(0))
            if c.lost:
                self.up = False
                c.abort()  # or the server waits for our end of the line
                if self.connect():
                    continue
            c.news.wait(0.05)

    def hear(self, element):
        if element.tag == f"{{{SM}}}a":
            self.covers(int(element.get("h")))
        elif element.tag == f"{{{SM}}}r":
            self.send(f"<a xmlns='{SM}' h='{self.h}'/>", counted=False)
        elif element.tag.startswith(CLIENT):
            self.h += 1
            assert element.get("type") != "error", show(element)
            body = element.findtext(CLIENT + "body")
            if body is not None:
                self.heard.append((body, element.find(SID).get("id")))

    def newest(self):
        return int(self.heard[-1][0].split()[1]) if self.heard else 0

    # -- the conversation

    def send(self, xml, counted=True):
        with self.lock:
            if counted:
                self.unacknowledged.append(xml)
            if self.up:
                with suppress(OSError):
                    self.client.send(xml)

    def talk(self):
        for turn in itertools.count():
            if len(self.unacknowledged) < 100:
                self.said += 1
                body = f"{self.name} {self.said}"
                self.send(f"<message to='{self.peer}@localhost' type='chat'><body>{body}</body></message>")
            if turn % 4 == 0:
                self.send(f"<r xmlns='{SM}'/>", counted=False)
            gevent.sleep(0.005)

    def hush(self):
        self.greenlets[1].kill()
        self.send(f"<r xmlns='{SM}'/>", counted=False)

    def end(self):
        self.ended = True
        gevent.joinall(self.greenlets, raise_error=True)
        self.client.close()


def until(condition, what, seconds=20):
    with gevent.Timeout(seconds, AssertionError(what)):
        while not condition():
            gevent.sleep(0.01)


def conversation(server, times, trouble):
    """Both ends after ``times`` troubles, when each has heard the other's last word; each end's bodies are there."""
    for name in PEOPLE:
        server.ctl("accounts", "add", f"{name}@localhost", "--password", PASSWORD)
    romeo, juliet = ends = Talker(server, "romeo", "juliet"), Talker(server, "juliet", "romeo")
    for number in range(times):
        before = [end.newest() for end in ends]
        until(
            lambda: all(end.newest() >= n + SOME for end, n in zip(ends, before, strict=True)),  # noqa: B023
            f"after {number} troubles nothing more is heard",
        )
        trouble(*ends)
    until(lambda: all(end.up and not end.client.lost for end in ends), "they do not come back")
    before = [end.said for end in ends]
    until(lambda: all(end.said > n for end, n in zip(ends, before, strict=True)), "they are silent")
    for end in ends:
        end.hush()
    with suppress(AssertionError):  # the figures say more
        until(lambda: not romeo.unacknowledged and not juliet.unacknowledged, "not acknowledged", 10)
        for end, other in ((romeo, juliet), (juliet, romeo)):
            last = f"{other.name} {other.said}"
            until(lambda: any(body == last for body, _ in end.heard), f"{last} never came", 5)  # noqa: B023
    for end in ends:
        end.end()
    return ends


def figures(ends):
    """(said, lost, came twice, of these what was acknowledged came under two names), of both directions together;
    printed, too."""
    said = lost = twice = names = 0
    for end, other in (ends, ends[::-1]):
        times = Counter(body for body, _ in end.heard)
        distinct = Counter(body for body, _ in set(end.heard))
        said += other.said
        lost += sum(f"{other.name} {n}" not in times for n in range(1, other.said + 1))
        twice += sum(n > 1 for n in times.values())
        names += sum(n > 1 and body not in other.exposed for body, n in distinct.items())
        print(f"{end.name}: resumed {end.resumed} times", end="; ")
    print(f"said {said}, lost {lost}, doubled {twice}, of what was acknowledged under two names {names}")
    return said, lost, twice, names


def in_order(ends):
    for end in ends:
        numbers = [int(body.split()[1]) for body, _ in end.heard]
        assert numbers == sorted(numbers)


def test_the_line_is_cut_20_times(start_server):
    turns = itertools.cycle(((0,), (1,), (0, 1)))

    def cut(*ends):
        for each in next(turns):
            ends[each].cut()

    ends = conversation(start_server(CONFIG), 30, cut)
    said, lost, twice, names = figures(ends)
    assert all(end.resumed >= 20 for end in ends)
    assert said >= 500
    assert (lost, twice, names) == (0, 0, 0)
    in_order(ends)


@pytest.mark.timeout(120)
def test_the_server_is_restarted(start_server):
    server = start_server(CONFIG)
    ends = conversation(server, 6, lambda *ends: server.restart())
    said, lost, twice, names = figures(ends)
    assert all(end.resumed >= 6 for end in ends)
    assert (lost, twice, names) == (0, 0, 0)
    in_order(ends)


@pytest.mark.timeout(120)
def test_the_server_is_killed(start_server):
    """What came in the last second before may come again, under the same stanza-id. What was delivered, but not yet
    committed and so not acknowledged, is sent again by its sender: only that gets another one."""
    server = start_server(CONFIG)

    def kill(*ends):
        server.kill9()
        for end in ends:
            end.exposed.update(re.findall("<body>(.*?)</body>", "".join(end.unacknowledged)))
        server.start()

    ends = conversation(server, 8, kill)
    said, lost, twice, names = figures(ends)
    assert all(end.resumed >= 8 for end in ends)
    assert (lost, names) == (0, 0)
