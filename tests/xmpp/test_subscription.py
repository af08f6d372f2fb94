"""Every row of RFC 6121 appendix A.2 and A.3, pre-approval, and two sides against each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jabberd_py.xmpp.subscription import TYPES, SubscriptionState, inbound, outbound

STATES = {
    "None": SubscriptionState("none"),
    "None + Pending Out": SubscriptionState("none", ask=True),
    "None + Pending In": SubscriptionState("none", pending_in=True),
    "None + Pending Out+In": SubscriptionState("none", ask=True, pending_in=True),
    "To": SubscriptionState("to"),
    "To + Pending In": SubscriptionState("to", pending_in=True),
    "From": SubscriptionState("from"),
    "From + Pending Out": SubscriptionState("from", ask=True),
    "Both": SubscriptionState("both"),
}
SAME = None

OUTBOUND = {
    "A.2.1 subscribe": [
        ("None", True, "None + Pending Out"),
        ("None + Pending Out", True, SAME),
        ("None + Pending In", True, "None + Pending Out+In"),
        ("None + Pending Out+In", True, SAME),
        ("To", True, SAME),
        ("To + Pending In", True, SAME),
        ("From", True, "From + Pending Out"),
        ("From + Pending Out", True, SAME),
        ("Both", True, SAME),
    ],
    "A.2.2 unsubscribe": [
        ("None", True, SAME),
        ("None + Pending Out", True, "None"),
        ("None + Pending In", True, SAME),
        ("None + Pending Out+In", True, "None + Pending In"),
        ("To", True, "None"),
        ("To + Pending In", True, "None + Pending In"),
        ("From", True, SAME),
        ("From + Pending Out", True, "From"),
        ("Both", True, "From"),
    ],
    "A.2.3 subscribed": [
        ("None", False, SAME),
        ("None + Pending Out", False, SAME),
        ("None + Pending In", True, "From"),
        ("None + Pending Out+In", True, "From + Pending Out"),
        ("To", False, SAME),
        ("To + Pending In", True, "Both"),
        ("From", False, SAME),
        ("From + Pending Out", False, SAME),
        ("Both", False, SAME),
    ],
    "A.2.4 unsubscribed": [
        ("None", False, SAME),
        ("None + Pending Out", False, SAME),
        ("None + Pending In", True, "None"),
        ("None + Pending Out+In", True, "None + Pending Out"),
        ("To", False, SAME),
        ("To + Pending In", True, "To"),
        ("From", True, "None"),
        ("From + Pending Out", True, "None + Pending Out"),
        ("Both", True, "To"),
    ],
}
INBOUND = {
    "A.3.1 subscribe": [
        ("None", True, "None + Pending In"),
        ("None + Pending Out", True, "None + Pending Out+In"),
        ("None + Pending In", False, SAME),
        ("None + Pending Out+In", False, SAME),
        ("To", True, "To + Pending In"),
        ("To + Pending In", False, SAME),
        ("From", False, SAME),
        ("From + Pending Out", False, SAME),
        ("Both", False, SAME),
    ],
    "A.3.2 unsubscribe": [
        ("None", False, SAME),
        ("None + Pending Out", False, SAME),
        ("None + Pending In", True, "None"),
        ("None + Pending Out+In", True, "None + Pending Out"),
        ("To", False, SAME),
        ("To + Pending In", True, "To"),
        ("From", True, "None"),
        ("From + Pending Out", True, "None + Pending Out"),
        ("Both", True, "To"),
    ],
    "A.3.3 subscribed": [
        ("None", False, SAME),
        ("None + Pending Out", True, "To"),
        ("None + Pending In", False, SAME),
        ("None + Pending Out+In", True, "To + Pending In"),
        ("To", False, SAME),
        ("To + Pending In", False, SAME),
        ("From", False, SAME),
        ("From + Pending Out", True, "Both"),
        ("Both", False, SAME),
    ],
    "A.3.4 unsubscribed": [
        ("None", False, SAME),
        ("None + Pending Out", True, "None"),
        ("None + Pending In", False, SAME),
        ("None + Pending Out+In", True, "None + Pending In"),
        ("To", True, "None"),
        ("To + Pending In", True, "None + Pending In"),
        ("From", False, SAME),
        ("From + Pending Out", True, "From"),
        ("Both", True, "From"),
    ],
}


def rows(tables):
    return [
        pytest.param(section.split()[1], old, passes, new or old, id=f"{section}: {old}")
        for section, table in tables.items()
        for old, passes, new in table
    ]


@pytest.mark.parametrize(("type", "old", "route", "new"), rows(OUTBOUND))
def test_outbound(type, old, route, new):
    preapproves = type == "subscribed" and old in ("None", "None + Pending Out", "To")
    result = outbound(STATES[old], type)
    expected = STATES[new]
    assert result.route is route
    assert result.state == SubscriptionState(
        expected.subscription, expected.ask, expected.pending_in, preapproves
    )


@pytest.mark.parametrize(("type", "old", "deliver", "new"), rows(INBOUND))
def test_inbound(type, old, deliver, new):
    answered = type == "subscribe" and old in ("From", "From + Pending Out", "Both")
    assert inbound(STATES[old], type) == (STATES[new], deliver, "subscribed" if answered else None)


@pytest.mark.parametrize(
    ("old", "new"), [("None", "From"), ("None + Pending Out", "From + Pending Out"), ("To", "Both")]
)
def test_a_request_approved_beforehand_is_answered_at_once(old, new):
    state, routed = outbound(STATES[old], "subscribed")
    assert state.approved and not routed
    state, delivered, answer = inbound(state, "subscribe")
    assert (state.subscription, state.ask, state.pending_in) == (
        STATES[new].subscription,
        STATES[new].ask,
        False,
    )
    assert not delivered and answer == "subscribed"


@pytest.mark.parametrize("old", ["None", "None + Pending Out", "To"])
def test_a_preapproval_is_taken_back_in_silence(old):
    approved = outbound(STATES[old], "subscribed").state
    assert outbound(approved, "unsubscribed") == (STATES[old], False)


def test_a_preapproval_outlives_what_is_not_its_business():
    state = outbound(SubscriptionState(), "subscribed").state
    for type in ("subscribe", "unsubscribe"):
        state = outbound(state, type).state
    for type in ("unsubscribed", "subscribed", "unsubscribe"):
        state = inbound(state, type).state
    assert state == SubscriptionState(approved=True)


def test_flags_that_make_no_sense_are_not_looked_at():
    odd = SubscriptionState("both", ask=True, pending_in=True)
    assert inbound(odd, "unsubscribe").state == SubscriptionState("to")
    assert outbound(odd, "unsubscribe").state == SubscriptionState("from")


def test_what_a_state_lets_see():
    assert [(s.to, s.from_) for s in map(SubscriptionState, ("none", "to", "from", "both"))] == [
        (False, False),
        (True, False),
        (False, True),
        (True, True),
    ]


class Side:
    """One user's server, and what the user has agreed to so far."""

    def __init__(self):
        self.state = SubscriptionState()
        self.asked = self.granted = False

    def say(self, type, other):
        if type in ("subscribe", "unsubscribe"):
            self.asked = type == "subscribe"
        else:
            self.granted = type == "subscribed"
        self.state, routed = outbound(self.state, type)
        if routed:
            other.hear(type, self)

    def hear(self, type, other):
        self.state, _, answer = inbound(self.state, type)
        if answer:
            other.hear(answer, self)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(TYPES))), max_size=30))
def test_two_sides_agree(said):
    romeo, juliet = Side(), Side()
    for by_romeo, type in said:
        speaker, hearer = (romeo, juliet) if by_romeo else (juliet, romeo)
        speaker.say(type, hearer)
        for one, other in ((romeo, juliet), (juliet, romeo)):
            assert one.state.to == other.state.from_
            assert one.state.ask == other.state.pending_in
            assert not one.state.to or one.asked  # nobody is subscribed who did not ask ...
            assert not one.state.from_ or one.granted  # ... nor seen who did not agree
            assert one.state in STATES.values() or one.state.approved


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(TYPES))), max_size=30))
def test_a_lying_contact_never_sees_more_than_was_granted(steps):
    """The contact's server may send anything at any time: only the user's own "subscribed" opens "from"."""
    state, granted, asked = SubscriptionState(), False, False
    for by_user, type in steps:
        if by_user:
            granted = {"subscribed": True, "unsubscribed": False}.get(type, granted)
            asked = {"subscribe": True, "unsubscribe": False}.get(type, asked)
            state = outbound(state, type).state
        else:
            state = inbound(state, type).state
        assert granted or not state.from_
        assert asked or not state.to and not state.ask
