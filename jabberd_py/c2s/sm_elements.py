"""The elements of stream management (XEP-0198) that a client sends: sections 3 and 5.

`enable` and `resume` return what the server answers: whoever asked sends it, alone or inside another element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..jsm.session import Session
from ..xdb import StoreError, xdb
from ..xmpp import ns
from ..xmpp.element import Element
from ..xmpp.errors import StreamError
from ..xmpp.sm import SM, count_of
from .sm import StreamManagement

if TYPE_CHECKING:
    from .client import Client


class Resumption(NamedTuple):
    """``answer``: ``<resumed/>`` or ``<failed/>``. ``sm``: what was resumed; `finish` comes behind the answer, at once."""

    answer: Element
    sm: StreamManagement | None = None

    def finish(self, client: Client) -> None:
        """What the client has not acknowledged goes out again, and the negotiation is over."""
        if self.sm is not None:
            self.sm.replay(client)
            client.bound(self.sm.session)


def take(client: Client, element: Element) -> None:
    """``<enable/>``, ``<resume/>``, ``<r/>`` and ``<a/>`` as elements of their own. Raises StreamError."""
    session = client.session
    sm = session.sm if session is not None else None
    if isinstance(sm, StreamManagement) and sm.take(element):
        return
    if element.name == "enable" and session is not None and sm is None:
        client.say(enable(client, session, element))
    elif element.name == "resume" and session is None and client.user is not None:
        resumption = resume(client, element)
        client.say(resumption.answer)
        resumption.finish(client)
    elif element.name in ("enable", "resume"):
        client.say(failed("unexpected-request"))
    else:
        raise StreamError("unsupported-stanza-type")


def failed(condition: str) -> Element:
    return Element("failed", SM, Element(condition, ns.STANZAS))


def enable(client: Client, session: Session, element: Element) -> Element:
    """``<enabled/>``. Blocks until what it promises is committed. From here on stanzas to the client are counted: the answer
    has to be sent at once."""
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
    session.sm = sm
    if not sm.resumable:
        return Element("enabled", SM)
    service.resumable[sm.token] = sm
    enabled = Element("enabled", SM, id=sm.token, resume="true", max=int(wait))
    if service.options.location:
        enabled.attrs["location"] = service.options.location
    return enabled


def resume(client: Client, element: Element) -> Resumption:
    """Blocks until all that ``<resumed/>`` acknowledges is committed. Raises StreamError."""
    if not client.service.options.resume_timeout:
        return Resumption(failed("feature-not-implemented"))
    h = count_of(element)
    if h is None or "previd" not in element.attrs:
        return Resumption(failed("bad-request"))
    sm = client.service.resumable.get(element.attrs["previd"])
    since = None if sm is None else sm.forgotten
    # a stranger learns nothing from the answer
    resumed = sm.resume(client, h) if sm is not None and sm.session.user == client.user else None
    if sm is None or resumed is None:
        return Resumption(failed("item-not-found"))
    if since is not None:
        for each in sm.session.host.router.everybody:
            each.hooks.tell("recovered", sm.session.full, since)
    return Resumption(resumed, sm)
