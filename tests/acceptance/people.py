"""Those who use the clients of other people: slixmpp, and profanity in a terminal of its own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

import gevent
import pytest
from gevent.event import Event

PATIENCE = 20.0  # seconds, on a busy machine


class Program:
    """A client of other people in a process of its own, that says and is told JSON lines. What happened to it is in
    `heard`; `hears` takes it from there."""

    patience = PATIENCE

    def __init__(self, jid: str, command: list[str], **environ: str) -> None:
        self.jid, self.full = jid, ""  # with its resource when it is online
        self.heard: list[list[str]] = []
        self.news, self.ended = Event(), False
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=os.environ | environ)  # fmt: skip
        self.reader = gevent.spawn(self._read)

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.heard.append(json.loads(line))
            self.news.set()
        self.ended = True
        self.news.set()

    def do(self, *words: str) -> Self:
        assert self.process.stdin
        self.process.stdin.write(json.dumps(words).encode() + b"\n")
        self.process.stdin.flush()
        return self

    def hears(self, *words: str) -> list[str]:
        """The first thing that begins with these words; it and all before it is taken."""
        return self.until(*words)[-1]

    def until(self, *words: str) -> list[list[str]]:
        """All up to the first thing that begins with these words, and it; they are taken."""
        wanted = list(words)
        with gevent.Timeout(
            self.patience, AssertionError(f"{self.jid} waits for {wanted}, heard {self.heard}")
        ):
            while True:
                self.news.clear()
                for number, each in enumerate(self.heard, 1):
                    if each[: len(wanted)] == wanted:
                        taken, self.heard = self.heard[:number], self.heard[number:]
                        return taken
                assert not self.ended, f"{self.jid} ended and never heard {wanted}, but {self.heard}"
                self.news.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class Slix(Program):
    """A slixmpp client (see slix.py)."""

    def __init__(self, jid: str, password: str, port: int, certificate: Path, *, direct: bool = False,
                 register: bool = False) -> None:  # fmt: skip
        setting = {"jid": jid, "password": password, "port": port, "ca": str(certificate),
                   "direct": direct, "register": register}  # fmt: skip
        program = Path(__file__).with_name("slix.py")
        super().__init__(jid, [sys.executable, str(program), json.dumps(setting)])

    def leave(self) -> None:
        self.do("quit")
        self.hears("gone")
        assert self.process.wait(PATIENCE) == 0


class Profanity:
    """Debian's profanity in a tmux of its own, with a home of its own. Not installed: the test is skipped."""

    def __init__(self, home: Path) -> None:
        for program in ("profanity", "tmux"):
            if not shutil.which(program):
                pytest.skip(f"{program} is not installed")
        home.mkdir()
        self.socket = str(home / "tmux")
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("XDG_", "TMUX", "DBUS_", "DISPLAY"))
        }
        self.environment = kept | {"HOME": str(home), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "160", "-y", "50", "profanity")
        self.sees("Type '/help' to show complete help.")

    def tmux(self, *words: str) -> str:
        return subprocess.run(["tmux", "-S", self.socket, *words], env=self.environment, check=True,
                              capture_output=True, text=True, timeout=10).stdout  # fmt: skip

    def types(self, line: str) -> None:
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p", "-J")

    def sees(self, text: str) -> None:
        """The text is on the screen, soon. A terminal tells nobody that it has changed: we have to look again."""
        with gevent.Timeout(PATIENCE, False):
            while text not in self.screen:
                gevent.sleep(0.05)
            return
        raise AssertionError(f"{text!r} is not to be seen:\n{self.screen}")

    def kill(self) -> None:
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], env=self.environment, capture_output=True)
