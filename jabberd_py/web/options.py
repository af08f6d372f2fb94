"""A page for every section, module, service, host and component: a form made of the table of options. What is saved is written
to the file, with its comments kept, in use at once, and can be undone."""

from __future__ import annotations

import json
import re
from typing import Any

from flask import Blueprint, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ..commands import CommandError, Conflict, WrongArgument
from ..config.dump import SAFE, dump, parse
from ..options import said_first
from . import context
from .context import administrator, run, tell
from .forms import Field, Form

blueprint = Blueprint("modules", __name__, url_prefix="/console/options")
GROUPS = {"": "Sections", "modules": "Modules of all hosts", "services": "Services of all hosts", "hosts": "Hosts",
          "components": "Components"}  # fmt: skip
TOP = "server"
"""The place of the options outside of all sections, in addresses."""
SHOWN, SURE, SURELY = "_shown", "_sure", "Do it all the same"
BACK = "To take it back then: jabberctl config undo, on the machine of the server."
"""Fields: what the page showed; that an administrator wants to shut himself out."""
NO = ("no", "false", "off")
WAYS = ("http.address", "http.tls_address", "http.url", "http.proxies", "http.proxy_protocol")
"""Options by which browsers find their way here."""
NUMBERS = ("integer", "number")
KINDS = {
    "size": "bytes, or with a unit: 64 KiB, 100 MiB", "duration": "a time: 30s, 5m, 1h, 30d", "number": "a number",
    "integer": "a whole number",
}  # fmt: skip
"""Type of an option -> what to write; others need no word, or their explanation has it. NUMBERS: the keyboard has digits."""
LAST = ("prefix", "address")
"""Options of a service that few people come for."""


@blueprint.get("/")
@administrator
def index() -> str:
    """All places, and the last changes."""
    groups: dict[str, list[dict[str, Any]]] = {title: [] for title in GROUPS.values()}
    text = request.args.get("text", "")[:100].strip()
    for each in map(titled, run("config places", text=text)):
        words = each["place"].split(".")
        if not _deep(each["place"]) and (each["options"] or each["on"] is not None):
            groups[GROUPS.get(words[0] if len(words) > 1 else "", "Sections")].append(each)
    return render_template(
        "options/index.html",
        groups=groups,
        top=TOP,
        text=text,
        history=[] if text else run("config history"),
        set=[] if text else [row | {"value": shown(row["value"])} for row in run("config show")],
    )


@blueprint.route("/<place>", methods=["GET", "POST"])
@administrator
def place(place: str) -> str | Response | tuple[str, int]:
    """The form of one place."""
    known = {each["place"]: titled(each) for each in run("config places")}
    name = "" if place == TOP else place
    if name not in known:
        abort(404)
    rows = run("config show", place=name or ".")
    if "services" in name.split("."):
        rows.sort(key=lambda row: row["option"].rpartition(".")[2] in LAST)
    form = Form("config apply", [field(row) for row in rows])
    shows = json.dumps({each.name: each.value for each in form.fields})
    below = [each for each in known.values() if each["place"].startswith(f"{name}.") and name]
    if request.method == "POST":
        try:
            changes = changed(form, rows)
            if out := leads_out(changes):
                form.fields.append(Field(SURE, SURELY, "checkbox"))
                raise CommandError(f"{out}. {BACK}")
            answer: dict[str, Any] = (
                run("config apply", changes=json.dumps(changes, ensure_ascii=False))
                if changes
                else {"changed": False}
            )
        except CommandError as error:
            form.error = str(error)
            for each, row in zip(form.fields, rows, strict=False):
                each.value = request.form.get(each.name, "").strip()
                _, option, wrong = str(error).partition(f"{row['option']}: ")
                if wrong:  # the file and the line, which come first, are of a text that was not written
                    each.error, form.error = wrong, option + wrong
            return _page(place, known[name], form, below, shows), 400
        if not answer["changed"]:
            tell("Nothing was changed.")
        else:
            restart: list[str] = answer["restart"]
            tell(f"Saved in {answer['file']}" + ("." if restart else ", and in use.") + _values(answer))
            if restart:
                tell(f"In use after the next start of the server: {', '.join(restart)}. See below.", "hint")
            if answer.get("note"):
                tell(f"{answer['note']}.", "hint")
        return redirect(url_for("modules.place", place=place), 303)
    return _page(place, known[name], form, below, shows)


@blueprint.post("/undo")
@administrator
def undo() -> Response:
    """Takes the last change back, or the one whose button it was."""
    if out := leads_out(wanted("config undo")):
        tell(f"{out}. {BACK} Here it is taken back by All commands, config undo.", "error")
        return redirect("/console/options/", 303)
    try:
        answer = run("config undo", change=request.form.get("change", ""))
    except CommandError as error:
        tell(str(error), "error")
    else:
        tell(
            ("Taken back." if request.form.get("change") else "The last change is taken back.")
            + _values(answer)
        )
    return redirect("/console/options/", 303)


def _values(answer: dict[str, Any]) -> str:
    """What a change has changed: a sentence for each option."""
    return "".join(f" {option}: {said}." for option, said in answer.get("values", {}).items())


def _page(place: str, about: dict[str, Any], form: Form, below: list[dict[str, Any]], shows: str) -> str:
    """``shows``: the values of now, which the form brings back."""
    form.fields.append(Field(SHOWN, "", "hidden", value=shows))
    return render_template("options/place.html", place=place, about=about, form=form, below=below)


