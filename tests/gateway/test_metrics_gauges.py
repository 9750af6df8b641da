"""The gauges: what each part tells of itself, and what a scrape says when one does not answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.dispatch.admission import Admission
from gateway.endpoints.gauges import Gauges
from gateway.metering.database import database_url, open_reading
from gateway.metering.exposure import _QUERY, Exposure, read_exposure
from gateway.metering.writer import Work
from gateway.metrics.lag import EVERY_SECONDS, Lag
from gateway.migrating import migrate
from gateway.routing.allowance import Allowance
from gateway.routing.standings import Ending, Grant, Standings
from gateway.settings import Database, Load, Resilience, Settings
from providers import Provider, Unreachable
from tests.conftest import NewDatabase
from tests.doubles.offers import offer
from tests.doubles.scraping import Scraped

OFFER = offer("acme")
ACME = Provider("acme", "openai_speech", "http://127.0.0.1:1", ())


def ask(of: Standings, now: float = 0.0) -> Grant:
    got = of.grant(ACME, OFFER, "alloy", now)
    assert isinstance(got, Grant)
    return got


def test_an_offers_breaker_is_told_from_closed_to_open_to_finding_out() -> None:
    of = Standings(Resilience(breaker_failures=2), random=Random(1))
    of.ended(ask(of), Ending(Unreachable("gone")), 0.0)
    assert of.breakers(0.0) == {OFFER.name: 0}
    of.ended(ask(of), Ending(Unreachable("gone")), 0.0)
    assert of.breakers(1.0) == {OFFER.name: 2}
    assert of.breakers(60.0) == {OFFER.name: 1}


def test_an_offers_crowd_is_told_with_its_limit() -> None:
    of = Standings(load=Load(offer_concurrent=9), random=Random(1))
    got = ask(of)
    assert of.crowds() == {OFFER.name: (9, 1)}
    of.ended(got, Ending(first_audio_ms=1.0), 0.0)
    assert of.crowds() == {OFFER.name: (9, 0)}


def test_what_is_left_of_an_allowance_goes_down_as_it_is_taken_and_comes_back() -> None:
    allowance = Allowance(0.2, floor_per_second=0.5)
    assert allowance.left(0.0) == 5
    assert allowance.take(0.0, 3.0)
    assert allowance.left(0.0) == 2
    assert allowance.left(11.0) == 5


async def test_a_loop_that_is_held_up_shows_its_lag() -> None:
    lag = Lag()
    lag.start()
    time.sleep(EVERY_SECONDS + 0.1)  # noqa: ASYNC251  # the loop is held up on purpose
    await asyncio.sleep(0.01)
    lag.stop()
    assert 0.05 < lag.worst < 5


@pytest.fixture(params=["sqlite", "postgresql"])
async def reading(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[AsyncEngine]:
    url = new_database(request.param)
    migrate(Settings(tmp_path, tmp_path, database=Database(url)))
    engine = open_reading(database_url(url))
    yield engine
    await engine.dispose()


async def test_where_nothing_runs_nothing_is_exposed_and_only_open_requests_are_looked_at(
    reading: AsyncEngine,
) -> None:
    assert await read_exposure(reading) == Exposure()
    if reading.dialect.name == "sqlite":
        query = _QUERY.compile(dialect=reading.dialect)
        async with reading.connect() as connection:
            plan = await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))
            assert "ix_attempt_open" in str(plan.all())


async def test_a_scrape_is_answered_without_a_database_and_says_so(tmp_path: Path) -> None:
    reading = open_reading(database_url(f"sqlite+aiosqlite:///{tmp_path}/none/gateway.db"))
    tools: Any = SimpleNamespace(
        admission=Admission(Load()),
        load=Load(),
        retries=Allowance(0.2),
        hedges=Allowance(0.05),
        standings=Standings(random=Random(1)),
        writer=SimpleNamespace(work=lambda: Work(7, 3, 2, 5)),
        journal=SimpleNamespace(waiting=[None]),
    )
    callers: Any = SimpleNamespace(remembered=4)
    gauges = Gauges(tools, callers, reading, Lag())
    registry = CollectorRegistry()
    registry.register(gauges)
    await gauges.refresh()
    await reading.dispose()
    now = Scraped(generate_latest(registry).decode())
    assert now.value("voxroute_database_up") == 0
    assert "voxroute_held_nano_usd" not in now.names
    assert now.value("voxroute_ledger_queue") == 7
    assert now.value("voxroute_ledger_operations_total") == 5
    assert now.value("voxroute_journal_waiting") == 1
    assert now.value("voxroute_remembered_keys") == 4
