"""A clock that is wrong for a while: messages keep their order, and get the true time when it is right again."""

import sqlite3
import time
from types import SimpleNamespace
from typing import Any

import pytest

from jabberd_py.xdb import numbers
from tests.client import Client

YEARS = 3 * 365 * 86400.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The time that row numbers are made from; nothing was before."""
    fake = SimpleNamespace(now=1_800_000_000.0, passed=100.0)
    fake.time, fake.monotonic = lambda: fake.now, lambda: fake.passed
    monkeypatch.setattr(numbers, "time", fake)
    for name, value in (("_last", 0), ("_ahead", 0), ("_offset", None), ("jumped", None), ("_save", None)):
        monkeypatch.setattr(numbers, name, value)
    monkeypatch.setattr(numbers, "_corrections", [])
    return fake


def test_numbers_grow_and_tell_the_true_time_after_a_clock_that_was_ahead(clock: Any) -> None:
    first = numbers.next_id()
    clock.now += YEARS
    wrong = numbers.next_id()
    clock.now -= YEARS - 10
    right = [numbers.next_id() for _ in range(3)]
    clock.now += 3600
    later = numbers.next_id()
    assert first < wrong < right[0] < right[1] < right[2] < later
    assert numbers.when(first) == 1_800_000_000 and numbers.when(wrong) == 1_800_000_000 + YEARS
    assert [numbers.when(each) for each in right] == pytest.approx([1_800_000_010] * 3, abs=0.01)
    assert numbers.when(later) == pytest.approx(1_800_003_610, abs=0.01)
    assert right[-1] < numbers.at(1_800_000_011_000) < later < numbers.at(1_800_003_611_000)
    assert numbers.at(1_799_999_999_000) < first


def test_a_small_step_back_needs_no_correction(clock: Any) -> None:
    first = numbers.next_id()
    clock.now -= 1
    assert numbers.next_id() == first + 64 and not numbers._corrections


def test_a_clock_that_jumps_is_told_and_one_that_is_right_again_needs_no_numbers_ahead(clock: Any) -> None:
    numbers.watch()
    numbers.next_id()
    clock.now, clock.passed = clock.now - YEARS, clock.passed + 10
    numbers.watch()
    assert numbers.jumped == (110.0, pytest.approx(-YEARS - 10))
    last = numbers.next_id()
    assert numbers.ahead() == pytest.approx(YEARS, abs=1) and numbers.when(last) == pytest.approx(
        clock.now, abs=0.01
    )
    clock.now, clock.passed = clock.now + YEARS + 20, clock.passed + 20
    numbers.watch()
    newest = numbers.next_id()
    assert (
        newest > last and numbers.ahead() == 0 and numbers.when(newest) == pytest.approx(clock.now, abs=0.01)
    )


def test_many_jumps_are_bounded(clock: Any) -> None:
    seen = []
    for _ in range(200):
        clock.now += 86400
        seen.append(numbers.next_id())
        clock.now -= 86400
        seen.append(numbers.next_id())
    assert seen == sorted(set(seen)) and len(numbers._corrections) <= numbers.MOST
    assert numbers.when(seen[-1]) == pytest.approx(clock.now, abs=0.01)


@pytest.mark.sqlite
def test_messages_after_a_clock_that_was_ahead(start_server: Any) -> None:
    server = start_server({"hosts": {"localhost": {}}})
    for name in ("romeo", "juliet"):
        server.ctl("accounts", "add", f"{name}@localhost", "--password", "secret")
    assert server.stop() == 0
    future = int((time.time() + YEARS) * 1000) << 20
    xml = "<message to='romeo@localhost' from='juliet@localhost/x' type='chat'><body>wrong</body></message>"
    with sqlite3.connect(server.data / "jabberd.sqlite") as db:
        columns = [row[1:4] for row in db.execute("PRAGMA table_info(message)")]
        row = {"id": future, "owner": "romeo@localhost", "peer": "juliet@localhost", "resource": "", "xml": xml, "spooled": 1,
               "archived": 1}  # fmt: skip
        names = [name for name, *_ in columns]
        values = [row.get(name, "" if "TEXT" in kind or "CHAR" in kind else 0) for name, kind, _ in columns]
        db.execute(f"INSERT INTO message ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values)
    for turn in range(2):
        start = server.log.stat().st_size
        server.start()
        assert server.tail(start).count("the clock was set back, or had been ahead") == (
            1 if turn == 0 else 0
        )
        juliet = Client(server.address("c2s"), "localhost").login("juliet", "secret").available()
        juliet.send(f"<message to='romeo@localhost' type='chat' id='{turn}'><body>right</body></message>")
        juliet.sync()
        juliet.close()
        assert server.stop() == 0
    server.start()
    romeo = Client(server.address("c2s"), "localhost").login("romeo", "secret").available()
    romeo.gets("<message><body>wrong</body></message>")
    year = time.strftime("%Y-%m-%dT")
    for turn in range(2):
        delay = romeo.gets(f"<message id='{turn}'/>").find("{urn:xmpp:delay}delay")
        assert delay is not None and delay.get("stamp").startswith(year)
    found = romeo.iq("set", "<query xmlns='urn:xmpp:mam:2' queryid='q'/>")
    assert found.get("type") == "result"
    stamps = [romeo.gets("<message><result xmlns='urn:xmpp:mam:2'/></message>").find(".//{urn:xmpp:delay}delay").get("stamp")
              for _ in range(3)]  # fmt: skip
    assert [each.startswith(year) for each in stamps] == [False, True, True]
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    form = (
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>"
        f"<field var='start'><value>{since}</value></field>"
        f"<field var='end'><value>{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 60))}</value></field></x>"
    )
    romeo.iq("set", f"<query xmlns='urn:xmpp:mam:2' queryid='r'>{form}</query>")
    for turn in range(2):
        romeo.gets(f"<message><result xmlns='urn:xmpp:mam:2' queryid='r'><forwarded xmlns='urn:xmpp:forward:0'>"
                   f"<message xmlns='jabber:client' id='{turn}'/></forwarded></result></message>")  # fmt: skip
    romeo.close()
