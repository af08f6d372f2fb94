"""Answers to a client that take many stanzas: given in a greenlet of their own, as fast as the client takes them.

The client is heard meanwhile: with stream management it has to acknowledge what it got before it gets more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent

from ..hooks import LATER
from ..router import unexpected
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .notes import ANSWERS

if TYPE_CHECKING:
    from .host import Host
    from .session import Session

Work = Callable[["Session"], "Element | None"]
"""Sends the session what it asked for, and returns the result's payload. It may block, and raise StanzaError or StoreError."""

QUEUE = 10
"""Requests of one session that may wait for the one that is being answered."""


def later(host: Host, request: Element, work: Work) -> Any:
    """For an @iq handler to return: the answer to the request is what ``work`` returns. The requests of one session are
    answered one after the other. Does not block. Raises StanzaError: forbidden where no session of ours asks,
    resource-constraint where too many wait."""
    session = host.sessions.find(request.from_) if request.from_ is not None else None
    if session is None:
        raise StanzaError("forbidden")
    queue = session.notes.setdefault(ANSWERS, deque())
    if len(queue) > QUEUE:
        raise StanzaError("resource-constraint", "wait for the answers to your other requests", type="wait")
    queue.append((request, work))
    if len(queue) == 1:
        gevent.spawn(_answer, host, session, queue)
    return LATER


def _answer(host: Host, session: Session, queue: deque[tuple[Element, Work]]) -> None:
    while queue:
        request, work = queue[0]
        try:
            host.router.reply(request.reply(work(session)))
        except StanzaError as error:
            host.router.bounce(request, error)
        except Exception as error:
            host.router.bounce(request, unexpected(error))
        finally:
            queue.popleft()
