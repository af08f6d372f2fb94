"""Opens pages as a person sees them: on a desktop and on a phone, light and dark, with and without JavaScript.

Plan: {"base": "https://...", "password": ..., "pages": {address or "": [paths]}, or "paths": of strangers, "shots": folder or
null}
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
            said: list[str] = []
            page.on(
                "console", lambda told, said=said: said.append(told.text) if told.type == "error" else None
            )
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            for path in paths:
                said.clear()
                found[path] = _look(page, plan, path)
                found[path]["errors"] = list(said)
                plain = page.context.request.get(plan["base"] + path).text()  # nothing runs in it
                found[path]["plain"] = f"<h1>{page.locator('main h1').inner_html()}</h1>" in plain
    print(json.dumps(found))


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
