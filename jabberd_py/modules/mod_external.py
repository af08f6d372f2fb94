"""XEP-0215: External Service Discovery: STUN and TURN servers for calls, with credentials that expire."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, NamedTuple

import gevent

from ..hooks import Module, Option, duration, iq, list_of, on, optional
from ..jsm.notes import EXTERNAL
from ..net.turns import fairly
from ..options import nearest
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from ..xmpp.jid import JID
from ..xmpp.protocols import XEP
from ..xmpp.stamp import utc

NS = "urn:xmpp:extdisco:2"
USUAL = {"stun": (3478, "udp"), "turn": (3478, "udp"), "stuns": (5349, "tcp"), "turns": (5349, "tcp")}
"""Type -> its usual port and transport."""
RELAYS = ("turn", "turns")
_uri = re.compile(r"([a-z]+):(\[[0-9a-f:.]+\]|[^:?/@\s]+)(?::(\d+))?(?:\?transport=(\w+))?", re.I).fullmatch
"""As RFC 7064 and 7065 write it."""
_ncname = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*").fullmatch


class ExternalService(NamedTuple):
    """One of the option ``services``. ``secret``: what credentials are made of; or else ``username`` and ``password`` are those
    of everybody."""

    type: str
    host: str
    port: int | None = None
    transport: str | None = None
    name: str | None = None
    secret: str | None = None
    username: str | None = None
    password: str | None = None

    @property
    def key(self) -> tuple[object, ...]:
        return self[:4]


def service(value: Any) -> ExternalService:
    """A URI such as ``turn:turn.example.org:3478?transport=udp``; or a mapping: type, host, port, transport, name, and secret,
    or username and password. Raises ValueError."""
    if isinstance(value, ExternalService):
        return value
    if found := _uri(value) if isinstance(value, str) else None:
        value = dict(
            zip(
                ExternalService._fields,
                (found[1].lower(), found[2].strip("[]"), *found.groups()[2:]),
                strict=False,
            )
        )
    if not isinstance(value, Mapping):
        raise ValueError(
            f"must be such as turn:turn.example.org or {{type: turn, host: turn.example.org}}, not {value!r:.60}"
        )
    known = ExternalService._fields
    if wrong := [each for each in value if each not in known]:
        raise ValueError(f"a service has no {wrong[0]!r:.60}" + nearest(str(wrong[0]), known))
    said = {key: str(each) for key, each in value.items() if each is not None}
    kind, host = said.get("type", ""), said.get("host", "")
    if not _ncname(kind):
        raise ValueError(f"a service has a type such as stun or turn, not {kind!r:.60}")
    if not host or any(each.isspace() or each in "/@[]" for each in host):
        raise ValueError(f"a service has a host, a name or an address, not {host!r:.60}")
    port, transport = USUAL.get(kind, (None, None))
    if "port" in said and not (
        said["port"].isascii() and said["port"].isdigit() and 0 < int(said["port"]) < 65536
    ):
        raise ValueError(f"a port is a number from 1 to 65535, not {said['port']!r:.60}")
    if said.get("transport", "udp") not in ("udp", "tcp"):
        raise ValueError(f"a transport is udp or tcp, not {said['transport']!r:.60}")
    if ("username" in said) != ("password" in said) or ("username" in said and "secret" in said):
        raise ValueError("credentials are a secret, or a username and a password")
    whole: dict[str, Any] = {"transport": transport, **said, "port": int(said.get("port", port or 0)) or None}
    return ExternalService(**whole)


class External(Module):
    """Tells the host's users which STUN and TURN servers there are, for calls, and makes credentials for them (XEP-0215)."""

    protocols = (XEP(215, "1.0.0", "External Service Discovery"),)
    default = False

    services = Option[list[ExternalService]](
        list_of(service),
        [],
        "the services: each as turn:turn.example.org, stuns:192.0.2.1:5349?transport=tcp, or {type: turn, host: "
        "turn.example.org}; then port, transport, name, and secret, or username and password may be said, too",
        secret=True,
    )
    secret = Option[str | None](
        optional(str),
        None,
        "what this server shares with the TURN servers that have no credentials of their own (coturn: static-auth-secret)",
        secret=True,
    )
    ttl = Option(duration, "1d", "how long credentials made of a secret are valid", min=60)

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.changes: list[tuple[str, ExternalService]] = []

    # -- who asks ---------------------------------------------------------------------------------------

    @iq("get", NS, "services")
    def show(self, request: Element) -> Element:
        """All services, or those of a type."""
        user, kind = self._user(request), request.payload.attrs.get("type")
        if request.session is not None:
            request.session.notes[EXTERNAL] = kind or ""
        found = (self._element(each, user) for each in self.services if kind in (None, each.type))
        return Element("services", NS, *found, type=kind)

    @iq("get", NS, "credentials")
    def credentials(self, request: Element) -> Element:
        """For one service, wherever the client knows it from."""
        user = self._user(request)
        wanted = request.payload.child("service", NS)
        said = {} if wanted is None else wanted.attrs
        if not said.get("host") or not said.get("type"):
            raise StanzaError("bad-request", "a service has a host and a type")
        found = [
            each
            for each in self.services
            if (each.host, each.type) == (said["host"], said["type"])
            and said.get("port", str(each.port)) == str(each.port)
            and self._credentials(each, user)
        ]
        if not found:
            raise StanzaError("item-not-found", "no credentials for such a service")
        return Element("credentials", NS, *(self._element(each, user) for each in found))

    def _user(self, request: Element) -> JID:
        sender = request.from_
        assert sender is not None and request.payload is not None
        if sender.domain != self.host.domain or sender.node is None:
            raise StanzaError("forbidden", f"only for accounts of {self.host.domain}")
        return sender

    def _element(self, each: ExternalService, user: JID, action: str | None = None) -> Element:
        attrs = {
            "type": each.type,
            "host": each.host,
            "port": each.port,
            "transport": each.transport,
            "name": each.name,
        }
        more = {} if action == "delete" else self._credentials(each, user)
        return Element("service", NS, action=action, **attrs, **more)

    def _credentials(self, each: ExternalService, user: JID) -> dict[str, str]:
        """As draft-uberti-behave-turn-rest says, and coturn does: the name is the end of its validity and the user, the
        password its HMAC."""
        if each.username is not None:
            return {"username": each.username, "password": str(each.password), "restricted": "true"}
        secret = each.secret or (self.secret if each.type in RELAYS else None)
        if not secret:
            return {}
        end = int(time.time() + self.ttl)
        name = f"{end}:{user.node}"
        password = b64encode(hmac.digest(secret.encode(), name.encode(), hashlib.sha1)).decode()
        return {"username": name, "password": password, "expires": utc(end), "restricted": "true"}

    # -- pushes -------------------------------------------------------------------------------------------

    def configure(self, settings: Mapping[str, Any]) -> None:
        before = {each.key: (each, self._secret(each)) for each in self.services}
        super().configure(settings)
        after = {each.key: (each, self._secret(each)) for each in self.services}
        self.changes = [
            *(("delete", was[0]) for key, was in before.items() if key not in after),
            *(
                ("modify" if key in before else "add", now[0])
                for key, now in after.items()
                if before.get(key) != now
            ),
        ]

    def _secret(self, each: ExternalService) -> str | None:
        return self.secret if each.type in RELAYS and each.username is None else None

    @on("reload")
    def push(self) -> None:
        """Tells who has asked what has changed."""
        changes, self.changes = self.changes, []
        if changes:
            gevent.spawn(self._push, changes)

    def _push(self, changes: list[tuple[str, ExternalService]]) -> None:
        for session in fairly(self.host.sessions):
            kind = session.notes.get(EXTERNAL)
            theirs = [] if kind is None else [each for each in changes if kind in ("", each[1].type)]
            if theirs:
                services = (self._element(each, session.jid, action) for action, each in theirs)
                payload = Element("services", NS, *services, type=kind or None)
                push = Element("iq", ns.CLIENT, payload, type="set", id=secrets.token_hex(6))
                push.attrs |= {"from": self.host.domain, "to": session.full}
                session.send(push)
