"""What `make run` says when the server serves: what it made, where it listens, and how to make the first account."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Server


def _jabberctl(server: Server) -> str:
    """How to call it for this server, as it is installed here."""
    beside = Path(sys.executable).with_name("jabberctl")
    command = [str(beside)] if beside.exists() else [sys.executable, "-m", "jabberd_py.ctl"]
    return shlex.join([*command, "--socket", str(server.control.path)])


def say_hello(server: Server) -> None:
    if server.fresh is not None:
        print(f"made the data folder: {server.data}")
    if server.store is not None and server.store.migrated:
        print(f"made the database ready: {server.store.where} ({', '.join(server.store.migrated)})")
    for path in server.certificates.made:
        print(f"made a self-signed certificate: {path}")
    for kind, address, port in server.listening():
        print(f"listening {kind} {address} {port}")
    hosts = server.config.hosts
    print(f"hosts: {', '.join(hosts)}")
    if opened := [domain for domain, host in hosts.items() if "register" in host.enabled]:
        print(f"registration is open: anybody may make an account on {', '.join(opened)} (modules.register)")
    for name in dict.fromkeys(name for host in hosts.values() for name in host.idle):
        print(f"modules.{name} has options but is off: 'enabled: true' among them switches it on")
    domain = next(iter(server.config.hosts))
    if not any(host.users.all() for host in server.hosts):
        print(f"there is no account yet; make the first one: {_jabberctl(server)} accounts add you@{domain}")
    print("ready", flush=True)
