"""What the benchmark asks of a server: start with these accounts, say where you listen, stop."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

DOMAIN = "localhost"
START = 60.0
"""Seconds a server has to listen in."""

Users = Sequence[tuple[str, str]]
Rosters = Mapping[str, Sequence[str]]


class Unavailable(Exception):
    """This server is not installed, or cannot do that."""


class Peer:
    """``folder`` is private to this run and may be filled; nothing is left running when `stop` returns.

    start(users, rosters, options)
        ``users``: (name, password) of every account to exist; ``rosters``: for a name the names of mutual
        contacts; ``options``: what a row wants otherwise than the rest. No limits on rates or connections,
        TLS offered but not required, no archive unless the option ``archive`` is set, warnings only in the log.
    """

    package = ""  # Debian's
    binary = ""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ("127.0.0.1", 0)

    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        raise NotImplementedError

    def version(self) -> str:
        return (
            run("dpkg-query", "-W", "-f", "${Version}", self.package).stdout.strip() if self.package else ""
        )

    # -- for the subclasses ------------------------------------------------------------------

    def find(self) -> str:
        path = shutil.which(self.binary, path=os.environ["PATH"] + ":/usr/sbin:/usr/bin")
        if path is None:
            raise Unavailable(f"{self.binary} is not installed (Debian package {self.package})")
        return path

    def spawn(self, *command: str, cpu: int, environment: Mapping[str, str] | None = None) -> None:
        """In a process group of its own, on one processor; what it says goes to ``folder/output``."""
        with open(self.folder / "output", "wb") as output:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cpu), *command], stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}, start_new_session=True,
            )  # fmt: skip

    def wait_until_listening(self) -> None:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline:
            assert self.process is not None
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(self.address, 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise Unavailable(f"{self.name} does not start: {self.said()}")

    def said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        if self.process is None:
            return
        pids = self.pids()
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(15)
        for pid in pids:  # only what this peer started: children may have left the process group
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        self.process = None

    # -- what it costs -------------------------------------------------------------------------

    def pids(self) -> list[int]:
        """The process and all its descendants."""
        assert self.process is not None
        found = []
        queue = [self.process.pid]
        while queue:
            pid = queue.pop()
            try:
                tasks = os.listdir(f"/proc/{pid}/task")
                found.append(pid)
                for task in tasks:
                    queue += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
            except OSError:
                continue
        return found

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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def run(*command: str, **keywords: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **keywords)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed ECDSA P-256 one, as this server makes: (certificate, key)."""
    cert, key = folder / "certificate.pem", folder / "key.pem"
    command = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    names = ["-days", "30", "-subj", f"/CN={DOMAIN}", "-addext", f"subjectAltName=DNS:{DOMAIN}"]
    run(*command, *names, "-keyout", str(key), "-out", str(cert), check=True)
    return cert, key
