"""Users, what they report, and what is told to all."""

from __future__ import annotations

from typing import Any

from flask import abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ...commands import CommandError, NoSuchThing
from .. import context, forms
from ..context import administrator, may, run, tell
from . import console

PAGE = 50
STATES = {"": "all", "online": "online", "disabled": "suspended"}


def hosts() -> list[str]:
    """The hosts that who asks administers."""
    router = context.web().host.router
    found = [each for each in router.administered(context.me().jid) if router.instances[each].has_users]
    return sorted(found, key=lambda each: (each != context.web().host.domain, each))


def chosen() -> str:
    """The host that the page is about: the one of the address, or else this site's."""
    mine = hosts()
    wanted = request.args.get("host", "")
    return wanted if wanted in mine else mine[0]


@console.route("/users")
@administrator
def users() -> str:
    host, text, state = chosen(), request.args.get("text", "")[:200], request.args.get("state", "")
    after = request.args.get("after", "")[:300]
    state = state if state in STATES else ""
    rows = run("accounts find", host=host, text=text, state=state, after=after, limit=PAGE + 1)
    return render_template(
        "console/users.html", rows=rows[:PAGE], more=len(rows) > PAGE, hosts=hosts(), chosen=host, text=text, state=state,
        states=STATES, after=after,
    )  # fmt: skip


@console.route("/users/<jid>")
@administrator
def user(jid: str) -> str:
    """One account, with all that an administrator may do for it."""
    account = run("accounts show", jid=jid)
    more: dict[str, Any] = {}
    for name, command in (
        ("usage", "accounts usage"),
        ("roster", "accounts roster"),
        ("nodes", "pep list"),
        ("totp", "totp show"),
    ):
        more[name] = run(command, jid=jid) if may(command) else None
    domain = jid.rpartition("@")[2]
    uploads = next((
        place.domain for place in context.registry().router.everybody
        if "uploads show" in place.commands and getattr(getattr(place, "host", None), "domain", "") == domain
    ), "")  # fmt: skip
    files = run("uploads show", jid=jid, host=uploads) if uploads else []
    room = run("uploads usage", jid=jid, host=uploads) if uploads else None
    rights = may("admins set") and account["jid"] in run("admins show", host=domain)["jids"]
    return render_template(
        "console/user.html",
        rights=rights,
        account=account,
        jid=account["jid"],
        files=files,
        uploads=uploads,
        room=room,
        **more,
    )


@console.route("/reports")
@administrator
def reports() -> str:
    after = request.args.get("after", "")
    found = run(
        "reports list", limit=PAGE + 1, after=int(after) if after.isdecimal() and len(after) < 19 else 0
    )
    rows = sorted(found, key=lambda row: -int(row["id"]))  # of several hosts
    return render_template("console/reports.html", rows=rows[:PAGE], more=len(rows) > PAGE)


@console.route("/announcements", methods=["GET", "POST"])
@administrator
def announce() -> str | Response | tuple[str, int]:
    """Three texts: one that goes out now, one for each who comes, one for each who is new."""
    made = {
        name: forms.form(
            name,
            HINTS.get(name, {}),
            {
                "text": "Text",
                "all": "Also to those who are not online now",
                "at_once": "Also to those who are online now",
                "host": "To users of",
            },
        )
        for name in ("announce", "motd set", "welcome set")
        if may(name)
    }
    status = 200
    if request.method == "POST":
        which = request.form.get("which", "")
        if which not in made:
            abort(400)
        try:
            made[which].run()
        except CommandError:
            status = 400
        else:
            tell(
                f"On its way to {'all accounts' if request.form.get('all') else 'everybody who is online'}: "
                f'"{request.form.get("text", "")[:200].strip()}"'
                if which == "announce"
                else "Kept."
            )
            return redirect(url_for("console.announce"), 303)
    known = {}
    for name in ("motd show", "welcome show"):
        try:
            known[name] = _texts(run(name)) if may(name) else None
        except NoSuchThing:
            known[name] = None
    return render_template("console/announce.html", made=made, known=known), status


def _texts(result: dict[str, Any]) -> dict[str, str]:
    """Host -> its text, where there is one. ``result``: of one host, or by host."""
    each = {"": result} if "text" in result else result
    return {host: said["text"] for host, said in each.items() if said["text"]}


HINTS = {
    "announce": {"text": "Everybody who is online reads it at once"},
    "motd set": {
        "at_once": "Those who are online now get it at once, too",
        "text": "Everybody reads it once, at the next login",
    },
    "welcome set": {"text": "New users read it when their account is made"},
}
