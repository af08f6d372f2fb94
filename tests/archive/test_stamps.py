"""Stanza-ids and delays that others wrote: which of them could speak in somebody's name."""

import pytest

from jabberd_py.archive.stamps import claimed, genuine, may_speak
from jabberd_py.xmpp.element import Element, from_text

OURS = "romeo@example.org"
ID, DELAY = (
    "<stanza-id xmlns='urn:xmpp:sid:0' id='1'%s/>",
    "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'%s/>",
)


def stanza(inner: str) -> Element:
    """As it came from the wire: its tree is not built."""
    text = f"<message from='juliet@example.org/x'>{inner}</message>"
    return Element.raw(
        "message", "jabber:client", {"from": "juliet@example.org/x"}, inner.encode(), from_text(text).kids
    )


@pytest.mark.parametrize(
    "mark",
    [
        ID % f" by='{OURS}'",
        ID % f'\n by =\t"{OURS}"',
        ID % " by='&#114;omeo@example.org'",
        ID % " by='Romeo@EXAMPLE.org/phone'",
        DELAY % f" from='{OURS}'",
        DELAY % " from\n= 'example.org'",
        "<a:delay xmlns:a='urn:xmpp:delay' from='rome&#x6f;@example.org' stamp='x'/>",
    ],
)
def test_a_mark_in_our_name_is_found_however_it_is_spelled(mark):
    given = stanza(f"<body>hi</body>{mark}")
    assert may_speak(given)
    assert claimed(given) & {OURS, "example.org"}
    assert [child.name for child in genuine(given, OURS).elements()] == ["body"]


@pytest.mark.parametrize(
    "inner", [DELAY % "", ID % "", "<body>written by and from romeo@example.org</body>", ""]
)
def test_a_stanza_without_such_an_attribute_is_not_parsed(inner):
    given = stanza(inner)
    assert not may_speak(given)
    assert given._children is None
    assert str(genuine(given, OURS)) == str(given)
