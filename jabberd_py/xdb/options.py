"""The store's options. (Its URL stands beside the data folder, at the top of the configuration.)"""

from __future__ import annotations

from ..options import Option, Section, duration


class StoreOptions(Section):
    """How the database is written to."""

    commit_delay = Option(
        duration,
        "20ms",
        "how long messages gather for one commit while nobody waits for it; a crash loses what gathers, and only clients with "
        "stream management know",
        max="1s",
    )
