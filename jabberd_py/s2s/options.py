"""What the configuration may say of federation, and whom it lets us talk to."""

from __future__ import annotations

from collections.abc import Mapping

from ..hooks import Option, Section, duration, list_of, optional, size
from ..net.connect import parse_route
from ..net.karma import Rates
from ..net.proxyprotocol import proxy_protocol
from ..xmpp.parser import Limits
from ..xmpp.prep import domainprep


def pattern(value: object) -> str:
    """A domain, or ``*.domain`` for all below it. Raises ValueError."""
    text = str(value).strip()
    head = "*." if text.startswith("*.") else ""
    return head + domainprep(text.removeprefix(head))


def covers(patterns: list[str], domain: str) -> bool:
    """Is the domain one of these, or below one that begins with ``*.``?"""
    return any(
        domain == each or each.startswith("*.") and domain.endswith(each.removeprefix("*"))
        for each in patterns
    )


def routes(value: object) -> dict[str, str]:
    """``{domain: host:port}``, or the same as text: ``domain=host:port``, several with spaces between. Raises ValueError."""
    if isinstance(value, str):
        value = dict(each.partition("=")[::2] for each in value.split())
    if not isinstance(value, Mapping):
        raise ValueError("must be a mapping of domains to host:port")
    found = {}
    for domain, place in value.items():
        parse_route(str(place))
        found[domainprep(str(domain))] = str(place)
    return found


SKIP = 4
"""A stanza beyond the limits comes back, and the stream goes on; one so many times as large as may be ends the stream."""


class S2S(Section):
    """Federation: streams between this server and others."""

    enabled = Option(bool, True, "talk to other servers at all")
    address = Option(list_of(str), ["::"], "addresses to listen on; '::' is every IPv4 and IPv6 address")
    port = Option[int | None](
        optional(int), 5269, "port for STARTTLS; 0 takes any free one, null none", min=0, max=65535
    )
    direct_port = Option[int | None](
        optional(int), None, "port for direct TLS (XEP-0368), usually 5270", min=0, max=65535
    )
    proxy_protocol = proxy_protocol()
    require_tls = Option(bool, True, "talk to no server that does not encrypt")
    certificates = Option(
        str,
        "dialback",
        "how a server proves who it is: only by a valid certificate (required), or else by dialback",
        choices=["required", "dialback"],
    )
    verified = Option[list[str]](
        list_of(pattern), [], "domains that must have a valid certificate in any case; '*.' covers all below"
    )
    ca = Option(optional(str), None, "file of authorities that are trusted beside the system's")
    allow = Option[list[str]](list_of(pattern), [], "talk to these domains only; an empty list is all")
    deny = Option[list[str]](list_of(pattern), [], "never talk to these domains")
    routes = Option[dict[str, str]](
        routes,
        {},
        "where a domain is reached, instead of what DNS says: host:port, or tls://host:port",
    )
    secret = Option(
        optional(str),
        None,
        "what dialback keys are made with; several nodes of one domain must share it",
        secret=True,
    )
    bidi = Option(bool, True, "use one stream for both directions, where the other side can (XEP-0288)")
    max_stanza = Option(size, "512 KiB", "largest stanza; a larger one comes back to its sender", min=10_000)
    max_stanza_before_login = Option(size, "10 KiB", "largest element of a server not yet known", min=10_000)
    max_depth = Option(int, 64, "how deep elements may be nested in a stanza", min=8)
    max_attributes = Option(int, 64, "attributes one element may have", min=8)
    max_elements = Option(int, 10_000, "elements in a stanza", min=100)
    buffer = Option(size, "2 MiB", "what may wait for a server that does not read its stream", min=65536)
    queue = Option(int, 1000, "stanzas that may wait for one domain while its stream comes up", min=1)
    queue_size = Option(
        size, "4 MiB", "bytes that may wait likewise, or be unacknowledged on one stream", min=65536
    )
    patience = Option(
        duration, "60s", "time that messages wait for a domain that cannot be reached, before they come back"
    )
    connect_timeout = Option(duration, "20s", "time to find and reach a server", min=1)
    login_timeout = Option(duration, "30s", "time for a stream to prove who it is", min=1)
    idle_timeout = Option(duration, "15m", "time after which a stream that nobody uses is closed", min=1)
    resume_timeout = Option(duration, "2m", "time to resume a lost stream in (XEP-0198)")
    answer_timeout = Option(
        duration,
        "5m",
        "time to acknowledge a stanza in; then the stream is given up for another (XEP-0198)",
        min=1,
    )
    unacknowledged = Option(int, 5000, "stanzas that may be unacknowledged on one stream (XEP-0198)", min=10)
    streams_per_address = Option(int, 100, "streams that one address may open", min=1)
    logins_per_address = Option(
        int, 20, "streams of one address that are not yet proven to be anybody's", min=1
    )
    logins_in_all = Option(int, 1000, "streams not yet proven, of all addresses together", min=1)
    domains_per_stream = Option(int, 50, "domains that one stream may speak for", min=1)
    links = Option(int, 10_000, "pairs of domains that may have a stream or a queue at a time", min=1)
    rate_stanzas = Option(int, 500, "stanzas a second that are read of one stream, on average", min=1)
    burst_stanzas = Option(int, 10_000, "stanzas that it may send at once", min=1)
    rate_bytes = Option(size, "2 MiB", "bytes a second that are read of one stream, on average", min=1024)
    burst_bytes = Option(size, "16 MiB", "bytes that it may send at once", min="64 KiB")
    subscriptions = Option(
        int, 100, "presence subscriptions that one domain may ask for at once, refilled at one in ten seconds", min=1
    )  # fmt: skip

    @property
    def limits(self) -> Limits:
        skip = SKIP * self.max_stanza
        return Limits(self.max_stanza, self.max_depth, self.max_attributes, skip, self.max_elements)

    @property
    def early_limits(self) -> Limits:
        return Limits(self.max_stanza_before_login, self.max_depth, self.max_attributes)

    @property
    def rates(self) -> Rates:
        return Rates(self.rate_stanzas, self.burst_stanzas, self.rate_bytes, self.burst_bytes)

    def permits(self, domain: str) -> bool:
        """May we talk to that domain?"""
        if self.allow and not covers(self.allow, domain):
            return False
        return not covers(self.deny, domain)

    def wants_certificate(self, domain: str) -> bool:
        """Is dialback not enough for that domain?"""
        return self.certificates == "required" or covers(self.verified, domain)
