"""Asking a resolver for DNS records: cooperative, bounded, cached by TTL (RFC 1035, RFC 2308, RFC 9520)."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.rdatatype
import dns.resolver
import gevent
from gevent.lock import BoundedSemaphore

from ..options import Option, Section, duration, list_of, optional
from ..xmpp.protocols import RFC

PROTOCOLS = (
    RFC(1035, "DNS"),
    RFC(2308, "Negative caching of DNS queries"),
    RFC(9520, "Caching of DNS failures"),
)

PORT = 53
PAYLOAD = 1232
"""Bytes of a UDP answer that no network fragments (DNS flag day 2020). Larger answers come over TCP."""
CHAIN = 8
"""At most so many CNAME records are followed."""
FAILED = 5.0
"""Seconds that a failure is remembered (RFC 9520: at least one)."""
LONGEST = 86400.0
"""At most so many seconds an answer is cached, whatever its TTL says."""
ATTEMPTS = 3
"""Tries before a question is given up; with several nameservers they take turns."""

Question = tuple[dns.name.Name, str]
"""A name and a type: ``SRV``, ``A``, ..."""


def nameserver(value: str) -> str:
    """``address`` or ``address#port``, as text."""
    address, _, port = str(value).partition("#")
    try:
        ipaddress.ip_address(address)
        if port and not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise ValueError(f"must be an address such as 127.0.0.1 or ::1#5353, not {value!r}") from None
    return str(value)


class DNS(Section):
    """How other servers are looked for."""

    nameservers: Option[list[str]] = Option(
        list_of(nameserver),
        [],
        "resolvers to ask, 'address' or 'address#port', in this order; by default those of /etc/resolv.conf",
    )
    timeout = Option(duration, "10s", "for a whole lookup: services, then their addresses", min=0.1, max="2m")
    dnssec = Option(
        bool,
        False,
        "believe the resolver when it says that an answer is signed (AD), and use DANE then; only for a validating "
        "resolver that nobody sits between, such as one on this machine",
    )
    hosts = Option(
        optional(str), "/etc/hosts", "file of addresses that need no DNS; nothing: ask for all names"
    )
    cache = Option(int, 10_000, "answers to remember", min=100)
    queries = Option(int, 500, "questions that may be open at a time; further ones wait", min=10)
    targets = Option(int, 10, "servers of one domain (SRV records) that are looked at", min=1, max=100)
    addresses = Option(
        int, 6, "addresses of each kind, IPv6 and IPv4, that are used of one server", min=1, max=50
    )


class DNSError(Exception):
    """A lookup failed; the text says why. ``temporary``: True after a timeout or an error of a server; False if the DNS says
    that there is no such name or record."""

    def __init__(self, reason: str, temporary: bool) -> None:
        super().__init__(reason)
        self.temporary = temporary


@dataclass(frozen=True)
class Records:
    """The answer to one question.

    rdatas   the records; empty: there is none of that type
    name     the canonical name, to which the CNAME records lead
    exists   is there such a name?
    secure   does DNSSEC vouch for the answer?
    expires  when it leaves the cache (`time.monotonic`)
    """

    rdatas: tuple[Any, ...]
    name: dns.name.Name
    exists: bool
    secure: bool
    expires: float


