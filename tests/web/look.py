"""Opens pages as a person sees them: on a desktop and on a phone, light and dark, with and without JavaScript.

Plan: {"base": "https://...", "password": ..., "pages": {address or "": [paths]}, or "paths": of strangers, "shots": folder or
null, "walk": [an invitation, a name, a password]}: then somebody goes the whole way without JavaScript (`_walk`).
Prints, for each path: {"status": ..., "axe": [...], "errors": [what the console says], "wide": [where it is wider than the
screen], "plain": is it the same without JavaScript?}
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.web.chromium import axe, chromium, context

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
VIEWS: tuple[tuple[str, Any, Any, tuple[str, ...]], ...] = (
    ("desktop", DESKTOP, "light", ()),
    ("phone", PHONE, "dark", ("color-contrast", "target-size", "scrollable-region-focusable")),
)
"""Name, size, colours, and the rules of axe-core: all, or those that size and colours change."""
WIDE = "document.documentElement.scrollWidth > document.documentElement.clientWidth"


def sign_in(page: Any, plan: dict[str, Any], address: str) -> None:
    page.goto(plan["base"] + "/sign-in")
    page.get_by_label("Your address").fill(address)
    page.get_by_label("Password").fill(plan["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def main() -> None:
    plan = json.load(sys.stdin)
    found: dict[str, Any] = {}
    with chromium() as browser:
        for address, paths in (plan.get("pages") or {"": plan["paths"]}).items():
            page = context(browser).new_page()
            if address:
                sign_in(page, plan, address)
            plain = context(
                browser, java_script_enabled=False, storage_state=page.context.storage_state()
            ).new_page()
            said: list[str] = []
            page.on(
                "console", lambda told, said=said: said.append(told.text) if told.type == "error" else None
            )
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            for path in paths:
                said.clear()
                found[path] = _look(page, plan, path)
                found[path]["errors"] = list(said)
                plain.goto(plan["base"] + path)
                found[path]["plain"] = _heading(plain) == _heading(page)
        if plan.get("walk"):
            found["walk"] = _walk(browser, *plan["walk"])
    print(json.dumps(found))


def _heading(page: Any) -> str:
    return str(page.locator("main h1").inner_html())


def _walk(browser: Any, invitation: str, name: str, password: str) -> list[str]:
    """Makes an account by an invitation, and uses each page of it, in a browser without JavaScript. Returns what was seen."""
    page = context(browser, java_script_enabled=False, viewport=PHONE).new_page()

    def press(button: str, **fields: str) -> str:
        for label, text in fields.items():
            page.get_by_label(label.replace("_", " "), exact=True).fill(text)
        page.get_by_role("button", name=button, exact=True).click()
        return str(page.locator("main").inner_text())

    page.goto(invitation)
    twice = {"Password": password, "The_same_password_again": password}
    seen = [press("Make my account", Name=name, **twice)]
    base, new = page.url.removesuffix("/account"), "another " + password
    seen.append(
        press(
            "Change the password",
            The_password_of_now=password,
            The_new_password=new,
            The_same_password_again=new,
        )
    )
    page.goto(base + "/account/privacy")
    seen += [press("Block", Address="mallory@elsewhere.example"), press("Unblock")]
    page.goto(base + "/account/invitations")
    seen.append(press("Invite a friend"))
    page.goto(base + "/account/devices")
    seen.append(page.locator("main").inner_text())
    page.goto(base + "/account/data")
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download my data").click()
    seen.append(coming.value.suggested_filename)
    page.goto(base + "/account/delete")
    page.get_by_label("Your password").fill(new)
    seen.append(press("Delete my account"))
    return seen


def _look(page: Any, plan: dict[str, Any], path: str) -> dict[str, Any]:
    findings: list[str] = []
    wide: list[str] = []
    status = page.goto(plan["base"] + path, wait_until="load").status
    for name, viewport, scheme, rules in VIEWS:
        page.set_viewport_size(viewport)
        page.emulate_media(color_scheme=scheme)
        findings += axe(page, *rules)
        if page.evaluate(WIDE):
            wide.append(name)
    if plan.get("shots"):
        _shoot(page, Path(plan["shots"]), path)
    return {"status": status, "axe": findings, "wide": wide}


def _shoot(page: Any, folder: Path, path: str) -> None:
    name = re.sub(r"\W+", "-", path.strip("/"))[:60] or "first"
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")


if __name__ == "__main__":
    main()
