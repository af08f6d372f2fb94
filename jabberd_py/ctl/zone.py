"""The records that a domain and its services need in DNS: which are there, which are missing, why, and how they are written."""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.name
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ..modules.mod_acme import KNOWN
from ..net import certfiles
from ..net.dnsrecords import Asker, DNSError, Records
from ..net.identity import a_label_form
from ..net.networks import reached_at

if TYPE_CHECKING:
    from ..server import Server

SERVICES = {
    "_xmpp-client._tcp": ("c2s", 5222, "clients find the port of the server"),
    "_xmpps-client._tcp": (
        "c2s_direct",
        0,
        "clients find the port with TLS from the first byte, such as 443 in strict networks",
    ),
    "_xmpp-server._tcp": ("s2s", 5269, "other servers find the port of the server"),
}
"""SRV record -> the listener, the port that is tried where there is no such record (0: none), what for."""
LONGEST = 8.0
"""Seconds for all questions."""
ISSUER = "letsencrypt.org"
"""What CAA records call the authority that we know by name."""
Row = dict[str, Any]


def records(server: Server, name: str) -> list[Row]:
    """Rows: ``record`` and ``name``; ``why`` it is wanted; ``found``; ``trouble``; ``write``: the line of the zone, where
    something is missing. Blocks for some seconds. Never raises because of DNS."""
    try:
        asker = Asker(server.config["dns"])
    except OSError as error:
        return [_row("A or AAAA", name, "", trouble=f"no name server: {error.strerror}")]
    return Zone(server, name, asker).rows()


