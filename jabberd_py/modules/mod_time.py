"""XEP-0202: Entity Time."""

from __future__ import annotations

import time

from ..hooks import Module, iq
from ..xmpp.element import Element
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

NS = "urn:xmpp:time"


class Time(Module):
    """Tells the server's time."""

    protocols = (XEP(202, "2.0", "Entity Time"),)
    anywhere = True
    features = (NS,)

    @iq("get", NS, "time")
    @iq("get", NS, "time", to="self")
    def now(self, request: Element) -> Element:
        moment = time.time()
        offset = time.localtime(moment).tm_gmtoff // 60
        hours, minutes = divmod(abs(offset), 60)
        tzo = f"{'-' if offset < 0 else '+'}{hours:02}:{minutes:02}"
        return Element("time", NS, Element("tzo", NS, tzo), Element("utc", NS, utc(moment)))
