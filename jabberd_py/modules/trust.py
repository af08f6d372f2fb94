"""Who may learn that an account exists and is online. Several modules ask this before they answer for an account."""

from __future__ import annotations

from typing import Any

from ..xmpp.jid import JID


def may_see(host: Any, user: str, jid: JID | None) -> bool:
    """May ``jid`` see the presence of ``user``? The account itself may. Contacts may if they are subscribed and no privacy list
    hides the user from them."""
    if jid is None:
        return False
    if jid.user == user:
        return True
    roster = host.modules.get("roster")
    if roster is None or not roster.state(user, jid.user).from_:
        return False
    privacy = host.modules.get("privacy")
    return privacy is None or not privacy.hides(user, jid)
