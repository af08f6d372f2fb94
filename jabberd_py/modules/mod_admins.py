"""Administrators of a host beside those of the configuration (XEP-0133 section 4.29)."""

from __future__ import annotations

from ..arguments import Lines
from ..commands import Caller
from ..hooks import Module, command, on
from ..jsm.host import ADMINS, bare_address
from ..xdb import xdb
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID, parse

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
    def set(self, jids: Lines, caller: Caller) -> None:
        """Set the administrators of a host: bare addresses, one a line. Those of the configuration must be among them. Only who
        administers another host here, too, names an account of that one."""
        wanted = list(dict.fromkeys(bare_address(line.strip()) for line in jids.split("\n") if line.strip()))
        fixed = self.host.options.admins
        if missing := [each for each in fixed if each not in wanted]:
            raise StanzaError("not-allowed", f"{missing[0]} is an administrator by the configuration")
        if not wanted:
            raise StanzaError("not-allowed", "somebody must administer the host")
        if len(wanted) > MOST:
            raise ValueError(f"jids: at most {MOST}")
        for each in wanted:
            if each not in self.host.admins and not self._may_name(parse(each), caller):
                raise StanzaError("forbidden", f"you do not administer the host of {each}")
        self.host.name_admins([each for each in wanted if each not in fixed])

    def _may_name(self, jid: JID, caller: Caller) -> bool:
        """An administrator of any host is out of reach for who administers the own host only: that needs their consent."""
        home = self.host.router.instances.get(jid.domain)
        if caller.operator or home is None or home is self.host:
            return True
        return caller.jid is not None and home.is_admin(caller.jid)
