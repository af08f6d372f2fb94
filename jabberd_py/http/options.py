"""What the configuration says of the web server."""

from __future__ import annotations

import re
from typing import Any

from ..hooks import Option, Section, duration, list_of, optional, size
from ..net.networks import network
from ..net.proxyprotocol import proxy_protocol

PAGES = (
    "web", "sign-in", "sign-out", "kept", "account", "invite", "password", "register", "console", "setup", "chat", "upload",
    "api", "health", "metrics", "http-bind", "xmpp-websocket", ".well-known",
)  # fmt: skip
"""Where paths of pages begin."""


def origin(value: Any) -> str:
    """A site, such as ``https://example.org``; ``*`` is any."""
    text = str(value).rstrip("/").lower()
    if text != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", text):
        raise ValueError(f"must be a site such as https://example.org, or '*', not {str(value)[:60]!r}")
    return text


def base(value: Any) -> str:
    """What an address on the web begins with."""
    text = str(value).rstrip("/")
    match = re.fullmatch(r"https?://[^/\s?#]+((?:/[^/\s?#]+)*)", text)
    if not match:
        raise ValueError(f"must begin with https:// or http:// and a name, not {str(value)[:60]!r}")
    words = match[1].split("/")[1:]
    if not all(re.fullmatch(r"(?!\.+$)[A-Za-z0-9._~-]+", each) for each in words):
        raise ValueError(
            "the path behind the name may have letters, digits, '-', '.', '_' and '~' only (and no {host})"
        )
    if words and words[0] in PAGES:
        raise ValueError(f"/{words[0]} is a page of the server; take another path, such as /xmpp")
    return text


class HTTPOptions(Section):
    """The web server: WebSocket (/xmpp-websocket), BOSH (/http-bind), files, pages of modules (docs/http.md)."""

    address = Option(
        list_of(str), ["127.0.0.1"], "addresses of the port without TLS: for a proxy on this machine"
    )
    port = Option[int | None](
        optional(int), 5280, "port without TLS; 0 takes any free one, null none", min=0, max=65535
    )
    tls_address = Option(list_of(str), ["::"], "addresses of the port with TLS; '::' is every address")
    tls_port = Option[int | None](
        optional(int), 5281, "port with TLS, by the hosts' certificates", min=0, max=65535
    )
    challenge_port = Option[int | None](
        optional(int),
        None,
        "port of an authority's questions (ACME, modules.acme), usually 80; all else there is sent on to https; null none",
        min=0,
        max=65535,
    )
    url = Option[str | None](
        optional(base),
        None,
        "what clients reach it by, such as https://example.org or https://{host}/xmpp ({host} stands for the host's name; a "
        "path is that of a proxy, which may take it away or pass it on); by default https://{host} and tls_port",
    )
    proxies = Option(
        list_of(network),
        ["127.0.0.1", "::1"],
        "addresses and networks of proxies: who the client is, they say (Forwarded, X-Forwarded-For)",
    )
    proxy_protocol = proxy_protocol()
    origins = Option(
        list_of(origin), ["*"], "sites whose scripts may log in by WebSocket and BOSH; '*' is any"
    )
    max_header = Option(size, "16 KiB", "largest head of a request", min=1024)
    timeout = Option(
        duration,
        "30s",
        "time for the head of a request, and for each 64 KiB of what is sent or taken then",
        min=1,
    )
    idle_timeout = Option(duration, "75s", "silence between two requests on one connection", min=1)
    connections = Option(
        int, 10_000, "connections of all addresses together; who comes then has to wait", min=1
    )
    connections_per_address = Option(int, 200, "connections that one address (IPv6: one /64) may have", min=1)
    rate_requests = Option(int, 100, "requests a second on one connection, not of a proxy", min=1)
    hsts = Option(
        duration,
        "30d",
        "time for which browsers are told to come by https only (RFC 6797), if an authority has signed the certificate; "
        "0s: they are not told",
    )
    channel_binding = Option(
        bool,
        False,
        "offer SCRAM with channel binding over WebSocket: no browser can do it, and stanza tries and fails",
    )
    bosh_inactivity = Option(
        duration, "60s", "silence after which a BOSH session ends (or waits to be resumed)", min=1
    )
    security_contact = Option[list[str]](
        list_of(str), [], "whom to tell of a hole: mailto:... or https://..., for /.well-known/security.txt"
    )
