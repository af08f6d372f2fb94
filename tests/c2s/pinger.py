"""Another user, in a process of its own: pings until its input ends, then prints how often, and the slowest.

python -m tests.c2s.pinger HOST PORT USER PASSWORD
"""

import gevent.monkey

gevent.monkey.patch_all()

import sys
import time

import gevent
from gevent.fileobject import FileObject

from tests.client import Client


def main(host: str, port: str, user: str, password: str) -> None:
    client = Client((host, int(port))).login(user, password)
    slowest, count = 0.0, 0
    client.sync()
    waiting = gevent.spawn(FileObject(sys.stdin.buffer, "rb").read)
    print("ready", flush=True)
    while not waiting.ready():
        start = time.perf_counter()
        client.sync()
        slowest, count = max(slowest, time.perf_counter() - start), count + 1
        waiting.join(0.005)
    print(count, slowest * 1000, flush=True)
    client.close()


main(*sys.argv[1:])
