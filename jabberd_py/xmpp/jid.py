"""Addresses (RFC 7622): node@domain/resource.

`parse` is how a JID is made. A name that is to become a node goes through `prep.nodeprep` first, else
"eve.example/x" would make the address of somebody else.
"""

import sys
from collections.abc import Callable
from typing import NoReturn

from .prep import domainprep, nodeprep, resourceprep
from .protocols import RFC

PROTOCOLS = (RFC(7622, "XMPP: address format"),)

MAX_BYTES = 3 * 1023 + 2  # node @ domain / resource
CACHED = 50_000  # addresses
CACHED_LENGTH = 256  # characters; longer ones are rare, and fifty thousand of them would be a lot of memory


class JID:
    """An address, prepared and immutable. Equal to a JID with the same parts, never to a str."""

    __slots__ = ("_bare", "domain", "full", "node", "resource", "user")

    node: str | None
    domain: str
    resource: str | None
    user: str
    """The bare address as text: the key of sessions, caches and tables."""
    _bare: "JID | None"
    full: str
    """The whole address as text."""

    def __init__(self, node: str | None, domain: str, resource: str | None, bare: "JID | None") -> None:
        """Not for callers: the parts are prepared already. `bare` is None for a bare address."""
        put = object.__setattr__
        put(self, "node", node)
        put(self, "domain", sys.intern(domain))
        put(self, "resource", resource)
        put(self, "_bare", bare)
        text = bare.user if bare is not None else f"{node}@{domain}" if node else domain
        put(self, "user", text)
        put(self, "full", f"{text}/{resource}" if resource else text)

    @property
    def bare(self) -> "JID":
        """Without the resource; itself when it has none."""
        return self._bare or self

    def with_resource(self, resource: str) -> "JID":
        """This address with another resource, which is prepared here (ValueError)."""
        return JID(self.node, self.domain, resourceprep(resource), self.bare)

    def __str__(self) -> str:
        return self.full

    def __repr__(self) -> str:
        return f"JID({self.full!r})"

    def __eq__(self, other: object) -> bool:
        return self is other or isinstance(other, JID) and self.full == other.full

    def __hash__(self) -> int:
        return hash(self.full)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a JID does not change")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a JID does not change")

    def __reduce__(self) -> tuple[Callable[[str], "JID"], tuple[str]]:
        return parse, (self.full,)


def _parse(text: str) -> JID:
    bare, slash, resource = text.partition("/")
    if slash:
        return parse(bare).with_resource(resource)  # so that all resources share one bare address
    node, at, domain = bare.partition("@")
    if not at:
        return JID(None, domainprep(bare), None, None)
    return JID(nodeprep(node), domainprep(domain), None, None)


class _Known(dict[str, JID]):
    """The addresses parsed last. (An lru_cache would touch six objects for every hit, to keep its order.)"""

    def __missing__(self, text: str) -> JID:
        if len(text) > CACHED_LENGTH:
            if len(text) > MAX_BYTES or len(text.encode()) > MAX_BYTES:
                raise ValueError(f"address is longer than {MAX_BYTES} bytes")
            return _parse(text)
        jid = self[text] = _parse(text)
        if len(self) > CACHED:
            del self[next(iter(self))]
        return jid


parse: Callable[[str], JID] = _Known().__getitem__
"""The address that a text spells, or ValueError. A hot address costs a dict look-up and no Python code."""
