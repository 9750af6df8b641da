"""What a gateway leaves when it dies: found, counted, and put right when it comes back."""

import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, select

from gateway.metering.database import database_url, open_reading, open_writing
from gateway.metering.journal import Journal, read_lines
from gateway.metering.operations import (
    AttemptResult,
    Budget,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Judge,
    Lose,
    Opening,
    Resolve,
)
from gateway.metering.recovery import Recovery, Watch
from gateway.metering.scopes import scope_of
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, RecoveryRules, Settings
from gateway.tables import attempt, balance, entry, generation, instance
from tests.conftest import NewDatabase
from tests.doubles.books import Books, new_key, settled, until
from tests.doubles.catalogue import catalogue
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

KEY = "k" * 64
BOUND, CHARACTERS = 700, 10
NEVER = RecoveryRules(beat_seconds=3600)


def holding(generation_id: str) -> Hold:
    opening = Opening(
        generation_id, "r", "t", KEY, 1, "a/m", "mp3", streamed=False, characters=10, plan="{}"
    )
    return Hold(opening, BOUND, Intent(1, "p", "a/m", "v", 1, BOUND))


def settling(generation_id: str, nano: int = 400) -> Resolve:
    done = AttemptResult(1, "done", nano, 5)
    closing = Closing(
        "settled", 200, 5, cost_nano=nano, charged_characters=CHARACTERS, attempts=(done,)
    )
    return Resolve(generation_id, closing)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> str:
    made = new_database(request.param)
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(made)))
    return made


@asynccontextmanager
async def gateway_on(url: str) -> AsyncIterator[Writer]:
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    yield writer
    await writer.close()


@pytest.fixture
async def writer(url: str) -> AsyncIterator[Writer]:
    async with gateway_on(url) as writer:
        limit = Budget(scope_of(KEY), "total", limit_nano=10**9)
        provider = Budget("provider:p", "day", limit_nano=10**9)
        key = CreateKey(KEY, KEY, "n", "l", "speak", 1, budgets=(limit, provider))
        await writer.submit(key)
        yield writer


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_writing(database_url(url), checkpoints=False)
    yield engine
    engine.dispose()


def counters(engine: Engine, scope: str) -> tuple[int, ...]:
    """Posted and held money, posted and held characters, streams."""
    names = ("posted_nano", "held_nano", "posted_characters", "held_characters", "streams")
    wanted = select(*(balance.c[name] for name in names)).where(balance.c.scope == scope)
    with engine.connect() as connection:
        return tuple(connection.execute(wanted).one())


def told(engine: Engine, generation_id: str) -> tuple[str, int, int, str | None]:
    wanted = select(
        generation.c.status,
        generation.c.cost_nano,
        generation.c.charged_characters,
        generation.c.flags,
    ).where(generation.c.id == generation_id)
    with engine.connect() as connection:
        return tuple(connection.execute(wanted).one())  # type: ignore[return-value]


# What the ledger does with it.


async def test_the_money_of_a_lost_request_stays_counted_and_its_characters_do_not(
    writer: Writer, engine: Engine
) -> None:
    await writer.submit(holding("a"))
    await writer.submit(Lose(("a", "no such")))
    assert told(engine, "a") == ("unknown", BOUND, 0, "recovered")
    assert counters(engine, scope_of(KEY)) == (BOUND, 0, 0, 0, 0)
    assert counters(engine, "provider:p") == (BOUND, 0, CHARACTERS, 0, 0)
    with engine.connect() as connection:
        outcome = connection.execute(select(attempt.c.outcome, attempt.c.liability_nano)).one()
    assert tuple(outcome) == ("unknown", BOUND)


async def test_what_is_settled_is_never_lost(writer: Writer, engine: Engine) -> None:
    await writer.submit(holding("a"))
    await writer.submit(settling("a"))
    await writer.submit(Lose(("a",)))
    assert told(engine, "a") == ("settled", 400, CHARACTERS, None)
    assert counters(engine, scope_of(KEY)) == (400, 0, CHARACTERS, 0, 0)


@pytest.mark.parametrize("nano", [0, 400, BOUND, 900])
async def test_a_gateway_that_was_only_asleep_puts_it_right(
    writer: Writer, engine: Engine, nano: int
) -> None:
    await writer.submit(holding("a"))
    await writer.submit(Lose(("a",)))
    assert await writer.submit(settling("a", nano))
    assert not await writer.submit(settling("a", nano)), "only once"
    flags = "late over_hold recovered" if nano > BOUND else "late recovered"
    assert told(engine, "a") == ("settled", nano, CHARACTERS, flags)
    assert counters(engine, scope_of(KEY)) == (nano, 0, CHARACTERS, 0, 0)
    assert counters(engine, "provider:p") == (nano, 0, CHARACTERS, 0, 0)
    with engine.connect() as connection:
        rows = connection.execute(
            select(entry.c.ledger, entry.c.kind, entry.c.nano).where(entry.c.kind != "hold")
        ).all()
    for ledger in ("charge", "liability"):
        assert sum(row.nano for row in rows if row.ledger == ledger) == nano
        assert {row.kind for row in rows if row.ledger == ledger} == {"unknown", "adjust"}


