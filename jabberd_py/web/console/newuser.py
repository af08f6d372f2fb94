"""A new account: with a password, or with a link by which its owner sets one."""

from __future__ import annotations

import secrets
from typing import Any

from flask import redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ...commands import CommandError, WrongArgument
from .. import context, forms
from ..context import administrator, may, run, tell
from . import console
from .people import chosen


@console.route("/users/new", methods=["GET", "POST"])
@administrator
def new_user() -> str | Response | tuple[str, int]:
    host = chosen()
    least = context.shortest(context.web().host.router.instances[host])
    links = may("accounts reset")
    form = forms.form(
        "accounts add",
        {
            "jid": f"Such as anna@{host}; a name alone is one of {host}",
            "password": f"At least {least} characters." + (
                " Left empty, you get a link with which the new user sets one: then nobody else knows it." if links else ""
            ),
        },
    )  # fmt: skip
    form.fields = [each for each in form.fields if each.name != "count"]
    next(each for each in form.fields if each.name == "password").required = not links
    if request.method != "POST":
        return _page(form, host)
    jid, password = request.form.get("jid", "").strip(), request.form.get("password", "")
    jid = jid if "@" in jid or not jid else f"{jid}@{host}"
    try:
        if password and len(password) < least:
            form.fill({key: value for key, value in request.form.items() if key != "password"})
            raise form.blamed(WrongArgument(f"a password needs {least} characters", "password"))
        made: dict[str, Any] = form.run(
            jid=jid, password=password or (secrets.token_urlsafe(24) if links else "")
        )
    except CommandError:
        return _page(form, host), 400
    if password:
        tell(f"The account {made['jid']} is made.")
        return redirect(url_for("console.user", jid=made["jid"]), 303)
    return render_template("console/made.html", jid=made["jid"], link=run("accounts reset", jid=made["jid"]))


def _page(form: forms.Form, host: str) -> str:
    return render_template("console/new.html", form=form, chosen=host)
