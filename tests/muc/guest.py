"""A client that never forgets: it resumes its session (XEP-0198), sends again what the server has not seen, and keeps what a
room has shown it, as a person sees it on the screen."""

from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple
from xml.etree.ElementTree import Element

import gevent

from tests.client import Client
from tests.match import show
from tests.muc.conftest import ADMIN, MUC, USER
from tests.server import ServerProcess

SM = "urn:xmpp:sm:3"
CLIENT = "{jabber:client}"
PATIENCE = 20.0


class Seen(NamedTuple):
    """What a room shows of an occupant; ``jid`` is None where it hides the address."""

    affiliation: str | None
    role: str | None
    jid: str | None
    show: str | None


class Guest:
    """One session, and what it sees of one room.

    view     nick -> Seen
    nick     its own, or None: it is not in the room
    bodies   what was said to all, in order
    ids      the stanza-id that the room gave each of these
    results  what archives answered
    errors   id of a stanza -> the condition with which it came back
    acknowledged, unacknowledged   how many stanzas the server has taken; what it has still to take
    taken    what it has taken, over all sessions
    """

    def __init__(
        self, server: ServerProcess, domain: str, user: str, resource: str, tls: str = "starttls"
    ) -> None:
        self.server, self.domain, self.user, self.resource, self.tls = server, domain, user, resource, tls
        self.room = ""
        self.taken: list[str] = []
        self.results: list[Element] = []
        self.answers: dict[str, Element] = {}
        self.errors: dict[str, str] = {}
        self.login()

    @property
    def bare(self) -> str:
        return f"{self.user}@{self.domain}"

    @property
    def jid(self) -> str:
        return f"{self.bare}/{self.resource}"

    def __repr__(self) -> str:
        return f"<{self.jid} as {self.nick}>"

    # -- the stream

    def _stream(self) -> Client:
        self.client = Client(self.server.address(), self.domain, self.tls).connect().auth(self.user, "secret")
        return self.client

    def login(self) -> None:
        """A new session; one of the same resource is replaced."""
        self._stream().bind(self.resource)
        self.client.send(f"<enable xmlns='{SM}' resume='true'/>")
        self.token, self.h, self.acknowledged = "", 0, 0
        self.unacknowledged: list[str] = []
        self.cut = False
        self.forget()
        self.until(lambda: self.token, "no stream management")
        self.send("<presence/>")

    def forget(self) -> None:
        """What a room has shown."""
        self.view: dict[str, Seen] = {}
        self.nick: str | None = None
        self.bodies: list[str] = []
        self.ids: dict[str, str] = {}

    def lose(self) -> None:
        """The line breaks. What was on its way to us is lost."""
        self.client.abort()
        self.cut = True

    def resume(self) -> None:
        """Raises AssertionError: the server does not know the session any more."""
        self._stream().send(f"<resume xmlns='{SM}' previd='{self.token}' h='{self.h}'/>")
        answer = self.client.take(
            lambda e: e.tag in (f"{{{SM}}}resumed", f"{{{SM}}}failed"), "<resumed/>", PATIENCE
        )
        assert answer.tag == f"{{{SM}}}resumed", f"{self}: {show(answer)}"
        self.cut = False
        self._covers(answer)
        for each in self.unacknowledged:
            self.client.send(each)

    def _covers(self, element: Element) -> None:
        h = int(element.get("h", ""))
        assert self.acknowledged <= h, f"{self}: {self.acknowledged} were acknowledged, now {h}"
        self.taken += self.unacknowledged[: h - self.acknowledged]
        del self.unacknowledged[: h - self.acknowledged]
        self.acknowledged = h

    def send(self, xml: str) -> None:
        self.unacknowledged.append(xml)
        with suppress(OSError):
            self.client.send(xml)

    def ask(self) -> None:
        """For an acknowledgement."""
        with suppress(OSError):
            self.client.send(f"<r xmlns='{SM}'/>")

    # -- what comes

    def read(self) -> None:
        """All that has come."""
        inbox = self.client.inbox
        while inbox and not self.cut:
            self._take(inbox.pop(0))

    def _take(self, element: Element) -> None:
        if element.tag == f"{{{SM}}}r":
            with suppress(OSError):
                self.client.send(f"<a xmlns='{SM}' h='{self.h}'/>")
        elif element.tag == f"{{{SM}}}a":
            self._covers(element)
        elif element.tag == f"{{{SM}}}enabled":  # what came before does not count
            self.token, self.h = element.get("id", ""), 0
        elif element.tag.startswith(CLIENT):
            self.h += 1
            if element.get("type") == "error" and (error := element.find(CLIENT + "error")) is not None:
                self.errors[element.get("id", "")] = error[0].tag.rpartition("}")[2]
            if element.tag == CLIENT + "iq":
                self.answers[element.get("id", "")] = element
            elif self.room and element.get("from", "").partition("/")[0] == self.room:
                (self._sees if element.tag == CLIENT + "presence" else self._hears)(element)

    def _hears(self, message: Element) -> None:
        if message.find("{urn:xmpp:mam:2}result") is not None:
            self.results.append(message)
            return
        body = message.findtext(CLIENT + "body")
        if body is not None and message.get("type") != "error":
            self.bodies.append(body)
            sid = message.find("{urn:xmpp:sid:0}stanza-id")
            if sid is not None:
                self.ids[body] = sid.get("id", "")

    def _sees(self, presence: Element) -> None:
        nick = presence.get("from", "").partition("/")[2]
        x = presence.find(f"{{{USER}}}x")
        if x is None or presence.get("type") == "error":
            return
        item, codes = x.find(f"{{{USER}}}item"), {each.get("code") for each in x.iter(f"{{{USER}}}status")}
        assert item is not None, show(presence)
        if presence.get("type") == "unavailable":
            self.view.pop(nick, None)
            if "110" in codes and "303" in codes:
                self.nick = item.get("nick")
            elif "110" in codes:
                self.nick = None
                self.view.clear()
            return
        if "110" in codes:
            self.nick = nick
        self.view[nick] = Seen(
            item.get("affiliation"), item.get("role"), item.get("jid"), presence.findtext(CLIENT + "show")
        )

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Reads until it is so. Raises AssertionError."""
        with gevent.Timeout(
            PATIENCE, AssertionError(f"{self}: {what}; it sees {self.view}, errors {self.errors}")
        ):
            while True:
                self.client.news.clear()
                self.read()
                if condition():
                    return
                assert not self.client.lost, f"{self}: the stream ended before {what}"
                self.client.news.wait(1)

    # -- the room

    def enter(self, nick: str, inner: str = "", show: str | None = None) -> str:
        """Asks to enter; returns the stanza's id."""
        return self.presence(nick, f"<x xmlns='{MUC}'>{inner}</x>", show)

    def presence(self, nick: str, inner: str = "", show: str | None = None, type: str = "") -> str:
        id, shown = self.client.fresh(), f"<show>{show}</show>" if show else ""
        type = f" type='{type}'" if type else ""
        self.send(f"<presence to='{self.room}/{nick}' id='{id}'{type}>{shown}{inner}</presence>")
        return id

    def say(self, body: str) -> str:
        id = self.client.fresh()
        self.send(f"<message to='{self.room}' type='groupchat' id='{id}'><body>{body}</body></message>")
        return id

    def iq(self, kind: str, payload: str, to: str | None = None) -> str:
        """The condition of the error, or "result"."""
        id = self.client.fresh()
        self.send(f"<iq type='{kind}' id='{id}' to='{to or self.room}'>{payload}</iq>")
        self.until(lambda: id in self.answers, f"no answer to {payload}")
        return self.errors.get(id, "result")

    def admin(self, **attributes: str) -> str:
        item = "".join(f" {key}='{value}'" for key, value in attributes.items())
        return self.iq("set", f"<query xmlns='{ADMIN}'><item{item}/></query>")

    def settle(self) -> None:
        """Until all that the room had to say has come: it says all in one order, so what one says to oneself comes last."""
        if self.nick is None:
            self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", self.domain)
            return
        id = self.client.fresh()
        self.send(f"<message to='{self.room}/{self.nick}' type='chat' id='{id}'><body>{id}</body></message>")
        self.until(
            lambda: id in self.bodies or id in self.errors or self.nick is None, "what it said to itself"
        )
