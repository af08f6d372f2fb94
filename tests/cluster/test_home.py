"""One process is everybody's home; what it keeps is ready for several."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jabberd_py.archive import messages
from jabberd_py.archive.messages import Mark
from jabberd_py.cluster import Alone, cluster
from jabberd_py.modules import ORDER
from jabberd_py.xdb import cached, numbers, xdb


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


def test_an_owner_who_moves_here_is_read_anew() -> None:
    kept = {"romeo@example.org": "old"}

    @cached
    def read(owner: str) -> str:
        return kept[owner]

    assert read("romeo@example.org") == "old"
    kept["romeo@example.org"] = "new"  # another process was his home meanwhile
    Alone().arrived[0]("romeo@example.org")
    assert read("romeo@example.org") == "new"


LOOKS = {"find", "of", "available", "willing", "best", "users", "add", "remove"}
"""What `Sessions` offers."""
STATE = {"spool", "marks", "unbound"}
"""What else a host has in memory of its accounts."""


def takes(file: Path) -> list[str]:
    """Where a file looks into the memory of a host: ``line: what``."""
    found = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Attribute):
            whose = ast.unparse(node.value).rpartition(".")[2]
            if node.attr in LOOKS and whose == "sessions" or node.attr in STATE and whose == "host":
                found.append(f"{file}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_only_features_of_a_host_look_at_the_sessions_of_its_accounts() -> None:
    """All others ask the router: the account may be at home in another process."""
    root = Path(numbers.__file__).parents[1]
    own = {f"pubsub/{name.partition('.')[2]}.py" for name in ORDER if name.startswith("pubsub.")}
    free = ("jsm/", "c2s/", "modules/", "ctl/", "hosting.py", *own)
    files = [each for each in root.rglob("*.py") if not str(each.relative_to(root)).startswith(free)]
    assert len(files) > 100
    assert [line for each in files for line in takes(each)] == []
    assert takes(root / "modules" / "mod_blocking.py")  # it would be seen
