"""What an administrator may ask about federation."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gevent

from ..arguments import Domain
from ..hooks import Module, command
from .outgoing import Outgoing
from .pair import Pair


class Federation(Module):
    """Streams to and from other servers."""

    name = "federation"

    @command("s2s")
    def show(self) -> list[dict[str, Any]]:
        """Streams to and from other servers, and what waits for those that cannot be reached, and why."""
        uplink, now = self.host, time.monotonic()
        rows = [link.info | {"waiting": sum(len(pair.queue) for pair in link.pairs)} for link in uplink.links]
        for pair in uplink.pairs.values():
            if pair.link is None and (pair.queue or pair.failure is not None):
                rows.append({
                    "direction": "none", "local": pair.local, "remote": pair.remote, "waiting": len(pair.queue),
                    "trouble": pair.failure.text if pair.failure is not None else "coming up",
                    "next_attempt_seconds": max(0, round(pair.retry - now)),
                })  # fmt: skip
        return rows

    @command("check federation")
    def check(self, domain: Domain, host: Domain | None = None) -> Iterator[Any]:
        """Walk the way to another server, step by step: the name server's answer, the connection, TLS, the certificate, and
        whether it lets us send; on a stream of its own, for one of our hosts (by default the first)."""
        uplink = self.host
        remote = domain
        local = host or next(iter(uplink.router.instances))
        if local not in uplink.router.instances:
            raise ValueError(f"{local} is not served here")
        if remote in uplink.router.instances:
            raise ValueError(f"{remote} is served here")
        if not uplink.options.permits(remote):
            yield [{"step": "policy", "result": f"the configuration says not to talk to {remote}"}]
            return
        link = Outgoing(uplink, Pair(uplink, local, remote), both_ways=False)  # nothing must come on it
        link.want(link.pair)
        running = gevent.spawn(link.run)
        deadline = time.monotonic() + uplink.options.connect_timeout + uplink.options.login_timeout
        while not running.ready() and link.pair.link is None and time.monotonic() < deadline:
            running.join(0.05)
        if link.pair.link is None and link.stream is not None and not link.stream.closing:
            link.step("failed", "no answer in time")
        if link.stream is None:
            running.kill()  # still on its way: nobody would close what it opens
        else:
            link.close()
        if link.error and not any(step == "failed" for step, _ in link.steps) and link.pair.link is None:
            link.step("failed", link.error)
        yield [{"step": step, "result": result} for step, result in link.steps]
