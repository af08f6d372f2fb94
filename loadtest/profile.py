"""``python -m loadtest.profile "chat 1 in flight"``: where the CPU of a row goes in this server, by perf's samples.

Needs Debian's linux-perf. Prints a Markdown table, microseconds for what the row counts, by thread and library; ``--symbols``
adds the functions.
"""

import argparse
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from . import peers
from .eventing import EVENTING
from .rooms import ROOMS
from .rows import ROWS, Bed, Row, Size
from .web import ROWS as WEB

PARTS = {
    "libpython": "interpreter", "python3": "interpreter", "kernel": "kernel", "pyexpat": "expat", "libexpat": "expat",
    "libssl": "OpenSSL", "libcrypto": "OpenSSL", "_ssl": "OpenSSL", "sqlite": "SQLite", "greenlet": "gevent",
    "corecext": "gevent", "libc.so": "C library", "vdso": "kernel",
}  # fmt: skip


def part_of(library: str) -> str:
    return next((name for known, name in PARTS.items() if known in library), "other")


def profile(row: Row, seconds: float, symbols: bool) -> str:
    """The row's table. Raises what a row raises, and Unavailable."""
    folder = Path(tempfile.mkdtemp(prefix="profile-"))
    peer = peers.make("jabberd_py", folder)
    assert row.measure is not None
    size = Size(seconds=seconds)
    try:
        peer.start(*row.setup.fill(size), {**vars(row.setup)})
        loop = peer.pids()[-1]
        data = folder / "perf.data"
        perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "1999", "-o", data, "-p", str(loop)],
                                stderr=subprocess.DEVNULL)  # fmt: skip
        figure = row.measure(Bed(peer, size))
        perf.send_signal(signal.SIGINT)
        perf.wait()
        found = shares(data, "pid,dso", loop)
        lines = [f"| {row.name}, {row.unit} | {figure:.1f} |", "|---|---|"]
        lines += [f"| {where} | {share * figure / 100:.1f} |" for where, share in found.most_common()]
        if symbols:
            lines += [f"| {where} | {share * figure / 100:.2f} |" for where, share in
                      shares(data, "pid,sym", loop).most_common(40)]  # fmt: skip
        return "\n".join(lines)
    finally:
        peer.stop()
        shutil.rmtree(folder, ignore_errors=True)


def shares(data: Path, sort: str, loop: int) -> Counter[str]:
    """Percent of the samples by thread and by what ``sort``, a key of perf report, names second: library or function."""
    report = subprocess.run(["perf", "report", "-i", data, "--stdio", "-g", "none", "--sort", sort],
                            capture_output=True, text=True, check=True).stdout  # fmt: skip
    found: Counter[str] = Counter()
    for line in report.splitlines():
        match = re.match(r"\s*([\d.]+)%\s+(\d+):?\S*\s+(.*\S)", line)
        if match:
            thread = "" if int(match[2]) == loop else "writer: "
            name = part_of(match[3]) if sort.endswith("dso") else re.sub(r"^\[.\] |\s+-.*", "", match[3])
            found[thread + name] += float(match[1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m loadtest.profile", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("row", help="; ".join(row.name for row in (*ROWS, *WEB, *ROOMS, *EVENTING)))
    parser.add_argument("--seconds", type=float, default=6.0, help="of traffic")
    parser.add_argument("--symbols", action="store_true", help="functions, too")
    options = parser.parse_args()
    rows = [
        row for row in (*ROWS, *WEB, *ROOMS, *EVENTING) if row.name == options.row and row.measure is not None
    ]
    if not rows or shutil.which("perf") is None:
        parser.error("no such row" if not rows else "perf is not installed (Debian package linux-perf)")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gc.disable()
    print(profile(rows[0], options.seconds, options.symbols))
    return 0


if __name__ == "__main__":
    sys.exit(main())
