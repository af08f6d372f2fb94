"""The first page: how the server is doing, now and in the last hour."""

from __future__ import annotations

from typing import Any, NamedTuple

from flask import render_template

from ...words import amount
from ..context import administrator, may, run
from . import console

WIDTH, HEIGHT = 360, 100
"""The chart's own units: one wide for each sample."""


class Chart(NamedTuple):
    """``points``: of the line, for SVG; ``now``, ``most``: the last value and the scale, as text."""

    name: str
    title: str
    points: str
    area: str
    now: str
    most: str


CHARTS = (
    ("sessions", "Sessions", lambda value: f"{value:,.0f}"),
    ("messages", "Messages a second", lambda value: f"{value:,.1f}"),
    ("cpu", "Processor", lambda value: f"{value:,.1f} %"),
    ("memory", "Memory", amount),
)


def charts(history: dict[str, Any]) -> list[Chart]:
    """The curves of an hour. The newest sample stands at the right."""
    found = []
    for name, title, show in CHARTS:
        values = history[name][-WIDTH:]
        most = max([*values, 1e-9]) * 1.1
        start = WIDTH - len(values)
        points = [f"{start + n},{HEIGHT - HEIGHT * value / most:.1f}" for n, value in enumerate(values)]
        area = [f"{start},{HEIGHT}", *points, f"{WIDTH - 1},{HEIGHT}"] if points else []
        now = show(values[-1]) if values else "-"
        found.append(
            Chart(name, title, " ".join(points), " ".join(area), now, show(max(values)) if values else "-")
        )
    return found


@console.route("", strict_slashes=False)
@administrator
def overview() -> str:
    hosts = run("hosts show")
    whole = may("status")
    return render_template(
        "console/overview.html", hosts=hosts, status=run("status") if whole else None,
        charts=charts(run("history")) if whole else [],
        waiting=len(run("registrations list")) if may("registrations list") else 0,
    )  # fmt: skip


@console.route("/overview.json")
@administrator
def figures() -> dict[str, Any]:
    """For the script that keeps the charts up to date."""
    return {each.name: each._asdict() for each in charts(run("history"))}
