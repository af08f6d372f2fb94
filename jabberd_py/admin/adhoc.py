"""XEP-0050: the server's commands for every client. A host and each service offer theirs, and an account its owner's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import gevent

from ..adhoc import NS, Dialogue, Talks, Values, Work, about, listing, refusal
from ..arguments import ACCOUNT, PASSWORD, SESSION
from ..commands import Bound, Caller, CommandError, outcome
from ..hooks import LATER, Module, iq, on
from ..instance import Instance
from ..jsm.tickets import by_ticket
from ..router import unexpected
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.ns import DISCO_INFO
from ..xmpp.protocols import XEP
from . import forms
from .service import NODES, PREFIX, failed

AT_ONCE, EACH = 50, 3
"""Commands that run at a time: of all users, of one."""


def caller_of(request: Element) -> Caller:
    """Who asks. The web chat administers nothing: its scripts are other people's."""
    sender: Any = request.from_
    session = request.session
    where = "" if session is None else str(session.transport.info.get("address", ""))
    chat = session is not None and by_ticket(session)
    return Caller(str(sender), "ad-hoc", where or sender.domain, sender, proven=not chat, own=chat)


class Ask:
    """What one user may run at one domain. ``bound``: the commands by name."""

    def __init__(self, place: Instance, request: Element) -> None:
        self.place, self.caller, self.session = place, caller_of(request), request.session
        self.user = str(self.caller.jid.bare) if self.caller.jid is not None else ""
        self.bound = place.router.commands.at(self.caller, place)

    def check_secure(self) -> None:
        """Raises StanzaError if somebody on the way could read a password, or another secret."""
        if self.session is not None and not self.session.transport.private:
            raise StanzaError("not-authorized", "the stream is not encrypted", type="modify")

    def do(self, name: str, **args: Any) -> Any:
        """The result of a command. Blocks. Raises CommandError."""
        bound = self.bound[name]
        if bound.place is self.place and bound.account is None:
            args.setdefault("host", self.place.domain)
        return outcome(self.place.router.commands.run(self.caller, name, args))


class Adhoc(Module):
    """Commands for administrators and users, run by any client with a menu for them (ad-hoc commands)."""

    anywhere = True
    protocols = (XEP(50, "1.3.0", "Ad-Hoc Commands"),)
    name = "adhoc_commands"

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.talks = Talks()
        self.running: dict[str, int] = {}

    @iq("set", NS, "command")
    @iq("set", NS, "command", to="self")
    def execute(self, request: Element) -> Any:
        """Section 2.4. Raises StanzaError."""
        node = request.payload.attrs.get("node")
        if node is None:
            raise StanzaError("bad-request", "which command?")
        try:
            dialogue = self._dialogue(request, node)
        except StanzaError as error:
            if error.condition == "forbidden":  # the log has it, as of every face
                self.host.router.commands.refused(caller_of(request), node)
            raise
        return self.talks.execute(request, dialogue, partial(self._later, request))

    def _later(self, request: Element, work: Work) -> Any:
        """Runs a command in a greenlet of its own: the stream goes on meanwhile. Raises StanzaError."""
        user = request.from_.user
        if self.running.get(user, 0) >= EACH or sum(self.running.values()) >= AT_ONCE:
            raise StanzaError("resource-constraint", "wait for your other commands", type="wait")
        self.running[user] = self.running.get(user, 0) + 1
        gevent.spawn(self._work, request, user, work)
        return LATER

    def _work(self, request: Element, user: str, work: Work) -> None:
        router = self.host.router
        try:
            with xdb.unit():
                answer = work()
            router.reply(request.reply(answer))
        except StanzaError as error:
            router.bounce(request, error)
        except Exception as error:
            router.bounce(request, unexpected(error))
        finally:
            self.running[user] -= 1
            if not self.running[user]:
                del self.running[user]

    # -- which commands there are --------------------------------------------------------------------

    def _dialogue(self, request: Element, node: str) -> Dialogue:
        """Raises StanzaError: it is not there, or not for them."""
        ask = Ask(self.host, request)
        if node in self.host.dialogues:
            found = self.host.dialogues[node](request)
            if found is not None:
                return found
            raise StanzaError("forbidden")
        if node.startswith(PREFIX):
            task = NODES.get(node.removeprefix(PREFIX))
            if task is None or not self.host.has_users:
                raise StanzaError("feature-not-implemented", "that command is not known here")
            known = {*self.host.commands, *self.host.router.commands.top}
            if not known.issuperset(task.needs):
                raise StanzaError("feature-not-implemented", "that command is switched off here")
            if not task.may(ask):
                raise StanzaError("forbidden", "you may not run that")
            return task.dialogue(ask)
        if node in ask.bound:
            return _dialogue(ask, ask.bound[node])
        registry = self.host.router.commands
        if node not in registry.names() or registry.find(node)[0].local:
            raise StanzaError("item-not-found", "there is no such command")
        raise StanzaError("forbidden", "you may not run that")

    def _titles(self, request: Element) -> dict[str, str]:
        """The commands that who asks may run: node -> title."""
        ask = Ask(self.host, request)
        titles = {name: _title(name) for name in ask.bound}
        if self.host.has_users:
            titles |= {PREFIX + node: task.title for node, task in NODES.items() if task.may(ask)}
        for node, make in self.host.dialogues.items():
            dialogue = make(request)
            if dialogue is not None:
                titles[node] = dialogue.title
        return titles

    # -- service discovery -----------------------------------------------------------------------------

    def disco_node(self, request: Element, node: str) -> Element | None:
        return self._node(request, node, self.host.domain)

    def account_node(self, request: Element, node: str) -> Element | None:
        """An account has commands for its owner only."""
        asker = request.from_.user
        if request.to is not None and request.to.user != asker:
            return None
        return self._node(request, node, asker)

    def _node(self, request: Element, node: str, jid: str) -> Element | None:
        info = request.payload.ns == DISCO_INFO
        if node == NS:
            if info:
                return about(node, "Commands", "command-list")
            return listing(jid, self._titles(request))
        try:
            dialogue = self._dialogue(request, node)
        except StanzaError as error:
            if error.condition != "forbidden":
                return None
            raise
        return about(node, dialogue.title) if info else Element("query", request.payload.ns, node=node)

    @on("stop")
    def stop(self) -> None:
        self.talks = Talks()


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]


def _dialogue(ask: Ask, bound: Bound) -> Dialogue:
    """The dialogue for a command of the registry. Its first page asks for the required arguments, its second for the others."""
    arguments = {name: each for name, each in bound.arguments.items() if name != "host"}
    if bound.command.secret or any(each.converter is PASSWORD for each in arguments.values()):
        ask.check_secure()
    name = bound.command.name
    required = [each for each in arguments.values() if each.required]
    others = [each for each in arguments.values() if not each.required]
    own = {
        each.name: ask.user
        for each in arguments.values()
        if each.converter in (ACCOUNT, SESSION) and bound.command.access == "owner"
    }

    def run(values: Values) -> list[Element]:
        try:
            args = forms.values(arguments.values(), values)
        except ValueError as error:
            raise refusal("bad-payload", str(error)) from None
        try:
            return forms.shown(_title(name), ask.do(name, **args))
        except CommandError as error:
            return failed(error)

    pages = [
        partial(forms.page, _title(name), bound.command.help, own, some)
        for some in (required, others)
        if some
    ]
    return Dialogue(_title(name), run, tuple(pages), None, short=len(pages) > 1)
