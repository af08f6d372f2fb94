"""Many rows go a piece at a time, and others write in between."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from peewee import IntegerField

from jabberd_py.xdb import Store, StoreError, Table, clearing, xdb

ROMEO, JULIET = "romeo@a", "juliet@a"


class Long(Table):
    long = True
    number = IntegerField()


class Short(Table):
    number = IntegerField()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(clearing, "SLICE", 0.0)  # each piece ends after its first rows
    store = xdb.open("sqlite:///store.db", [Long, Short], str(tmp_path))
    rows = [(owner, number) for owner in (ROMEO, JULIET) for number in range(35)]
    for table in (Long, Short):
        xdb.rows(table, rows, ("owner", "number")).wait()
    yield store
    store.close()


def left(table: type[Table], owner: str) -> int:
    return int(table.select().where(table.owner == owner).count())


def test_only_rows_that_meet_the_condition_go(store: Store) -> None:
    assert xdb.clear(Long, (Long.owner == ROMEO) & (Long.number >= 12)) == 23
    assert left(Long, ROMEO) == 12
    assert left(Long, JULIET) == 35


def test_others_write_in_between(store: Store) -> None:
    seen = []

    def look() -> None:
        while left(Long, ROMEO):
            seen.append(xdb.save(lambda: (left(Long, ROMEO), left(Short, ROMEO))))

    looking = gevent.spawn(look)
    assert xdb.delete_owner(ROMEO) == 70
    looking.get(timeout=10)
    assert {long for long, _ in seen} & {25, 15, 5}  # it saw a state in between
    assert all(short == 35 for long, short in seen if long)  # all else goes with the last piece
    assert left(Short, JULIET) == left(Long, JULIET) == 35


def test_a_failure_leaves_what_the_owner_is_known_by(store: Store) -> None:
    calls = []

    def first() -> None:
        calls.append(1)
        if len(calls) == 3:
            raise StoreError("the disk is full")

    with pytest.raises(StoreError):
        xdb.delete_owner(ROMEO, first)
    assert left(Short, ROMEO) == 35
    assert xdb.delete_owner(ROMEO) == 50


def test_long_tables_are_declared() -> None:
    """What a client can fill without a bound of some thousand rows."""
    from jabberd_py.archive.messages import Fresh, Message
    from jabberd_py.archive.search import ArchiveText
    from jabberd_py.pubsub.tables import PubsubItem, PubsubSubscription

    tables: tuple[Any, ...] = (Message, Fresh, ArchiveText, PubsubItem, PubsubSubscription)
    assert all(table.long for table in tables)
