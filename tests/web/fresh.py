"""A server without a configuration, as the first start finds it."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from tests.server import ROOT, START, ServerProcess, environment
from tests.web.browser import Browser

PASSWORD = "four words that nobody guesses"
WITHOUT = {
    "JABBERD_C2S__PORT": "0", "JABBERD_C2S__DIRECT_PORT": "0", "JABBERD_C2S__ADDRESS": "127.0.0.1",
    "JABBERD_S2S__ENABLED": "no", "PYTHONPATH": str(ROOT),
}  # fmt: skip


class Fresh(ServerProcess):
    """What `make run` starts in a fresh clone: there is no configuration, and nobody has an account. ``environ``: more of the
    environment."""

    def __init__(self, folder: Path, environ: Mapping[str, str] = {}) -> None:
        self.environ = WITHOUT | dict(environ)
        self.data, self.folder = folder / "data", folder
        self.file, self.log = folder / "conf/jabberd.yaml", folder / "test.log"
        self.socket = self.data / "jabberctl.sock"
        folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        self.listeners = {}
        self.said: list[str] = []
        self.ready = Event()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jabberd_py"], cwd=self.folder, env=environment() | self.environ,
                stdout=subprocess.PIPE, stderr=log,
            )  # fmt: skip
        self.reader = gevent.spawn(self._listen, self.process, self.ready)
        assert self.ready.wait(START) and self.process.poll() is None, self.tail()

    def _listen(self, process: Any, ready: Event) -> None:
        for line in process.stdout:
            self.said.append(line.decode())
            match line.decode().split():
                case ["listening", kind, address, port] if port.isdigit():
                    self.listeners[kind] = (address, int(port))
                case ["ready"]:
                    ready.set()
        ready.set()

    @property
    def link(self) -> str:
        """The path of the link that was printed; empty: there was none."""
        found = [line.split("/setup/")[1].strip() for line in self.said if "/setup/" in line]
        return f"/setup/{found[0]}" if found else ""


def opened(server: Fresh) -> Browser:
    browser = Browser(server, "http")
    browser.get(server.link)
    assert browser.send("Begin").path == "/setup/domain"
    return browser
