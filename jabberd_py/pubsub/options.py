"""Subscriptions and their options (XEP-0060 sections 6.3 and 12.18, XEP-0248 section 6.1)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from ..xmpp.forms import Value
from ..xmpp.stamp import parse, utc
from .fields import BOOLEAN, NUMBER_OR_MAX, Fields, Kind, one_of, option, some_of

SHOWS = ("chat", "online", "away", "xa", "dnd")
OF_COLLECTIONS = ("subscription_type", "subscription_depth")
PRESENCE = "presence"


def _expire(values: list[str]) -> float | str | None:
    (value,) = values or [""]
    if value in ("", PRESENCE):
        return value or None
    moment = parse(value)
    if moment <= time.time():
        raise ValueError("that is over")
    return moment


def _expiry(value: float | str | None) -> Value:
    return utc(value) if isinstance(value, float) else value


def _depth(values: list[str]) -> int | None:
    return None if values == ["all"] else NUMBER_OR_MAX.read([value for value in values if value != "max"])


EXPIRY = Kind("text-single", _expire, _expiry)
DEPTH = Kind("text-single", _depth, lambda value: "all" if value is None else str(value))


@dataclass(frozen=True)
class Options(Fields):
    """What a subscriber wants. ``expire``: a Unix time, "presence" (until he goes), or None. ``subscription_depth`` None: from
    all nodes below a collection."""

    names: ClassVar[Mapping[str, str]] = {"show_values": "show-values"}
    never: ClassVar[tuple[str, ...]] = ("digest", "digest_frequency", "include_body")

    deliver: bool = option(BOOLEAN, True, "Whether to get notifications")
    expire: float | str | None = option(EXPIRY, None, "When the subscription ends: a time, or 'presence'")
    show_values: tuple[str, ...] = option(some_of(*SHOWS), SHOWS, "The presence that allows notifications")
    subscription_type: str = option(
        one_of("items", "nodes", "all"), "nodes", "What to be told of in a collection"
    )
    subscription_depth: int | None = option(DEPTH, 1, "How deep in a collection, a number or 'all'")

    @property
    def ends(self) -> float | None:
        """The Unix time at which the subscription is over."""
        return self.expire if isinstance(self.expire, float) else None

    @property
    def temporary(self) -> bool:
        """Does it end when the subscriber goes?"""
        return self.expire == PRESENCE


PLAIN = Options()


class Subscription(NamedTuple):
    """``jid``: bare or full, to where notifications go. ``state``: subscribed, or pending. ``subid`` is
    unique."""

    jid: str
    subid: str
    state: str
    options: Options = PLAIN

    @property
    def over(self) -> bool:
        ends = self.options.ends
        return ends is not None and ends <= time.time()


def stored(values: dict[str, Any]) -> Options:
    return Options.stored(values) if values else PLAIN
