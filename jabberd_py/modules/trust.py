"""Who may learn that an account exists and is online: what several modules ask before they answer for it."""

from __future__ import annotations

from typing import Any

from ..xmpp.jid import JID


def may_see(host: Any, user: str, jid: JID | None) -> bool:
    """May ``jid`` see the presence of ``user``? The account itself may, and contacts subscribed to it."""
    if jid is None:
        return False
    if jid.user == user:
        return True
    roster = host.modules.get("roster")
    return roster is not None and bool(roster.state(user, jid.user).from_)
