"""``python -m loadtest.bench``: what messages, logins and sessions cost a server, or several side by side.

Every server runs on processor 0, the clients on the last one; only the server's CPU (all its processes) and
memory count. Figures are medians of the rounds. Flags, or the same words in upper case in the environment.
"""

import argparse
import gc
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import peers, report
from .curves import CURVES
from .driver import Failed
from .eventing import EVENTING
from .fairness import CASES
from .held import HELD
from .large import LARGE
from .peers.base import Peer, Unavailable
from .rooms import ROOMS
from .rows import ROWS, Bed, Row, Setup, Size
from .web import ROWS as WEB

ALL = (*ROWS, *WEB, *ROOMS, *EVENTING, *LARGE, *CURVES, *CASES, HELD)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.bench", description=__doc__.partition("\n")[0])
    env = os.environ.get

    def add(flag: str, default: Any, text: str) -> None:
        kind = type(default)
        parser.add_argument(f"--{flag}", type=kind, default=kind(env(flag.upper()) or default), help=text)

    add("peers", "all", f"of: {' '.join(peers.NAMES)}")
    add("rows", "", "only rows with one of these beginnings, commas between: chat,login TLS")
    add("rounds", 3, "each row so often; the median counts")
    add("seconds", 1.0, "of traffic for a round of a row")
    add("users", 200, "of the traffic rows")
    add("sessions", 10_000, "of the rows of idle sessions and of the curve of CPU")
    add("many", 15_000, "sessions of the curves of memory and of the storm")
    add("minute", 60.0, "seconds in which nobody does anything")
    add("json", "", "write everything there")
    add("docs", "", "the folder whose performance.md, performance-data.json and plots to renew")
    return parser.parse_args()


class Bench:
    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.size = Size(options.users, options.seconds, options.sessions, options.many, options.minute)
        self.results: report.Results = {}
        self.versions: dict[str, str] = {}
        self.started = 0

    def run(self, names: list[str], rows: list[Row]) -> None:
        """Round by round and row by row the servers take turns: a moment's noise meets them all alike."""
        setups: dict[Setup, list[Row]] = {}
        for row in rows:
            if row.measure is not None:
                setups.setdefault(row.setup, []).append(row)
        for setup, alike in setups.items():
            if not setup.fresh:
                self.together(setup, names, alike)
                continue
            for row in alike:
                for _ in range(1 if row.once else self.options.rounds):
                    for name in names:
                        self.together(setup, [name], [row])

    def together(self, setup: Setup, names: list[str], rows: list[Row]) -> None:
        """Rows that one server after the other can serve without a new start."""
        servers: list[Peer] = []
        try:
            for name in names:
                mine = [row for row in rows if row.only in ("", name)]
                peer = self.start(name, setup, mine) if mine else None
                if peer is not None:
                    servers.append(peer)
            for number in range(1 if setup.fresh else self.options.rounds):
                for row in rows:
                    for peer in servers:
                        if row.only in ("", peer.name) and not (row.once and number):
                            self.measure(peer, row)
        finally:
            for peer in servers:
                peer.stop()

    def start(self, name: str, setup: Setup, rows: list[Row]) -> Peer | None:
        """None, and the rows have failed, if it does not start."""
        self.started += 1
        folder = self.folder / f"{self.started}-{name}"
        folder.mkdir(mode=0o755)
        peer = peers.make(name, folder)
        try:
            peer.start(*setup.fill(self.size), vars(setup))
            self.versions[name] = peer.version()
        except (Unavailable, OSError, subprocess.SubprocessError) as error:
            peer.stop()
            print(f"{name}: {error}", file=sys.stderr)
            for row in rows:
                self.result(row, name)["failure"] = str(error)
            return None
        except BaseException:
            peer.stop()
            raise
        return peer

    def result(self, row: Row, name: str) -> dict[str, Any]:
        empty: dict[str, Any] = {"rounds": [], "details": [], "points": [], "failure": ""}
        return self.results.setdefault(row.name, {}).setdefault(name, empty)

    def measure(self, peer: Peer, row: Row, again: bool = False) -> None:
        """What fails is measured once more, as a busy machine may be too slow for a moment."""
        result = self.result(row, peer.name)
        if result["failure"] or row.measure is None:
            return
        bed = Bed(peer, self.size)
        noise = Noise(peer)
        try:
            value = row.measure(bed)
        except (Failed, OSError) as error:
            failure = " ".join(str(error).split())[:300]
            print(f"{peer.name}: {row.name}: {failure} {brief(bed.details)}", file=sys.stderr)
            if again:
                result["failure"] = failure
            else:
                self.measure(peer, row, again=True)
            return
        bed.details |= noise.heard()
        result["rounds"].append(value)
        result["details"].append(bed.details)
        result["points"] = bed.points
        shown = f"{row.name}: {value:.2f} {row.unit}"
        print(
            f"{peer.name} [{len(result['rounds'])}] {shown}  {brief(bed.details)}",
            file=sys.stderr,
            flush=True,
        )

    def data(self) -> dict[str, Any]:
        return {"date": time.strftime("%Y-%m-%d"), "machine": report.machine(), "size": vars(self.size),
                "versions": self.versions, "results": self.results}  # fmt: skip


class Noise:
    """What disturbed a row: percent of the machine that neither server nor driver used, and how long the server was
    ready to run and had to wait, in percent of what it ran."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.before = self._now()

    def _now(self) -> tuple[float, float, float, float]:
        ran, waited = self.peer.scheduled()
        busy = sum(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]))
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), ran + time.process_time(), waited

    def heard(self) -> dict[str, float]:
        elapsed, busy, ours, waited = (b - a for a, b in zip(self.before, self._now(), strict=True))
        processors = os.cpu_count() or 1
        waited = max(0.0, waited) / max(ours, 1e-9) * 100  # a server that was started anew has waited less
        return {"others": max(0.0, busy - ours) / elapsed / processors * 100, "waited": waited,
                "load": os.getloadavg()[0]}  # fmt: skip


def brief(details: dict[str, float]) -> str:
    return " ".join(f"{key}={value:.4g}" for key, value in details.items())


def main() -> int:
    options = arguments()
    names = list(peers.NAMES) if options.peers == "all" else options.peers.replace(",", " ").split()
    wanted = [word.strip() for word in options.rows.split(",") if word.strip()]
    rows = [row for row in ALL if not wanted or any(row.name.startswith(word) for word in wanted)]
    if not rows or set(names) - set(peers.NAMES):
        print(f"peers: {', '.join(peers.NAMES)}\nrows: {', '.join(row.name for row in ALL)}", file=sys.stderr)
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
    data = bench.data()
    print(report.table(bench.results, bench.versions, rows))
    print("\n" + report.special(bench.results, rows))
    print("\n" + report.noise(bench.results, rows))
    if options.json:
        Path(options.json).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    if options.docs:
        report.write(Path(options.docs), data, ALL)
    failures = [line for line in report.failures(bench.results) if "jabberd2 has no" not in line]
    print("\n".join(failures), file=sys.stderr)
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
