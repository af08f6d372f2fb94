"""OMEMO (XEP-0384): devices of slixmpp-omemo read each other through this server, with a user of Prosody's, and in a room."""

import sys
from pathlib import Path

from tests.acceptance.people import Program
from tests.client import Client
from tests.federation.conftest import our_domain
from tests.federation.peers import EXTERNAL

DEVICES = Path(__file__).with_name("devices.py")


class Devices(Program):
    """``who``: device -> its bare address."""

    def __init__(self, ca):
        super().__init__("devices", [sys.executable, str(DEVICES)])
        self.ca, self.who = ca, {}

    def does(self, action, device, *words):
        self.do(action, device, *words)
        before = self.until("did", action, device)
        self.heard = before[:-1] + self.heard

    def login(self, device, jid, address):
        self.who[device] = jid
        self.does("login", device, jid, "secret", address[0], str(address[1]), self.ca)

    def read(self, sender, text, *devices):
        """All of these get the text."""
        wanted = {("got", device, sender, text) for device in devices}
        while wanted:
            wanted.discard(tuple(self.hears("got")))


def registered(name, server, domain):
    user, address = f"{name}-{next(Client.numbers)}", server.address("c2s")
    Client(address, domain).connect().register(user, "secret").close()
    return f"{user}@{domain}", address


def test_two_devices_each_a_user_of_another_server_and_a_room(bed, request):
    server, peer = bed.us(EXTERNAL), bed.peer("prosody")
    request.node.its_server = (server, server.log.stat().st_size)
    domain = our_domain(EXTERNAL, "prosody", "pep")
    romeo, juliet = registered("romeo", server, domain), registered("juliet", server, domain)
    nurse = registered("nurse", peer, peer.domain(EXTERNAL))
    devices = Devices(str(bed.ca.file))
    try:
        for device, who in (("r1", romeo), ("r2", romeo), ("j1", juliet), ("j2", juliet), ("n1", nurse)):
            devices.login(device, *who)
        devices.does("send", "r1", juliet[0], "one")
        devices.read(romeo[0], "one", "j1", "j2", "r2")
        devices.does("send", "j2", romeo[0], "two")
        devices.read(juliet[0], "two", "r1", "r2", "j1")
        devices.does("send", "r2", nurse[0], "three")
        devices.read(romeo[0], "three", "n1", "r1")
        devices.does("send", "n1", romeo[0], "four")
        devices.read(nurse[0], "four", "r1", "r2")
        room = f"omemo-{next(Client.numbers)}@conference.{domain}"
        devices.does("open", "r1", room)
        for device in ("j1", "j2", "n1"):
            devices.does("enter", device, room)
        devices.does("say", "n1", room, "five", romeo[0], juliet[0])
        devices.read(nurse[0], "five", "r1", "j1", "j2")
        devices.does("say", "r1", room, "six", juliet[0], nurse[0])
        devices.read(romeo[0], "six", "j1", "j2", "n1")
    finally:
        devices.kill()
