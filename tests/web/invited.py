"""Somebody opens an invitation, makes an account on the page, and chats in the browser.

Plan: {"base": "https://...", "path": "/invite/...", "name": ..., "password": ..., "friend": whose contact, "hears": text,
"says": text, "ends": text}: the friend says `hears`, the visitor `says`, the friend `ends`.
Prints {"seconds": ..., "policy": [what the policy has stopped], "outside": [what came from elsewhere],
        "reached": [what a script of the chat has read of other pages]}
"""

from __future__ import annotations

import json
import sys
import time

from tests.web.chromium import chromium, context

PATIENCE = 30_000
SNOOP = """async () => {
  const reached = [];
  for (const path of ["/account", "/register", "/account/nothing", "/"]) {
    const text = await fetch(path, { referrer: "/account" }).then((answer) => answer.text());
    if (text.includes("<")) reached.push("fetch " + path);
  }
  const frame = document.createElement("iframe");
  frame.src = "/account";
  const opened = window.open("/account");
  document.body.append(frame);
  await new Promise((done) => { frame.onload = frame.onerror = done; });
  const there = () => { try { return !opened.closed && opened.location.href === "about:blank"; } catch { return false; } };
  while (there()) await new Promise((done) => setTimeout(done, 50));
  try { if (opened.document.forms.length) reached.push("window"); } catch { /* as it should be */ }
  try { if (frame.contentDocument.forms.length) reached.push("frame"); } catch { /* as it should be */ }
  return reached;
}"""
"""What a bad script in the page of the chat would try."""


def main() -> None:
    plan = json.load(sys.stdin)
    began = time.monotonic()
    with chromium() as browser:
        page = context(browser).new_page()
        page.set_default_timeout(PATIENCE)
        wrong: list[str] = []
        page.on(
            "console",
            lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None,
        )
        outside: list[str] = []
        ours = (plan["base"], "blob:", "data:")
        page.on("response", lambda got: None if got.url.startswith(ours) else outside.append(got.url))
        page.goto(plan["base"] + plan["path"])
        page.get_by_label("Name").fill(plan["name"])
        page.get_by_label("Password", exact=True).fill(plan["password"])
        page.get_by_label("The same password again").fill(plan["password"])
        page.get_by_role("button", name="Make my account").click()
        page.wait_for_url("**/account")
        page.get_by_role("link", name="Chat", exact=True).first.click()
        assert plan["password"] not in page.content()
        page.locator("converse-roster, #converse-roster").get_by_text(plan["friend"]).first.click()
        page.get_by_text(plan["hears"]).first.wait_for()
        page.locator("textarea.chat-textarea").first.fill(plan["says"])
        page.keyboard.press("Enter")
        page.get_by_text(plan["ends"]).first.wait_for()
        if plan.get("shot"):
            page.screenshot(path=plan["shot"])
        seconds, stopped = time.monotonic() - began, list(wrong)
        found = {"seconds": seconds, "policy": stopped, "outside": outside, "reached": page.evaluate(SNOOP)}
        print(json.dumps(found))


if __name__ == "__main__":
    main()
