"""Where another server is (jabberd 1.x's dnsrv): RFC 6120 section 3.2 (SRV, RFC 2782, else the domain's own address),
direct TLS (XEP-0368), and what DANE says about its certificate (RFC 7673: TLSA records, where DNSSEC covers all steps)."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dns.exception
import dns.name
import idna

from ..xmpp.protocols import RFC, XEP
from .dnsrecords import DNS, Asker, DNSError, Question, Records

PROTOCOLS = (
    RFC(2782, "DNS SRV records"),
    XEP(368, "1.1.0", "SRV records for XMPP over TLS"),
)

__all__ = ["DNS", "TLSA", "Answer", "DNSError", "Resolver", "Target", "in_order", "literal"]

PORT = 5269
SERVICES = (("_xmpps-server._tcp", True), ("_xmpp-server._tcp", False))
"""The names of the SRV records, and whether TLS comes first there."""


@dataclass(frozen=True)
class TLSA:
    """One TLSA record (RFC 6698): see `dane`."""

    usage: int
    selector: int
    matching: int
    data: bytes


@dataclass(frozen=True)
class Target:
    """A server to try. ``addresses``: IPv6 first. ``secure``: DNSSEC vouches for all records from the domain to these
    addresses. ``tlsa``: its TLSA records; empty unless ``secure``."""

    host: str
    port: int
    addresses: tuple[str, ...]
    direct_tls: bool = False
    secure: bool = False
    tlsa: tuple[TLSA, ...] = ()

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" + (" (direct TLS)" if self.direct_tls else "")


@dataclass(frozen=True)
class Answer:
    """``targets`` in the order in which to try them. ``secure``: DNSSEC vouches for their names. ``text``: how they
    were found, one line for a person."""

    targets: tuple[Target, ...]
    secure: bool
    text: str


@dataclass(frozen=True)
class _Service:
    """One SRV record."""

    priority: int
    weight: int
    name: dns.name.Name
    port: int
    direct_tls: bool = False
    secure: bool = False


class Resolver:
    """Finds servers. Every method blocks for `DNS.timeout` seconds at most and raises DNSError."""

    def __init__(self, options: DNS) -> None:
        self.options = options
        self.asker = Asker(options)
        self.hosts = _hosts(options.hosts)
        self.random = random.Random()

    def services(self, domain: str) -> Answer:
        """The servers of a domain. The domain is prepared as in an address; it may have U-labels or be an IP address, such as
        ``[::1]`` or ``127.0.0.1``."""
        deadline = time.monotonic() + self.options.timeout
        address = literal(domain)
        if address is not None:
            return Answer(
                (Target(address, PORT, (address,)),), False, f"{domain} is an address: no DNS asked"
            )
        name = _name(domain)
        answers = self.asker.ask([(_below(service, name), "SRV") for service, _ in SERVICES], deadline)
        found, refused, secure, troubles = [], False, True, []
        for answer, (_, direct) in zip(answers, SERVICES, strict=True):
            if isinstance(answer, DNSError):
                troubles.append(answer)
                secure = False
                continue
            secure = secure and answer.secure
            for each in answer.rdatas:
                if each.target == dns.name.root:
                    refused = True
                else:
                    found.append(
                        _Service(each.priority, each.weight, each.target, each.port, direct, answer.secure)
                    )
        if found:
            chosen = in_order(found, self.random)[: self.options.targets]
            text = f"SRV records of {domain}"
        elif refused:
            raise DNSError(f"{domain} says in the DNS that it talks to no other servers (SRV '.')", False)
        elif troubles and self.options.dnssec:
            raise troubles[0]  # an attacker may have suppressed the answer
        else:
            chosen = [_Service(0, 0, name, PORT, False, secure)]
            text = f"no SRV records, so the address of {domain}"
        try:
            targets = self._targets(chosen, deadline)
        except DNSError:
            if troubles and not found:
                raise troubles[0] from None
            raise
        text = f"{text}: {', '.join(map(str, targets))}"
        text += "; signed (DNSSEC)" if secure else ""
        return Answer(targets, secure, "; but ".join([text, *map(str, troubles)]))

    def target(self, host: str, port: int, direct_tls: bool = False) -> Target:
        """A server whose name the administrator gave."""
        deadline = time.monotonic() + self.options.timeout
        address = literal(host)
        if address is not None:
            return Target(address, port, (address,), direct_tls)
        return self._targets([_Service(0, 0, _name(host), port, direct_tls, True)], deadline)[0]

    def _targets(self, services: Sequence[_Service], deadline: float) -> tuple[Target, ...]:
        names = list(dict.fromkeys(service.name for service in services if not self._known(service.name)))
        questions: list[Question] = [(name, rdtype) for name in names for rdtype in ("AAAA", "A")]
        answers = dict(zip(questions, self.asker.ask(questions, deadline), strict=True))
        targets: list[tuple[Target, dns.name.Name]] = []
        troubles: list[DNSError] = []
        for service in services:
            target, name = service.name, service.name
            addresses = self._known(target)
            secure = False
            if not addresses:
                both = [answers[target, "AAAA"], answers[target, "A"]]
                good = [answer for answer in both if isinstance(answer, Records)]
                addresses = tuple(
                    each.address for answer in good for each in answer.rdatas[: self.options.addresses]
                )
                secure = service.secure and len(good) == 2 and all(answer.secure for answer in good)
                if not addresses:
                    troubles.append(_no_address(target, both))
                    continue
                name = next(answer.name for answer in good if answer.rdatas)
            host = target.to_text(omit_final_dot=True).lower()
            targets.append((Target(host, service.port, addresses, service.direct_tls, secure), name))
        finished = (
            self._with_tlsa(targets, troubles, deadline) if self.options.dnssec else [t for t, _ in targets]
        )
        if not finished:
            raise DNSError(
                "; ".join(dict.fromkeys(map(str, troubles))), any(each.temporary for each in troubles)
            )
        return tuple(finished)

    def _with_tlsa(
        self, targets: list[tuple[Target, dns.name.Name]], troubles: list[DNSError], deadline: float
    ) -> list[Target]:
        """The targets with their TLSA records: under the name that the CNAMEs lead to, else under their own (RFC 7671
        section 7). A signed name about which no answer comes is not to be connected to (RFC 7673 section 3.4)."""
        questions: dict[Question, None] = {}
        of: list[list[Question]] = []
        for target, canonical in targets:
            names = (canonical, _name(target.host)) if target.secure else ()
            mine: list[Question] = [
                (_below(f"_{target.port}._tcp", name), "TLSA") for name in dict.fromkeys(names)
            ]
            of.append(mine)
            questions |= dict.fromkeys(mine)
        answers = dict(zip(questions, self.asker.ask(list(questions), deadline), strict=True))
        finished = []
        for (target, _), mine in zip(targets, of, strict=True):
            got = [answers[question] for question in mine]
            missing = [answer for answer in got if isinstance(answer, DNSError)]
            if missing:
                troubles.append(missing[0])
                continue
            records = next((a.rdatas for a in got if isinstance(a, Records) and a.secure and a.rdatas), ())
            tlsa = tuple(TLSA(r.usage, r.selector, r.mtype, bytes(r.cert)) for r in records)
            finished.append(
                Target(target.host, target.port, target.addresses, target.direct_tls, target.secure, tlsa)
            )
        return finished

    def _known(self, name: dns.name.Name) -> tuple[str, ...]:
        return self.hosts.get(name.to_text(omit_final_dot=True).lower(), ())


def in_order(services: Iterable[Any], chance: random.Random) -> list[Any]:
    """Sorts SRV records by priority, and those of the same priority at random by weight (RFC 2782)."""
    left = sorted(services, key=lambda service: (service.priority, service.weight))
    ordered = []
    while left:
        same = [service for service in left if service.priority == left[0].priority]
        draw = chance.randint(0, sum(service.weight for service in same))
        for at, service in enumerate(same):
            draw -= service.weight
            if draw <= 0:
                ordered.append(left.pop(at))
                break
    return ordered


def literal(domain: str) -> str | None:
    """The IP address, without brackets, if the domain is one; else None."""
    with suppress(ValueError):
        if domain[:1] == "[" and domain[-1:] == "]":
            return str(ipaddress.IPv6Address(domain[1:-1]))
        return str(ipaddress.ip_address(domain))
    return None


def _name(domain: str) -> dns.name.Name:
    """The DNS name of a domain, with A-labels. Raises DNSError."""
    try:
        text = domain if domain.isascii() else idna.encode(domain).decode()
        return dns.name.from_text(text, idna_codec=None)
    except (UnicodeError, dns.exception.DNSException) as error:
        raise DNSError(f"{domain} is no name that the DNS can have: {error}", False) from None


def _below(prefix: str, name: dns.name.Name) -> dns.name.Name:
    try:
        return dns.name.from_text(prefix, origin=name)
    except dns.exception.DNSException as error:
        raise DNSError(f"{name.to_text(True)} is too long for {prefix}: {error}", False) from None


def _no_address(name: dns.name.Name, answers: list[Any]) -> DNSError:
    text = name.to_text(omit_final_dot=True)
    for answer in answers:
        if isinstance(answer, DNSError):
            return answer
    if not any(answer.exists for answer in answers):
        return DNSError(f"the DNS knows no {text} (NXDOMAIN)", False)
    return DNSError(f"{text} has no address", False)


def _hosts(path: str | None) -> dict[str, tuple[str, ...]]:
    """/etc/hosts: the addresses of each name, IPv6 first."""
    found: dict[str, list[str]] = {}
    with suppress(OSError):
        for line in Path(path).read_text(errors="replace").splitlines() if path else ():
            words = line.partition("#")[0].split()
            if words and literal(words[0]) is not None:
                for name in words[1:]:
                    found.setdefault(name.lower().rstrip("."), []).append(words[0])
    return {
        name: tuple(sorted(dict.fromkeys(all_), key=lambda a: ":" not in a)) for name, all_ in found.items()
    }
