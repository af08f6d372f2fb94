"""What the start tag of a stream means for its stanzas (RFC 6120 section 4.7): namespaces and prefixes."""

from __future__ import annotations

from typing import Any

from . import ns
from .serialise import ATTRIBUTE

OWN = {
    uri: (f"xmlns='{uri}'".encode(), f'xmlns="{uri}"'.encode())
    for uri in (ns.CLIENT, ns.SERVER, ns.COMPONENT, ns.COMPONENT_CONNECT)
}
"""How a stanza names the content namespace that it has anyway."""


class Root:
    """What every stanza of a stream inherits from the stream's start tag. ``content``: the content namespace, also where the
    stream's own namespace is the default one and each stanza names its own (RFC 6120 section 4.8.2)."""

    __slots__ = ("tag", "content", "bare", "raw", "names", "prefixes", "standard", "spaced", "pool")

    def __init__(self, qname: str, declared: dict[str | None, str], content: str) -> None:
        attrs = [
            f"xmlns:{p}='{_quoted(uri)}'" if p else f"xmlns='{_quoted(uri)}'" for p, uri in declared.items()
        ]
        self.tag = f"<{qname} {' '.join(sorted(attrs))}>".encode()
        default = declared.get(None, "")
        self.content = content if default == ns.STREAM else default
        self.bare = self.content.encode()
        self.raw = self.content == ns.CLIENT  # else kids must be translated
        self.names = {f"{self.content} {name}": name for name in ("message", "presence", "iq")}
        # inner XML stands by itself (also in an archive, or on a WebSocket) if it uses no prefix of the root
        self.prefixes = tuple(f"{p}:".encode() for p in declared if p)
        self.pool: list[Any] = []
        """Parsers that stand inside this root and wait for a stream (parser.py)."""
        self.standard = False
        self.spaced = any(" " in uri for uri in declared.values())


def _quoted(uri: str) -> str:
    return uri.translate(ATTRIBUTE)


_USUAL = {"stream": ns.STREAM, "db": "jabber:server:dialback"}
_roots: dict[bytes, Root] = {}


def root_of(qname: str, declared: dict[str | None, str], content: str = ns.CLIENT) -> Root:
    """One shared `Root` for each of the few usual start tags; an unusual one is its stream's own. ``content`` is the content
    namespace that is spoken here."""
    root = Root(qname, declared, content)
    usual = all(_USUAL.get(p) == uri if p else uri in OWN for p, uri in declared.items())
    if qname == "stream:stream" and usual:
        root = _roots.setdefault(root.tag, root)
        root.standard = True
    return root
