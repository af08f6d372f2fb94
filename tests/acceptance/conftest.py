"""A fresh clone, made once: what a newcomer has after `git clone`, and the servers that he starts there."""

import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from tests.server import ROOT, environment

FIRST_RUN = 110.0  # seconds: the first `make run` fetches and installs the requirements
ANY_PORT = "--set c2s.address=127.0.0.1 --set c2s.port=0 --set c2s.direct_port=0"
S2S_PORT = {"JABBERD_S2S__ADDRESS": "127.0.0.1", "JABBERD_S2S__PORT": "0"}


class Clone:
    """A clone of this repository in `path`, with what is changed here and not yet committed (new files must be)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git("clone", "--quiet", ROOT, path)
        if changed := self.git("-C", ROOT, "diff", "--binary", "HEAD"):
            subprocess.run(["git", "-C", path, "apply", "-"], input=changed, check=True)

    @staticmethod
    def git(*arguments: object) -> bytes:
        return subprocess.run(["git", "-c", "safe.directory=*", *map(str, arguments)], check=True,
                              stdout=subprocess.PIPE).stdout  # fmt: skip

    @property
    def python(self) -> str:
        return str(self.path / ".venv/bin/python")

    def environment(self) -> dict[str, str]:
        """Ours without what `make test` has put there, so that the inner make is a fresh one; 5269 may be taken here."""
        outer = ("MAKE", "MFLAGS", "ARGS", "VENV", "VIRTUAL_ENV", "PYTHONPATH", "PYTEST")
        return S2S_PORT | {key: value for key, value in environment().items() if not key.startswith(outer)}

    def refuses(self, *arguments: str, **environ: str) -> str:
        """The one line with which the server refuses to start so; its exit code is not 0."""
        done = subprocess.run([self.python, "-m", "jabberd_py", *arguments], cwd=self.path, timeout=30,
                              env=self.environment() | environ, capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
        assert done.stdout == "" and done.stderr.count("\n") == 1, done.stdout + done.stderr
        return done.stderr.removeprefix("jabberd: ").rstrip()


class Running:
    """A server in its own process group, as a terminal would have it. `command` is run in the clone."""

    def __init__(
        self, clone: Clone, command: list[str], log: Path, wait: float = 30.0, **environ: str
    ) -> None:
        self.clone, self.log = clone, log
        self.said: list[str] = []
        self.listeners: dict[str, tuple[str, int]] = {}
        self.ready = Event()
        with log.open("ab") as errors:
            self.process = subprocess.Popen(command, cwd=clone.path, env=clone.environment() | environ,
                                            start_new_session=True, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=errors)  # fmt: skip
        gevent.spawn(self._read)
        if not self.ready.wait(wait) or self.process.poll() is not None:
            self.kill()
            raise AssertionError(f"it did not start:\n{self.output}\n{log.read_text()}")

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.said.append(line.decode().rstrip())
            match self.said[-1].split():
                case ["listening", kind, address, port]:
                    self.listeners[kind] = (address, int(port))
                case ["ready"]:
                    self.ready.set()
        self.ready.set()

    @property
    def output(self) -> str:
        return "\n".join(self.said)

    def port(self, kind: str = "c2s") -> int:
        return self.listeners[kind][1]

    def ctl(self, *arguments: str) -> str:
        """By the very command that the server tells its operator to use."""
        line = next(line for line in self.said if "make the first one: " in line)
        command = shlex.split(line.partition("make the first one: ")[2])
        command = command[: command.index("accounts")]
        return subprocess.run([*command, *arguments], cwd=self.clone.path, env=self.clone.environment(),
                              check=True, capture_output=True, text=True, timeout=30).stdout  # fmt: skip

    def end(self, number: int = signal.SIGTERM) -> int:
        """Sends the signal to the whole group, as a terminal does with Ctrl-C; the exit code."""
        os.killpg(self.process.pid, number)
        return self.process.wait(20)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`make run` in a fresh clone on a new data folder: still running, nothing done with it yet."""
    clone = Clone(tmp_path_factory.mktemp("fresh") / "clone")
    running = Running(clone, ["make", "run", f"ARGS={ANY_PORT} --set data=their/data"],
                      clone.path.parent / "first.log", FIRST_RUN)  # fmt: skip
    yield running
    running.kill()


@pytest.fixture(scope="session")
def clone(first_run: Running) -> Clone:
    return first_run.clone


Run = Callable[..., Running]


@pytest.fixture
def run(clone: Clone, tmp_path: Path) -> Iterator[Run]:
    """`run(*options, make=False, **environ)`: a server from the clone, killed after the test if it still runs."""
    started: list[Running] = []

    def start(*options: str, make: bool = False, **environ: str) -> Running:
        command = ["make", "run", f"ARGS={shlex.join(options)}"] if make else [
            clone.python, "-m", "jabberd_py", *options]  # fmt: skip
        started.append(Running(clone, command, tmp_path / "server.log", **environ))
        return started[-1]

    yield start
    for each in started:
        each.kill()
