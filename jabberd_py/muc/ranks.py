"""Roles and affiliations, and who may change them: the tables of XEP-0045 section 5, as data."""

from __future__ import annotations

from ..xmpp.errors import StanzaError

AFFILIATIONS = ("outcast", "none", "member", "admin", "owner")
ROLES = ("none", "visitor", "participant", "moderator")
"""Each from the lowest to the highest."""

ROLE_OF = {
    "outcast": "participant", "none": "participant", "member": "participant", "admin": "moderator", "owner": "moderator",
}  # fmt: skip
"""The role that an affiliation brings (section 5.1.2); a moderated room makes visitors of those who have none. Of outcasts only
administrators of the server come in at all."""

_MAY_AFFILIATE = {
    "outcast": {"none": "admin", "member": "admin", "admin": "owner", "owner": "owner"},
    "none": {"outcast": "admin", "member": "admin", "admin": "owner", "owner": "owner"},
    "member": {"outcast": "admin", "none": "admin", "admin": "owner", "owner": "owner"},
    "admin": {"outcast": "owner", "none": "owner", "member": "owner", "owner": "owner"},
    "owner": {"outcast": "owner", "none": "owner", "member": "owner", "admin": "owner"},
}
"""Affiliation now -> affiliation wanted -> who may (section 5.2.2)."""

_MAY_GIVE = {
    "visitor": {"none": "moderator", "participant": "moderator", "moderator": "admin"},
    "participant": {"none": "moderator", "visitor": "moderator", "moderator": "admin"},
    "moderator": {"none": "admin", "visitor": "admin", "participant": "admin"},
}
"""Role now -> role wanted -> who may: a moderator, or an admin of the room (section 5.1.3)."""


def at_least(affiliation: str, least: str) -> bool:
    """Is that affiliation ``least`` or higher?"""
    return AFFILIATIONS.index(affiliation) >= AFFILIATIONS.index(least)


def check_affiliation(actor: str, before: str, after: str) -> None:
    """May somebody with the affiliation ``actor`` change another's from ``before`` to ``after``? Raises StanzaError: forbidden,
    or not-allowed where an admin would ban who is no lower (sections 8.3 and 9.1)."""
    if not at_least(actor, "admin"):
        raise StanzaError("forbidden")
    if before != after and not at_least(actor, _MAY_AFFILIATE[before][after]):
        raise StanzaError("not-allowed" if after == "outcast" else "forbidden")


def check_role(role: str, actor: str, target: str, before: str, after: str) -> None:
    """May a ``role`` with the affiliation ``actor`` change the role of somebody with the affiliation ``target`` from ``before``
    to ``after``? Raises StanzaError: forbidden (they may not do such things), not-allowed (not to that one)."""
    moderator, admin = role == "moderator" or at_least(actor, "admin"), at_least(actor, "admin")
    if not moderator:
        raise StanzaError("forbidden")
    if before == after:
        return
    if _MAY_GIVE[before][after] == "admin" and not admin:
        raise StanzaError("not-allowed" if before == "moderator" else "forbidden")
    higher = AFFILIATIONS.index(target) - AFFILIATIONS.index(actor)
    if after == "none":
        protected = higher > 0  # section 8.2
    elif after == "visitor":
        protected = at_least(target, "admin") or higher > 0 or higher == 0 and target != "none"  # section 8.4
    else:
        protected = before == "moderator" and at_least(target, "admin")  # section 9.7
    if protected:
        raise StanzaError("not-allowed")
