"""The benchmark measures what it says; what it costs is not judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest import report
from loadtest.bench import ALL
from loadtest.pinger import summary
from loadtest.rows import Row, steps

REPOSITORY = Path(__file__).parents[2]


def result(*rounds, failure="", **details):
    return {"rounds": list(rounds), "details": [details], "points": [], "failure": failure}


ROWS = (Row("chat", "µs", None, 25), Row("store", "µs", None, 40, also="delivery", also_goal=20))
RESULTS = {
    "chat": {"prosody": result(200, 100, 300), "ejabberd": result(80), "jabberd_py": result(20)},
    "store": {"prosody": result(failure="gone"), "jabberd_py": result(30, delivery=10)},
}


def test_the_table_has_medians_goals_and_ratios_to_the_best_peer():
    table = report.table(RESULTS, {"jabberd_py": "1", "prosody": "0.12", "ejabberd": "23"}, ROWS).splitlines()
    assert table[0] == "|  | prosody 0.12 | ejabberd 23 | jabberd_py 1 | goal | to the best peer |"
    assert table[2:] == [
        "| chat, µs | 200 | 80 | 20 | 25 | 0.25 |",
        "| store, µs | - | - | 30 | 40 |  |",
        "| delivery, µs | - | - | 10 | 20 |  |",
    ]


def test_a_part_that_was_run_again_takes_the_place_of_the_old_one(tmp_path):
    (tmp_path / "performance.md").write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")

    def write(results):
        data = {
            "date": "today",
            "machine": report.machine(),
            "versions": {"jabberd_py": "1"},
            "results": results,
        }
        report.write(tmp_path, data, ROWS)

    write({"chat": {"jabberd_py": result(20)}, "store": {"jabberd_py": result(30)}})
    write({"chat": {"jabberd_py": result(15)}})
    page = (tmp_path / "performance.md").read_text()
    assert page.startswith("before\n") and page.endswith("after\n")
    assert "| chat, µs | 15 |" in page and "| store, µs | 30 |" in page and "old" not in page
    kept = json.loads((tmp_path / "performance-data.json").read_text())["results"]
    assert kept["chat"]["jabberd_py"]["rounds"] == [15]


def test_percentiles_of_pings():
    found = summary([n / 1000 for n in range(1, 101)])
    assert found == pytest.approx({"p50": 51, "p99": 100, "max": 100, "count": 100})


def test_a_curve_ends_where_it_should():
    assert steps(15_000)[-1] == 15_000 and steps(20) == [20]


def test_names_of_rows_are_unique():
    assert len({row.name for row in ALL}) == len(ALL)


@pytest.mark.timeout(300)
def test_rows_of_every_kind_run(tmp_path):
    sizes = [
        "--rounds",
        "1",
        "--seconds",
        "0.1",
        "--users",
        "42",
        "--sessions",
        "60",
        "--many",
        "60",
        "--minute",
        "0.1",
    ]
    rows = "login TLS,chat 8,chat BOSH,chat WebSocket 8,file,"
    rows += "presence,offline,idle session TLS,fairness: never,room that,many sessions plain"
    out = tmp_path / "out.json"
    command = [
        sys.executable,
        "-m",
        "loadtest.bench",
        "--peers",
        "jabberd_py",
        *sizes,
        "--rows",
        rows,
        "--json",
        str(out),
    ]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=280
    )  # without gevent's patches
    assert done.returncode == 0, done.stderr
    results = json.loads(out.read_text())["results"]
    assert all(any(part in name for name in results) for part in rows.split(","))
    assert all(found["jabberd_py"]["rounds"] for found in results.values())
