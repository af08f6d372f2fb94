"""A client over BOSH for tests. `Bosh` posts bodies; `BoshClient` is a `tests.client.Client` that does so by itself."""

import itertools
from base64 import b64encode
from typing import Any, Self
from xml.etree.ElementTree import Element, fromstring

import gevent

from tests.client import Client
from tests.http.web import Answer, Web
from tests.match import show
from tests.server import ServerProcess

HTTPBIND, XBOSH = "http://jabber.org/protocol/httpbind", "urn:xmpp:xbosh"


class Bosh:
    """Bodies by hand. `rid`: of the last request."""

    def __init__(self, server: ServerProcess, domain: str = "localhost", kind: str = "https") -> None:
        self.server, self.domain, self.kind = server, domain, kind
        self.rid, self.sid = 1_000_000, ""
        self.idle: list[Web] = []
        self.extra: dict[str, str] = {}

    def web(self) -> Web:
        return self.idle.pop() if self.idle else Web(self.server, self.kind)

    def raw(self, data: str) -> Answer:
        web = self.web()
        answer = web.request("POST", "/http-bind", data.encode(), Content_Type="text/xml", **self.extra)
        self.idle.append(web)
        return answer

    def body(self, payload: str = "", rid: int | None = None, **attrs: str) -> str:
        if rid is None:
            rid = self.rid = self.rid + 1
        said = {"rid": str(rid), **({"sid": self.sid} if self.sid else {}), **attrs}
        words = " ".join(f"{name.replace('_', ':')}='{value}'" for name, value in said.items())
        return f"<body xmlns='{HTTPBIND}' xmlns:xmpp='{XBOSH}' {words}>{payload}</body>"

    def post(self, payload: str = "", rid: int | None = None, **attrs: str) -> Element:
        answer = self.raw(self.body(payload, rid, **attrs))
        assert answer.status == 200, answer
        return fromstring(answer.body)

    def later(self, payload: str = "", rid: int | None = None, **attrs: str) -> Any:
        """The same in a greenlet of its own; `get` gives the answer."""
        data = self.body(payload, rid, **attrs)
        greenlet = gevent.spawn(self.raw, data)
        gevent.sleep(0.05)
        return greenlet

    def begin(self, **attrs: str) -> Element:
        """A session."""
        said = {"to": self.domain, "hold": "1", "wait": "10", "ver": "1.6", "xmpp_version": "1.0", **attrs}
        answer = self.post(**said)
        self.sid = answer.get("sid", "")
        return answer


class BoshClient(Client):
    """`answers`: the attributes of all bodies."""

    def __init__(
        self, server: ServerProcess, domain: str = "localhost", kind: str = "https", **attrs: str
    ) -> None:
        super().__init__(server.address("c2s"), domain, "none")
        self.bosh = Bosh(server, domain, kind)
        self.attrs, self.answers = attrs, itertools.count()
        self.open_requests = 0
        self.opened = False
        self.socket: Any = self

    def connect(self) -> Self:
        self.open()
        return self

    def open(self, to: str | None = None, attributes: str = "") -> Element:
        if self.opened:
            self._post("", xmpp_restart="true", to=self.domain)
        else:
            self.opened = True
            self._heard(self.bosh.begin(**self.attrs))
        self.features = self.gets("<stream:features/>")
        return self.features

    def send(self, xml: str) -> None:
        if xml == "</stream:stream>":
            self._post("", type="terminate")
            return
        for name in ("message", "presence", "iq"):
            if xml.startswith(f"<{name}") and "xmlns" not in xml.partition(">")[0]:
                xml = xml.replace(f"<{name}", f"<{name} xmlns='jabber:client'", 1)
        self._post(xml)

    def _post(self, payload: str, **attrs: str) -> None:
        self.open_requests += 1
        data = self.bosh.body(payload, **attrs)
        gevent.spawn(self._exchange, data)

    def _exchange(self, data: str) -> None:
        try:
            answer = fromstring(self.bosh.raw(data).body)
        except (OSError, EOFError):
            self.lost = True
            self.news.set()
            return
        self.open_requests -= 1
        self._heard(answer)

    def _heard(self, answer: Element) -> None:
        self.inbox += list(answer)
        if answer.get("type") == "terminate":
            self.ended = self.lost = True
            self.condition = answer.get("condition")
        elif not self.open_requests and not self.lost:
            self._post("")
        self.news.set()

    def _drop(self) -> None:
        self.lost = True
        for web in self.bosh.idle:
            web.close()


def logged_in(bosh: Bosh, who: Any, **attrs: str) -> str:
    """By hand, up to the bound resource."""
    bosh.begin(**attrs)
    proof = b64encode(f"\0{who.user}\0{who.password}".encode()).decode()
    sasl = "urn:ietf:params:xml:ns:xmpp-sasl"
    assert "success" in show(bosh.post(f"<auth xmlns='{sasl}' mechanism='PLAIN'>{proof}</auth>"))
    assert "xmpp-bind" in show(bosh.post(xmpp_restart="true", to="localhost"))
    answer = bosh.post(
        "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
    )
    return answer.findtext(".//{*}jid") or ""
