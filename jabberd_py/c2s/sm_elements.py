"""The elements of stream management (XEP-0198) that a client sends: sections 3 and 5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..jsm.session import Session
from ..xdb import StoreError, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.sm import SM, count_of
from .sm import StreamManagement

if TYPE_CHECKING:
    from .client import Client


def negotiate(client: Client, element: Element) -> None:
    """``<enable/>``, ``<resume/>``, ``<r/>`` and ``<a/>``. Raises StreamError."""
    session = client.session
    sm = session.sm if session is not None else None
    if isinstance(sm, StreamManagement) and sm.take(element):
        return
    if element.name == "enable" and session is not None and sm is None:
        _enable(client, session, element)
    elif element.name == "resume" and session is None and client.user is not None:
        _resume(client, element)
    elif element.name in ("enable", "resume"):
        _failed(client, "unexpected-request")
    else:
        raise StreamError("unsupported-stanza-type")


def _failed(client: Client, condition: str, h: int | None = None) -> None:
    client.stream.send(Element("failed", SM, Element(condition, ns.STANZAS), h=h).to_bytes())


def _enable(client: Client, session: Session, element: Element) -> None:
    service = client.service
    wanted = element.attrs.get("resume") in ("true", "1")
    wait = service.options.resume_timeout
    sm = StreamManagement(service, wanted and wait > 0, client)
    sm.session = session
    if sm.resumable:
        try:
            ticket = sm.save()
            assert ticket is not None
            xdb.release()  # the writer may need the connection
            ticket.wait()  # what was promised outlives a crash
        except StoreError:
            sm.resumable = False
    session.sm = sm  # stanzas that were sent meanwhile are not counted: <enabled/> comes behind them
    if sm.resumable:
        service.resumable[sm.token] = sm
        enabled = Element("enabled", SM, id=sm.token, resume="true", max=int(wait))
        if service.options.location:
            enabled.attrs["location"] = service.options.location
        client.stream.send(enabled.to_bytes())
    else:
        client.stream.send(Element("enabled", SM).to_bytes())


def _resume(client: Client, element: Element) -> None:
    if not client.service.options.resume_timeout:
        _failed(client, "feature-not-implemented")
        return
    h = count_of(element)
    if h is None or "previd" not in element.attrs:
        _failed(client, "bad-request")
        return
    sm = client.service.resumable.get(element.attrs["previd"])
    # a stranger learns nothing from the answer
    if sm is None or sm.session.user != client.user or not sm.resume(client, h):
        _failed(client, "item-not-found")
        return
    client.negotiation = None
    client.bound(sm.session)
