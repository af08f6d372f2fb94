"""Every command as a page: a form, and its result. Buttons of other pages lead here, with the arguments filled in; so this is
also where the console asks before it does something that cannot be undone."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from flask import abort, redirect, render_template, request
from werkzeug.wrappers import Response

from ...commands import CommandError
from .. import context, forms
from ..context import administrator, caller, local, registry, tell
from ..filters import DONE, command, named, title
from ..options import BACK, SURE, SURELY, leads_out, wanted
from . import console
from .advice import explain
from .people import hosts

HOME = "/console/commands"
SUBJECTS = ("jid", "room", "node", "name", "domain", "reported")
"""Arguments that a command is about."""
UNIMPORTANT = ("back", "_token")
FIRST = {"accounts list": {"first": "200"}, "rooms list": {"limit": "200"}, "invites list": {"limit": "200"},
         "uploads list": {"limit": "200"}}  # fmt: skip
"""Command -> arguments that the page begins with: as many rows as it shows."""
SHOWN = "_shown"
"""The field of a form of a whole list: the host, and what the list had, one a line."""
LISTS = {each: each.replace(" set", " show") for each in ("admins set", "blacklist set", "whitelist set")}
"""Command that sets a whole list -> the one that shows it: the form begins with what the list has, so that nothing is lost."""


@console.route("/commands")
@administrator
def commands() -> str:
    """All that the administrator may run."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for each in registry().describe(caller()):
        if not each["local"]:
            groups.setdefault(each["name"].split()[0], []).append(each)
    return render_template("console/commands.html", groups=groups)


@console.route("/do/<name>", methods=["GET", "POST"])
@administrator
def do(name: str) -> str | Response | tuple[str, int]:
    """The form of a command. Arguments in the address are filled in; ``back`` is the page to go back to when it is done."""
    known = {each["name"]: each for each in registry().describe(caller())}
    if name not in known or known[name]["local"]:
        abort(404)
    entry, back = known[name], local(request.values.get("back"), "")
    form = forms.form(name)
    if name == "rooms config" and request.values.get("room") and request.values.get("setting"):
        entry = entry | {"help": _setting(form, request.values["room"], request.values["setting"])}
    if request.method != "POST":
        given = FIRST.get(name, {}) | {
            key: value for key, value in request.args.items() if key not in UNIMPORTANT
        }
        form.fill(given)
        if name in LISTS and "jids" not in given:
            _begin(form, LISTS[name], given)
        if not entry["changes"] and not any(each.required and not each.value for each in form.fields):
            ran, result = _run(name, form)
            return _page(entry, form, back, ran, result), 200 if ran else 400
        return render_template(
            "console/do.html", entry=entry, form=form, back=back, destroys=forms.destroys(name), ran=False
        )
    if out := leads_out(wanted(name)):
        form.fill(request.form)
        form.fields.append(forms.Field(SURE, SURELY, "checkbox"))
        form.error = f"{out}. {BACK}"
        return _page(entry, form, back), 400
    try:
        result = form.run(**_merged(name))
    except CommandError:
        return _page(entry, form, back), 400
    if (
        back
        and entry["changes"]
        and not isinstance(result, list)
        and not registry().find(name)[0].command.secret
    ):
        tell(said(name, form, result))
        if isinstance(result, dict) and result.get("next"):
            tell(f"To know: {result['next']}.", "hint")
        if name == "rooms create":  # there is more to say of it
            back = f"/console/rooms/{quote(result['room'], safe='@')}"
        return redirect(back, 303)
    return _page(entry, form, back, True, result)


def _setting(form: forms.Form, room: str, setting: str) -> str:
    """Makes the field of one setting of a room: its name, its value of now, what it may be. Returns what the page is about."""
    about = context.run("rooms show", room=room)
    if setting not in about["labels"]:
        return f"Settings of {about['room']}."
    value, choices = about["settings"][setting], about["choices"].get(setting, {})
    field = next(each for each in form.fields if each.name == "value")
    field.label, field.required = about["labels"][setting], False
    if isinstance(value, list):
        field.value, field.hint = (
            "\n".join(map(str, value)),
            "One a line" + "".join(f"; {each}" for each in choices),
        )
    elif choices:
        field.kind, field.choices, field.words = "select", list(choices), choices
        field.value = ("yes" if value else "no") if isinstance(value, bool) else str(value)
    else:
        field.value = "" if value in (None, "***") else str(value)
    form.hide(("room", "setting"))
    return f"A setting of {about['room']}."


def _begin(form: forms.Form, shows: str, given: dict[str, str]) -> None:
    """Fills a list in: that of the host that was chosen, or else of this site's; with ``add``, one line more."""
    mine = hosts()
    host = given.get("host") or mine[0]
    if host in mine:
        known = context.run(shows, host=host)["jids"]
        more = [*known, *filter(None, [given.get("add")])]
        form.fill({"host": host, "jids": "\n".join(dict.fromkeys(more))})
        form.fields.append(forms.Field(SHOWN, "", "hidden", value="\n".join([host, *known])))


def _merged(name: str) -> dict[str, str]:
    """Of a form that sets a whole list: what it has added and taken away, done to the list of now. So a form that was open
    longer takes nothing back."""
    host, *shown = request.form.get(SHOWN, "").splitlines() or [""]
    if name not in LISTS or not host or host != request.form.get("host"):
        return {}
    sent = [each.strip() for each in request.form.get("jids", "").splitlines() if each.strip()]
    now = context.run(LISTS[name], host=host)["jids"]
    kept = [each for each in now if each in sent or each not in shown]
    return {"jids": "\n".join(dict.fromkeys([*kept, *(each for each in sent if each not in shown)]))}


def said(name: str, form: forms.Form, result: Any) -> str:
    """What was done, for the next page: with whom it was about, and how much."""
    if name in DONE:
        return DONE[name].format_map({each.name: each.value for each in form.fields})
    about = next((each.value for each in form.fields if each.name in SUBJECTS and each.value), "")
    counts = result if isinstance(result, dict) else {}
    much = ", ".join(
        f"{title(key)}: {named(value, key)}" for key, value in counts.items() if type(value) is int
    )
    return f"Done: {command(name)}" + (f" ({about})" if about else "") + (f". {much}" if much else "") + "."


def _run(name: str, form: forms.Form) -> tuple[bool, Any]:
    """Runs a command that changes nothing, with what is filled in."""
    values = {each.name: each.value for each in form.fields if each.value}
    try:
        return True, context.run(name, **values)
    except CommandError as error:
        form.blame(error)
        return False, None


def _page(entry: dict[str, Any], form: forms.Form, back: str, ran: bool = False, result: Any = None) -> str:
    meaning = ""
    if entry["name"] == "check federation" and isinstance(result, list):
        meaning = next((explain(row["trouble"]) for row in result if row.get("trouble")), "")
        result = [
            {key: value for key, value in row.items() if key != "trouble" or value != row["result"]}
            for row in result
        ]
    return render_template(
        "console/do.html", entry=entry, form=form, back=back, destroys=forms.destroys(entry["name"]), ran=ran, result=result,
        meaning=meaning,
    )  # fmt: skip
