"""Every example of XEP-0060, 0163, 0248, 0402 and 0490 is a test named by its number, or has a reason why there is none.

Numbers count the examples from the beginning of the version that docs/protocols.md names. In test_examples.py each of them
stands at what it is about, too.
"""

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXAMPLES = {60: 237, 163: 11, 248: 46, 402: 14, 490: 10}
"""How many each has."""
FILES = {"test_collections.py": 248, "test_displayed.py": 490, "test_pep.py": 163}
"""Which one a file is about, where the name of the test does not say it; others: XEP-0060."""
REASONS = {
    60: {
        "the introduction, which comes again as 96, 100 and 101": (1, 2, 3),
        "how to write an address; no request": (4, 5, 6, *range(227, 232), 233, 235, 237),
        "a service that cannot do what ours can":
            (19, 25, 62, 72, 73, 88, 124, 126, 130, 141, 144, 155, 156, 166, 178, 179, 186, 191, 199, 204, 205),
        "nothing is paid for here": (34, 92),
        "the access model decides about everybody, guests and strangers too": (35, 127),
        "a node that has moved is a deleted one: example 158 tells where it is": (40,),
        "no options are required before a subscription works": (43, 44, 45, 221),
        "optional, and not sent": (210, 222),
        "tempsub is not offered": (217,),
        "content-based subscriptions are not offered": (224, 225),
        "the same events as 172 and 174": (218, 219),
        "the same requests as 28, 47 and 83": (232, 234, 236),
    },
    163: {},
    248: {
        "collections keep no items": (18,),
        "everybody who may make nodes may make collections; who may not: XEP-0060 example 128": (23, 24),
    },
    402: {},
    490: {"a message as any other": (7,)},
}  # fmt: skip


def named(name: str, default: int) -> tuple[int, set[int]]:
    """The XEP and the examples that a test's name says."""
    match = re.search(r"^test_(?:(0\d{3})_)?examples?((?:_(?:\d+|to|and))+)(?:_|$)", name)
    if match is None:
        return default, set()
    words, found = match[2].split("_")[1:], set[int]()
    for before, word in zip(["", *words], words, strict=False):
        if word.isdigit():
            first = max(found) + 1 if before == "to" else int(word)
            found |= set(range(first, int(word) + 1))
    return int(match[1] or default), found


def functions() -> list[tuple[str, str, str]]:
    """(file, name, source)"""
    found = []
    for path in sorted(HERE.glob("test_*.py")):
        text = path.read_text()
        for each in ast.parse(text).body:
            if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
                source = "\n".join(text.splitlines()[each.lineno - 1 : each.end_lineno])
                found.append((path.name, each.name, source.replace(each.name, "", 1)))
    return found


@pytest.mark.parametrize("xep", EXAMPLES)
def test_every_example_has_its_test_or_a_reason(xep: int) -> None:
    reasons = {number for numbers in REASONS[xep].values() for number in numbers}
    tested = set[int]()
    for file, name, source in functions():
        which, numbers = named(name, FILES.get(file, 60))
        if which == xep:
            if file == "test_examples.py":
                numbers &= {int(each) for each in re.findall(r"\b\d+\b", source)}
            tested |= numbers
    left = sorted(set(range(1, EXAMPLES[xep] + 1)) - tested - reasons)
    assert not left, left


def test_names_are_read() -> None:
    assert named("test_0060_examples_3_to_5_and_9_a_thing", 60) == (60, {3, 4, 5, 9})
    assert named("test_example_7", 248) == (248, {7})
    assert named("test_another_thing_of_3_days", 60) == (60, set())
