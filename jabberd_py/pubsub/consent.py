"""Owners approve of subscriptions (XEP-0060 section 8.6)."""

from __future__ import annotations

import secrets

from ..xmpp import forms
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse
from ..xmpp.ns import CLIENT
from .management import Management
from .names import SUBSCRIBE_AUTHORIZATION
from .options import Subscription
from .store import Node


class Consent(Management):
    """For nodes with the access model ``authorize``. Every owner is asked, and the first answer counts."""

    def ask_owners(self, owner: str, node: Node, one: Subscription) -> None:
        for jid in node.owners:
            self.outbox.send(question(owner, node, one).copy(to=jid))

    def decided(self, owner: str, asker: JID, x: Element) -> bool:
        """An owner has answered, or somebody who is none. False: that is no answer. Raises StanzaError."""
        try:
            values = forms.read(x)
            if values.get("FORM_TYPE") != [SUBSCRIBE_AUTHORIZATION]:
                return False
            if x.type == "cancel":
                return True
            ((name,), (jid,)) = values["pubsub#node"], values["pubsub#subscriber_jid"]
            allow, subscriber = forms.boolean(values["pubsub#allow"]), parse(jid)
        except (KeyError, ValueError):
            raise StanzaError("bad-request", "node, subscriber_jid and allow are needed") from None
        node = self.own_node(owner, name, asker)
        subids: list[str] = values.get("pubsub#subid") or [""]
        found = [
            each
            for each in node.subscriptions.get(subscriber.user, ())
            if each.jid == str(subscriber) and each.state == "pending" and subids[0] in ("", each.subid)
        ]
        if not found:
            raise StanzaError("item-not-found", "nobody waits for that")
        self.set_subscriptions(owner, node, found if allow else [], [] if allow else found)
        return True


def question(owner: str, node: Node, one: Subscription) -> Element:
    """May they subscribe?"""
    form = forms.Form(
        "form",
        "Subscription request",
        "Somebody wants to subscribe to one of your nodes.",
        SUBSCRIBE_AUTHORIZATION,
    )
    form.field("pubsub#subid", "hidden", value=one.subid)
    form.field("pubsub#node", "text-single", "Node", node.name)
    form.field("pubsub#subscriber_jid", "jid-single", "Subscriber", one.jid)
    form.field("pubsub#allow", "boolean", "May they subscribe?", False)
    message = Element("message", CLIENT, form.element(), id=secrets.token_hex(6))
    message.attrs["from"] = owner
    return message