async def test_a_lost_request_cannot_be_tried_again(writer: Writer, engine: Engine) -> None:
    await writer.submit(holding("a"))
    await writer.submit(Lose(("a",)))
    assert not await writer.submit(Extend("a", 5, Intent(2, "p", "a/m", "v", 1, 5)))
    assert counters(engine, scope_of(KEY)) == (BOUND, 0, 0, 0, 0)


@pytest.mark.parametrize(("keep", "nano"), [(True, BOUND), (False, 0)])
async def test_the_operators_rule_ends_what_stayed_unknown(
    writer: Writer, engine: Engine, *, keep: bool, nano: int
) -> None:
    await writer.submit(holding("a"))
    await writer.submit(Judge(("a",), keep))
    assert told(engine, "a")[0] == "held", "only what is unknown is judged"
    await writer.submit(Lose(("a",)))
    await writer.submit(Judge(("a",), keep))
    assert told(engine, "a")[:3] == ("settled" if keep else "voided", nano, 0)
    assert counters(engine, scope_of(KEY)) == (nano, 0, 0, 0, 0)
    assert counters(engine, "provider:p")[:2] == (nano, 0)


async def test_only_what_is_unknown_for_so_long_is_ended_by_the_rule(
    writer: Writer, url: str, engine: Engine, tmp_path: Path
) -> None:
    for each in ("lost", "at work"):
        await writer.submit(holding(each))
    await writer.submit(Lose(("lost",)))
    reading, journal = open_reading(database_url(url)), Journal(tmp_path, writer.instance)
    await Recovery(writer, reading, journal, RecoveryRules()).judge()
    assert told(engine, "lost")[0] == "unknown"
    soon = Recovery(writer, reading, journal, RecoveryRules(unknown_hours=1e-9))
    while told(engine, "lost")[0] == "unknown":
        await soon.judge()
    assert told(engine, "lost")[:2] == ("settled", BOUND)
    assert told(engine, "at work")[0] == "held"
    journal.close()
    await reading.dispose()


# Who is dead.


def test_a_gateway_is_dead_when_its_beat_stands_still() -> None:
    watch = Watch(15)
    assert watch.dead({"a": 1, "b": 1, "gone": None}, 100) == []
    assert watch.dead({"a": 2, "b": 1, "gone": None}, 110) == []
    assert watch.dead({"a": 3, "b": 1, "gone": None}, 115) == ["b", "gone"]
    assert watch.dead({"a": 3, "b": 2}, 120) == [], "it was only asleep"
    assert watch.dead({"a": 3}, 130) == ["a"]


async def test_a_first_start_gives_up_what_earlier_ones_left(
    writer: Writer, url: str, engine: Engine, tmp_path: Path
) -> None:
    ids = [f"g{number:05}" for number in range(1200)]
    for each in ids:
        await writer.submit(holding(each))
    async with gateway_on(url) as later:
        await later.submit(holding("its own"))
        reading = open_reading(database_url(url))
        recovery = Recovery(later, reading, Journal(tmp_path, later.instance), NEVER)
        await recovery.lose([writer.instance])
        await reading.dispose()
    assert {told(engine, each)[0] for each in ids} == {"unknown"}
    assert told(engine, "its own")[0] == "held"
    assert counters(engine, scope_of(KEY)) == (1200 * BOUND, BOUND, 0, CHARACTERS, 1)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
async def test_others_are_given_up_only_once_their_beat_stands_still(
    writer: Writer, url: str, engine: Engine, tmp_path: Path
) -> None:
    await writer.submit(holding("a"))
    async with gateway_on(url) as other:
        reading = open_reading(database_url(url))
        recovery = Recovery(other, reading, Journal(tmp_path, other.instance), NEVER)
        await recovery.start()
        await recovery.sweep(0.0)
        await recovery.sweep(14.0)
        assert told(engine, "a")[0] == "held"
        await recovery.sweep(15.0)
        assert told(engine, "a")[0] == "unknown"
        await recovery.stop()
        await reading.dispose()
    with engine.connect() as connection:
        assert connection.execute(select(instance.c.id)).all() == []


async def test_a_hold_that_nobody_remembers_is_given_back(
    writer: Writer, url: str, engine: Engine, tmp_path: Path
) -> None:
    for each in ("stray", "at work", "journalled"):
        await writer.submit(holding(each))
    journal = Journal(tmp_path, writer.instance)
    journal.append(settling("journalled"))
    reading = open_reading(database_url(url))
    recovery = Recovery(writer, reading, journal, NEVER, lambda: ["at work"])
    await recovery.sweep(0.0)
    await recovery.sweep(15.0)
    assert [told(engine, each)[0] for each in ("stray", "at work")] == ["voided", "held"]
    await recovery.stop()
    assert told(engine, "journalled")[0] == "settled"
    assert journal.waiting == []
    await reading.dispose()


