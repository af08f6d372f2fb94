"""Answers to a client that take many stanzas: given in a greenlet of their own, as fast as the client takes them.

The client is heard meanwhile: with stream management it has to acknowledge what it got before it gets more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent

from ..archive.results import Reader
from ..hooks import LATER
from ..router import unexpected
from ..xdb import xdb
from ..xmpp.element import Element
from ..xmpp.errors import StanzaError
from .notes import ANSWERS

if TYPE_CHECKING:
    from ..router import Router
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


_asking: dict[str, deque[tuple[Element, Callable[[Reader], Element | None]]]] = {}
ASKING = 1000
"""Addresses that may wait for answers at a time, where they are no sessions of the host that answers."""


def for_anybody(router: Router, request: Element, work: Callable[[Reader], Element | None]) -> Any:
    """The same for a service, which is asked by users of any server. ``work`` gets the reader of its results
    (`archive.answer`). Does not block. Raises StanzaError: resource-constraint where too many wait."""
    asker = request.attrs["from"]
    queue = _asking.get(asker)
    if queue is None and len(_asking) >= ASKING or queue is not None and len(queue) > QUEUE:
        raise StanzaError("resource-constraint", "wait for the answers to other requests", type="wait")
    if queue is None:
        queue = _asking[asker] = deque()
        gevent.spawn(_answer_all, router, asker, queue)
    queue.append((request, work))
    return LATER


def _answer_all(router: Router, asker: str, queue: deque[Any]) -> None:
    while queue:
        request, work = queue[0]
        try:
            jid = request.from_
            assert jid is not None
            reader = Reader(str(jid), router.deliver, router.pace(jid))
            router.reply(request.reply(work(reader)))
        except StanzaError as error:
            router.bounce(request, error)
        except Exception as error:
            router.bounce(request, unexpected(error))
        finally:
            queue.popleft()
            xdb.release()
    del _asking[asker]


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
