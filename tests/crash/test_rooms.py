"""kill -9 in the middle of a busy room: what was acknowledged is in its archive, who resumes is in the room as before, and who
does not is gone."""

import random
import re
from contextlib import suppress

import gevent
import pytest

from tests.client import Client
from tests.crash.traffic import MAM, PASSWORD
from tests.databases import mariadb, postgres  # noqa: F401
from tests.muc.conftest import DATA, MUC, OWNER
from tests.muc.guest import CLIENT, Guest, Seen

ROOM = "cave@conference.localhost"
SPEAKERS = 5
CONFIG = {
    "hosts": {"localhost": {}},
    "modules": {"register": {"enabled": True, "per_address": 0}},
    "c2s": {"require_tls": False, "unacknowledged": 100_000},
    "services": {
        "rooms": {"modules": {"limits": {"messages": 1000.0, "burst": 100_000, "presence_burst": 10_000}}}
    },
}
RSM = "http://jabber.org/protocol/rsm"


class Party:
    """A persistent room, its founder, and those who talk in it."""

    def __init__(self, server, count=SPEAKERS):
        self.server = server
        names = ["founder", *(f"speaker{number}" for number in range(count))]
        for name in names:
            Client(server.address(), "localhost", "none").connect().register(name, PASSWORD).close()
        self.guests = [Guest(server, "localhost", name, "desk", "none") for name in names]
        self.said = 0
        for each in self.guests:
            self.enters(each)

    def enters(self, guest):
        guest.room = ROOM
        guest.enter(guest.user)
        guest.until(lambda: guest.nick, "it enters")
        if guest.user == "founder":
            form = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>"
            form += "<field var='muc#roomconfig_persistentroom'><value>1</value></field>"
            query = f"<query xmlns='{OWNER}'><x xmlns='{DATA}' type='submit'>{form}</x></query>"
            assert guest.iq("set", query) == "result"

    def talk(self, guest):
        """Until the line is gone."""
        with suppress(OSError):
            while not guest.client.lost:
                if len(guest.unacknowledged) < 50:
                    self.said += 1
                    guest.say(f"{guest.user} {self.said}")
                    guest.ask()
                guest.read()
                gevent.sleep(0.002)

    def acknowledged(self):
        """Bodies of what was said to all."""
        taken = "".join(xml for each in self.guests for xml in each.taken if "type='groupchat'" in xml)
        return set(re.findall("<body>(.*?)</body>", taken))

    def round(self, more):
        """They talk until so many more were acknowledged; then the server is killed, and all come back."""
        before = sum(len(each.taken) for each in self.guests)
        talkers = [gevent.spawn(self.talk, each) for each in self.guests]
        with gevent.Timeout(30, AssertionError(f"nothing more is acknowledged:\n{self.server.tail()}")):
            while sum(len(each.taken) for each in self.guests) < before + more:
                gevent.sleep(0.01)
        self.server.kill9()
        gevent.joinall(talkers, timeout=10)
        for each in self.guests:
            each.lose()
        self.server.start()

    def come_back(self):
        for each in self.guests:
            each.resume()

    def archive(self):
        """The bodies that the room's archive has."""
        guest, found, after = self.guests[0], [], ""
        while True:
            page = f"<set xmlns='{RSM}'><max>250</max>{after}</set>"
            number = guest.client.fresh()
            guest.send(f"<iq type='set' id='{number}' to='{ROOM}'><query xmlns='{MAM}'>{page}</query></iq>")
            before = len(guest.results)
            guest.until(lambda: number in guest.answers, "no page")  # noqa: B023
            found += [each.findtext(f".//{CLIENT}body") for each in guest.results[before:]]
            fin = guest.answers[number].find(f"{{{MAM}}}fin")
            if fin.get("complete") == "true":
                return found
            after = f"<after>{fin.findtext(f'.//{{{RSM}}}last')}</after>"


@pytest.mark.timeout(200)
@pytest.mark.parametrize("kind", ["sqlite", "mariadb", "postgres"])
def test_what_the_room_acknowledged_is_in_its_archive(kind, request, start_server):
    config = dict(CONFIG)
    if kind == "sqlite":
        request.node.add_marker(pytest.mark.sqlite)
    else:
        config["database"] = request.getfixturevalue(kind).fresh()
    party = Party(start_server(config))
    for _ in range(3):
        party.round(50 + random.randrange(150))
        party.come_back()
        for each in party.guests:
            each.settle()
    names = {each.user for each in party.guests}
    for each in party.guests:
        assert each.nick == each.user and set(each.view) == names
        each.ask()
        each.until(lambda: not each.unacknowledged, "not all is acknowledged")  # noqa: B023
    kept = party.archive()
    acknowledged = party.acknowledged()
    lost, doubled = acknowledged - set(kept), [body for body in acknowledged if kept.count(body) > 1]
    print(f"{kind}: acknowledged {len(acknowledged)}, lost {len(lost)}, kept twice {len(doubled)}")
    assert len(acknowledged) >= 300 and not lost and not doubled
    for each in party.guests:
        each.client.close()


def test_nobody_sees_ghosts(start_server):
    """Who was away when something was said, when others left, changed their nicks or got another role, or when they
    were kicked themselves, learns of it, though the server forgot what it had still to tell."""
    server = start_server(CONFIG)
    party = Party(server, 5)
    founder, away, leaver, renamed, vanished, kicked = party.guests
    for each in party.guests:
        each.settle()
    away.lose()
    kicked.lose()
    assert founder.admin(nick="speaker4", role="none") == "result"
    leaver.presence("speaker1", type="unavailable")
    founder.say("whither wilt thou wander")
    renamed.presence("hag")
    renamed.settle()
    assert founder.admin(nick="hag", role="visitor") == "result"
    for each in (leaver, renamed, founder):
        each.settle()
        each.ask()
        each.until(lambda: not each.unacknowledged, "not acknowledged")  # noqa: B023
    server.kill9()
    for each in party.guests:
        each.lose()
    server.start()
    for each in (founder, away, renamed, kicked):
        each.resume()
    vanished.login()  # its client has forgotten its session
    for each in (founder, away, renamed):
        each.until(lambda: set(each.view) == {"founder", "speaker0", "hag"}, "it sees the room")  # noqa: B023
        each.settle()
    kicked.until(lambda: kicked.nick is None, "it knows that it was thrown out")
    assert away.bodies.count("whither wilt thou wander") == 1
    assert founder.view == {
        "founder": Seen("owner", "moderator", founder.jid, None),
        "speaker0": Seen("none", "participant", away.jid, None),
        "hag": Seen("none", "visitor", renamed.jid, None),
    }
    for each in (away, renamed):
        assert {nick: seen.role for nick, seen in each.view.items()} == {
            "founder": "moderator",
            "speaker0": "participant",
            "hag": "visitor",
        }
    for each in party.guests:
        each.client.close()
