"""One user takes more than a share: what the others' pings and the server's memory say. All limits are at their defaults."""

import functools
import json
import subprocess
import sys
from pathlib import Path

from . import driver
from .attacker import BIG, HALL, KINDS, NAME
from .driver import Loop
from .peers.base import Rosters, Users
from .pinger import Pinger
from .rooms import enter
from .rows import CONTACTS, PASSWORD, Bed, Row, Setup, Size, accounts
from .web_attacks import KINDS as WEB

PINGERS = 20
BIG_ROSTER = 10_000


def fill(size: Size) -> tuple[Users, Rosters]:
    known = [name for name, _ in accounts(CONTACTS)]
    rosters: dict[str, list[str]] = {name: [NAME, BIG] for name in known}
    rosters |= {NAME: known, BIG: [*known, *(f"contact{n}" for n in range(BIG_ROSTER - len(known)))]}
    return [*accounts(CONTACTS), *pingers(), (NAME, PASSWORD), (BIG, PASSWORD)], rosters


def pingers() -> Users:
    return [(f"pinger{number}", PASSWORD) for number in range(PINGERS)]


def case(kind: str, bed: Bed) -> float:
    """Milliseconds of the 99th percentile of others' pings beyond that of a quiet moment just before."""
    seconds = max(1.0, bed.size.seconds * 5)
    friends = bed.login(accounts(CONTACTS), False)
    try:
        if "room" in kind:
            enter(friends, HALL)
        loop = Loop(friends, b">")
        with Pinger(bed.peer.address, pingers()) as pinger:
            loop.drain()
            pinger.mark()
            loop.run(lambda *_: None, lambda: False, seconds)
            quiet, before = pinger.mark(), bed.peer.pss()
            host, port = bed.peer.web if kind in WEB else bed.peer.address
            module = "loadtest.web_attacks" if kind in WEB else "loadtest.attacker"
            attack = subprocess.Popen(
                [sys.executable, "-m", module, host, str(port), kind, str(seconds)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
            )  # fmt: skip
            try:
                assert attack.stdin is not None and attack.stdout is not None
                attack.stdin.write(PASSWORD + "\n")
                attack.stdin.close()
                most = 0
                while attack.poll() is None:
                    loop.run(lambda *_: None, lambda: attack.poll() is not None, 0.5)
                    most = max(most, bed.peer.pss())
                found = json.loads(attack.stdout.read() or "{}")
            finally:
                attack.kill()
                attack.wait()
            loud = pinger.mark()
        bed.details |= {f"{key} quiet": quiet[key] for key in ("p50", "p99")}
        bed.details |= {f"{key} under attack": loud[key] for key in ("p50", "p99", "max")}
        bed.details |= {"grown MB": (most - before) / 1e6} | found
        return loud["p99"] - quiet["p99"]
    finally:
        driver.close(friends)
        bed.settle()


SETUP = Setup(fill, archive=True, fresh=True, limits=True, rooms=True)
ON_THE_WEB = Setup(fill, archive=True, fresh=True, limits=True, rooms=True, web=True)
CASES = tuple(
    Row(f"fairness: {kind}", "ms", functools.partial(case, kind), 50, SETUP, once=True,
        only="jabberd_py")
    for kind in KINDS
) + tuple(
    Row(f"fairness: {kind}", "ms", functools.partial(case, kind), 50, ON_THE_WEB, once=True, only="jabberd_py")
    for kind in WEB
)  # fmt: skip
