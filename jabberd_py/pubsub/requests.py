"""Which request of XEP-0060 is whose."""

from __future__ import annotations

from typing import Any, ClassVar

from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .consent import Consent
from .names import NS, OWNER, unsupported
from .usual import read
from .verbatim import unfold

COMPANIONS = {
    "publish": ("publish-options", "configure"),
    "create": ("configure",),
    "subscribe": ("options",),
}
"""What may stand beside a verb."""
UNSUPPORTED = {"redirect": "delete-nodes", "collection": "collections"}
"""Verbs that are not here, and the feature that they belong to."""


class Requests(Consent):
    """Answers for nodes of any owner. ``methods``: (namespace, type of the IQ, verb) -> the name of the method."""

    methods: ClassVar[dict[tuple[str, str, str], str]] = {
        (NS, "get", "items"): "items",
        (NS, "set", "publish"): "publish",
        (NS, "set", "retract"): "retract",
        (NS, "set", "subscribe"): "subscribe",
        (NS, "set", "unsubscribe"): "unsubscribe",
        (NS, "get", "options"): "show_options",
        (NS, "set", "options"): "set_options",
        (NS, "get", "default"): "default_options",
        (NS, "get", "subscriptions"): "subscriptions",
        (NS, "get", "affiliations"): "affiliations",
        (NS, "set", "create"): "make_node",
        (OWNER, "get", "configure"): "show_form",
        (OWNER, "set", "configure"): "set_form",
        (OWNER, "get", "default"): "default_form",
        (OWNER, "set", "delete"): "delete_node",
        (OWNER, "set", "purge"): "purge_node",
        (OWNER, "get", "affiliations"): "affiliated",
        (OWNER, "set", "affiliations"): "affiliate",
        (OWNER, "get", "subscriptions"): "subscribers",
        (OWNER, "set", "subscriptions"): "set_subscribers",
    }

    def respond(self, owner: str, request: Element) -> Any:
        """The payload of the result, None, or LATER. Raises StanzaError."""
        asker = request.from_
        assert asker is not None and request.type is not None
        usual = read(request)
        if usual is not None:
            return self.publish_usual(owner, asker, usual, request)
        unfold(request)
        payload = request.payload
        assert payload is not None
        verb = payload.payload
        if verb is None or verb.ns != payload.ns:
            raise StanzaError("bad-request")
        name = self.methods.get((payload.ns, request.type, verb.name))
        if name is None:
            if verb.name in UNSUPPORTED:
                raise unsupported(UNSUPPORTED[verb.name])
            raise StanzaError("bad-request")
        for each in payload.elements():
            if each is not verb and each.ns == verb.ns and each.name not in COMPANIONS.get(verb.name, ()):
                raise StanzaError("bad-request", "one thing at a time")
        return getattr(self, name)(owner, asker, verb, request)
