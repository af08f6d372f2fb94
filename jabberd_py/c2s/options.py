"""What the configuration may say of client connections."""

from __future__ import annotations

from ..hooks import Option, Section, duration, list_of, optional, size
from ..net.proxyprotocol import proxy_protocol
from .mechanisms import MECHANISMS


class C2S(Section):
    """Client connections."""

    address = Option(list_of(str), ["::"], "addresses to listen on; '::' is every IPv4 and IPv6 address")
    port = Option[int | None](
        optional(int), 5222, "port for STARTTLS; 0 takes any free one, null none", min=0, max=65535
    )
    direct_port = Option[int | None](optional(int), 5223, "port for direct TLS (XEP-0368)", min=0, max=65535)
    proxy_protocol = proxy_protocol()
    require_tls = Option(bool, True, "refuse to log anybody in on an unencrypted stream")
    tls = Option(
        bool, True, "offer STARTTLS; without it (behind a proxy, in benchmarks) require_tls must be off, too"
    )
    mechanisms = Option(
        list_of(str),
        [*MECHANISMS],
        "SASL mechanisms, best first; PLAIN is only ever offered inside TLS",
        choices=[*MECHANISMS],
    )
    max_stanza = Option(size, "256 KiB", "largest stanza", min=10_000)
    max_stanza_before_login = Option(size, "10 KiB", "largest element before login", min=10_000)
    max_depth = Option(int, 64, "how deep elements may be nested in a stanza", min=8)
    max_attributes = Option(int, 64, "attributes one element may have", min=8)
    max_elements = Option(int, 10_000, "elements in a stanza", min=100)
    buffer = Option(
        size, "1 MiB", "what may wait for a client that does not read, before it is cut off", min=65536
    )
    buffer_in_all = Option(
        size,
        "256 MiB",
        "what may wait for all those clients together; above that, the clients with most are cut off",
        min=65536,
    )
    rate_stanzas = Option(int, 200, "stanzas a second that are read of one client, on average", min=1)
    burst_stanzas = Option(int, 5000, "stanzas that it may send at once, after a silence", min=10)
    rate_bytes = Option(size, "1 MiB", "bytes a second that are read of one client, on average", min=1024)
    burst_bytes = Option(size, "8 MiB", "bytes that it may send at once, after a silence", min="16 KiB")
    rate_stanzas_before_login = Option(
        int, 10, "elements a second before login; ten times as many at once", min=5
    )
    rate_bytes_before_login = Option(
        size, "4 KiB", "bytes a second before login; ten times as many at once", min="2 KiB"
    )
    login_timeout = Option(duration, "30s", "time to log in and bind a resource", min=1)
    idle_timeout = Option(
        duration,
        "30m",
        "silence after which a client is asked whether it is still there; without an answer within a minute its stream is "
        "cut off; 0: never",
    )
    resume_timeout = Option(
        duration, "5m", "time to resume a lost stream in (XEP-0198); 0 switches resumption off"
    )
    lost_sessions = Option(
        size,
        "64 MiB",
        "what all lost sessions together may take; above that, the sessions that were lost first end",
        min=65536,
    )
    location = Option[str | None](
        optional(str),
        None,
        "address, 'host' or 'host:port', at which clients should resume a lost stream ([...] around IPv6); "
        "none: wherever they find the server",
    )
    unacknowledged = Option(int, 1000, "stanzas that a client may leave unacknowledged (XEP-0198)", min=10)
    streams_per_address = Option(
        int, 200, "streams that one address (IPv6: one /64) may have at a time", min=1
    )
    logins_per_address = Option(
        int, 50, "streams not yet logged in that one address may have at a time", min=1
    )
    logins_in_all = Option(
        int, 5000, "streams not yet logged in, of all addresses together; above that, new ones wait", min=1
    )
    failures_per_address = Option(
        int,
        30,
        "wrong passwords from one address, refilled at one in ten seconds; above that, only accounts that have logged in "
        "from there before may log in from there",
        min=1,
    )
    failures_per_account = Option(
        int, 20, "wrong passwords for one account from one address, refilled at one in ten seconds", min=1
    )
    failures_per_account_in_all = Option(
        int,
        100,
        "wrong passwords for one account from all addresses, refilled at one in ten seconds; above that, logins from "
        "addresses that are new to the account are tried one a second",
        min=1,
    )
