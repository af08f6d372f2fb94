"""New accounts: their owners get a welcome, administrators are told of registrations."""

from __future__ import annotations

from ..arguments import Lines
from ..hooks import Module, Option, command, list_of, on
from ..jsm.host import bare_address
from ..xdb import cached, xdb
from ..xmpp import ns
from ..xmpp.element import Element

STORED = "jabberd_py:welcome"
"""The domain keeps the text that an administrator has set under this namespace. If it is empty, there is no welcome."""


@cached
def stored(domain: str) -> str | None:
    return xdb.get(domain, STORED)


class Newcomers(Module):
    """Sends a welcome to every new account, and tells administrators of accounts that strangers have registered."""

    welcome = Option(str, "", "a message to every new account; {user} is its address. Empty: none")
    notify = Option[list[str]](list_of(bare_address), [], "addresses that are told of each registration")

    @property
    def text(self) -> str:
        """The welcome; empty if there is none."""
        text = stored(self.host.domain)
        return self.welcome if text is None else text

    @command("welcome show")
    def show(self) -> dict[str, str]:
        """The message that new accounts of each host get."""
        return {"text": self.text}

    @command("welcome set", changes=True)
    def set(self, text: Lines) -> None:
        """Set the message that new accounts get; {user} is their address. Empty: none."""
        self._keep(text)

    @command("welcome reset", changes=True)
    def reset(self) -> None:
        """Go back to the message of the configuration."""
        self._keep(None)

    def _keep(self, text: str | None) -> None:
        xdb.set(self.host.domain, STORED, text)
        stored.forget(self.host.domain)

    @on("created")
    def greet(self, user: str) -> None:
        if text := self.text:
            self._write(user, text.replace("{user}", user))

    @on("registered")
    def tell(self, user: str, address: str) -> None:
        for each in self.notify:
            self._write(each, f"{user} has registered, from {address}.")

    def _write(self, to: str, text: str) -> None:
        body = Element("body", ns.CLIENT, text)
        self.host.router.deliver(Element("message", ns.CLIENT, body, from_=self.host.domain, to=to))
