"""New accounts: their owners get a welcome, administrators are told of registrations."""

from __future__ import annotations

from ..hooks import Module, Option, list_of, on
from ..jsm.host import bare_address
from ..xmpp import ns
from ..xmpp.element import Element


class Newcomers(Module):
    """Sends a welcome to every new account, and tells administrators of accounts that strangers have registered."""

    welcome = Option(str, "", "a message to every new account; {user} is its address. Empty: none")
    notify = Option[list[str]](list_of(bare_address), [], "addresses that are told of each registration")

    @on("created")
    def greet(self, user: str) -> None:
        if self.welcome:
            self._write(user, self.welcome.replace("{user}", user))

    @on("registered")
    def tell(self, user: str, address: str) -> None:
        for each in self.notify:
            self._write(each, f"{user} has registered, from {address}.")

    def _write(self, to: str, text: str) -> None:
        body = Element("body", ns.CLIENT, text)
        self.host.router.deliver(Element("message", ns.CLIENT, body, from_=self.host.domain, to=to))
