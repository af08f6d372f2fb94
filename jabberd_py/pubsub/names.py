"""Names of XEP-0060: namespaces, and errors with their pubsub-specific conditions."""

from __future__ import annotations

from ..xmpp.element import Element
from ..xmpp.errors import StanzaError

NS = "http://jabber.org/protocol/pubsub"
OWNER = NS + "#owner"
EVENT = NS + "#event"
ERRORS = NS + "#errors"
META_DATA = NS + "#meta-data"
NODE_CONFIG = NS + "#node_config"
PUBLISH_OPTIONS = NS + "#publish-options"
SUBSCRIBE_OPTIONS = NS + "#subscribe_options"
SUBSCRIBE_AUTHORIZATION = NS + "#subscribe_authorization"
GET_PENDING = NS + "#get-pending"
ORDER = "urn:xmpp:order-by:1"
FILTER = "urn:xmpp:pubsub-filter:0"
SHIM = "http://jabber.org/protocol/shim"


def refusal(
    condition: str,
    specific: str,
    text: str | None = None,
    feature: str | None = None,
    type: str | None = None,
) -> StanzaError:
    """An error with a condition of XEP-0060, for raising. ``feature``: what is unsupported."""
    return StanzaError(condition, text, Element(specific, ERRORS, feature=feature), type=type)


def unsupported(feature: str) -> StanzaError:
    return refusal("feature-not-implemented", "unsupported", feature=feature)
