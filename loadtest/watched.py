"""``python -m loadtest.watched FOLDER ...``: jabberd_py with these arguments, and how long each round of its loop took.

A round is what happens between two waits of the loop for sockets: nobody else is served meanwhile. ``FOLDER/held`` holds two
numbers (double): the CPU time and the time of the longest round, in seconds; whoever reads them sets them to 0 again.
``FOLDER/iqs`` has a line for each IQ that the server answers: domain, target, type, namespace and name of the payload, tabs
between.
"""

import jabberd_py.__main__ as server  # first: it lets gevent patch what the rest imports  # isort: skip

import mmap
import struct
import sys
import time
from pathlib import Path
from typing import Any

import gevent

from jabberd_py.instance import Instance

LONGEST = struct.Struct("dd")


def watch(file: Path) -> list[Any]:
    """Begins; returns what must live as long as the loop."""
    file.write_bytes(bytes(LONGEST.size))
    with open(file, "r+b") as opened:
        longest = mmap.mmap(opened.fileno(), LONGEST.size)
    loop = gevent.get_hub().loop
    began = [time.thread_time(), time.perf_counter()]

    def awake() -> None:
        began[:] = time.thread_time(), time.perf_counter()

    def asleep() -> None:
        used, took = time.thread_time() - began[0], time.perf_counter() - began[1]
        most, longest_took = LONGEST.unpack_from(longest)
        if used > most or took > longest_took:
            LONGEST.pack_into(longest, 0, max(used, most), max(took, longest_took))

    after, before = loop.check(priority=loop.MAXPRI), loop.prepare(priority=loop.MINPRI)
    after.start(awake)
    before.start(asleep)
    return [after, before, longest]


def note(file: Path) -> None:
    """From now on each IQ that finds a handler gets its line."""
    add = Instance.add_iq

    def noted(self: Instance, key: Any, handler: Any) -> None:
        add(self, key, handler)
        with open(file, "a") as out:
            out.write("\t".join((self.domain, *key)) + "\n")

    Instance.add_iq = noted  # type: ignore[method-assign]


if __name__ == "__main__":
    folder = Path(sys.argv.pop(1))
    watchers = watch(folder / "held")
    note(folder / "iqs")
    server.main()