# The journal.


async def test_a_journal_is_adopted_from_the_dead_and_not_from_the_living(
    writer: Writer, engine: Engine, tmp_path: Path
) -> None:
    for each in ("a", "b"):
        await writer.submit(holding(each))
    living, own = Journal(tmp_path, "living"), Journal(tmp_path, "own")
    living.append(settling("a"))
    (tmp_path / "dead.jsonl").write_bytes(msgspec.json.encode(settling("b")) + b"\n")
    assert await own.adopt(writer) == 1
    assert [told(engine, each)[0] for each in ("a", "b")] == ["held", "settled"]
    assert not (tmp_path / "dead.jsonl").exists()
    living.close()
    assert await own.adopt(writer) == 1
    assert await own.adopt(writer) == 0
    assert told(engine, "a")[0] == "settled"


def test_a_line_that_was_cut_short_is_passed_over() -> None:
    lines = [msgspec.json.encode(settling(each)) for each in ("a", "b")]
    for length in range(len(lines[1])):
        text = lines[0] + b"\n" + lines[1][:length]
        assert read_lines(text) == [settling("a")]
    assert read_lines(b"\n".join(lines)) == [settling("a"), settling("b")]


async def test_a_journal_without_a_disk_remembers_while_it_lives(
    writer: Writer, engine: Engine, tmp_path: Path
) -> None:
    await writer.submit(holding("a"))
    in_the_way = tmp_path / "file"
    in_the_way.write_text("no folder")
    journal = Journal(in_the_way / "journal", writer.instance)
    journal.append(settling("a"))
    await journal.replay(writer)
    assert told(engine, "a")[0] == "settled"
    assert journal.waiting == []


# Whole gateways.


@pytest.fixture
def alone(upstream: Upstream, tmp_path: Path) -> dict[str, str]:
    extra = tmp_path / "providers.toml"
    extra.write_text(catalogue(upstream))
    return {
        "GATEWAY_CATALOG": str(extra),
        "GATEWAY_EMBEDDED_VOICE_ENABLED": "false",
        "GATEWAY_RECOVERY_BEAT_SECONDS": "0.1",
        "GATEWAY_RECOVERY_DEAD_SECONDS": "0.8",
        "GATEWAY_KEY_PEPPER": secrets.token_hex(32),
    }


def speak_and_kill(gateway: Running, key: str, upstream: Upstream) -> str:
    """Kill a gateway in the middle of a clip; gives the generation's id."""
    text = f"killed {secrets.token_hex(4)}"
    body = {"model": "test/in-halves", "input": text, "response_format": "pcm"}
    with (
        gateway.client(key) as client,
        client.stream("POST", "/v1/audio/speech", json=body) as response,
    ):
        generation_id = response.headers["x-generation-id"]
        gateway.process.kill()
        gateway.process.wait()
        with pytest.raises(httpx.HTTPError):
            response.read()
    assert len(upstream.said(text)) == 1
    return generation_id


def test_a_killed_gateway_comes_back_and_knows_what_it_does_not_know(
    new_database: NewDatabase, upstream: Upstream, tmp_path: Path, alone: dict[str, str]
) -> None:
    url = new_database("sqlite")
    with running(tmp_path / "data", url, **alone) as first:
        with first.client() as client:
            key = new_key(client, "1")
        generation_id = speak_and_kill(first, key.plain, upstream)
    with running(tmp_path / "data", url, **alone) as second, second.client(key.plain) as client:
        record = settled(client, generation_id)
        assert (record["status"], record["characters"]) == ("unknown", 0)
        assert str(record["cost"]) not in {"0", "0.0"}
        told = client.get("/api/v1/key").json()["data"]
        assert told["limit_remaining"] == pytest.approx(1 - told["usage"])
        Books(second).assert_balanced(key.hash)


def test_another_gateway_gives_a_killed_one_up(
    new_database: NewDatabase, upstream: Upstream, tmp_path: Path, alone: dict[str, str]
) -> None:
    url = new_database("postgresql")
    with (
        running(tmp_path / "one", url, **alone) as first,
        running(tmp_path / "two", url, **alone) as second,
    ):
        with first.client() as client:
            key = new_key(client)
        generation_id = speak_and_kill(first, key.plain, upstream)
        with second.client(key.plain) as client:
            assert settled(client, generation_id)["status"] == "unknown"
        Books(second).assert_balanced(key.hash)
        until(lambda: len(Books(second).ask("SELECT id FROM instance")) == 1)


def test_a_second_gateway_on_sqlite_is_refused(
    new_database: NewDatabase, tmp_path: Path, alone: dict[str, str]
) -> None:
    url = new_database("sqlite")
    with (
        running(tmp_path / "one", url, **alone),
        running(tmp_path / "two", url, wait=False, **alone) as second,
    ):
        assert second.process.wait(20) == 2
        assert "SQLite takes one process" in " ".join(second.said().split())
        assert "Traceback" not in second.said()
