"""Which request of XEP-0060 is whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .management import Management
from .names import NS, OWNER, unsupported

UNSUPPORTED = {"redirect": "delete-nodes", "collection": "collections"}
"""Verbs that are not here, and the feature that they belong to."""


class Requests(Management):
    """Answers for nodes of any owner."""

    methods: dict[tuple[str, str, str], Callable[..., Any]] = {
        (NS, "get", "items"): Management.items,
        (NS, "set", "publish"): Management.publish,
        (NS, "set", "retract"): Management.retract,
        (NS, "set", "subscribe"): Management.subscribe,
        (NS, "set", "unsubscribe"): Management.unsubscribe,
        (NS, "get", "options"): Management.show_options,
        (NS, "set", "options"): Management.set_options,
        (NS, "get", "default"): Management.default_options,
        (NS, "get", "subscriptions"): Management.subscriptions,
        (NS, "get", "affiliations"): Management.affiliations,
        (NS, "set", "create"): Management.make_node,
        (OWNER, "get", "configure"): Management.show_form,
        (OWNER, "set", "configure"): Management.set_form,
        (OWNER, "get", "default"): Management.default_form,
        (OWNER, "set", "delete"): Management.delete_node,
        (OWNER, "set", "purge"): Management.purge_node,
        (OWNER, "get", "affiliations"): Management.affiliated,
        (OWNER, "set", "affiliations"): Management.affiliate,
        (OWNER, "get", "subscriptions"): Management.subscribers,
        (OWNER, "set", "subscriptions"): Management.set_subscribers,
    }

    def respond(self, owner: str, request: Element) -> Any:
        """The payload of the result, None, or LATER. Raises StanzaError."""
        payload, asker = request.payload, request.from_
        assert payload is not None and asker is not None and request.type is not None
        verbs = list(payload.elements())
        if not verbs or verbs[0].ns != payload.ns:
            raise StanzaError("bad-request")
        verb = verbs[0]
        method = self.methods.get((payload.ns, request.type, verb.name))
        if method is None:
            if verb.name in UNSUPPORTED:
                raise unsupported(UNSUPPORTED[verb.name])
            raise StanzaError("bad-request")
        return method(self, owner, asker, verb, request)