class Asker:
    """Answers questions from its cache, or by asking a resolver. Callers that ask the same question at the same time share one
    lookup."""

    def __init__(self, options: DNS) -> None:
        """Raises OSError if /etc/resolv.conf cannot be read."""
        self.options = options
        self.cache: OrderedDict[Question, Records | tuple[float, DNSError]] = OrderedDict()
        self.jobs: dict[Question, gevent.Greenlet] = {}
        self.slots = BoundedSemaphore(options.queries)
        self.patience = options.timeout / 2  # one question's: after the services come their addresses
        self.resolver = _resolver(options, self.patience / ATTEMPTS)

    def ask(self, questions: list[Question], deadline: float) -> list[Records | DNSError]:
        """The answers, in the order of the questions. All are asked at the same time. Blocks until ``deadline``
        (`time.monotonic`) at most. Never raises: errors are returned."""
        found: list[Any] = [self._cached(question) or self._job(question) for question in questions]
        for at, job in enumerate(found):
            if isinstance(job, gevent.Greenlet):
                job.join(max(0.0, deadline - time.monotonic()))
                name, rdtype = questions[at]
                found[at] = job.value if job.ready() else self._late(name, rdtype)
        return found

    def _cached(self, question: Question) -> Records | DNSError | None:
        entry = self.cache.get(question)
        if entry is None:
            return None
        expires, answer = entry if isinstance(entry, tuple) else (entry.expires, entry)
        if expires <= time.monotonic():
            del self.cache[question]
            return None
        self.cache.move_to_end(question)
        return answer

    def _job(self, question: Question) -> gevent.Greenlet:
        job = self.jobs.get(question)
        if job is None:
            job = self.jobs[question] = gevent.spawn(self._run, question)
        return job

    def _run(self, question: Question) -> Records | DNSError:
        entry: Records | tuple[float, DNSError]
        try:
            answer = self._fetch(*question)
        except DNSError as error:
            entry, answer = (time.monotonic() + FAILED, error), error  # type: ignore[assignment]
        else:
            entry = answer
        finally:
            del self.jobs[question]
        self.cache[question] = entry
        if len(self.cache) > self.options.cache:
            self.cache.popitem(last=False)
        return answer

    def _fetch(self, name: dns.name.Name, rdtype: str) -> Records:
        began = time.monotonic()
        if not self.slots.acquire(timeout=self.patience):
            raise DNSError(f"too many DNS questions are open: {_text(name)} {rdtype} was not asked", True)
        try:
            return self._follow(name, rdtype, began + self.patience)
        finally:
            self.slots.release()

    def _follow(self, name: dns.name.Name, rdtype: str, deadline: float) -> Records:
        """Asks the resolver, and asks again if a CNAME record leads to a name that is not in the answer. Raises DNSError."""
        secure, ttl = True, LONGEST
        for _ in range(CHAIN):
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._late(name, rdtype)
            exists = True
            try:
                response = self.resolver.resolve(
                    name, rdtype, raise_on_no_answer=False, lifetime=left, search=False
                ).response
            except dns.resolver.NXDOMAIN as error:
                exists, response = False, error.response(name)
            except dns.exception.Timeout:
                raise self._late(name, rdtype) from None
            except dns.resolver.NoNameservers as error:
                raise _failed(name, rdtype, error.kwargs["errors"]) from None
            except (dns.exception.DNSException, OSError, ValueError) as error:
                raise DNSError(f"{_text(name)} {rdtype}: {error}", True) from None
            chain = response.resolve_chaining()
            secure = secure and self.options.dnssec and bool(response.flags & dns.flags.AD)
            # a negative answer without a SOA record has no TTL and must not be cached (RFC 2308)
            empty = chain.answer is None and chain.canonical_name == name and not response.authority
            ttl = min(ttl, 0.0 if empty else float(chain.minimum_ttl))
            if chain.answer is not None or chain.canonical_name == name or not exists:
                rdatas = tuple(chain.answer or ())
                return Records(rdatas, chain.canonical_name, exists, secure, time.monotonic() + ttl)
            name = chain.canonical_name
        raise DNSError(f"{_text(name)}: more than {CHAIN} CNAME records lead there", False)

    def _late(self, name: dns.name.Name, rdtype: str) -> DNSError:
        servers = ", ".join(sorted({str(server.answer_nameserver()) for server in self._servers()}))
        return DNSError(
            f"no answer in time about {_text(name)} {rdtype}; asked {servers or 'nobody: there is no resolver'}",
            True,
        )

    def _servers(self) -> list[Any]:
        return [each for each in self.resolver.nameservers if isinstance(each, dns.nameserver.Nameserver)]


def _resolver(options: DNS, attempt: float) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    named = list(options.nameservers)
    if not named:
        try:
            resolver.read_resolv_conf("/etc/resolv.conf")
            named = [str(address) for address in resolver.nameservers]
        except dns.resolver.NoResolverConfiguration:
            named = ["127.0.0.1"]  # as the C library has it
    resolver.nameservers = [
        dns.nameserver.Do53Nameserver(address.partition("#")[0], int(address.partition("#")[2] or PORT))
        for address in named
    ]
    resolver.timeout = attempt
    resolver.rotate = False
    resolver.use_edns(0, dns.flags.DO if options.dnssec else 0, PAYLOAD)
    resolver.set_flags(dns.flags.RD | (dns.flags.AD if options.dnssec else 0))
    return resolver


def _failed(name: dns.name.Name, rdtype: str, errors: list[Any]) -> DNSError:
    """Why no nameserver could say anything, from dnspython's list: server, TCP?, port, error or text, response."""
    if not errors:
        return DNSError(f"there is no resolver to ask about {_text(name)} {rdtype}", True)
    server, _, _, error, response = errors[-1]
    asked = str(server).removeprefix("Do53:").replace("@", "#")
    rcode = None if response is None else response.rcode()
    if rcode == dns.rcode.SERVFAIL:
        why = "failed (SERVFAIL): the zone's servers do not answer, or its signatures are wrong"
    elif rcode == dns.rcode.REFUSED:
        why = "refuses to answer (REFUSED)"
    elif rcode is not None and rcode != dns.rcode.NOERROR:
        why = f"answers {dns.rcode.to_text(rcode)}"
    elif isinstance(error, OSError):
        why = f"cannot be reached: {error.strerror or error}"
    else:
        why = f"answers nonsense: {error or type(error).__name__}"
    return DNSError(f"the resolver {asked} {why}, asked about {_text(name)} {rdtype}", True)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)
