"""XEP-0092: Software Version."""

from __future__ import annotations

import platform

from .. import __version__
from ..hooks import Module, Option, iq
from ..xmpp.element import Element
from ..xmpp.protocols import XEP

NS = "jabber:iq:version"


class Version(Module):
    """Tells which software this is."""

    protocols = (XEP(92, "1.1", "Software Version"),)
    anywhere = True
    features = (NS,)
    reveal_version = Option(bool, True, "tell strangers which version this is")
    reveal_os = Option(bool, False, "tell strangers which operating system this is")

    @iq("get", NS, "query")
    def version(self, request: Element) -> Element:
        return self.describe()

    def describe(self) -> Element:
        return Element(
            "query", NS,
            Element("name", NS, "jabberd_py"),
            Element("version", NS, __version__ if self.reveal_version else "undisclosed"),
            Element("os", NS, platform.system()) if self.reveal_os else None,
        )  # fmt: skip
