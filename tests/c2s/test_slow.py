"""A crowd of clients that do not read: each of them below its own limit, all together above theirs."""

import contextlib

from tests.c2s.test_sm import SM, enable
from tests.client import Client
from tests.conftest import CONFIG

BODY = "x" * 100_000
MESSAGES = 70
"""7 MB for each: the kernel keeps 4."""
LIMITS = {"buffer": "16 MiB", "buffer_in_all": "4 MiB", "rate_bytes": "1 GiB"}


def read(client):
    """What there still is for it, up to the end of the connection."""
    client.socket.settimeout(5)
    received = bytearray()
    with contextlib.suppress(OSError):
        while data := client.socket.recv(65536):
            received += data
    return received


def test_a_crowd_that_does_not_read(start_server):
    """Those for whom most waits are cut off; the others lose nothing, and who can resume does not, either."""
    server = start_server({**CONFIG, "c2s": LIMITS})

    def login(user, resource):
        return Client(server.address()).login(user, "secret", resource).available()

    def say(to, id):
        romeo.send(f"<message to='{to.jid}' type='headline' id='{id}'><body>{BODY}</body></message>")

    for user in ("romeo", "juliet"):
        Client(server.address()).connect().register(user, "secret").close()
    romeo, modest, managed = login("romeo", "r"), login("juliet", "modest"), login("juliet", "managed")
    token = enable(managed)["id"]
    crowd = [login("juliet", f"greedy{number}") for number in range(6)]
    for client in (modest, managed, *crowd):
        client.reader.kill()
    before, most = server.pss(), 0
    for number in range(MESSAGES):
        for client in (managed, *crowd):
            say(client, number)
        if number % 10 == 0:
            say(modest, number)
            romeo.sync()  # nobody who reads has to wait
            most = max(most, server.pss() - before)
    romeo.sync()
    listed = server.ctl("sessions", "list")
    cut = [client for client in crowd if client.jid not in listed]
    assert cut and modest.jid in listed
    assert "lost" in next(line for line in listed.splitlines() if managed.jid in line)  # it had the most
    assert most < 24_000_000  # 49 MB were sent
    for client in cut:
        assert read(client).count(b"</message>") < MESSAGES
    for client in crowd:
        client.abort()
    managed.abort()
    again = Client(server.address()).connect().auth("juliet", "secret")
    again.send(f"<resume xmlns='{SM}' previd='{token}' h='0'/>")
    again.gets(f"<resumed xmlns='{SM}'/>")
    for number in range(MESSAGES):
        again.gets(f"<message id='{number}'/>")
    for client in (romeo, again):
        client.close()
    server.stop()
    got = read(modest)
    modest.abort()
    assert all(b"id='%d'" % number in got for number in range(0, MESSAGES, 10))
