"""The gauges: what the running gateway looks like at a scrape, read from its parts as they are."""

import asyncio
import platform
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.access.callers import Callers
from gateway.dispatch.job import Tools
from gateway.metering.exposure import Exposure, read_exposure
from gateway.metrics.instruments import Metrics
from gateway.metrics.lag import Lag

PATIENCE_SECONDS = 2.0
"""How long the database may take; a scrape is answered without it, and says so."""
Row = tuple[tuple[str, ...], float]
"""Label values, and the value."""


@dataclass(slots=True, eq=False)  # a registry keeps its collectors in a dict
class Gauges(Collector):
    """Everything that is looked up rather than counted."""

    tools: Tools
    callers: Callers
    reading: AsyncEngine
    lag: Lag
    _seen: list[Metric] = field(default_factory=list)
    _exposure: Exposure | None = None

    def collect(self) -> Iterable[Metric]:
        """As they were at the last refresh; that runs in the event loop, whose parts they are."""
        return self._seen

    async def refresh(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._exposure = await read_exposure(self.reading)
        except (SQLAlchemyError, OSError):  # TimeoutError is an OSError
            self._exposure = None
        self._seen = [*self._told(time.monotonic())]

    def _told(self, now: float) -> Iterator[Metric]:
        yield _build()
        yield from self._requests(now)
        yield from self._offers(now)
        yield from self._ledger()
        yield from _money(self._exposure)

    def _requests(self, now: float) -> Iterator[Metric]:
        admission, tools = self.tools.admission, self.tools
        yield _gauge("running_requests", "Requests that are being answered.", admission.inside)
        yield _gauge("waiting_requests", "Requests that wait for their turn.", admission.waiting)
        most = tools.load.concurrent
        yield _gauge("most_requests", "Requests that are answered at once, at most.", most)
        left = tools.retries.left(now)
        yield _gauge("retry_budget", "Further attempts that may still be made now.", left)
        yield _gauge("hedge_budget", "Hedges that may still be made now.", tools.hedges.left(now))
        worst = self.lag.worst
        yield _gauge("event_loop_lag_seconds", "The worst of the last 15 seconds.", worst)
        remembered = self.callers.remembered
        yield _gauge("remembered_keys", "Keys whose callers are in memory.", remembered)

    def _offers(self, now: float) -> Iterator[Metric]:
        standings = self.tools.standings
        crowds = standings.crowds()
        yield _table(
            "breaker_state",
            "Of each offer: 0 closed, 1 finding out, 2 open; the worst of its credentials.",
            ((_offer(name), state) for name, state in standings.breakers(now).items()),
        )
        yield _table(
            "offer_limit",
            "Requests that an offer is asked at once, at most.",
            ((_offer(name), limit) for name, (limit, _) in crowds.items()),
        )
        yield _table(
            "offer_running",
            "Requests that an offer is at work on.",
            ((_offer(name), in_flight) for name, (_, in_flight) in crowds.items()),
        )

    def _ledger(self) -> Iterator[Metric]:
        work = self.tools.writer.work()
        yield _gauge("ledger_queue", "Operations that wait for the ledger.", work.waiting)
        yield _gauge("ledger_batch_size", "Operations in its last commit.", work.batch)
        yield _counter("ledger_commits", "Commits of the ledger.", work.commits)
        yield _counter("ledger_operations", "Operations in them.", work.operations)
        waiting = len(self.tools.journal.waiting)
        yield _gauge("journal_waiting", "Ends of requests that wait for the database.", waiting)


@dataclass(frozen=True, slots=True)
class Scrape:
    """What `/metrics` answers, and OTLP sends."""

    metrics: Metrics
    gauges: Gauges

    async def text(self) -> bytes:
        """Prometheus' text format; rendered in a thread, for it takes as long as a few requests."""
        await self.gauges.refresh()
        return await asyncio.to_thread(generate_latest, self.metrics.registry)


def _money(exposure: Exposure | None) -> Iterator[Metric]:
    yield _gauge("database_up", "Whether the database answered: 1 or 0.", exposure is not None)
    if exposure is None:
        return
    told = "Set aside for requests that run, in nano-USD; of all gateways on this database."
    yield _gauge("held_nano_usd", told, exposure.held_nano)
    yield _gauge("held_requests", "Requests that hold money.", exposure.held)
    told = "Of requests whose gateway died: it may have been spent."
    yield _gauge("unknown_nano_usd", told, exposure.unknown_nano)
    yield _gauge("unknown_requests", "Requests whose gateway died.", exposure.unknown)
    yield _gauge("oldest_hold_seconds", "Age of the oldest hold.", exposure.oldest_seconds)


def _build() -> Metric:
    told = {"version": version("voxroute"), "python": platform.python_version()}
    return InfoMetricFamily("voxroute_build", "What runs here.", told)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"voxroute_{name}", told, value=value)


def _counter(name: str, told: str, value: float) -> Metric:
    return CounterMetricFamily(f"voxroute_{name}", told, value=value)


def _table(name: str, told: str, rows: Iterable[Row]) -> Metric:
    family = GaugeMetricFamily(f"voxroute_{name}", told, labels=("provider", "model"))
    for labels, value in rows:
        family.add_metric(labels, value)
    return family


def _offer(name: str) -> tuple[str, ...]:
    """Provider and model of an offer's full name."""
    provider, _, model = name.partition(":")
    return provider, model
