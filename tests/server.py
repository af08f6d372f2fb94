"""The server under test, as its operator runs it: a process of its own, its own folder, ports of its own."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

ROOT = Path(__file__).parent.parent
START = 30.0  # seconds: includes migrations and certificates on a busy machine


class ServerProcess:
    """Starts at once. `config`: content of the YAML; `data`: the data folder, config and log go there too.

    Ports are 0 unless the config says otherwise; the server prints `listening KIND ADDRESS PORT` for each
    listener and then `ready`. All it prints is in `log`. `under`: a command that runs it, with its arguments.
    """

    def __init__(
        self, config: dict[str, Any], data: Path, *arguments: str, under: Sequence[str] = (), **environ: str
    ) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.data, self.arguments, self.under, self.environ = data, arguments, under, environ
        self.file, self.log, self.socket = data / "test.yaml", data / "test.log", data / "jabberctl.sock"
        c2s = {"address": "127.0.0.1", "port": 0, "direct_port": 0, **config.get("c2s", {})}
        s2s = {"enabled": "s2s" in config, "address": "127.0.0.1", "port": 0, **config.get("s2s", {})}
        whole = {**config, "data": str(data), "c2s": c2s, "s2s": s2s}
        self.file.write_text(json.dumps(whole, indent=2))  # JSON is YAML
        self.start()

    def start(self) -> None:
        self.listeners: dict[str, tuple[str, int]] = {}
        self.ready = Event()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.under,
                    sys.executable,
                    "-m",
                    "jabberd_py",
                    "--config",
                    str(self.file),
                    *self.arguments,
                ],
                cwd=ROOT,
                env=environment() | self.environ,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self.reader = gevent.spawn(self._read, self.process, self.ready)
        if not self.ready.wait(START) or self.process.poll() is not None:
            self.kill9()
            raise AssertionError(f"the server did not start:\n{self.tail()}")

    def _read(self, process: subprocess.Popen[bytes], ready: Event) -> None:
        with self.log.open("ab", buffering=0) as log:
            for line in process.stdout or ():
                log.write(line)
                match line.decode().split():
                    case ["listening", kind, address, port] if port.isdigit():
                        self.listeners[kind] = (address, int(port))
                    case ["ready"]:
                        ready.set()
        process.wait()
        ready.set()  # gone: nobody shall wait for it

    def address(self, kind: str = "c2s") -> tuple[str, int]:
        """Where it listens for "c2s" or "c2s_direct"; ports change with every start."""
        return self.listeners[kind]

    def tail(self, start: int = 0) -> str:
        """The log from byte `start`, its last 8 KB at most."""
        return self.log.read_bytes()[start:][-8192:].decode(errors="replace")

    def kill9(self) -> None:
        """As a power cut for the process: SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 20.0) -> int:
        """SIGTERM; the exit code. An AssertionError (and SIGKILL) if it does not stop in time."""
        self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"the server did not stop in {timeout} s:\n{self.tail()}") from None

    def restart(self) -> None:
        """Stop with exit code 0, start again on the same data; new ports."""
        code = self.stop()
        assert code == 0, f"exit code {code}:\n{self.tail()}"
        self.start()

    def pss(self) -> int:
        """Proportional set size in bytes."""
        rollup = Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) * 1024

    def cpu(self) -> float:
        """Seconds of CPU used, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ctl(self, *arguments: str, code: int | None = 0) -> str:
        """What jabberctl prints; an AssertionError if it ends with another code (None: with any)."""
        command = [sys.executable, "-m", "jabberd_py.ctl.main", "--socket", str(self.socket), *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=30
        )
        assert code in (None, done.returncode), f"jabberctl {' '.join(arguments)}: {done.stdout}{done.stderr}"
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def ask(self, command: str, *, error: bool | None = False, **args: Any) -> Any:
        """Runs a command by the control socket, without the second that jabberctl takes to start. Returns its result, or, if
        it has to fail, what is wrong."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.socket))
            sock.sendall(json.dumps({"command": command, "args": args}).encode() + b"\n")
            lines = sock.makefile()
            while "progress" in (answer := json.loads(lines.readline())):
                pass
        assert error is None or ("error" in answer) == error, answer
        return answer["error"] if "error" in answer else answer["result"]


ANY_PORT = {
    "JABBERD_HTTP__PORT": "0", "JABBERD_HTTP__TLS_PORT": "0", "JABBERD_HTTP__TLS_ADDRESS": "127.0.0.1",
    "JABBERD_BYTESTREAMS__PORT": "0", "JABBERD_BYTESTREAMS__ADDRESS": "127.0.0.1",
}  # fmt: skip
"""Every server has a web server and a port for bytestreams, also those that other programs start."""


def environment() -> dict[str, str]:
    """Ours, without options for the server but `ANY_PORT`."""
    return {key: value for key, value in os.environ.items() if not key.startswith("JABBERD")} | ANY_PORT
