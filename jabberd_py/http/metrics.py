"""How the server is doing, for Prometheus and whoever else reads its text format: ``GET /metrics``."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gevent.pywsgi import WSGIServer
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    make_wsgi_app,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from .. import log
from ..hooks import Option, Section, list_of, optional
from ..net.ports import listen
from ..options import OptionError
from ..pages import Answer, Refusal, Request

logger = log.get(__name__)

PREFIX = "jabberd_"
WAITING = 20
"""Connections at a time; more are closed. Who scrapes needs one."""

SHORTEST = 16
"""Characters of a token."""


def token(text: str) -> str:
    """A secret that nobody guesses."""
    if len(text) < SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError(
            f"must be at least {SHORTEST} letters and digits, such as `openssl rand -hex 16` prints"
        )
    return text


class MetricsOptions(Section):
    """Metrics for Prometheus: at a port of their own without a password, for this machine; and at ``/metrics`` of the web
    server for who has the token."""

    address = Option(list_of(str), ["127.0.0.1"], "addresses to listen on")
    port = Option[int | None](
        optional(int), None, "port, usually 9273; 0 takes any free one, null none", min=0, max=65535
    )
    token = Option[str | None](
        optional(token),
        None,
        "what a request for /metrics of the web server must have: Authorization: Bearer TOKEN",
        secret=True,
    )


class Figure(NamedTuple):
    """One metric: ``samples`` are (value of the label, figure), the label's value is None where there is no ``label``.
    ``total``: it only ever grows."""

    name: str
    help: str
    samples: Iterable[tuple[str | None, float]]
    label: str = ""
    total: bool = False


class _Collector:
    def __init__(self, figures: Callable[[], Iterable[Figure]]) -> None:
        self.figures = figures

    def collect(self) -> Iterator[Any]:
        for name, help, samples, label, total in self.figures():
            family = (CounterMetricFamily if total else GaugeMetricFamily)(
                PREFIX + name, help, labels=[label] if label else None
            )
            for value, figure in samples:
                family.add_metric([] if value is None else [value], figure)
            yield family


def registry(figures: Callable[[], Iterable[Figure]]) -> CollectorRegistry:
    """``figures`` is asked anew for every request."""
    found = CollectorRegistry()
    found.register(_Collector(figures))
    ProcessCollector(registry=found)
    PlatformCollector(registry=found)
    return found


def page(token: str, figures: Callable[[], Iterable[Figure]]) -> Callable[[Request], Answer]:
    """The page of the web server. Without the token it raises Refusal."""
    source = registry(figures)

    def metrics(request: Request) -> Answer:
        scheme, _, said = request.header("Authorization").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(said.strip().encode(), token.encode()):
            raise Refusal(401, WWW_Authenticate="Bearer")
        return Answer(
            200, generate_latest(source), {"Content-Type": CONTENT_TYPE_LATEST, "Cache-Control": "no-store"}
        )

    return metrics


class _Errors:
    """Where pywsgi writes what went wrong."""

    @staticmethod
    def write(text: str) -> None:
        logger.warning("a request failed", said=text.strip())


class Place(NamedTuple):
    """One address that is listened on."""

    name: str
    bound: tuple[str, int]


def listening_on(address: str, port: int) -> socket.socket:
    """Raises OptionError."""
    try:
        return listen(address, port, WAITING)
    except OSError as error:
        raise OptionError("port", f"cannot listen on {address} port {port}: {error.strerror}") from None


class Metrics:
    """The port of its own. Takes it at once; raises OptionError."""

    def __init__(self, options: MetricsOptions, figures: Callable[[], Iterable[Figure]]) -> None:
        application = make_wsgi_app(registry(figures))
        self.servers: list[WSGIServer] = []
        port = options.port or 0
        for address in options.address:
            try:
                listening = listening_on(address, port)
            except OptionError:
                self.close()
                raise
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer is two writes
            self.servers.append(
                WSGIServer(listening, application, spawn=WAITING, log=None, error_log=_Errors())
            )
        self.listeners = [Place("metrics", each.socket.getsockname()[:2]) for each in self.servers]

    def start(self) -> None:
        for each in self.servers:
            each.start()

    def close(self) -> None:
        for each in self.servers:
            each.stop(0)
            each.close()
