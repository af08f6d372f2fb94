"""Presence subscriptions: the state machine of RFC 6121 appendix A, with pre-approval (3.4).

A state is what one side's roster knows of the other. The caller stores the new state, pushes the roster item
when it changed, and sends presence when "from" began or ended.
"""

from dataclasses import dataclass
from typing import NamedTuple

TYPES = frozenset(("subscribe", "unsubscribe", "subscribed", "unsubscribed"))

# Columns are the states of A.1: None, To, From, Both, with O for "+ Pending Out" and I for "+ Pending In".
# A cell is the new state, then what becomes of the stanza; without a mark it goes no further.
# Route: a repeated request is routed again, since the other server may have lost the first one.
_OUTBOUND = """ A.2, sent by the user             ! route   ~ note the pre-approval
                N    NO   NI   NOI  T    TI   F    FO   B
subscribe       NO!  NO!  NOI! NOI! T!   TI!  FO!  FO!  B!
unsubscribe     N!   N!   NI!  NI!  N!   NI!  F!   F!   F!
subscribed      N~   NO~  F!   FO!  T~   B!   F    FO   B
unsubscribed    N    NO   N!   NO!  T    T!   N!   NO!  T!
"""
_INBOUND = """  A.3, received from the contact    ! deliver = answer "subscribed" in the user's name
                N    NO   NI   NOI  T    TI   F    FO   B
subscribe       NI!  NOI! NI   NOI  TI!  TI   F=   FO=  B=
unsubscribe     N    NO   N!   NO!  T    T!   N!   NO!  T!
subscribed      N    T!   NI   TI!  T    TI   F    B!   B
unsubscribed    N    N!   NI   NI!  N!   NI!  F    F!   F!
"""
_PREAPPROVED = {"N": "F", "NO": "FO", "T": "B"}  # 3.4.2: a request that was approved before it came

_SUBSCRIPTIONS = {"N": "none", "T": "to", "F": "from", "B": "both"}
_CODES = {name: code for code, name in _SUBSCRIPTIONS.items()}


@dataclass(frozen=True, slots=True)
class SubscriptionState:
    """`subscription` is "none", "to", "from" or "both". The default stands for a contact in no roster too."""

    subscription: str = "none"
    ask: bool = False  # pending out: the user has asked
    pending_in: bool = False  # the contact has asked; such an item alone is never shown in the roster
    approved: bool = False  # what the contact asks is granted beforehand

    @property
    def to(self) -> bool:
        """Does the user see the contact's presence?"""
        return self.subscription in ("to", "both")

    @property
    def from_(self) -> bool:
        """Does the contact see the user's presence?"""
        return self.subscription in ("from", "both")


class OutboundDecision(NamedTuple):
    """What `outbound` decided."""

    state: SubscriptionState
    route: bool


class InboundDecision(NamedTuple):
    """What `inbound` decided."""

    state: SubscriptionState
    deliver: bool
    auto_reply: str | None  # the type of a presence to answer with, from the user's bare JID


def outbound(state: SubscriptionState, type: str) -> OutboundDecision:
    """The user sends presence of this type (one of TYPES) to the contact."""
    code, mark = _SENT[type, _code(state)]
    approved = state.approved and type != "unsubscribed" or mark == "~"
    return OutboundDecision(_state(code, approved), mark == "!")


def inbound(state: SubscriptionState, type: str) -> InboundDecision:
    """Presence of this type (one of TYPES) arrives from the contact."""
    now = _code(state)
    if type == "subscribe" and state.approved and now in _PREAPPROVED:
        return InboundDecision(_state(_PREAPPROVED[now], True), False, "subscribed")
    code, mark = _RECEIVED[type, now]
    return InboundDecision(_state(code, state.approved), mark == "!", "subscribed" if mark == "=" else None)


def _code(state: SubscriptionState) -> str:
    """The column; a flag that the subscription makes pointless is not looked at."""
    out = "O" if state.ask and not state.to else ""
    in_ = "I" if state.pending_in and not state.from_ else ""
    return _CODES[state.subscription] + out + in_


def _state(code: str, approved: bool) -> SubscriptionState:
    return SubscriptionState(_SUBSCRIPTIONS[code[0]], "O" in code, "I" in code, approved)


def _table(text: str) -> dict[tuple[str, str], tuple[str, str]]:
    """{(type, old state): (new state, mark)}"""
    header, *rows = (line.split() for line in text.splitlines()[1:])
    return {
        (type, old): (cell.rstrip("!~="), cell.lstrip("NTFBOI"))
        for type, *cells in rows
        for old, cell in zip(header, cells, strict=True)
    }


_SENT = _table(_OUTBOUND)
_RECEIVED = _table(_INBOUND)
