"""Chromium, as a person's browser. A process of its own drives it, since Playwright and gevent do not go together: a test runs
a script of this folder with `drive`, and the script does its work in `with chromium() as browser`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
AXE = ROOT / "tests/clients/node/node_modules/axe-core/axe.min.js"
PATIENCE = 15_000
"""Milliseconds for one step: Chromium shares its processors with others."""


def drive(script: str, plan: Any, seconds: float = 110) -> Any:
    """Runs ``tests/web/SCRIPT.py``, which gets the plan as JSON on standard input. Returns what it prints, JSON as well."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.web.{script}"], input=json.dumps(plan), capture_output=True, text=True,
        cwd=ROOT, timeout=seconds,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


def path() -> str | None:
    """Where Debian's Chromium is; None: it is not installed."""
    return shutil.which("chromium")


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser of Playwright's sync API. For scripts only."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path(), args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        )
        yield browser
        browser.close()


def context(browser: Any, **options: Any) -> Any:
    """A new profile that takes our certificates, with patience."""
    made = browser.new_context(ignore_https_errors=True, **options)
    made.set_default_timeout(PATIENCE)
    return made


def axe(page: Any, *rules: str) -> list[str]:
    """What axe-core finds serious or critical on the page as it is, one line each. ``rules``: only these."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())  # not by a script tag: the page's policy forbids that
    found = page.evaluate(
        "rules => axe.run({resultTypes: ['violations'], ...(rules.length ? {runOnly: rules} : {})})",
        list(rules),
    )
    return [
        f"{each['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"][:3]
    ]
