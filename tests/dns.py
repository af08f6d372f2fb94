"""A private DNS server: a resolver that knows a few domains, over UDP and TCP, with faults to order.

with DNSServer({"example.org": {"SRV _xmpp-server._tcp": "0 5 5269 xmpp.example.org.", "AAAA": "::1"},
                "xmpp.example.org": {"A": ["127.0.0.1", "127.0.0.2"]}}) as server:
    Resolver(DNS({"nameservers": [server.address]})).services("example.org")
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
from typing import Any, Self

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import gevent
from gevent.server import DatagramServer, StreamServer

Zones = Mapping[str, Mapping[str, str | list[str]]]


class DNSServer:
    """``zones``: a domain's records by "TYPE" or "TYPE name-below-it"; may be changed at any time (`put`).

    - ``faults``: a name, or "name TYPE", to ``SERVFAIL``, ``REFUSED``, ``silent`` or ``truncated`` (over UDP)
    - ``delays``: the same keys to seconds
    - ``signed``: names whose answers have the AD bit (with all that is below them), if the question wants it
    - ``asked``: every question that came, ("name", "TYPE", "udp" or "tcp")
    - ``chase``: follow CNAMEs, as a resolver does
    """

    def __init__(self, zones: Zones | None = None, address: str = "127.0.0.1", ttl: int = 60) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.faults: dict[str, str] = {}
        self.delays: dict[str, float] = {}
        self.signed: set[str] = set()
        self.asked: list[tuple[str, str, str]] = []
        self.chase = True
        self.ttl = ttl
        self.put(zones or {})
        listener, datagrams = _one_port(address)
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


def _one_port(address: str) -> tuple[socket.socket, socket.socket]:
    """A listener and a datagram socket on the same free port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for attempt in range(20):
        listener = socket.create_server((address, 0), family=family)
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
