"""XEP-0490: Message Displayed Synchronization. Clients keep in PEP how far their user has read. Server assist: a message that
says it to the other side says it to the user's own clients, too."""

from __future__ import annotations

import time

from .. import log
from ..hooks import Module, on
from ..jsm.session import Session
from ..xdb import StoreError
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.protocols import XEP
from .config import Config
from .store import Item
from .tables import NAME_LENGTH

NS = NODE = "urn:xmpp:mds:displayed:0"
MARK = f"{NS} displayed"
CONFIG = Config(access_model="whitelist", send_last_published_item="never")
logger = log.get(__name__)


class Displayed(Module):
    """Publishes in the user's name what his messages say about how far he has read."""

    name = "displayed"
    protocols = (XEP(490, "1.0.1", "Message Displayed Synchronization"),)

    @on("start", "reload")
    def begin(self) -> None:
        """It hears of messages before PEP does, so it cannot need that by name."""
        if "pep" in self.host.modules and not self.host.options.anonymous:
            self.host["pep"].usual[NODE] = CONFIG
            self.account_features = ("urn:xmpp:mds:server-assist:0",)

    @on("out", kind="message")
    def assist(self, session: Session, message: Element) -> None:
        """The element leaves the message before anybody else sees it (section 6.2). Waits until it is published. Raises
        StanzaError."""
        if MARK not in message.kids:  # every message comes by here
            return
        marks = message.take("displayed", NS)
        if len(marks) > 1:
            raise StanzaError("bad-request", "more than one marker")
        chat, payload = message.attrs.get("to", ""), marks[0].to_bytes("\0")
        if not self.account_features or not 0 < len(chat) <= NAME_LENGTH:
            return
        pep = self.host["pep"]
        if len(payload) > pep.max_payload:
            return
        item = Item(chat, session.user, time.time(), payload.decode())
        try:
            pep.publish_for(session.user, NODE, CONFIG, [item])
        except (StanzaError, StoreError) as error:  # the message goes its way all the same
            logger.warning("a displayed marker was not published", account=session.user, reason=str(error))
