"""Users who ping the server at a steady pace, in a process of their own: what the others' doings do to them.

``python -m loadtest.pinger HOST PORT NAME... < PASSWORD``: each line on standard input is answered with the times since the
last one, as JSON. A ping's time counts from when it should have been sent: a stalled server cannot hide its stall.
"""

import json
import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from .driver import Client, Failed, login
from .peers.base import Users

EVERY = 0.05
"""Seconds between two pings of one user."""
FIRST = 100_000
"""The number of the first one's address: nobody else's."""
PING = b"<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>"


class Pinger:
    """Runs until the ``with`` block ends. `mark` gives ``{"p50", "p99", "max"}`` in ms and ``"count"``; raises Failed."""

    def __init__(self, address: tuple[str, int], users: Users) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.pinger", address[0], str(address[1]), *(name for name, _ in users)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
        )  # fmt: skip
        try:
            self._say(users[0][1])
        except BaseException:
            self.process.kill()
            raise

    def _say(self, line: str) -> dict[str, float]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Failed("the pinging users have lost their connection")
        found: dict[str, float] = json.loads(answer)
        return found

    def mark(self) -> dict[str, float]:
        return self._say("mark")

    def __enter__(self) -> "Pinger":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def summary(times: list[float]) -> dict[str, float]:
    times = sorted(times) or [0.0]
    at = {
        name: times[min(len(times) - 1, int(len(times) * part))]
        for name, part in (("p50", 0.5), ("p99", 0.99))
    }
    return {key: value * 1e3 for key, value in (at | {"max": times[-1]}).items()} | {"count": len(times)}


def run(clients: list[Client]) -> None:
    now = time.monotonic()
    due = {c.socket.fileno(): now + EVERY * n / len(clients) for n, c in enumerate(clients)}
    known = {c.socket.fileno(): c for c in clients}
    sent: dict[int, float] = {}
    times: list[float] = []
    with select.epoll() as epoll:
        for fd in (*known, 0):
            epoll.register(fd, select.EPOLLIN)
        while True:
            now = time.monotonic()
            for fd, at in due.items():
                if at <= now and fd not in sent:
                    sent[fd] = at
                    due[fd] = at + EVERY
                    known[fd].send(PING)
            wake = min((at for fd, at in due.items() if fd not in sent), default=now + 1)
            for fd, _ in epoll.poll(max(0.0, wake - time.monotonic())):
                if fd == 0:
                    if not sys.stdin.readline():
                        return
                    now = time.monotonic()
                    times += [now - at for at in sent.values()]  # still on their way
                    print(json.dumps(summary(times)), flush=True)
                    times = []
                elif known[fd].count(b">") and fd in sent:
                    times.append(time.monotonic() - sent.pop(fd))


def main(host: str, port: str, *names: str) -> None:
    with suppress(OSError):  # before the clients that disturb: it is the server that is to be measured
        os.nice(-10)
    password = sys.stdin.readline().strip()
    clients: Any = login([(name, password) for name in names], (host, int(port)), False, first=FIRST)
    print("{}", flush=True)
    run(clients)


if __name__ == "__main__":
    with suppress(Failed):
        main(*sys.argv[1:])
