"""A private DNS server: a resolver that knows a few domains, over UDP and TCP, with faults to order.

Other people's programs know only the port 53 of an address, and /etc/resolv.conf; see `DNSServer.namespace`.

with DNSServer({"example.org": {"SRV _xmpp-server._tcp": "0 5 5269 xmpp.example.org.", "AAAA": "::1"},
                "xmpp.example.org": {"A": ["127.0.0.1", "127.0.0.2"]}}) as server:
    Resolver(DNS({"nameservers": [server.address]})).services("example.org")
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import gevent
import pytest
from gevent.server import DatagramServer, StreamServer

Zones = Mapping[str, Mapping[str, str | list[str]]]


class DNSServer:
    """``zones``: a domain's records by "TYPE" or "TYPE name-below-it"; may be changed at any time (`put`).

    - ``faults``: a name, or "name TYPE", to ``SERVFAIL``, ``REFUSED``, ``silent`` or ``truncated`` (over UDP)
    - ``delays``: the same keys to seconds
    - ``signed``: names whose answers have the AD bit (with all that is below them), if the question wants it
    - ``asked``: every question that came, ("name", "TYPE", "udp" or "tcp")
    - ``chase``: follow CNAMEs, as a resolver does

    ``port`` 0: any free one. Where a port is asked for that only root may have, and we are not, the test is skipped.
    """

    def __init__(
        self, zones: Zones | None = None, address: str = "127.0.0.1", port: int = 0, ttl: int = 60
    ) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.faults: dict[str, str] = {}
        self.delays: dict[str, float] = {}
        self.signed: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []
        self.chase = True
        self.ttl = ttl
        self.put(zones or {})
        listener, datagrams = _one_port(address, port)
        self.host, self.port = address, listener.getsockname()[1]
        self.tcp, self.udp = StreamServer(listener, self._stream), DatagramServer(datagrams, self._datagram)
        self.tcp.start()
        self.udp.start()

    def put(self, zones: Zones) -> None:
        """Adds records, in place of those of the same name and type."""
        for domain, records in zones.items():
            for key, values in records.items():
                kind, _, prefix = key.partition(" ")
                name = f"{prefix}.{domain}" if prefix else domain
                self.records[name.lower(), kind] = [values] if isinstance(values, str) else list(values)

    def publish(self, domain: str, address: str, port: int = 5269) -> None:
        """The server of ``domain`` is there: by its SRV record at xmpp.``domain``, and by its address."""
        records = {"SRV _xmpp-server._tcp": f"0 0 {port} xmpp.{domain}.", "A": address, "A xmpp": address}
        self.put({domain: records})

    def namespace(self, folder: Path) -> list[str]:
        """The command in front of a program that has to ask us, and nobody else: it gets a mount namespace where
        /etc/resolv.conf names this server and /etc/hosts nobody. Without the right to make one the test is skipped."""
        resolv, hosts = folder / "resolv.conf", folder / "hosts"
        resolv.write_text(f"nameserver {self.host}\noptions timeout:2 attempts:2\n")
        hosts.write_text("127.0.0.1 localhost\n")
        mounts = f"mount --bind {resolv} /etc/resolv.conf && mount --bind {hosts} /etc/hosts"
        inside = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
        if (
            not shutil.which("unshare")
            or subprocess.run([*inside, "true"], capture_output=True, timeout=10).returncode
        ):
            pytest.skip("mount namespaces cannot be made here (root may)")
        return inside

    @property
    def address(self) -> str:
        """As option ``dns.nameservers`` wants it."""
        return f"{self.host}#{self.port}"

    def stop(self) -> None:
        self.udp.stop()
        self.tcp.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    def _datagram(self, data: bytes, peer: Any) -> None:
        answer = None
        with contextlib.suppress(dns.exception.DNSException):  # no question
            answer = self._answer(data, "udp")
        if answer is not None:
            self.udp.sendto(answer, peer)

    def _stream(self, sock: socket.socket, peer: Any) -> None:
        with sock, sock.makefile("rb") as file:
            while len(head := file.read(2)) == 2:
                answer = self._answer(file.read(struct.unpack("!H", head)[0]), "tcp")
                if answer is None:
                    return
                sock.sendall(struct.pack("!H", len(answer)) + answer)

    def _answer(self, data: bytes, transport: str) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = (
            question.name.to_text(omit_final_dot=True).lower(),
            dns.rdatatype.to_text(question.rdtype),
        )
        self.asked.append((name, kind, transport))
        gevent.sleep(self.delays.get(f"{name} {kind}", self.delays.get(name, 0)))
        fault = self.faults.get(f"{name} {kind}", self.faults.get(name, ""))
        if fault == "silent":
            return None
        response = dns.message.make_response(query, recursion_available=True)
        if fault == "truncated" and transport == "udp":
            response.flags |= dns.flags.TC
        elif fault in ("SERVFAIL", "REFUSED"):
            response.set_rcode(dns.rcode.from_text(fault))
        else:
            self._fill(response, name, kind)
        wants = query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO
        if wants and any(name == each or name.endswith("." + each) for each in self.signed):
            response.flags |= dns.flags.AD
        wire: bytes = response.to_wire(max_size=65535)
        return wire

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(8):
            alias = self.records.get((name, "CNAME"))
            if alias is None:
                break
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl, "IN", "CNAME", alias[0]))
            name = alias[0].rstrip(".").lower()
            if not self.chase:
                return
        values = self.records.get((name, kind))
        if values:
            response.answer.append(dns.rrset.from_text_list(name + ".", self.ttl, "IN", kind, values))
            return
        if not any(each == name or each.endswith("." + name) for each, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.invalid. admin.invalid. 1 3600 600 86400 {self.ttl}"
        response.authority.append(dns.rrset.from_text(".", self.ttl, "IN", "SOA", soa))


def loopback(number: int) -> str:
    """An address of this process (0 < number < 255), so that two runs on one machine do not meet."""
    pid = os.getpid()
    return f"127.{64 + (pid >> 8) % 64}.{pid % 256}.{number}"


def _one_port(address: str, port: int) -> tuple[socket.socket, socket.socket]:
    """A listener and a datagram socket on the same port; 0: a free one."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for attempt in range(20):
        try:
            listener = socket.create_server((address, port), family=family)
        except PermissionError:
            pytest.skip(f"no right to serve names at {address}, port {port}")
        datagrams = socket.socket(family, socket.SOCK_DGRAM)
        try:
            datagrams.bind(listener.getsockname()[:2])
        except OSError:  # free for TCP only
            listener.close()
            datagrams.close()
            if attempt == 19:
                raise
        else:
            return listener, datagrams
    raise AssertionError
