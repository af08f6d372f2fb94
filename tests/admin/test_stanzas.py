"""Messages as JSON of xmltodict: what programs may send is bounded before any XML is made of it."""

import json
from typing import Any

import pytest

from jabberd_py.admin import stanzas


@pytest.mark.parametrize(
    "value",
    [
        {"k" * 1000: [1] * 1000},
        {"x": {"k" * 1000: [[1] * 500, [2] * 500]}},
        {"x": {"k" * 1000: [None] * 1000}},
        {"x": [{"@" + "k" * 30: ""}] * 1000},
        {"k": [""] * 10_000},
        {"body": "x" * 70_000},
        {"x" * 70_000: 1},
    ],
    ids=["names", "lists", "nothing", "attributes", "elements", "text", "name"],
)
def test_a_message_that_would_become_large_is_refused_at_once(
    value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stanzas.xmltodict, "unparse", lambda *args, **more: pytest.fail("XML was made"))
    for given in (value, json.dumps(value)):
        with pytest.raises(ValueError, match="too large"):
            stanzas.stanza(given)


def test_a_long_message_is_none_too_large() -> None:
    text = "wherefore art thou " * 3000
    value = {
        "body": text.strip(),
        "x": {"@xmlns": "urn:example", "y": [str(number) for number in range(100)]},
    }
    found = stanzas.stanza(value)
    assert found.text_of("body") == text.strip()
    with pytest.raises(ValueError, match="no message"):
        stanzas.stanza({"body": "&" * 60_000})  # five letters each
