"""What came out: Markdown tables, JSON, and plots (PNG, by matplotlib)."""

import json
import platform
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .rows import OURS, Row

BEGIN, END = "<!-- begin of what make bench writes -->\n", "<!-- end of what make bench writes -->\n"
Results = dict[str, dict[str, dict[str, Any]]]
"""By row and server: ``rounds`` [figure], ``details`` [{}], ``points`` [[x, y]], ``failure``."""


def figure(results: Results, row: str, name: str, also: str = "") -> float | None:
    """The median of the rounds; None if the row has failed or was not run."""
    result = results.get(row, {}).get(name, {})
    values = [d[also] for d in result.get("details", ()) if also in d] if also else result.get("rounds", ())
    return None if result.get("failure") or not values else statistics.median(values)


def table(results: Results, versions: dict[str, str], rows: Sequence[Row]) -> str:
    names = [*(n for n in versions if n != OURS), *(n for n in versions if n == OURS)]
    head = [f"{name} {versions[name]}" for name in names]
    lines = [
        "| " + " | ".join(["", *head, "goal", "to the best peer"]) + " |",
        "|---" * (len(names) + 3) + "|",
    ]
    for row in rows:
        if row.waits:
            lines.append("| " + " | ".join([f"{row.name}, {row.unit}", row.waits]) + " |" * (len(names) + 2))
        if row.name not in results:
            continue
        for also, goal in (("", row.goal), *([(row.also, row.also_goal)] if row.also else [])):
            values = {name: figure(results, row.name, name, also) for name in names}
            cells = ["-" if value is None else f"{value:.3g}" for value in values.values()]
            best = min((v for n, v in values.items() if v is not None and n != OURS), default=None)
            ours = values.get(OURS)
            ratio = "" if not best or ours is None else f"{ours / best:.2f}"
            shown = f"{also or row.name}, {row.unit}"
            lines.append(
                "| " + " | ".join([shown, *cells, "" if goal is None else f"{goal:g}", ratio]) + " |"
            )
    return "\n".join(lines)


MANY = (
    "idle CPU %",
    "storm s",
    "refused or lost",
    "ping p99 ms quiet",
    "ping p50 ms storm",
    "ping p99 ms storm",
    "MB after",
)
FAIRNESS = ("p50 quiet", "p99 quiet", "p50 under attack", "p99 under attack", "max under attack", "grown MB",
            "stanzas", "refused", "cut")  # fmt: skip


def special(results: Results, rows: Sequence[Row]) -> str:
    """Tables of the rows that say more than one figure."""
    parts = []
    for beginning, columns in (("many sessions", MANY), ("fairness", FAIRNESS)):
        lines = []
        for row in rows:
            found = (
                results.get(row.name, {}).get(OURS, {}).get("details", ())
                if row.name.startswith(beginning)
                else ()
            )
            for details in found:
                cells = [f"{details[column]:.3g}" if column in details else "" for column in columns]
                lines.append("| " + " | ".join([row.name, *cells]) + " |")
        if lines:
            parts.append(
                "\n".join(["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|", *lines])
            )
    return "\n\n".join(parts)


def noise(results: Results, rows: Sequence[Row]) -> str:
    """The worst round of each row: a row with much of others' doing is to be run again."""
    lines = ["| | server | driver, µs | others, % | waited, % |", "|---|---|---|---|---|"]
    for row in rows:
        for name, result in results.get(row.name, {}).items():
            all_of = result["details"]
            worst = {
                key: max((d.get(key, 0.0) for d in all_of), default=0.0)
                for key in ("driver", "others", "waited")
            }
            lines.append(f"| {row.name} | {name} | " + " | ".join(f"{v:.3g}" for v in worst.values()) + " |")
    return "\n".join(lines)


def failures(results: Results) -> list[str]:
    return [f"{name}: {row}: {r['failure']}" for row, found in results.items() for name, r in found.items()
            if r.get("failure")]  # fmt: skip


def machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    return {"processor": models[0] if models else platform.machine(), "processors": len(models) or 1,
            "kernel": platform.release(), "python": platform.python_version()}  # fmt: skip


def write(folder: Path, data: dict[str, Any], rows: Sequence[Row]) -> None:
    """``performance-data.json``, ``performance/*.png`` and the part of ``performance.md`` between the markers.

    Rows measured earlier and not now stay: a disturbed row can be run again alone.
    """
    file = folder / "performance-data.json"
    if file.exists():
        old = json.loads(file.read_text())
        for row, found in old["results"].items():
            data["results"][row] = found | data["results"].get(row, {})
        data["versions"] = old["versions"] | data["versions"]
    file.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n")
    results: Results = data["results"]
    plots(folder / "performance", results)
    m = data["machine"]
    text = (
        f"{m['processor']}, {m['processors']} processors, Linux {m['kernel']}, Python {m['python']}; {data['date']}.\n\n"
        f"{table(results, data['versions'], rows)}\n\n{special(results, rows)}\n\n"
        + "".join(
            f"![{png.stem}](performance/{png.name})\n"
            for png in sorted((folder / "performance").glob("*.png"))
        )
        + "".join(f"- failed: {line}\n" for line in failures(results))
        + f"\n<details><summary>How quiet it was</summary>\n\n{noise(results, rows)}\n\n</details>\n"
    )
    page = folder / "performance.md"
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(before + BEGIN + text + END + rest.partition(END)[2])


def plots(folder: Path, results: Results) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(exist_ok=True)
    for file, title, x, y, rows in (
        ("cpu-load", "CPU per message against load", "messages on their way", "µs", ("chat by load",)),
        ("cpu", "CPU per message against users", "users online", "µs", ("users online",)),
        ("memory-idle", "memory, sessions without rosters", "sessions", "MB (PSS)",
         ("idle session plain", "idle session TLS")),
        ("memory-many", "memory, rosters of 20", "sessions", "MB (PSS)",
         ("many sessions plain", "many sessions TLS")),
    ):  # fmt: skip
        lines = [
            (row, name, r["points"])
            for row in rows
            for name, r in results.get(row, {}).items()
            if r["points"]
        ]
        if not lines:
            continue
        _, axes = pyplot.subplots(figsize=(7, 4))
        for row, name, points in lines:
            axes.plot(*zip(*points, strict=True), "--" if "TLS" in row else "-", marker="o",
                      label=f"{name}{' TLS' * ('TLS' in row)}")  # fmt: skip
        axes.set(title=title, xlabel=x, ylabel=y, ylim=(0, None), xscale="log" if "cpu" in file else "linear")
        axes.grid(alpha=0.3)
        axes.legend()
        pyplot.savefig(folder / f"{file}.png", dpi=100, bbox_inches="tight")
        pyplot.close()
