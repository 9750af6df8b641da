"""No page reads a whole large table, and neither does what runs beside the requests."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.progress import Progress
from sqlalchemy import Engine, create_engine

from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.journal import Journal
from gateway.metering.recovery import Recovery
from gateway.metering.writer import Writer
from gateway.settings import RecoveryRules
from tests.bench.pages.addresses import Known, pages
from tests.bench.pages.seeding import Seeded, seed
from tests.conftest import NewDatabase
from tests.doubles.plans import Asked, hearing, visiting, whole
from tests.doubles.running import environment

GENERATIONS, KEYS = 2000, 40
SAME = ("range=24h", "range=30d&by", "range=month", "range=90d&by")
"""Asked for in the statements of other ranges."""


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def seeded(
    request: pytest.FixtureRequest,
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Seeded:
    url, data = new_database(request.param), tmp_path_factory.mktemp("plans")
    with Progress(disable=True) as bar:
        return seed(url, data, GENERATIONS, KEYS, bar)


@pytest.fixture(scope="module")
def engine(seeded: Seeded) -> Iterator[Engine]:
    """As plans are made where reading a whole table is never the quickest, as in a large one."""
    options = {"options": "-c enable_seqscan=off"}
    url = database_url(seeded.url)
    is_sqlite = url.get_backend_name() == "sqlite"
    engine = create_engine(url, connect_args={} if is_sqlite else options)
    yield engine
    engine.dispose()


def wrong(engine: Engine, asked: dict[str, Asked]) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return [(step, each.sql) for each in asked.values() for step in whole(connection, each)]


@pytest.mark.filterwarnings("ignore::litestar.exceptions.LitestarDeprecationWarning")
@pytest.mark.parametrize("who", ["manage", "read", "speak"])
async def test_no_page_reads_a_whole_large_table(seeded: Seeded, engine: Engine, who: str) -> None:
    with engine.connect() as connection:
        known = Known.of(connection, seeded.busiest)
    asked: dict[str, Asked] = {}
    async with visiting(environment(Path(seeded.data), seeded.url)) as visit:
        for page in pages(known, manages=who == "manage"):
            if any(each in page for each in SAME):
                continue
            asked |= {each.sql: each for each in await visit.asked(page, getattr(seeded, who))}
    assert len(asked) > 20
    assert wrong(engine, asked) == []


async def test_recovery_looks_at_open_requests_alone(
    seeded: Seeded, engine: Engine, tmp_path: Path
) -> None:
    url, heard = database_url(seeded.url), list[Asked]()
    reading, writer = open_reading(url), Writer(open_writing(url, checkpoints=False))
    rules = RecoveryRules(beat_seconds=0.01, unknown_hours=8000)
    recovery = Recovery(writer, reading, Journal(tmp_path, "test"), rules)
    with hearing(reading.sync_engine, heard):
        await recovery.start()
        async with asyncio.timeout(10):
            while not any("at_ms" in each.sql for each in heard):  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.01)
        await recovery.stop()
    await writer.close()
    await reading.dispose()
    assert wrong(engine, {each.sql: each for each in heard}) == []


def test_a_whole_table_is_seen(seeded: Seeded, engine: Engine) -> None:
    with engine.connect() as connection:
        assert whole(connection, Asked("SELECT sum(cost_nano) FROM generation", ()))
        assert whole(connection, Asked("SELECT id FROM audit WHERE action = 'x' LIMIT 5", ()))
        assert not whole(connection, Asked("SELECT id FROM audit ORDER BY id DESC LIMIT 5", ()))
