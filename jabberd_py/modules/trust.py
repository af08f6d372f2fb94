"""Who may learn that an account exists and is online: what several modules ask before they answer for it."""

from __future__ import annotations

from typing import Any

from ..xmpp.jid import JID


def may_see(host: Any, user: str, jid: JID | None) -> bool:
    """May ``jid`` see the presence of ``user``? The account itself may, and contacts subscribed to it from whom no
    privacy list hides it."""
    if jid is None:
        return False
    if jid.user == user:
        return True
    roster = host.modules.get("roster")
    if roster is None or not roster.state(user, jid.user).from_:
        return False
    privacy = host.modules.get("privacy")
    return privacy is None or not privacy.hides(user, jid)
