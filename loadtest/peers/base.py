"""What the benchmark asks of a server: start with these accounts, say where you listen, stop."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.ca import CA, Certificate
from tests.peers import START, Program, Unavailable, free_port

__all__ = ["DOMAIN", "START", "Peer", "Rosters", "Unavailable", "Users", "certificate", "free_port", "run"]

DOMAIN = "localhost"

Users = Sequence[tuple[str, str]]
Rosters = Mapping[str, Sequence[str]]


class Peer(Program):
    """``folder`` is private to this run and may be filled; nothing is left running when `stop` returns. All run on one
    processor.

    start(users, rosters, options)
        ``users``: (name, password) of every account to exist; ``rosters``: for a name the names of mutual
        contacts; ``options``: what a row wants otherwise than the rest. No limits on rates or connections,
        TLS offered but not required, no archive unless the option ``archive`` is set, warnings only in the log.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, ["taskset", "-c", "0"])
        self.address = ("127.0.0.1", 0)
        self.web = ("127.0.0.1", 0)

    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        raise NotImplementedError

    def version(self) -> str:
        return (
            run("dpkg-query", "-W", "-f", "${Version}", self.package).stdout.strip() if self.package else ""
        )

    # -- what it costs -------------------------------------------------------------------------

    def cpu(self) -> float:
        """Seconds of CPU that all its threads have used."""
        return self.scheduled()[0]

    def scheduled(self) -> tuple[float, float]:
        """Seconds that its threads ran, and that they were ready to run and did not."""
        ran = waited = 0
        for pid in self.pids():
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    one, other, _ = file.read_text().split()
                except OSError:
                    continue
                ran, waited = ran + int(one), waited + int(other)
        return ran / 1e9, waited / 1e9

    def pss(self) -> int:
        """Bytes of memory of the whole tree, shared pages by their share."""
        total = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total


def run(*command: str, **keywords: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **keywords)


def certificate(folder: Path) -> Certificate:
    """A self-signed ECDSA P-256 one, as this server makes."""
    return CA(folder).certificate(DOMAIN, self_signed=True)
