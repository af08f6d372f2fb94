"""How a file says which protocols it offers: docs/protocols.md is made of these declarations and of nothing else.

A Module or a Service has them in its ``protocols``, any other file in a constant ``PROTOCOLS``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """``missing``: what of it is left out, a few words; empty: nothing."""

    number: int
    version: str
    title: str
    missing: str = ""

    @property
    def name(self) -> str:
        """Such as ``XEP-0199``."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Where it can be read."""
        raise NotImplementedError


class XEP(Protocol):
    """``XEP(199, "2.0.1", "XMPP Ping")``: the version that was read when the code was written."""

    @property
    def name(self) -> str:
        return f"XEP-{self.number:04}"

    @property
    def url(self) -> str:
        return f"https://xmpp.org/extensions/xep-{self.number:04}.html"


class RFC(Protocol):
    """``RFC(6121, "XMPP: instant messaging and presence")``: an RFC has no versions."""

    def __init__(self, number: int, title: str, missing: str = "") -> None:
        super().__init__(number, "", title, missing)

    @property
    def name(self) -> str:
        return f"RFC {self.number}"

    @property
    def url(self) -> str:
        return f"https://www.rfc-editor.org/rfc/rfc{self.number}"
