"""Opens pages as a person sees them: on a desktop and on a phone, light and dark, with and without JavaScript.

Plan: {"base": "https://...", "address": ..., "password": ..., "paths": [...], "shots": folder or null}
Prints, for each path: {"status": ..., "axe": [...], "errors": [what the console says], "wide": is it wider than a phone?}
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.web.chromium import axe, chromium, context

DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 700}


def sign_in(page: Any, plan: dict[str, Any]) -> None:
    page.goto(plan["base"] + "/sign-in")
    page.get_by_label("Your address").fill(plan["address"])
    page.get_by_label("Password").fill(plan["password"])
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda url: "/sign-in" not in url)


def main() -> None:
    plan = json.load(sys.stdin)
    found: dict[str, Any] = {}
    with chromium() as browser:
        desktop = context(browser, viewport=DESKTOP, color_scheme="light")
        page = desktop.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        if plan.get("address"):
            sign_in(page, plan)
        for path in plan["paths"]:
            said.clear()
            page.set_viewport_size(DESKTOP)
            page.emulate_media(color_scheme="light")
            status = page.goto(plan["base"] + path, wait_until="load").status
            findings = axe(page)
            if plan.get("shots"):
                _shoot(page, Path(plan["shots"]), path)
            page.set_viewport_size(PHONE)
            page.emulate_media(color_scheme="dark")
            findings += axe(page, "color-contrast")
            wide = page.evaluate(
                "document.documentElement.scrollWidth > document.documentElement.clientWidth"
            )
            found[path] = {"status": status, "axe": findings, "errors": list(said), "wide": wide}
    print(json.dumps(found))


def _shoot(page: Any, folder: Path, path: str) -> None:
    name = re.sub(r"\W+", "-", path.strip("/")) or "first"
    for size, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
        page.set_viewport_size(viewport)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=folder / f"{name}-{size}-{scheme}.png")


if __name__ == "__main__":
    main()