class Zone:
    """``name``: the domain of a host, also one that is not served yet."""

    def __init__(self, server: Server, name: str, asker: Asker) -> None:
        self.server, self.name, self.asker = server, name, asker
        self.deadline = time.monotonic() + LONGEST
        self.ports = {kind: (address, port) for kind, address, port in server.listening()}
        self.hosts = server.config.domains.get(name, [])

    def rows(self) -> list[Row]:
        srv = list(SERVICES)
        asked = [(f"{each}.{self.name}", "SRV") for each in srv]
        asked += [(each, kind) for each in (self.name, *self.hosts) for kind in ("A", "AAAA")]
        asked += [(f"_xmpp-server._tcp.{each}", "SRV") for each in self.hosts]
        found = dict(zip(asked, self._ask(asked), strict=True))
        services = {each: self._service(each, found[f"{each}.{self.name}", "SRV"]) for each in srv}
        elsewhere = all(services[each]["found"] for each in ("_xmpp-client._tcp", "_xmpp-server._tcp"))
        rows = [self._address(self.name, found, elsewhere)]
        rows += services.values()
        for each in self.hosts:
            rows.append(self._address(each, found, bool(_texts(found[f"_xmpp-server._tcp.{each}", "SRV"]))))
        return [*rows, *self._caa(), *self._tlsa()]

    def _ask(self, questions: list[tuple[str, str]]) -> list[Records | DNSError]:
        """The answers, in the order of the questions."""
        names = [_dns_name(name) for name, _ in questions]
        known = [(name, kind) for name, (_, kind) in zip(names, questions, strict=True) if name]
        found = iter(self.asker.ask(known, self.deadline))
        return [next(found) if name else DNSError("is too long for DNS", False) for name in names]

    def _address(self, name: str, found: dict[tuple[str, str], Any], elsewhere: bool) -> Row:
        """``elsewhere``: do SRV records tell where to go?"""
        answers = [found[name, kind] for kind in ("A", "AAAA")]
        texts = [text for each in answers for text in _texts(each)]
        why = "clients, other servers and an authority of certificates reach this machine"
        if name != self.name:
            why = "other servers and an authority of certificates reach this service"
        row = _row("A or AAAA", name, why, ", ".join(texts))
        failed = next((each for each in answers if isinstance(each, DNSError) and each.temporary), None)
        if texts:
            return row
        if failed is not None:
            return row | {"trouble": str(failed)}
        own = reached_at(self.ports.get("c2s", ("::", 0))[0]).strip("[]")
        kind = "AAAA" if ":" in own else "A"
        return row | {
            "trouble": "missing"
            if not elsewhere
            else "missing (optional: only an authority of certificates wants it)",
            "write": f"{_zone(name)} {kind} {own}",
        }

    def _service(self, service: str, answer: Any) -> Row:
        kind, usual, why = SERVICES[service]
        name = f"{service}.{self.name}"
        ours = self.ports.get(kind, ("", None))[1]
        row = _row("SRV", name, why, ", ".join(_texts(answer)))
        if isinstance(answer, DNSError) and answer.temporary:
            return row | {"trouble": str(answer)}
        line = f"{_zone(name)} SRV 5 0 {ours or usual} {_zone(self.name)}"
        if not row["found"]:
            if ours is None or usual in (0, ours):
                said = "missing (optional)" if ours else "missing (right: that port is switched off)"
                return row | {"trouble": said} | ({"write": line} if ours else {})
            return row | {
                "trouble": f"missing: without it port {usual} is tried, and the server listens at {ours}",
                "write": line,
            }
        return row | {"trouble": self._leads(answer.rdatas, ours), "write": ""}

    def _leads(self, rdatas: Any, ours: int | None) -> str:
        """What is wrong with SRV records that are there. Empty: nothing."""
        targets = [each for each in rdatas if each.target != dns.name.root]
        if not targets:
            return "says that there is no such service here"
        names = list(dict.fromkeys(each.target.to_text(True) for each in targets))
        answers = self._ask([(name, kind) for name in names for kind in ("A", "AAAA")])
        lost = [
            name
            for number, name in enumerate(names)
            if not any(map(_texts, answers[2 * number : 2 * number + 2]))
        ]
        trouble = [f"leads to {name}, which has no address" for name in lost]
        if ours is not None and all(each.port != ours for each in targets):
            port = targets[0].port
            trouble.append(
                f"leads to port {port}, and the server listens at {ours}: right only if a router turns the one into the other"
            )
        return "; ".join(trouble)

    def _caa(self) -> list[Row]:
        """RFC 8659: does the domain, or one above it, forbid the authority that is wanted?"""
        host = self.server.config.hosts.get(self.name)
        if host is None or host.modules.get("acme", {}).get("directory") not in KNOWN.values():
            return []
        labels = self.name.split(".")
        above = [".".join(labels[n:]) for n in range(len(labels))]
        for name, answer in zip(above, self._ask([(each, "CAA") for each in above]), strict=True):
            if isinstance(answer, Records) and answer.rdatas:
                issuers = [
                    each.value.decode("ascii", "replace") for each in answer.rdatas if each.tag == b"issue"
                ]
                row = _row("CAA", name, "says which authorities may give certificates", ", ".join(issuers))
                if issuers and not any(each.partition(";")[0].strip() == ISSUER for each in issuers):
                    return [
                        row
                        | {"trouble": f"forbids {ISSUER}", "write": f'{_zone(name)} CAA 0 issue "{ISSUER}"'}
                    ]
                return [row]
        return []

    def _tlsa(self) -> list[Row]:
        """RFC 7673: DANE. Our key stays the same when the certificate is renewed."""
        name = f"_{self.ports.get('s2s', ('', 5269))[1]}._tcp.{self.name}"
        answer = self._ask([(name, "TLSA")])[0]
        row = _row(
            "TLSA",
            name,
            "other servers know the key by DNSSEC (DANE), without an authority",
            ", ".join(_texts(answer)),
        )
        try:
            own = certfiles.read(*certfiles.files(self.name, self.name, self.server.certificates.folder))[0]
        except ValueError:
            return []
        key = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.sha256(key).hexdigest()
        if not row["found"]:
            return [
                row
                | {
                    "trouble": "missing (optional, only with DNSSEC)",
                    "write": f"{_zone(name)} TLSA 3 1 1 {digest}",
                }
            ]
        if isinstance(answer, Records) and not any(
            (each.usage, each.selector, each.mtype) != (3, 1, 1) or each.cert.hex() == digest
            for each in answer.rdatas
        ):
            return [
                row
                | {
                    "trouble": "is of another key: servers that go by it refuse us",
                    "write": f"{_zone(name)} TLSA 3 1 1 {digest}",
                }
            ]
        return [row]


def _row(record: str, name: str, why: str, found: str = "", trouble: str = "") -> Row:
    return {"record": record, "name": name, "why": why, "found": found, "trouble": trouble, "write": ""}


def _texts(answer: Any) -> list[str]:
    return [each.to_text() for each in answer.rdatas] if isinstance(answer, Records) else []


def _dns_name(text: str) -> Any:
    """None: DNS has no such names."""
    prefix, mark, rest = text.rpartition("_tcp.")
    try:
        return dns.name.from_text(f"{prefix}{mark}{a_label_form(rest)}.")
    except (dns.exception.DNSException, ValueError):
        return None


def _zone(name: str) -> str:
    """As a zone file writes the name."""
    found = _dns_name(name)
    return found.to_text() if found is not None else f"{name}."
