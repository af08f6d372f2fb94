"""Administrators of a host beside those of the configuration (XEP-0133 section 4.29)."""

from __future__ import annotations

from ..arguments import Lines
from ..hooks import Module, command, on
from ..jsm.host import ADMINS, bare_address
from ..xdb import xdb
from ..xmpp.errors import StanzaError

MOST = 1000
"""Administrators of one host."""


class Admins(Module):
    """Lets administrators name others while the server runs. Those of the configuration stay."""

    @on("start")
    def start(self) -> None:
        self.host.more_admins = (xdb.get(self.host.domain, ADMINS) or "").split()

    @command("admins show")
    def show(self) -> dict[str, list[str]]:
        """The administrators of each host."""
        return {"jids": list(dict.fromkeys(self.host.admins))}

    @command("admins set", changes=True, rights=True)
    def set(self, jids: Lines) -> None:
        """Set the administrators of a host: bare addresses, one a line. Those of the configuration must be among them."""
        wanted = list(dict.fromkeys(bare_address(line.strip()) for line in jids.split("\n") if line.strip()))
        fixed = self.host.options.admins
        if missing := [each for each in fixed if each not in wanted]:
            raise StanzaError("not-allowed", f"{missing[0]} is an administrator by the configuration")
        if not wanted:
            raise StanzaError("not-allowed", "somebody must administer the host")
        if len(wanted) > MOST:
            raise ValueError(f"jids: at most {MOST}")
        self.host.name_admins([each for each in wanted if each not in fixed])
