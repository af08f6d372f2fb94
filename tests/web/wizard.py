"""Sets a server up as a person does, in Chromium: from the link to the end.

Plan: {"link": "http://localhost:.../setup/...", "password": ..., "shots": folder or null}
Prints {"axe": [...], "errors": [...], "wide": [paths], "seconds": ..., "end": the last address, "text": of the page before}
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.web.chromium import axe, chromium, context
from tests.web.look import DESKTOP, PHONE


def main() -> None:
    plan = json.load(sys.stdin)
    said: list[str] = []
    found: dict[str, Any] = {"axe": [], "errors": said, "wide": []}
    with chromium() as browser:
        page = context(browser, viewport=DESKTOP).new_page()
        page.on(
            "console",
            lambda message: said.append(message.text) if message.type == "error" else None,
        )
        page.on("pageerror", lambda error: said.append(str(error)))

        def look(name: str) -> None:
            """Both sizes, both colours."""
            for viewport, scheme in ((PHONE, "dark"), (DESKTOP, "light")):
                page.set_viewport_size(viewport)
                page.emulate_media(color_scheme=scheme)
                found["axe"] += axe(page)
                if plan.get("shots"):
                    page.screenshot(path=Path(plan["shots"]) / f"setup-{name}-{scheme}.png", full_page=True)
                if page.evaluate(
                    "document.documentElement.scrollWidth > document.documentElement.clientWidth"
                ):
                    found["wide"].append(name)

        start = time.monotonic()
        page.goto(plan["link"])
        look("open")
        page.get_by_role("button", name="Begin").click()
        page.wait_for_url("**/setup/domain")
        look("domain")
        page.get_by_label("Domain", exact=True).fill("home.example")
        key = page.get_by_label("File of the private key")
        for choice, shown in (("Use my own files", True), ("Make one here (self-signed)", False)):
            page.get_by_label(choice).check()
            found["fields"] = found.get("fields", True) and key.is_visible() == shown
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url("**/setup/database")
        look("database")
        page.get_by_role("button", name="Test").click()
        page.get_by_text("SQLite needs nothing else").wait_for()
        page.get_by_role("button", name="Continue").click()
        page.wait_for_url("**/setup/administrator")
        look("administrator")
        page.get_by_label("Name").fill("romeo")
        page.get_by_label("Password", exact=True).fill(plan["password"])
        page.get_by_label("The same password once more").fill(plan["password"])
        page.get_by_role("button", name="Set up the server").click()
        page.wait_for_url("**/setup/done", timeout=40_000)
        look("done")
        found["text"] = page.inner_text("main")
        page.get_by_role("link", name="Finish: sign in to the console").click()
        page.wait_for_url("**/sign-in?*")
        found["seconds"] = time.monotonic() - start
        page.get_by_label("Your address").fill("romeo@home.example")
        page.get_by_label("Password").fill(plan["password"])
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/console")
        found["end"] = page.url
        found["errors"] = list(found["errors"])  # the next page is one
        found["gone"] = page.goto(plan["link"]).status
    print(json.dumps(found))


if __name__ == "__main__":
    main()
