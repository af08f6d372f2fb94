"""This server, started as its operator does."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base import START, Peer, Rosters, Unavailable, Users, run

REPOSITORY = Path(__file__).parents[2]
MANY = 1_000_000
UNLIMITED = {"messages": MANY, "burst": MANY, "presences": MANY, "presence_burst": MANY}
"""Of rooms."""


class Server(Peer):
    name = "jabberd_py"

    def start(self, users: Users, rosters: Rosters, options: Mapping[str, object]) -> None:
        config: dict[str, Any] = {
            "data": str(self.folder / "data"),
            "log": {"level": "warning"},
            "c2s": {"address": ["127.0.0.1"], "port": 0, "direct_port": None, "require_tls": False},
            "s2s": {"enabled": False},
            "http": {"port": None, "tls_port": None},
            "hosts": {"localhost": {}},
            "modules": {"mam": bool(options.get("archive"))},
        }
        rooms = {
            "limits": {} if options.get("limits") else UNLIMITED,
            "archive": bool(options.get("archive")),
        }
        config["services"] = {"rooms": {"modules": rooms} if options.get("rooms") else False}
        if not options.get("limits"):
            config["c2s"] |= {"idle_timeout": "1h", "streams_per_address": MANY, "logins_per_address": MANY,
                              "logins_in_all": MANY}  # fmt: skip
        if options.get("web"):
            config["http"] = {"port": 0, "tls_port": None, "url": "http://localhost"}
            config["services"]["upload"] = {"per_day": "1 TiB", "quota": "1 TiB"}
            if not options.get("limits"):
                config["http"] |= {"connections_per_address": MANY, "rate_requests": MANY}
        if options.get("watched"):
            config["modules"] |= {"register": True, "echo": True}
            config["services"]["pubsub"] = {"max_items": 100_000}
            config["hosts"]["localhost"] = {"admins": ["owner@localhost"]}
        if options.get("announce"):
            config["modules"]["announce"] = True
            config["hosts"]["localhost"] = {"admins": ["user0@localhost"]}
        file = self.folder / "jabberd.yaml"
        file.write_text(json.dumps(config))  # YAML is a superset
        loaded = run(sys.executable, "-m", "loadtest.peers.preload", config["data"], cwd=REPOSITORY,
                     input=json.dumps({"users": users, "rosters": rosters, "rooms": options.get("asleep", 0)}))  # fmt: skip
        if loaded.returncode:
            raise Unavailable(f"accounts cannot be loaded: {loaded.stderr[-2000:]}")
        module = ["loadtest.watched", str(self.folder)] if options.get("watched") else ["jabberd_py"]
        self.command = [sys.executable, "-m", *module, "--config", str(file)]
        self.launch()
        self._wait()

    def again(self) -> float:
        """Stops and starts it; returns the seconds that the start took."""
        self.stop()
        (self.folder / "output").write_bytes(b"")
        began = time.monotonic()
        self.launch()
        self._wait()
        return time.monotonic() - began

    def commands(self) -> list[list[str]]:
        return [self.command]

    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(REPOSITORY)}

    def _wait(self) -> None:
        deadline = time.monotonic() + START
        while time.monotonic() < deadline and not self.gone():
            said = self.said()
            if "\nready" in said:
                for line in said.splitlines():
                    if line.startswith("listening c2s "):
                        self.address = ("127.0.0.1", int(line.split()[-1]))
                    if line.startswith("listening http "):
                        self.web = ("127.0.0.1", int(line.split()[-1]))
                return
            time.sleep(0.05)
        raise Unavailable(f"jabberd_py does not start: {self.said()}")

    def version(self) -> str:
        return run("git", "rev-parse", "--short", "HEAD", cwd=REPOSITORY).stdout.strip()
