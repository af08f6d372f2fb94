"""XEP-0077: In-Band Registration, with questions to strangers (XEP-0158)."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from .. import log
from ..hooks import HANDLED, Module, Option, duration, iq, list_of, mapping_of, on
from ..instance import Instance
from ..jsm.notes import REGISTERED
from ..jsm.stream import ClientStream
from ..jsm.tickets import by_ticket
from ..net.karma import Karma, neighbourhood
from ..net.networks import loopback
from ..xmpp import forms, ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError, error_reply
from ..xmpp.jid import JID
from ..xmpp.prep import nodeprep
from ..xmpp.protocols import XEP
from ..xmpp.syntax import check

logger = log.get(__name__)

NS = "jabber:iq:register"
FEATURE = "http://jabber.org/features/iq-register"
RESERVED = [
    "abuse", "admin", "administrator", "hostmaster", "info", "operator", "postmaster", "root", "security",
    "server", "support", "sysadmin", "system", "webmaster", "xmpp",
]  # fmt: skip


class Application(NamedTuple):
    """What somebody says who wants an account. ``challenge``: which question the answer is for; ``reason``: why an account."""

    username: str
    password: str
    challenge: str = ""
    answer: str = ""
    reason: str = ""


def answer_early(
    stream: ClientStream, request: Element, work: Callable[[ClientStream, Element], Element | None]
) -> None:
    """Answers an IQ on a stream that has not logged in: with the payload that ``work`` returns, or the error that it raises
    (StanzaError; ValueError is not-acceptable). Blocks as ``work`` does."""
    reply: Element | None
    try:
        check(request)
        reply = request.reply(work(stream, request))
    except StanzaError as error:
        reply = error_reply(request, error)
    except ValueError as error:
        reply = error_reply(request, StanzaError("not-acceptable", str(error)))
    if reply is not None:
        stream.send(reply.to_bytes())


class Register(Module):
    """Lets strangers make an account, and users change their password and remove their account."""

    protocols = (
        XEP(77, "2.4", "In-Band Registration", missing="redirection"),
        XEP(158, "1.0", "CAPTCHA Forms", missing="all but questions (qa) at registration"),
    )
    needs = ("approval",)
    default = False
    features = (NS,)
    strangers = Option(bool, True, "may strangers make accounts? If not, users still change passwords here")
    removal = Option(bool, True, "may users remove their accounts?")
    approval = Option(
        bool, False, "does an administrator have to approve each account? Then people are asked for a reason"
    )
    questions = Option[dict[str, str]](
        mapping_of(str),
        {},
        "questions of which a stranger has to answer one: each with its answers, separated by |",
    )
    instructions = Option(str, "Choose a username and a password.", "what people read above the form")
    reserved = Option(
        list_of(nodeprep), RESERVED, "names that nobody can take here, nor others that look like them"
    )
    per_address = Option(
        int, 5, "accounts one address (IPv6: /64) may ask for in a row; 0: any number", min=0
    )
    per_stream = Option(int, 1, "accounts that may be made on one stream, before it logs in", min=1)
    refill = Option(duration, "1h", "time after which an address may ask for one account more", min=1)

    def __init__(self, host: Instance, settings: Mapping[str, Any] | None = None) -> None:
        super().__init__(host, settings)
        self.karma = Karma(1 / self.refill, self.per_address)

    def configure(self, settings: Mapping[str, Any]) -> None:
        super().configure(settings)
        self.karma.limit(1 / self.refill, self.per_address)

    # -- before login --------------------------------------------------------------------

    @on("features")
    def offer(self, stream: ClientStream, features: Element) -> None:
        if stream.user is None and self._open(stream) and features.child("register", FEATURE) is None:
            features.append(Element("register", FEATURE))

    @on("negotiate")
    def meet(self, stream: ClientStream, request: Element) -> bool | None:
        """An IQ for this domain, or without ``to``, on a stream that has not logged in."""
        if stream.user is not None or (request.name, request.ns) != ("iq", ns.CLIENT):
            return None
        if not request.has("query", NS) or not self._for_us(request):
            return None
        answer_early(stream, request, self._serve)
        return HANDLED

    def _for_us(self, request: Element) -> bool:
        try:
            return request.to in (None, self.host.jid)
        except ValueError:
            return False

    def _serve(self, stream: ClientStream, request: Element) -> Element | None:
        if not self.strangers or self.host.options.anonymous:
            raise StanzaError("service-unavailable")
        if not self._open(stream):
            raise StanzaError("not-authorized", "start TLS first", type="modify")
        query = request.payload
        if request.type == "get":
            fields = [Element(name, NS) for name in ("username", "password")]
            form = self._form() if self.asks else None
            return Element("query", NS, Element("instructions", NS, self.instructions), *fields, form)
        if query.child("remove", NS) is not None:
            raise StanzaError("unexpected-request", "log in first")
        made = stream.notes.get(REGISTERED, 0)
        if made >= self.per_stream:
            raise StanzaError("not-acceptable", "this stream has made its account")
        self.register(_read(query), stream.address, loopback(stream.address))
        stream.notes[REGISTERED] = made + 1
        return None

    def _form(self) -> Element:
        form = forms.Form("form", "Registration", self.instructions, NS)
        form.field("username", "text-single", "Username", required=True)
        form.field("password", "text-private", "Password", required=True)
        if self.questions:
            challenge, question = self.question()
            form.field("challenge", "hidden", value=challenge)
            form.field("qa", "text-single", question, required=True)
        if self.approval:
            form.field("text", "text-single", "Why would you like an account here?", required=True)
        return form.element()

    def _open(self, stream: ClientStream) -> bool:
        """May an account be made on this stream?"""
        return self.strangers and stream.private and not self.host.options.anonymous

    # -- also for pages on the web ---------------------------------------------------------------------

    wish = staticmethod(Application)

    @property
    def asks(self) -> bool:
        """Do strangers have to say more than a name and a password?"""
        return bool(self.questions) or self.approval

    def question(self) -> tuple[str, str]:
        """One of the questions, with the name of the challenge."""
        question = random.choice(list(self.questions))
        return _challenge(question), question

    def register(self, wish: Application, address: str, here: bool = False) -> str:
        """Makes an account for a stranger; its address. ``here``: who asks is on this machine. Blocks. Raises StanzaError,
        ValueError (no good name), StoreError."""
        if not self.strangers or self.host.options.anonymous:
            raise StanzaError("service-unavailable", "nobody can make an account here")
        if not wish.username or not wish.password:
            raise StanzaError("not-acceptable", "a username and a password are needed")
        node = name_of(wish.username)
        self.host.users.check_password(wish.password)
        reason = self.host["approval"].check(wish.reason) if self.approval else ""
        # a name that is taken costs a token, too: else anybody could find out which accounts exist
        if self.per_address and not self.karma.spend(neighbourhood(address)):
            logger.warning("too many registrations", address=address)
            raise StanzaError("not-acceptable", "too many accounts from your address", type="wait")
        if self.questions and not self._right(wish.challenge, wish.answer):
            raise StanzaError("not-acceptable", "the answer to the question is wrong")
        user = str(self.host.users.jid(f"{node}@{self.host.domain}"))
        self.host.users.check_stranger(user, self.reserved, here)
        if self.approval:
            for rule in self.host.users.names:
                rule(user)
            enter = partial(self.host["approval"].enter, reason=reason, address=address)
            self.host.users.create(user, wish.password, enter, disabled=True)
            self.host["approval"].ask(user, reason, address)
        else:
            self.host.users.create(user, wish.password)
        logger.info("registered", user=user, address=address)
        self.host.hooks.tell("registered", user, address)
        return user

    def _right(self, challenge: str, answer: str) -> bool:
        for question, answers in self.questions.items():
            if _challenge(question) == challenge:
                return _plain(answer) in [_plain(each) for each in answers.split("|")]
        return False

    # -- users -----------------------------------------------------------------------------

    @iq("get", NS, "query")
    def show(self, request: Element) -> Element:
        node = self._user(request).node
        note = Element("instructions", NS, "You can change your password or remove your account.")
        fields = (Element("username", NS, node), Element("password", NS))
        return Element("query", NS, Element("registered", NS), note, *fields)

    @iq("set", NS, "query")
    def change(self, request: Element) -> None:
        user, query = self._user(request), request.payload
        if request.session is not None and by_ticket(request.session):
            raise StanzaError("not-allowed", "the web chat does not know your password: do this at /account")
        if query.child("remove", NS) is None:
            self._set_password(user, request)
        elif len(list(query.elements())) > 1:
            raise StanzaError("bad-request")
        elif not self.removal:
            raise StanzaError("not-allowed")
        else:
            self.host.users.delete(str(user), self.host.sessions.find(request.from_))
            logger.info("account removed by its user", user=str(user))

    def _user(self, request: Element) -> JID:
        """The account that the request comes from."""
        user: JID = request.from_.bare
        if user.domain != self.host.domain or user.node is None or self.host.options.anonymous:
            raise StanzaError("registration-required" if request.type == "set" else "service-unavailable")
        return user

    def _set_password(self, user: JID, request: Element) -> None:
        query = request.payload
        username, password = query.text_of("username", NS), query.text_of("password", NS)
        if not username or not password:
            raise StanzaError("bad-request", "a username and a password are needed")
        session = self.host.sessions.find(request.from_)
        if session is None or not session.transport.private:
            raise StanzaError("not-authorized", "the stream is not encrypted", type="modify")
        try:
            if nodeprep(username) != user.node:
                raise StanzaError("not-allowed", "that is not your account")
            self.host.users.set_password(str(user), password)
        except ValueError as error:
            raise StanzaError("not-acceptable", str(error)) from None
        logger.info("password changed by its user", user=str(user))


def name_of(said: str) -> str:
    """The name of an account that somebody has chosen, prepared. Raises ValueError, with a name that would do."""
    try:
        return nodeprep(said)
    except ValueError:
        better = ".".join(re.findall(r"[^\W_]+", said[:100])).lower()
        hint = f": {better} would do" if better else ""
        raise ValueError(f"a name of an account has no spaces, and none of \" & ' / : < > @{hint}") from None


def reserved(host: Any) -> list[str]:
    """The names that nobody can take on that host, if it has this module or not."""
    register = host.modules.get("register")
    found: list[str] = RESERVED if register is None else register.reserved
    return found


def _read(query: Any) -> Application:
    """What the <query/> of a registration says, in fields or in a form. Raises StanzaError."""
    x = query.child("x", forms.NS)
    if x is None:
        return Application(query.text_of("username", NS) or "", query.text_of("password", NS) or "")
    try:
        values = {name: (found or [""])[0] for name, found in forms.read(x, NS).items()}
    except ValueError as error:
        raise StanzaError("not-acceptable", str(error)) from None
    names = ("username", "password", "challenge", "qa", "text")
    return Application(*(values.get(name, "") for name in names))


def _challenge(question: str) -> str:
    return hashlib.sha256(question.encode()).hexdigest()[:16]


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())
