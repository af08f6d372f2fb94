"""Runs the commands of a page of documentation, as they stand there: the blocks marked as `sh`, one after the other."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import termios
from pathlib import Path

import gevent
import gevent.socket

FOREGROUND = "make run"
"""It stays in its terminal; what follows is typed in another one."""
PATIENCE = 240.0  # seconds for one block; the first one waits for pip
PASSWORD = b"a good password\n"


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S)


class Terminals:
    """Two terminals in one folder, with nothing in their environment but `environ`. `servers`: what runs there."""

    def __init__(self, folder: Path, environ: dict[str, str]) -> None:
        self.folder, self.environ = folder, environ
        self.servers: list[subprocess.Popen[bytes]] = []
        self.log = folder.parent / "server.log"

    def type(self, block: str) -> str:
        """Runs a block, and answers what asks for a password. What it printed; an AssertionError if it fails."""
        if block.rstrip().endswith(FOREGROUND):
            return self._start(block)
        master, slave = pty.openpty()
        process = self._run(block, slave)
        os.close(slave)
        said = b""
        with gevent.Timeout(PATIENCE):
            while data := self._read(master):
                said += data
                if said.endswith(b": "):  # a prompt
                    os.write(master, PASSWORD)
            code = process.wait()
        os.close(master)
        text = said.decode().replace("\r\n", "\n")
        assert code == 0, (
            f"{block}\nexit code {code}:\n{text}\n{self.log.read_text() if self.log.exists() else ''}"
        )
        return text

    @staticmethod
    def _read(master: int) -> bytes:
        gevent.socket.wait_read(master)
        try:
            return os.read(master, 4096)
        except OSError:  # the other side is closed
            return b""

    def _run(self, block: str, terminal: int) -> subprocess.Popen[bytes]:
        def take() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        return subprocess.Popen(["bash", "-euo", "pipefail", "-c", block], cwd=self.folder, env=self.environ, stdin=terminal,
                                stdout=terminal, stderr=terminal, preexec_fn=take)  # fmt: skip

    def _start(self, block: str) -> str:
        """The server keeps its terminal; it is there once it says so."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            command = ["bash", "-euo", "pipefail", "-c", block]
            self.servers.append(
                subprocess.Popen(command, cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL,
                                 stdout=log, stderr=subprocess.STDOUT, start_new_session=True))  # fmt: skip
        with gevent.Timeout(PATIENCE):
            while True:
                said = self.log.read_bytes()[before:].decode()
                if "\nready\n" in said:
                    return said
                assert self.servers[-1].poll() is None, said
                gevent.sleep(0.2)

    def ended(self) -> int:
        """Waits until the last server has ended; its exit code."""
        return self.servers[-1].wait(30)

    def close(self) -> None:
        for each in self.servers:
            if each.poll() is None:
                os.killpg(each.pid, signal.SIGKILL)
                each.wait()