def titled(about: dict[str, Any]) -> dict[str, Any]:
    """The place with its ``title``, and ``more`` about it: the first sentence of what it is, and the rest. A host or component
    has its domain as the title."""
    place, help = about["place"], about["help"]
    group, _, domain = place.partition(".")
    title, more = re.fullmatch(r"(.*?)(?:\.(?:\s+(.*))?)?", help, re.S).groups()
    if group in ("hosts", "components") and domain and not _deep(place):
        title, more = domain, help
    return about | {"title": title, "more": more or ""}


def _deep(place: str) -> bool:
    """Is it within a host?"""
    return place.startswith("hosts.") and any(f".{group}." in place for group in ("modules", "services"))


def field(row: dict[str, Any]) -> Field:
    """The line of an option."""
    name = row["option"].rpartition(".")[2]
    default = "yes" if row["default"] is True else "no" if row["default"] is False else shown(row["default"])
    label, more = said_first(row["help"])
    type, _, none = row["type"].partition(" or nothing")
    kinds = [
        KINDS.get(type, ""),
        row["limits"],
        "null for none" if none or row["type"].endswith("or nothing") else "",
    ]
    hint = "; ".join(filter(None, [more, *kinds]))
    hint = f"{hint}. Default: " if hint else "Default: "
    hint += f"{'none' if row['default'] is None else default or 'empty'}." + (
        "" if row["from"] == "default" else f" Set in {row['from']}."
    )
    value = "" if row["from"] == "default" and name != "enabled" else shown(row["value"])
    made = Field(name, label, value=value, hint=hint, key=name)
    if row["secret"]:
        made.kind, made.value = "password", ""
        made.hint += " Left empty, it stays as it is; null removes it."
    elif row["type"] == "yes/no" or row["choices"] and not row["type"].startswith("list"):
        made.kind, made.empty = "select", f"the default ({default or 'empty'})"
        made.choices = ["", *(["yes", "no"] if row["type"] == "yes/no" else row["choices"])]
        if row["value"] in (True, False):
            made.value = value and ("yes" if row["value"] else "no")
    elif row["type"] in NUMBERS:
        made.kind = "number"
    return made


def shown(value: Any) -> str:
    """The value as it may be written into a field: what `config set` takes."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        plain = (
            value.isprintable()
            and value == value.strip()
            and value not in ("", "~", "null")
            and value[0] not in "[{\"'"
        )
        return value if plain else dump(value) if dump(value)[0] in "\"'" else f"'{value}'"
    return dump(value)


def changed(form: Form, rows: list[dict[str, Any]]) -> dict[str, str | None]:
    """What the browser has sent, as far as it differs from what its page showed; None: back to the default. Raises Conflict:
    somebody else has changed the same meanwhile."""
    found: dict[str, str | None] = {}
    try:
        showed = dict(json.loads(request.form.get(SHOWN, "{}")))
    except (ValueError, TypeError):
        raise WrongArgument("this form is damaged; load the page again") from None
    for each, row in zip(form.fields, rows, strict=True):
        said, before = request.form.get(each.name), showed.get(each.name, each.value)
        if said is None or said.strip() in (each.value, before) or (each.kind == "password" and not said):
            continue
        if before != each.value:
            now = each.value or "at its default"
            raise Conflict(
                f"{row['option']}: somebody has changed it meanwhile; it is {now} now. Save again to set yours."
            )
        found[row["option"]] = said.strip() or None
    return found


def leads_out(changes: dict[str, str | None]) -> str:
    """Why who saves this may not come back to this page. Empty: he can, or he has said that he wants it."""
    if request.form.get(SURE):
        return ""
    for option, value in changes.items():
        said = (value or "").lower()
        if said in NO and option.endswith(("modules.web.console", "modules.web.enabled")):
            return f"{option}: without it there is no console any more"
        if option in ("http.port", "http.tls_port") and said in ("null", "~"):
            return f"{option}: nobody who came by this port comes back"
        if option in WAYS:
            return f"{option}: if it is wrong, these pages cannot be reached any more"
        if option.endswith("modules.web.names") and _here() not in said:
            return f"{option}: you have come by the name {_here()}, which may not be among the names any more"
        if re.fullmatch(r"hosts\..+\.anonymous", option) and said and said not in NO:
            return f"{option}: nobody can sign in with an account of this host any more, you neither"
        if re.fullmatch(r"hosts\..+\.admins", option) and context.me().user not in (value or ""):
            return f"{option}: you are not among them any more"
    return ""


def _here() -> str:
    """The name by which the browser has come."""
    return request.host.rpartition(":")[0].lower() if ":" in request.host else request.host.lower()


def wanted(command: str) -> dict[str, str | None]:
    """The changes that a form of a command makes, for `leads_out`: option -> value; None: its default."""
    option = request.form.get("option", "").strip()
    if command == "config set":
        return {option: request.form.get("value", "")}
    if command == "config unset":
        return {option: None}
    if command == "config apply":
        try:
            found = parse(request.form.get("changes", ""), SAFE)
        except ValueError:
            return {}
        return (
            {str(name): None if value is None else shown(value) for name, value in found.items()}
            if isinstance(found, dict)
            else {}
        )
    if command == "config undo":
        number, history = request.form.get("change", ""), run("config history")
        values: list[str] = next((each["values"] for each in history if number in ("", each["change"])), [])
        before = (re.fullmatch(r"(\S+): (.*) -> .*", each, re.S) for each in values)
        return {each[1]: each[2].removesuffix(" (the default)") for each in before if each}
    return {}
