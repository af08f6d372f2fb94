"""How the server is doing, for Prometheus and whoever else reads its text format: ``GET /metrics``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from gevent.pywsgi import WSGIServer
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from ..hooks import Option, Section, optional
from ..options import OptionError

PREFIX = "jabberd_"
WAITING = 20
"""Connections at a time; more are closed. Who scrapes needs one."""


class MetricsOptions(Section):
    """Metrics for Prometheus, over plain HTTP: for this machine, or behind a proxy that asks who is there."""

    address = Option(str, "127.0.0.1", "address to listen on")
    port = Option[int | None](
        optional(int), None, "port, usually 9273; 0 takes any free one, null none", min=0, max=65535
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


class Metrics:
    """``figures`` is asked anew for every request. Takes its port at once; raises OptionError."""

    kind = "metrics"

    def __init__(self, options: MetricsOptions, figures: Callable[[], Iterable[Figure]]) -> None:
        registry = CollectorRegistry()
        registry.register(_Collector(figures))
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        place = (options.address, options.port or 0)
        quiet = logging.getLogger(__name__)
        self.server = WSGIServer(place, make_wsgi_app(registry), spawn=WAITING, log=None, error_log=quiet)
        try:
            self.server.init_socket()
        except OSError as error:
            reason = f"cannot listen on {options.address} port {options.port}: {error.strerror}"
            raise OptionError("port", reason) from None
        self.bound = self.server.socket.getsockname()[:2]

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.stop(0)
        self.server.close()
