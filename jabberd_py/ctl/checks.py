"""What ``jabberctl check`` looks at. Each check gives rows; one whose ``trouble`` is not empty is something wrong."""

from __future__ import annotations

import ctypes
import datetime
import os
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.resolver
import gevent

from ..commands import Caller, CommandError, outcome
from ..hooks import Progress, command
from ..net.dnsrecords import Asker
from ..net.identity import a_label_form
from ..net.ports import listen
from ..words import amount, span
from ..xdb import numbers
from .offline import stopped

if TYPE_CHECKING:
    from ..server import Server

Row = dict[str, Any]
SERVICES = {
    "_xmpp-client._tcp": "clients find this server by its A or AAAA record, at port 5222",
    "_xmpps-client._tcp": "clients do not try direct TLS",
    "_xmpp-server._tcp": "other servers find this one by its A or AAAA record, at port 5269",
    "_xmpps-server._tcp": "other servers do not try direct TLS",
}
DNS_TIME = 5.0
"""Seconds for one question."""
CONNECT_TIME = 5.0
"""Seconds for one connection."""
FREE = 256 << 20
"""Bytes of free disk; less is trouble."""
FILES = 4096
"""Files that may be open at a time; fewer is trouble: every connection is one."""
EARLIEST = 1_767_225_600
"""The year 2026 began."""
DAY = 86400.0
UNSYNCHRONISED = 5
"""What adjtimex(2) returns for a clock that nothing keeps right (TIME_ERROR)."""


