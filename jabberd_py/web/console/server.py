"""The server itself: checks, certificates, store and backups, log, audit; its hosts and services."""

from __future__ import annotations

from typing import Any

from flask import render_template, request, url_for
from werkzeug.wrappers import Response

from ...commands import CommandError
from ..context import act, administrator, may, me, registry, run
from . import advice, console
from .follow import LEVELS

PAGE, PEOPLE, LARGEST = 50, 200, 100
"""Rows of a page; people of a room that its page shows; accounts with files."""
AGAIN = 5
"""Seconds after which the page of the store is loaded again while something is under way."""
QUICK = ("config", "limits", "clock", "disk", "certificates")


@console.route("/doctor")
@administrator
def doctor() -> str:
    """All checks. Those that ask others (name servers, other machines) take some seconds, so they run when asked for."""
    whole = request.args.get("all") == "1"
    if whole:
        rows = run("check")
    else:
        rows = [{"check": name, **row} for name in QUICK if may(f"check {name}") for row in _checked(name)]
    found = [advice.Finding.of(row) for row in rows]
    return render_template(
        "console/doctor.html", found=found, whole=whole, wrong=[each for each in found if each.trouble]
    )


def _checked(name: str) -> list[dict[str, Any]]:
    """The rows of a check. One that fails is a finding, too."""
    try:
        return list(run(f"check {name}"))
    except CommandError as error:
        return [{"trouble": str(error)}]


@console.route("/certificates")
@administrator
def certificates() -> tuple[str, int, dict[str, str]]:
    """When they expire, and how orders from an authority go; while one is under way, the page is loaded again."""
    orders = [row for row in run("certificates show") if row["authority"]] if may("certificates show") else []
    page = render_template("console/certificates.html", rows=run("check certificates"), orders=orders)
    waiting = any(row["last_order"] == "under way" for row in orders)
    return page, 200, {"Refresh": str(AGAIN)} if waiting else {}


@console.route("/store", methods=["GET", "POST"])
@administrator
def store() -> Response | tuple[str, int, dict[str, str]]:
    """How large the store is, and its backups. A check and a backup take minutes, so they are begun here, and the page is
    loaded again until they have ended."""
    back = url_for("console.store")
    if request.method == "POST":
        if request.form.get("what") == "backup":
            return act("backups make", back, "The backup has begun.")
        return act("check store", back, "The check has begun.", background=True)
    shown = run("store show")
    backups, progress = (run("backups list"), run("backups progress")) if may("backups list") else ([], {})
    page = render_template("console/store.html", store=shown, backups=backups, progress=progress)
    return page, 200, {"Refresh": str(AGAIN)} if shown["check_begun"] or progress.get("begun") else {}


@console.route("/audit")
@administrator
def audit() -> str:
    text = request.args.get("text", "")[:200]
    return render_template(
        "console/lines.html", page="audit", rows=run("log audit", text=text), text=text, level="", levels=()
    )


@console.route("/log")
@administrator
def logs() -> str:
    level, text = _level(), request.args.get("text", "")[:200]
    requests = request.args.get("requests") == "yes"
    rows = run("log show", level=level, text=text, requests=requests)
    return render_template(
        "console/lines.html", page="log", rows=rows, text=text, level=level, levels=LEVELS, requests=requests
    )


def _level() -> str:
    level = request.args.get("level", "info")
    return level if level in LEVELS else "info"


@console.route("/hosts")
@administrator
def hosts() -> str:
    return render_template("console/hosts.html", rows=run("hosts show"))


@console.route("/components")
@administrator
def components() -> str:
    return render_template("console/components.html", rows=run("components"))


@console.route("/federation")
@administrator
def federation() -> str:
    rows: list[dict[str, Any]] = run("s2s")
    failed = [row | {"advice": advice.explain(row["trouble"])} for row in rows if row.get("trouble")]
    waiting = {row["remote"] for row in failed}
    lately = [
        row | {"advice": advice.explain(row["trouble"])}
        for row in run("s2s failures")
        if row["remote"] not in waiting
    ]
    return render_template(
        "console/federation.html",
        lately=lately,
        streams=[row for row in rows if not row.get("trouble")],
        failed=failed,
    )


@console.route("/files")
@administrator
def uploads() -> str:
    rows = run("uploads list", limit=LARGEST + 1) if may("uploads list") else None
    return render_template("console/files.html", rows=rows, most=LARGEST)


@console.route("/rooms")
@administrator
def rooms() -> str:
    text, after = request.args.get("text", "")[:200], request.args.get("after", "")[:3000]
    rows = sorted(run("rooms list", text=text, after=after, limit=PAGE + 1), key=lambda row: str(row["room"]))
    return render_template(
        "console/rooms.html", rows=rows[:PAGE], more=len(rows) > PAGE, text=text, after=after
    )


@console.route("/rooms/<room>")
@administrator
def room(room: str) -> str:
    return render_template("console/room.html", room=run("rooms show", room=room), most=PEOPLE)


@console.route("/nodes")
@administrator
def nodes() -> str:
    """The nodes of one service."""
    services = [
        place.domain
        for place in registry().router.everybody
        if "nodes list" in place.commands and place.is_admin(me().jid)
    ]
    text, after = request.args.get("text", "")[:200], request.args.get("after", "")[:3000]
    service = request.args.get("host", "")
    service = service if service in services else services[0] if services else ""
    rows = run("nodes list", host=service, text=text, after=after, limit=PAGE + 1) if service else []
    return render_template(
        "console/nodes.html", rows=rows[:PAGE], more=len(rows) > PAGE, service=service, services=services, text=text,
        after=after,
    )  # fmt: skip
