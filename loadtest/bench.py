"""``python -m loadtest.bench``: what messages, logins and sessions cost a server, or several side by side.

Every server runs on processor 0, the clients on the last one; only the server's CPU (all its processes) and
memory count. Figures are medians of the rounds. Flags, or the same words in upper case in the environment.
"""

import argparse
import gc
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import peers
from .driver import Failed
from .peers.base import DOMAIN, Peer, Unavailable
from .rows import ROWS, Bed, Row, Size, accounts, away, rosters


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__.partition("\n")[0])
    env = os.environ.get

    def add(flag: str, default: Any, text: str) -> None:
        kind = type(default)
        parser.add_argument(f"--{flag}", type=kind, default=kind(env(flag.upper(), default)), help=text)

    add("peers", "jabberd_py", f"of: {' '.join(peers.NAMES)} (or 'all')")
    add("rows", "", "only rows with one of these beginnings, commas between: chat,login TLS")
    add("rounds", 3, "each row so often; the median counts")
    add("seconds", 2.0, "of traffic for a round of a row")
    add("users", 200, "of the traffic rows")
    add("sessions", 1000, "of the rows of idle sessions")
    add("limit", 0, "seconds after which no new round begins; 0: never")
    add("json", "", "write everything there")
    return parser.parse_args()


class Bench:
    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.size = Size(options.users, options.seconds, options.sessions)
        self.deadline = time.monotonic() + options.limit if options.limit else float("inf")
        self.figures: dict[str, dict[str, list[float]]] = {}
        self.details: dict[str, dict[str, list[dict[str, float]]]] = {}
        self.failures: dict[str, dict[str, str]] = {}
        self.versions: dict[str, str] = {}
        self.started = 0

    def run(self, names: list[str], rows: list[Row]) -> None:
        """Round by round and row by row the servers take turns: a moment's noise meets them all alike."""
        for name in names:
            self.figures[name], self.details[name], self.failures[name] = {}, {}, {}
        for archive in (False, True):
            self.together(names, [row for row in rows if not row.fresh and row.archive is archive])
        for row in rows:
            for number in range(self.options.rounds if row.fresh else 0):
                for name in names:
                    if row.name in self.failures[name] or time.monotonic() > self.deadline:
                        continue
                    peer = self.start(name, self.size.sessions, False, [row])
                    if peer is not None:
                        try:
                            self.measure(peer, row, number)
                        finally:
                            peer.stop()

    def together(self, names: list[str], together: list[Row]) -> None:
        """Rows that one server after the other can serve without a new start."""
        servers: list[Peer] = []
        try:
            for name in names if together else ():
                peer = self.start(name, self.size.users, True, together)
                if peer is not None:
                    servers.append(peer)
            for number in range(self.options.rounds):
                for row in together:
                    for peer in servers:
                        self.measure(peer, row, number)
        finally:
            for peer in servers:
                peer.stop()

    def start(self, name: str, users: int, contacts: bool, rows: list[Row]) -> Peer | None:
        """None, and the rows have failed, if it does not start."""
        self.started += 1
        folder = self.folder / f"{self.started}-{name}"
        folder.mkdir(mode=0o755)
        peer = peers.make(name, folder)
        known = rosters(self.size) if contacts else {}
        try:
            peer.start([*accounts(users), *away(self.size)], known, {"archive": rows[0].archive})
            self.versions[name] = peer.version()
        except (Unavailable, OSError, subprocess.SubprocessError) as error:
            peer.stop()
            print(f"{name}: {error}", file=sys.stderr)
            self.failures[name] |= {row.name: str(error) for row in rows}
            return None
        except BaseException:
            peer.stop()
            raise
        return peer

    def measure(self, peer: Peer, row: Row, number: int) -> None:
        failures = self.failures[peer.name]
        if row.name in failures or time.monotonic() > self.deadline:
            return
        bed = Bed(peer, self.size)
        try:
            figure = row.measure(bed)
        except (Failed, OSError) as error:
            failures[row.name] = " ".join(str(error).split())[:300]
            print(f"{peer.name}: {row.name}: {failures[row.name]}", file=sys.stderr)
            return
        for key, value in ((row.name, figure), *((row.also, bed.details[n]) for n in [row.also] if n)):
            self.figures[peer.name].setdefault(key, []).append(value)
            shown = f"{key}: {value:.2f} {row.unit}"
            print(f"{peer.name} [{number + 1}] {shown}  {brief(bed.details)}", file=sys.stderr, flush=True)
        self.details[peer.name].setdefault(row.name, []).append(bed.details)

    # -- what came out ---------------------------------------------------------------------------

    def table(self, rows: list[Row]) -> str:
        names = list(self.figures)
        lines = [f"| | {' | '.join(f'{n} {self.versions.get(n, str())}'.strip() for n in names)} |",
                 "|---|" + "---|" * len(names)]  # fmt: skip
        for row in rows:
            for key in filter(None, (row.name, row.also)):
                cells = []
                first = self.median(names[0], key)
                for name in names:
                    value = self.median(name, key)
                    ratio = "" if name == names[0] or not first or not value else f" ({value / first:.1f}x)"
                    cells.append("failed" if value is None else f"{value:.3g}{ratio}")
                lines.append(f"| {key}, {row.unit} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def median(self, name: str, key: str) -> float | None:
        values = self.figures[name].get(key)
        return statistics.median(values) if values else None

    def report(self) -> dict[str, Any]:
        return {
            "machine": {"processor": processor(), "processors": os.cpu_count(), "kernel": platform.release(),
                        "python": platform.python_version()},
            "size": vars(self.size), "rounds": self.options.rounds, "versions": self.versions,
            "medians": {n: {key: self.median(n, key) for key in found} for n, found in self.figures.items()},
            "figures": self.figures, "details": self.details, "failures": self.failures,
        }  # fmt: skip


def brief(details: dict[str, float]) -> str:
    return " ".join(f"{key}={value:.4g}" for key, value in details.items())


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def main() -> int:
    options = arguments()
    names = list(peers.NAMES) if options.peers == "all" else options.peers.replace(",", " ").split()
    wanted = [word.strip() for word in options.rows.split(",") if word.strip()]
    rows = [row for row in ROWS if not wanted or any(row.name.startswith(word) for word in wanted)]
    if not rows or set(names) - set(peers.NAMES):
        print(
            f"peers: {', '.join(peers.NAMES)}\nrows: {', '.join(row.name for row in ROWS)}", file=sys.stderr
        )
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    gc.disable()  # the clients make no cycles worth a pause
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    folder.chmod(0o755)  # a server that runs as a user of its own must get in
    bench = Bench(options, folder)
    try:
        bench.run(names, rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"CPU of the server's processes, {DOMAIN} only; {processor()}, {options.rounds} rounds, medians\n")
    print(bench.table(rows))
    if options.json:
        Path(options.json).write_text(json.dumps(bench.report(), indent=1) + "\n")
    return int(any(bench.failures.values()))


if __name__ == "__main__":
    sys.exit(main())
