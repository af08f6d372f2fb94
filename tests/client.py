"""An XMPP client for tests. It shares no code with the server.

c = Client(("127.0.0.1", 5222), "localhost").login("romeo", "secret", "balcony").available()
c.send("<message to='juliet@localhost'><body>hi</body></message>")
c.gets("<message from='juliet@localhost/...'><body>...</body></message>")      # see tests/match.py
c.nothing("<message/>")
"""

from base64 import b64decode, b64encode
from typing import Any, Self
from weakref import WeakSet
from xml.etree.ElementTree import Element

from tests.match import CLIENT, matches, parse, show
from tests.scram import Scram, server_end_point
from tests.stream import TIMEOUT, Stream

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
MECHANISMS = (
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "PLAIN",
)
BINDINGS = ("tls-server-end-point", "tls-unique")


class AuthFailed(Exception):
    """SASL failed; `condition` is the failure's condition, `element` the whole <failure/>."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self.condition = _name(element[0]) if len(element) else ""
        super().__init__(self.condition)


class Client(Stream):
    """A stream that logs in; see Stream for its options and for `gets`, `iq`, `raw`, `closed`, `abort` ..."""

    living: "WeakSet[Client]" = WeakSet()  # the bound ones: `nothing` waits for what they sent

    def __init__(
        self,
        address: tuple[str, int],
        domain: str = "localhost",
        tls: str = "starttls",
        cafile: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(address, domain, tls, cafile, **options)
        self.account: Any = None  # who it belongs to, where fixtures made it
        self.user = self.password = self.jid = self.bare = self.resource = ""

    def __repr__(self) -> str:
        return f"<Client {self.jid or self.user or self.domain}>"

    # -- logging in

    def register(self, user: str, password: str) -> Self:
        """In-band registration before login (XEP-0077)."""
        answer = self.iq(
            "set",
            f"<query xmlns='jabber:iq:register'><username>{user}</username>"
            f"<password>{password}</password></query>",
        )
        assert answer.get("type") == "result", show(answer)
        return self

    def auth(
        self,
        user: str = "",
        password: str = "",
        mechanism: str | None = None,
        *,
        authzid: str = "",
        binding: str | None = None,
    ) -> Self:
        """SASL with the best mechanism offered, or the one given (offered or not); then a new stream.

        `binding`: the channel binding's type for -PLUS. Raises AuthFailed.
        """
        offered = [element.text for element in self.features.iter(f"{{{SASL}}}mechanism")]
        binding = binding or self._binding()
        if mechanism is None:
            usable = [name for name in MECHANISMS if binding or not name.endswith("-PLUS")]
            usable = usable if user else ["EXTERNAL", "ANONYMOUS"]
            mechanism = next((name for name in usable if name in offered), None)
            assert mechanism, f"none of {usable} in {offered}"
        if mechanism.startswith("SCRAM-"):
            plus = any(name.endswith("-PLUS") for name in offered if name)
            bound = (binding, self.channel(binding)) if mechanism.endswith("-PLUS") and binding else None
            flag = "y" if self.tls != "none" and not plus else "n"
            scram = Scram(mechanism, user, password, binding=bound, flag=flag, authzid=authzid)
            answer = self.sasl("auth", scram.first(), f" mechanism='{mechanism}'")
            if answer.tag == f"{{{SASL}}}challenge":
                answer = self.sasl("response", scram.final(b64decode(answer.text or "")))
            if answer.tag == f"{{{SASL}}}challenge":  # the signature in a challenge of its own
                scram.verify(b64decode(answer.text or ""))
                answer = self.sasl("response", b"")
            elif answer.tag == f"{{{SASL}}}success":
                scram.verify(b64decode(answer.text or ""))
        elif mechanism == "PLAIN":
            answer = self.sasl("auth", f"{authzid}\0{user}\0{password}".encode(), " mechanism='PLAIN'")
        else:
            answer = self.sasl("auth", authzid.encode(), f" mechanism='{mechanism}'")
        if answer.tag != f"{{{SASL}}}success":
            raise AuthFailed(answer)
        self.user, self.password = user, password
        self.open()
        return self

    def sasl(self, name: str, data: bytes | None, attributes: str = "") -> Element:
        """One SASL step (data None: no initial response, b"": an empty one), and the server's answer."""
        text = "" if data is None else b64encode(data).decode() or "="
        self.send(f"<{name} xmlns='{SASL}'{attributes}>{text}</{name}>")
        return self.take(
            lambda element: element.tag.startswith(f"{{{SASL}}}"), f"<success xmlns='{SASL}'/>", TIMEOUT
        )

    def _binding(self) -> str | None:
        if self.tls == "none":
            return None
        named = [element.get("type") for element in self.features.iter("{urn:xmpp:sasl-cb:0}channel-binding")]
        if not named:  # no XEP-0440: RFC 5802's default, where this TLS version has it
            return "tls-unique" if self.socket.version() == "TLSv1.2" else BINDINGS[0]
        return next((kind for kind in BINDINGS if kind in named), None)

    def channel(self, binding: str) -> bytes:
        """The channel binding's data."""
        if binding == "tls-server-end-point":
            return server_end_point(self.socket.getpeercert(True))
        data = self.socket.get_channel_binding(binding)
        assert data is not None, f"{binding} is undefined here"
        return data

    def bind(self, resource: str | None = None) -> Self:
        wish = f"<resource>{resource}</resource>" if resource else ""
        answer = self.iq("set", f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>{wish}</bind>")
        assert answer.get("type") == "result", show(answer)
        self.jid = answer.findtext(".//{urn:ietf:params:xml:ns:xmpp-bind}jid") or ""
        self.bare, _, self.resource = self.jid.partition("/")
        self.user = self.bare.partition("@")[0]
        Client.living.add(self)
        return self

    def session(self) -> Self:
        """RFC 3921's session, for servers that still want it."""
        answer = self.iq("set", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>")
        assert answer.get("type") == "result", show(answer)
        return self

    def login(
        self, user: str = "", password: str = "", resource: str | None = None, mechanism: str | None = None
    ) -> Self:
        """Connected (if it is not yet), authenticated, bound; no presence yet."""
        if not self.socket:
            self.connect()
        return self.auth(user, password, mechanism).bind(resource)

    def available(self, priority: int = 0, show: str | None = None) -> Self:
        """Presence to all, and it is known to be dealt with: our own has come back."""
        payload = f"<priority>{priority}</priority>" + (f"<show>{show}</show>" if show else "")
        self.send(f"<presence>{payload}</presence>")
        self.gets(f"<presence type='!absent' from='{_quote(self.jid)}'>{payload}</presence>")
        return self

    # -- nothing came

    def sync(self, domain: str | None = None) -> None:
        """When this returns, the domain has dealt with what we sent before, and we have what it sent us."""
        number = f"sync-{self.fresh()}"
        to = domain or self.domain
        self.send(f"<iq type='get' id='{number}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.answer(number)

    def nothing(self, template: str | None = None) -> None:
        """Nothing that matches is in the inbox, nor on its way because of what any living client sent.

        No sleep: a client's stanzas are dealt with in order, so a ping behind them finds them done.
        """
        for other in list(Client.living):
            if other is not self and not other.lost:
                other.sync(self.domain)
        self.sync()
        want = parse(template) if template else None
        found = [show(element) for element in self.inbox if want is None or not matches(want, element)]
        assert not found, f"{self!r} should not have got:\n  " + "\n  ".join(found)


def subscribe_both(a: Client, b: Client) -> None:
    """Mutual contacts by the dance of RFC 6121, 3.1. Both must be available; its traces are taken."""
    for one in (a, b):
        one.iq("get", "<query xmlns='jabber:iq:roster'/>")  # only the interested hear of subscriptions
    for asking, asked in ((a, b), (b, a)):
        asking.send(f"<presence to='{_quote(asked.bare)}' type='subscribe'/>")
        asked.gets(f"<presence from='{_quote(asking.bare)}' type='subscribe'/>", 10)
        asked.send(f"<presence to='{_quote(asking.bare)}' type='subscribed'/>")
        asking.gets(f"<presence from='{_quote(asked.bare)}' type='subscribed'/>", 10)
        asking.gets(f"<presence from='{_quote(asked.jid)}' type='!absent'/>", 10)
    for one in (a, b):
        one.sync()
        one.inbox = [element for element in one.inbox if not _trace(element)]


def _trace(element: Element) -> bool:
    return (
        element.tag == f"{{{CLIENT}}}presence"
        or element.tag == f"{{{CLIENT}}}iq"
        and bool(element.findall("{jabber:iq:roster}query"))
    )


def _quote(jid: str) -> str:
    return jid.replace("&", "&amp;").replace("'", "&apos;").replace("<", "&lt;")


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]
