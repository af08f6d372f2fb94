"""What the configuration says of components (XEP-0114), and of what they may do with users' data (XEP-0355, XEP-0356)."""

from __future__ import annotations

from typing import Any

from ..hooks import Option, Section, duration, list_of, mapping_of, optional, size
from ..options import OptionError
from ..xmpp.prep import domainprep

ACCESS = ["none", "get", "set", "both"]
DELEGATION = "urn:xmpp:delegation:"


def access(text: Any) -> str:
    """Which IQs of a namespace."""
    if text not in ACCESS:
        raise ValueError(f"must be one of {', '.join(ACCESS)}, not {text!r}")
    return str(text)


def names(value: Any) -> list[str]:
    """A list of names, perhaps none."""
    return [] if value is None else list_of(str)(value)


def place(text: Any) -> str:
    """``host:port``, an IPv6 address in brackets."""
    host, colon, port = str(text).rpartition(":")
    if not (host.strip("[]") and colon and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"must be HOST:PORT, not {str(text)[:60]!r}")
    return str(text)


class ListenerOptions(Section):
    """Where components connect (XEP-0114). The port is opened once there is a component to wait for. The protocol knows
    no encryption: over a network it wants a tunnel."""

    address = Option(list_of(str), ["127.0.0.1"], "addresses to listen on")
    port = Option[int | None](optional(int), 5347, "port; 0 takes any free one, null none", min=0, max=65535)
    max_stanza = Option(size, "512 KiB", "largest stanza; a larger one is answered with an error", min=10_000)
    max_depth = Option(int, 72, "how deep elements may be nested in a stanza", min=8)
    max_attributes = Option(int, 64, "attributes one element may have", min=8)
    max_elements = Option(int, 10_000, "elements in a stanza", min=100)
    buffer = Option(
        size,
        "4 MiB",
        "what may be under way to a component; past half of it stanzas wait in its queue",
        min="64 KiB",
    )
    handshake_timeout = Option(duration, "10s", "time to prove the secret in", min=1)
    keepalive = Option(
        duration, "1m", "silence after which TCP asks whether a component is still there", min=1
    )
    retry = Option(duration, "1m", "longest time between two tries to connect to a component", min=1)
    strangers = Option(int, 50, "connections that have not yet proved their secret", min=1)
    failures = Option(
        int, 10, "wrong secrets for one component from one address, refilled at one in ten seconds", min=1
    )


class ComponentOptions(Section):
    """An external service that answers for this domain (XEP-0114). The last options are grants: what it may do with the
    data of the hosts' users (XEP-0356: roster, roster_push, message, presence, iq; XEP-0355: delegate)."""

    secret = Option(str, "", "the shared secret", secret=True)
    name = Option(str, "", "its name in the hosts' service discovery")
    hidden = Option(bool, False, "leave it out of the hosts' service discovery")
    hosts = Option[list[str]](
        list_of(domainprep), [], "hosts that show it and whose users the grants are about; none named: all"
    )
    also = Option[list[str]](list_of(domainprep), [], "more domains that it answers for on the same stream")
    connect = Option[str | None](
        optional(place), None, "HOST:PORT where it listens; the server then connects to it"
    )
    conflict = Option(
        str,
        "replace",
        "a second connection with the right secret ends the first, or is refused",
        choices=["replace", "refuse"],
    )
    queue = Option(int, 1000, "stanzas that may wait for it", min=0)
    queue_size = Option(size, "4 MiB", "bytes that may wait for it")
    wait = Option(
        duration,
        "30s",
        "how long a stanza waits for the component; when it is away for longer, stanzas come back at once",
    )
    roster = Option(str, "none", "which roster IQs it may send for users", choices=ACCESS)
    roster_push = Option(bool, True, "tell it of changes of rosters: with get or both")
    message = Option(
        str, "none", "may it send messages in the name of users and the host?", choices=["none", "outgoing"]
    )
    presence = Option(
        str,
        "none",
        "whose presence it sees: users', or also their contacts' (wants roster get or both)",
        choices=["none", "managed_entity", "roster"],
    )
    iq = Option[dict[str, str]](
        mapping_of(access), {}, "namespaces of IQs it may send for users: get, set or both"
    )
    delegate = Option[dict[str, list[str]]](
        mapping_of(names), {}, "namespaces whose IQs it answers, each with the attributes they must have"
    )

    def check(self) -> None:
        """What one option alone cannot tell. Raises OptionError."""
        if not self.secret:
            raise OptionError("secret", "a component must have a secret")
        if self.presence == "roster" and self.roster not in ("get", "both"):
            raise OptionError("presence", "the presence of contacts wants 'roster: get' or 'both'")
        for namespace in self.delegate:
            if namespace.startswith(DELEGATION) and ":bare:disco#" not in namespace:
                raise OptionError("delegate", f"{namespace} cannot be delegated")

    def concerns(self, host: str) -> bool:
        """Is it of that host?"""
        return not self.hosts or host in self.hosts
