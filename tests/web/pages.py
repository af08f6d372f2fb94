"""Every page of the web for people, in one list: what tests open in Chromium, and what is drawn for the docs.

A page that is not in it fails a test. TOKENS of links are filled in by the test: {invite}, {password}."""

from tests.web.conftest import CHIEF, PLAIN

ROOM = "garden@conference.localhost"
CONSOLE = (
    "", "/users", f"/users/{PLAIN}", "/users/new", f"/users/{PLAIN}/trace", "/registrations", "/invitations", "/reports",
    "/bans", "/announcements", "/doctor", "/certificates", "/store", "/audit", "/log", "/hosts",
    "/components", "/federation", "/files",
    "/rooms", f"/rooms/{ROOM}", "/nodes", "/commands", f"/do/accounts delete?jid={PLAIN}&back=/console/users",
    "/do/accounts add", "/do/stats", "/options/", "/options/server", "/options/modules.mam", "/options/hosts.localhost",
)  # fmt: skip
ACCOUNT = ("", "/second-factor", "/devices", "/privacy", "/data", "/invitations", "/delete")
STRANGERS = ("/", "/sign-in", "/register", "/invite/{invite}", "/password/{password}")
PAGES: dict[str, tuple[str, ...]] = {
    CHIEF: (*(f"/console{each}" for each in CONSOLE), "/", "/sign-out"),
    PLAIN: tuple(f"/account{each}" for each in ACCOUNT),
    "": STRANGERS,
}
"""Who looks (nobody: "") -> the pages."""
SETUP = ("begin", "domain", "database", "administrator", "done")
"""Those of the set-up: a person goes through them in order (wizard.py)."""
ELSEWHERE = {
    "/kept": "test_signin.py",
    "/chat": "Converse.js draws it (test_chat.py)",
    "/setup": "wizard.py",
    "/web": "files",
}
"""Beginnings of what is no page of ours."""
