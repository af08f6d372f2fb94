"""Messages as JSON of xmltodict: what programs may send is bounded before any XML is made of it, and what they read of an
archive costs others nothing."""

import json
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from jabberd_py.admin import stanzas
from jabberd_py.xdb import plain
from jabberd_py.xmpp.jid import parse


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


# -- archives ----------------------------------------------------------------------------------------------


def shown(monkeypatch: pytest.MonkeyPatch, sizes: list[int], last: int = 500) -> tuple[list[Any], list[int]]:
    """What is shown of an archive with messages of these sizes, and the numbers of those that were read."""
    read = []

    def rows(user: str, ids: list[int]) -> Iterator[tuple[int, str]]:
        for id in ids:
            read.append(id)
            yield id, f"<message><body>{'x' * sizes[id]}</body></message>"

    def page(user: str, query: Any, limit: int) -> Any:
        return SimpleNamespace(ids=[*range(len(sizes))][-limit:])

    monkeypatch.setattr(stanzas.pages, "rows", rows)
    monkeypatch.setattr(stanzas.pages, "page", page)
    host: Any = SimpleNamespace(users=SimpleNamespace(exists=lambda user: True), router=None)
    module = stanzas.Stanzas.__new__(stanzas.Stanzas)
    module.host = host
    return module.show(parse("romeo@localhost"), last=last), read


def test_of_long_messages_fewer_are_shown_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, read = shown(monkeypatch, [5] * 400 + [300_000] * 5 + [5])
    assert [each["id"] for each in rows] == ["402", "403", "404", "405"]  # three long ones and the short one
    assert read == [405, 404, 403, 402, 401]
    rows, read = shown(monkeypatch, [10, 2_000_000])
    assert [each["id"] for each in rows] == ["1"]  # one is always shown
    rows, read = shown(monkeypatch, [5] * 600, last=500)
    assert [each["id"] for each in rows] == [str(number) for number in range(100, 600)]


def test_long_messages_are_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    here, parse_xml, threads = threading.get_ident(), plain.xmltodict.parse, []

    def parsed(xml: str) -> Any:
        threads.append(threading.get_ident() == here)
        return parse_xml(xml)

    monkeypatch.setattr(plain, "xmltodict", SimpleNamespace(parse=parsed))
    rows, _ = shown(monkeypatch, [10, 100_000])
    assert threads == [False, True]  # the newest first
    assert [len(each["stanza"]["message"]["body"]) for each in rows] == [10, 100_000]


@pytest.mark.parametrize("xml", ["<message>", "<message>" + "x" * 10_000, "", "\ud800"])
def test_a_damaged_message_is_nothing(xml: str) -> None:
    assert plain.plain("message", "romeo@localhost", xml) is None
