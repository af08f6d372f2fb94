"""What an administrator may ask about federation."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import gevent

from ..arguments import Domain
from ..hooks import Module, command
from ..net.dnsrv import DNSError, Target
from ..xmpp.errors import StanzaError
from ..xmpp.stamp import utc
from .failures import FAILURES
from .outgoing import Outgoing
from .pair import Pair

GREETING = 5.0
"""Seconds that a server has to greet."""


class Federation(Module):
    """Streams to and from other servers."""

    name = "federation"

    @command("s2s")
    def show(self) -> list[dict[str, Any]]:
        """Streams to and from other servers, and what waits for those that cannot be reached, and why."""
        uplink, now = self.host, time.monotonic()
        rows = [
            connection.info | {"waiting": sum(len(pair.queue) for pair in connection.pairs)}
            for connection in uplink.connections
        ]
        for pair in uplink.pairs.values():
            if pair.connection is None and (pair.queue or pair.failure is not None):
                rows.append({
                    "direction": "none", "local": pair.local, "remote": pair.remote, "waiting": len(pair.queue),
                    "trouble": pair.failure.text if pair.failure is not None else "coming up",
                    "next_attempt_seconds": max(0, round(pair.retry - now)),
                })  # fmt: skip
        return rows

    @command("s2s failures")
    def failures(self) -> list[dict[str, Any]]:
        """The servers that could not be reached lately, the newest first: why, and how many stanzas went back."""
        connected = {
            (pair.local, pair.remote) for pair in self.host.pairs.values() if pair.connection is not None
        }
        return [
            {
                "local": local,
                "remote": remote,
                "time": utc(each.when),
                "trouble": each.text,
                "returned": each.returned,
            }
            for (local, remote), each in reversed(FAILURES.known.items())
            if (local, remote) not in connected
        ]

    @command("s2s retry", changes=True)
    def retry(self, domain: Domain) -> dict[str, int]:
        """Try at once to reach another server, for which something waits."""
        pairs = [
            each for each in self.host.pairs.values() if each.remote == domain and each.connection is None
        ]
        if not pairs:
            raise StanzaError("item-not-found", f"nothing waits for {domain}")
        for each in pairs:
            each.try_now()
        return {"attempts": len(pairs)}

    @command("check federation")
    def check(self, domain: Domain | None = None, host: Domain | None = None) -> Iterator[Any]:
        """Walk the way to another server, step by step: the name server's answer, the connection, TLS, the certificate, and
        whether it lets us send; on a stream of its own, for one of our hosts (by default the first). Without a domain: do our
        own domains lead to this server?"""
        uplink = self.host
        if domain is None:
            hosts = [each.domain for each in uplink.router.instances.values() if each.admins is not None]
            yield [row for each in hosts if host in (None, each) for row in self._home(each)]
            return
        remote = domain
        local = host or next(iter(uplink.router.instances))
        if local not in uplink.router.instances:
            raise ValueError(f"{local} is not served here")
        if remote in uplink.router.instances:
            raise ValueError(f"{remote} is served here")
        if not uplink.options.permits(remote):
            refused = f"the configuration says not to talk to {remote}"
            yield [{"step": "policy", "result": refused, "trouble": refused}]
            return
        connection = Outgoing(uplink, Pair(uplink, local, remote), both_ways=False)  # nothing must come on it
        connection.want(connection.pair)
        running = gevent.spawn(connection.run)
        deadline = time.monotonic() + uplink.options.connect_timeout + uplink.options.login_timeout
        while not running.ready() and connection.pair.connection is None and time.monotonic() < deadline:
            running.join(0.05)
        if (
            connection.pair.connection is None
            and connection.stream is not None
            and not connection.stream.closing
        ):
            connection.step("failed", "no answer in time")
        if connection.stream is None:
            running.kill()  # still on its way: nobody would close what it opens
        else:
            connection.close()
        if (
            connection.error
            and not any(step == "failed" for step, _ in connection.steps)
            and connection.pair.connection is None
        ):
            connection.step("failed", connection.error)
        yield [
            {"step": step, "result": result, "trouble": result if step == "failed" else ""}
            for step, result in connection.steps
        ]

    def _home(self, domain: str) -> list[dict[str, Any]]:
        """Where the DNS sends others who look for this domain, and whether this server is there."""
        row = {"domain": domain, "target": "", "result": "", "trouble": ""}
        try:
            answer = self.host.resolver.services(domain)
        except DNSError as error:
            return [row | {"trouble": f"others do not find it: {error}"}]
        jobs = [gevent.spawn(_greet, domain, target) for target in answer.targets]
        gevent.joinall(jobs)
        return [
            row | {"target": str(target), "result": answer.text} | job.value
            for target, job in zip(answer.targets, jobs, strict=True)
        ] or [row | {"trouble": f"others do not find it: {answer.text}"}]


def _greet(domain: str, target: Target) -> dict[str, str]:
    """Does a stream to that server begin with our domain?"""
    address = next(iter(target.addresses), None)
    if address is None:
        return {"trouble": f"{target.host} has no address"}
    try:
        with socket.create_connection((address, target.port), GREETING) as sock:
            if target.direct_tls:
                return {"result": f"{address} answers"}
            sock.settimeout(GREETING)
            sock.sendall(
                f"<?xml version='1.0'?><stream:stream xmlns='jabber:server' to='{domain}' version='1.0' "
                f"xmlns:stream='http://etherx.jabber.org/streams'>".encode()
            )
            said = b""
            while (
                b"features" not in said
                and b"error" not in said
                and len(said) < 5000
                and (more := sock.recv(5000))
            ):
                said += more
    except OSError as error:
        return {"trouble": f"{address} does not answer: {error.strerror or error}"}
    if f"from='{domain}'".encode() in said.replace(b'"', b"'"):
        return {"result": f"{address} answers for {domain}"}
    return {"trouble": f"{address} is another server, or does not serve {domain}"}
