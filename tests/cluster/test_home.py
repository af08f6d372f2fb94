"""One process is everybody's home; what it keeps is ready for several."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jabberd_py.archive import messages
from jabberd_py.archive.messages import Mark
from jabberd_py.cluster import Alone, cluster
from jabberd_py.xdb import numbers, xdb


@pytest.fixture
def fresh_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_last", 0)
    monkeypatch.setattr(numbers, "node", 0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Any]:
    store = xdb.open("sqlite:///test.sqlite", [*messages.tables()], str(tmp_path))
    messages.start()
    yield store
    store.close()


def test_one_process_is_everybodys_home() -> None:
    alone = Alone()
    assert alone.claim("romeo@example.org")
    alone.release("romeo@example.org")
    assert alone.here("romeo@example.org")


def test_a_row_number_carries_its_node(fresh_numbers: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "node", 5)
    given = [numbers.next_id() for _ in range(1000)]
    assert given == sorted(set(given))
    assert {number % numbers.NODES for number in given} == {5}
    numbers.above(given[-1] + (1 << 40) + 3)  # from node 3, whose clock is ahead
    later = [numbers.next_id() for _ in range(10)]
    assert min(later) > given[-1] + (1 << 40) + 3
    assert {number % numbers.NODES for number in later} == {5}


def test_an_owner_who_moves_here_brings_his_numbers(store: Any, fresh_numbers: None) -> None:
    """The process before had a clock that was a day ahead: new rows come behind its rows."""
    ahead = numbers.next_id() + (86_400_000 << 20)
    xdb.save(lambda: Mark.create(owner="romeo@example.org", delivered=ahead))
    before = numbers.next_id()
    assert before < ahead
    for arrived in cluster.arrived:
        arrived("juliet@example.org")
    assert numbers.next_id() < ahead
    for arrived in cluster.arrived:
        arrived("romeo@example.org")
    assert numbers.next_id() > ahead