class Checks:
    """Of a `Server`, or of `alone.Alone`: then those that need the configuration only."""

    def __init__(self, server: Server) -> None:
        self.server = server

    @command("check", needs="config")
    def check(self, caller: Caller) -> Iterator[Any]:
        """Run all checks; those that need a running server are left out where there is none."""
        registry = self.server.router.commands
        names = [each for each in registry.names() if each.startswith("check ") and self._can(each)]
        rows: list[Row] = []
        if self.server.store is None:
            rows += [_row("store", row) for row in stopped(self.server.config)]
        for number, name in enumerate(names):
            yield Progress(number, len(names), name)
            short = name.removeprefix("check ")
            try:
                found = outcome(registry.run(caller, name, {}))
            except CommandError as error:
                found = [{"trouble": str(error)}]
            rows += [_row(short, row) for row in found]
        yield rows

    def _can(self, name: str) -> bool:
        bound = self.server.router.commands.find(name)[0]
        usable = self.server.store is not None or bound.command.needs == "config"
        return usable and not any(each.required for each in bound.arguments.values())

    @command("check dns", needs="config")
    def dns(self) -> list[Row]:
        """The SRV records by which clients and other servers find each host, asked of the servers in `dns.nameservers`."""
        try:
            resolver = Asker(self.server.config["dns"]).resolver
        except OSError as error:
            return [
                {"domain": "", "service": "", "records": "", "trouble": f"no name server: {error.strerror}"}
            ]
        questions = [(domain, service) for domain in self.server.config.hosts for service in SERVICES]
        jobs = [gevent.spawn(_srv, resolver, *question) for question in questions]
        gevent.joinall(jobs, timeout=2 * DNS_TIME)
        late = {"records": "", "trouble": "no answer in time"}
        return [
            job.value or {"domain": domain, "service": service} | late
            for (domain, service), job in zip(questions, jobs, strict=True)
        ]

    @command("check ports", needs="config")
    def ports(self) -> list[Row]:
        """The ports of the configuration: does the running server answer there? Can a stopped one have them?"""
        if self.server.store is not None:
            return [self._answers(*each) for each in self.server.listening()]
        return [_free(kind, address, port) for kind, address, port in self._wanted()]

    def _answers(self, kind: str, address: str, port: int) -> Row:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
        try:
            socket.create_connection((host, port), CONNECT_TIME).close()
        except OSError as error:
            return {
                "port": port,
                "address": address,
                "for": kind,
                "found": "",
                "trouble": f"nobody answers: {error}",
            }
        return {"port": port, "address": address, "for": kind, "found": "answers", "trouble": ""}

    def _wanted(self) -> Iterator[tuple[str, str, int]]:
        c2s, s2s = self.server.config["c2s"], self.server.config["s2s"]
        for section, sections in (("c2s", [c2s]), ("s2s", [s2s] if s2s.enabled else [])):
            for each in sections:
                for address in each.address:
                    for option in ("port", "direct_port"):
                        if getattr(each, option, None):
                            yield f"{section}.{option}", address, getattr(each, option)

    @command("check disk", needs="config")
    def disk(self) -> list[Row]:
        """Room in the data folder."""
        folder = self.server.data
        if not folder.exists():
            return [
                {"folder": str(folder), "found": "is not there yet: the first start makes it", "trouble": ""}
            ]
        usage, files = shutil.disk_usage(folder), os.statvfs(folder)
        trouble = []
        if usage.free < FREE:
            trouble.append(f"less than {amount(FREE)} free")
        if files.f_files and files.f_favail < 1000:
            trouble.append(f"no more than {files.f_favail} files can be made")
        if not os.access(folder, os.W_OK):
            trouble.append("cannot be written")
        found = f"{amount(usage.free)} of {amount(usage.total)} free"
        return [{"folder": str(folder), "found": found, "trouble": "; ".join(trouble)}]

    @command("check clock", needs="config")
    def clock(self) -> list[Row]:
        """Is the time right, as far as can be told?"""
        now = time.time()
        kept = "kept right by the system" if _synchronised() else "nothing keeps it right (NTP)"
        shown = datetime.datetime.fromtimestamp(now, datetime.UTC).isoformat(timespec="seconds")
        row = {"time": shown, "found": kept, "trouble": ""}
        if now < EARLIEST:
            row["trouble"] = "is long ago: the clock was never set"
        elif numbers.jumped is not None and (passed := time.monotonic() - numbers.jumped[0]) < DAY:
            row["trouble"] = f"jumped by {span(numbers.jumped[1])}, {span(passed)} ago"
        if numbers.ahead():
            row["found"] += (
                f"; it was {span(numbers.ahead())} ahead once, which the numbers of messages make up for"
            )
        return [row]

    @command("check limits", needs="config")
    def limits(self) -> list[Row]:
        """Open files: every connection is one."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = len(os.listdir("/proc/self/fd"))
        trouble = ""
        if 0 <= soft < FILES:
            trouble = f"fewer than {FILES}: raise it (LimitNOFILE= in the unit, ulimit -n)"
        elif soft > 0 and used > 0.8 * soft:
            trouble = "nearly all are in use"
        found = f"{used} in use" if self.server.store is not None else "of this shell"
        return [
            {"limit": "open files", "value": soft if soft >= 0 else None, "found": found, "trouble": trouble}
        ]


def _row(check: str, row: Row) -> Row:
    """The row of one check, in the columns of all."""
    about = next(
        (str(row[key]) for key in ("domain", "folder", "port", "limit", "check", "step") if row.get(key)), ""
    )
    trouble = row.get("trouble") or ""
    rest = [
        ", ".join(value) if isinstance(value, list) else str(value)
        for key, value in row.items()
        if key != "trouble" and value and str(value) != about
    ]
    return {
        "check": check, "about": about, "found": ", ".join(rest),
        "trouble": "; ".join(trouble) if isinstance(trouble, list) else trouble,
    }  # fmt: skip


def _srv(resolver: dns.resolver.Resolver, domain: str, service: str) -> Row:
    row = {"domain": domain, "service": service, "records": "", "trouble": ""}
    name = a_label_form(domain)
    try:
        answer = resolver.resolve(f"{service}.{name}.", "SRV", lifetime=DNS_TIME)
        rows = sorted((r.priority, -r.weight, str(r.target).rstrip("."), r.port) for r in answer)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        found = f"none: {SERVICES[service]}"
        return row | ({"records": found} if service.startswith("_xmpps") else {"trouble": found})
    except (dns.exception.DNSException, OSError) as error:
        return row | {"trouble": f"cannot ask: {type(error).__name__}"}
    targets = [f"{target}:{port}" for _, _, target, port in rows if target]
    return row | {
        "records": " ".join(targets),
        "trouble": "" if targets else "says that there is no such service",
    }


def _free(kind: str, address: str, port: int) -> Row:
    """Can the port be had?"""
    row = {"port": port, "address": address, "for": kind, "found": "is free", "trouble": ""}
    try:
        listen(address, port, 1).close()
    except OSError as error:
        return row | {"found": "", "trouble": f"cannot be had: {error.strerror}"}
    return row


def _synchronised() -> bool:
    """Does the kernel know of something that keeps its clock right (adjtimex(2))?"""
    with suppress(OSError, AttributeError):
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
        return bool(0 <= state < UNSYNCHRONISED)
    return False
