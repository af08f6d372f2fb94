"""Webhooks: what happens on a host is told to web servers, signed (https://www.standardwebhooks.com)."""

from __future__ import annotations

import http.client
import json
import secrets
import time
from base64 import b64decode, b64encode
from collections import deque
from hashlib import sha256
from hmac import digest
from typing import Any, NamedTuple

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore

from .. import log
from ..hooks import Module, Option, command, duration, every, list_of, on
from ..jsm.session import Session
from ..net.webclient import Refused, post, url
from ..xdb import StoreError, xdb
from ..xmpp.element import Element
from ..xmpp.stamp import utc

logger = log.get(__name__)
STORED = "jabberd_py:webhook-secret"
PREFIX = "whsec_"
EVENTS = ("account.created", "account.deleted", "login", "messages", "upload", "report")
LONGEST = 3600.0
"""Seconds between two attempts at most."""


class Letter(NamedTuple):
    id: str
    event: str
    body: bytes


class Receiver:
    """One web server. It gets the letters one after the other, and holds up nobody else."""

    def __init__(self, hooks: Webhooks, address: str) -> None:
        self.hooks, self.address = hooks, address
        self.queue: deque[Letter] = deque()
        self.delivered = self.lost = 0
        self.trouble: str | None = None
        self.news = Event()
        self.worker = gevent.spawn(self._run)

    def put(self, letter: Letter) -> None:
        if len(self.queue) >= self.hooks.queue:
            self._lose("too many wait")
            return
        self.queue.append(letter)
        self.news.set()

    def _lose(self, reason: str) -> None:
        self.lost += 1
        if self.lost == 1 or self.lost % 100 == 0:
            logger.warning("a webhook is lost", url=self.address, reason=reason, lost=self.lost)

    def _run(self) -> None:
        while True:
            self.news.clear()
            while self.queue:
                self._deliver(self.queue[0])
                self.queue.popleft()
            self.news.wait()

    def _deliver(self, letter: Letter) -> None:
        wait = self.hooks.patience
        for attempt in range(self.hooks.attempts):
            if attempt:
                gevent.sleep(wait)
                wait = min(5 * wait, LONGEST)
            self.trouble = self._attempt(letter)
            if self.trouble is None:
                self.delivered += 1
                return
            logger.info("a webhook was not taken", url=self.address, type=letter.event, reason=self.trouble)
        self._lose(self.trouble or "")

    def _attempt(self, letter: Letter) -> str | None:
        """What went wrong, or None."""
        hooks = self.hooks
        try:
            with xdb.unit():
                key = hooks.key()
        except StoreError as error:
            return f"no key: {error}"[:200]
        now = str(int(time.time()))
        signed = f"{letter.id}.{now}.".encode() + letter.body
        headers = {
            "Content-Type": "application/json", "User-Agent": "jabberd_py", "webhook-id": letter.id, "webhook-timestamp": now,
            "webhook-signature": "v1," + b64encode(digest(key, signed, sha256)).decode(),
        }  # fmt: skip
        try:
            status = post(self.address, letter.body, headers, hooks.timeout, hooks.private)
        except gevent.Timeout:
            return "no answer in time"
        except (Refused, OSError, ValueError, http.client.HTTPException) as error:
            return " ".join(str(error).split())[:200] or type(error).__name__
        return None if 200 <= status < 300 else f"status {status}"


class Webhooks(Module):
    """Tells web servers what happens on a host: a POST of JSON, signed as Standard Webhooks says."""

    urls = Option[list[str]](list_of(url), [], "web servers that are told: https://...; none: nobody")
    events = Option(list_of(str), list(EVENTS), "events that they are told of", choices=EVENTS)
    private = Option(bool, False, "may they be in our own network, and without TLS?")
    queue = Option(int, 1000, "events that wait for one of them; then new ones are lost", min=1)
    attempts = Option(int, 8, "how often each event is tried", min=1, max=20)
    patience = Option(
        duration, "2s", "time before the second attempt; each further one waits five times as long", min=0
    )
    timeout = Option(duration, "10s", "time for one attempt", min=1)

    @on("start")
    def start(self) -> None:
        self.receivers: dict[str, Receiver] = {}
        self.secret = b""
        self.busy = BoundedSemaphore()
        self.sent = self.received = 0
        self.counted = time.time()
        self._change()

    @on("reload")
    def _change(self) -> None:
        for address in self.receivers.keys() - set(self.urls):
            self.receivers.pop(address).worker.kill(block=False)
        for address in self.urls:
            if address not in self.receivers:
                self.receivers[address] = Receiver(self, address)
        for event, handler in (("out", self._sent), ("deliver", self._received)):
            chain = self.host.hooks.chains[event]
            chain.remove(handler)
            if self.receivers and "messages" in self.events:  # else nobody counts
                chain.add(handler, "message")

    @on("stop")
    def stop(self) -> None:
        for each in self.receivers.values():
            each.worker.kill(block=False)
        self.receivers = {}

    def key(self) -> bytes:
        """What the letters of this host are signed with. The first call reads or makes it, and blocks. Raises StoreError."""
        with self.busy:
            if not self.secret:
                self.secret = self._kept()
        return self.secret

    def _kept(self) -> bytes:
        text = xdb.get(self.host.domain, STORED)
        if text is None:
            text = b64encode(secrets.token_bytes(24)).decode()
            xdb.set(self.host.domain, STORED, text)
        return b64decode(text)

    def put(self, event: str, **data: Any) -> None:
        """Does not block."""
        if not self.receivers or event not in self.events:
            return
        content = {"type": event, "timestamp": utc(time.time()), "data": {"host": self.host.domain, **data}}
        letter = Letter("msg_" + secrets.token_hex(12), event, json.dumps(content).encode())
        for each in self.receivers.values():
            each.put(letter)

    @on("created")
    def created(self, user: str) -> None:
        self.put("account.created", jid=user)

    @on("deleting")
    def deleting(self, user: str) -> None:
        self.put("account.deleted", jid=user)

    @on("session")
    def session(self, session: Session) -> None:
        self.put("login", jid=session.full, address=str(session.transport.info.get("address", "")))

    def _sent(self, session: Session, stanza: Element) -> None:
        self.sent += 1

    def _received(self, stanza: Element) -> None:
        self.received += 1

    @every(60)
    def count(self) -> None:
        """Tells how many messages there were since the last time, if there were any."""
        sent, received, since, self.counted = self.sent, self.received, self.counted, time.time()
        self.sent = self.received = 0
        if sent or received:
            self.put("messages", sent=sent, received=received, seconds=round(self.counted - since))

    @on("uploaded")
    def uploaded(self, user: str, size: int) -> None:
        self.put("upload", jid=user, size=size)

    @on("reported")
    def reported(self, user: str, jid: str, report: Element) -> None:
        self.put("report", by=user, jid=jid, reason=report.attrs.get("reason", "").rpartition(":")[2][:50])

    # -- commands ----------------------------------------------------------------------------------

    @command("webhooks list")
    def show(self) -> list[dict[str, Any]]:
        """Who is told what happens on each host, what waits, and what went wrong."""
        return [
            {"host": self.host.domain, "url": each.address, "waiting": len(each.queue), "delivered": each.delivered,
             "lost": each.lost, "trouble": each.trouble}
            for each in self.receivers.values()
        ]  # fmt: skip

    @command("webhooks secret", changes=True, secret=True)
    def tell_secret(self) -> dict[str, str]:
        """The key by which receivers know that a webhook is from this host. The log keeps who has asked."""
        return {"secret": PREFIX + b64encode(self.key()).decode()}
