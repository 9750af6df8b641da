"""The ledger's first shape, on real SQLite and PostgreSQL: exact, durable, each bad one alone."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from gateway.errors import BudgetExceeded, GatewayError, Unauthenticated
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import (
    AttemptResult,
    Budget,
    ChangeKey,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Kind,
    Opening,
    Record,
    Resolve,
)
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from gateway.tables import attempt, balance, entry, generation
from tests.conftest import NewDatabase


@dataclass
class Ledger:
    """A writer with one key, and a second look at its database."""

    writer: Writer
    engine: Engine
    key: str

    async def make_key(self, limit_nano: int | None) -> None:
        budget = Budget(f"key:{self.key}", "total", limit_nano)
        await self.writer.submit(
            CreateKey(self.key, secrets.token_hex(32), "k", "k", "speak", 0, budgets=(budget,))
        )

    def opening(self, characters: int = 10) -> Opening:
        return Opening(
            id=f"gen-tts-{secrets.token_hex(8)}",
            request_id="r",
            trace_id="t",
            key_hash=self.key,
            created_ms=1,
            requested_model="m",
            format="mp3",
            streamed=False,
            characters=characters,
            plan="{}",
        )

    async def hold(self, nano: int) -> str:
        opening = self.opening()
        await self.writer.submit(Hold(opening, nano, intent(1, nano)))
        return opening.id

    async def end(self, generation_id: str, closing: Closing) -> bool:
        return await self.writer.submit(Resolve(generation_id, closing))

    def balance(self) -> tuple[int, int, int, int]:
        wanted = select(
            balance.c.posted_nano,
            balance.c.held_nano,
            balance.c.posted_characters,
            balance.c.held_characters,
        ).where(balance.c.id == f"key:{self.key}|total|0")
        with self.engine.connect() as connection:
            row = connection.execute(wanted).one()
            return tuple(row)  # type: ignore[return-value]  # four integers

    def entries(self) -> dict[tuple[str, str], int]:
        wanted = (
            select(entry.c.ledger, entry.c.kind, func.sum(entry.c.nano))
            .join(generation, generation.c.id == entry.c.generation_id)
            .where(generation.c.key_hash == self.key)
            .group_by(entry.c.ledger, entry.c.kind)
        )
        with self.engine.connect() as connection:
            return {(row[0], row[1]): int(row[2]) for row in connection.execute(wanted)}


def intent(seq: int, nano: int) -> Intent:
    return Intent(seq, "p", "m", "v", 1, nano)


def settled(nano: int, liability: int = 0, characters: int = 10) -> Closing:
    done = AttemptResult(1, "done", liability, 5)
    return Closing(
        "settled", 200, 5, cost_nano=nano, charged_characters=characters, attempts=(done,)
    )


@pytest.fixture(params=["sqlite", "postgresql"])
async def ledger(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Ledger]:
    url = new_database(request.param)
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    engine = open_writing(database_url(url), checkpoints=False)
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    yield Ledger(writer, engine, secrets.token_hex(32))
    await writer.close()
    engine.dispose()


async def test_a_hold_sets_aside_and_a_settle_posts(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    held = await ledger.hold(700)
    assert ledger.balance() == (0, 700, 0, 10)
    assert await ledger.end(held, settled(400, liability=450)) is True
    assert ledger.balance() == (400, 0, 10, 0)
    assert ledger.entries() == {
        ("charge", "hold"): 700,
        ("charge", "settle"): 400,
        ("liability", "hold"): 700,
        ("liability", "settle"): 450,
    }


async def test_only_attempts_that_went_elsewhere_count_as_fallbacks(ledger: Ledger) -> None:
    """A repeat, another credential and a hedge are none, and one that was never made is none."""
    await ledger.make_key(None)
    held = await ledger.hold(10)
    kinds: list[Kind] = ["repeat", "fallback", "credential", "hedge", "resume", "fallback"]
    for seq, kind in enumerate(kinds, 2):
        assert await ledger.writer.submit(
            Extend(held, 0, replace(intent(seq, 10), kind=kind, from_character=seq))
        )
    made = tuple(AttemptResult(seq, "failed", 0, 5, audio_ms=seq) for seq in range(1, 7))
    assert await ledger.end(held, Closing("voided", 502, 5, "provider_error", attempts=made))
    with ledger.engine.connect() as connection:
        assert connection.execute(select(generation.c.fallbacks)).scalars().all() == [2]
        told = select(attempt.c.kind, attempt.c.from_character, attempt.c.audio_ms)
        rows = [tuple(row) for row in connection.execute(told.order_by(attempt.c.seq))]
    heard = [0, *range(2, 8)], [*range(1, 7), 0]
    assert rows == list(zip(["first", *kinds], *heard, strict=True))


async def test_a_void_gives_everything_back(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    held = await ledger.hold(700)
    await ledger.end(held, Closing("voided", 502, 5))
    assert ledger.balance() == (0, 0, 0, 0)


async def test_a_second_settle_changes_nothing(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    held = await ledger.hold(700)
    assert await ledger.end(held, settled(400)) is True
    assert await ledger.end(held, settled(600)) is False
    assert await ledger.end(held, Closing("voided", 502, 5)) is False
    assert ledger.balance() == (400, 0, 10, 0)


async def test_what_a_provider_bills_beyond_the_hold_is_posted_and_flagged(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    held = await ledger.hold(700)
    await ledger.end(held, settled(1200))
    assert ledger.balance()[0] == 1200
    entries = ledger.entries()
    assert (entries["charge", "settle"], entries["charge", "adjust"]) == (700, 500)
    with ledger.engine.connect() as connection:
        flags = connection.execute(select(generation.c.flags).where(generation.c.id == held))
        assert flags.scalar() == "over_hold"
    await ledger.hold(300)
    with pytest.raises(BudgetExceeded):
        await ledger.hold(1)


async def test_holds_together_never_pass_the_limit(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    tries = [ledger.hold(30) for _ in range(100)]
    ends = await asyncio.gather(*tries, return_exceptions=True)
    refused = [each for each in ends if isinstance(each, BudgetExceeded)]
    assert len(refused) == 67
    assert ledger.balance()[1] == 33 * 30


async def test_what_is_given_back_can_be_held_again(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    first = await ledger.hold(1000)
    with pytest.raises(BudgetExceeded, match="leaves 0 USD"):
        await ledger.hold(1)
    await ledger.end(first, settled(999))
    await ledger.hold(1)


async def test_a_further_attempt_enlarges_the_hold_or_is_refused(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    held = await ledger.hold(600)
    assert await ledger.writer.submit(Extend(held, 300, intent(2, 900)))
    with pytest.raises(BudgetExceeded):
        await ledger.writer.submit(Extend(held, 300, intent(3, 900)))
    assert ledger.balance()[1] == 900
    with ledger.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(attempt)).scalar() == 2


async def test_an_ended_request_cannot_be_extended(ledger: Ledger) -> None:
    await ledger.make_key(1000)
    held = await ledger.hold(600)
    await ledger.end(held, Closing("voided", 502, 5))
    assert await ledger.writer.submit(Extend(held, 100, intent(2, 1))) is False
    assert ledger.balance() == (0, 0, 0, 0)


async def test_a_disabled_key_holds_nothing(ledger: Ledger) -> None:
    await ledger.make_key(None)
    await ledger.writer.submit(ChangeKey(ledger.key, "k", True, 1))
    with pytest.raises(Unauthenticated, match="disabled"):
        await ledger.hold(1)


async def test_a_key_that_is_not_there_holds_nothing(ledger: Ledger) -> None:
    with pytest.raises(Unauthenticated, match="not known"):
        await ledger.hold(1)


async def test_a_bad_operation_fails_alone(ledger: Ledger) -> None:
    await ledger.make_key(None)
    twice = ledger.opening()
    await ledger.writer.submit(Hold(twice, 5, intent(1, 5)))
    submitted = [
        ledger.writer.submit(Hold(ledger.opening(), 5, intent(1, 5))),
        ledger.writer.submit(Hold(twice, 5, intent(1, 5))),
        ledger.writer.submit(Hold(ledger.opening(), 5, intent(1, 5))),
    ]
    first, bad, last = await asyncio.gather(*submitted, return_exceptions=True)
    assert (first, last) == (True, True)
    assert isinstance(bad, GatewayError)
    assert ledger.balance()[1] == 15


async def test_a_refused_request_is_written_down(ledger: Ledger) -> None:
    await ledger.make_key(None)
    opening = ledger.opening()
    closing = Closing("voided", 404, 1, error_type="model_not_found")
    await ledger.writer.submit(Record(opening, closing))
    with ledger.engine.connect() as connection:
        row = connection.execute(select(generation).where(generation.c.id == opening.id)).one()
    assert (row.status, row.http_status, row.hold_nano) == ("voided", 404, 0)
    assert ledger.balance() == (0, 0, 0, 0)


async def test_a_hundred_requests_at_once_add_up(ledger: Ledger) -> None:
    await ledger.make_key(None)

    async def one(nano: int) -> None:
        held = await ledger.hold(nano)
        await ledger.end(held, settled(nano // 2))

    await asyncio.gather(*(one(nano) for nano in range(100)))
    assert ledger.balance() == (sum(n // 2 for n in range(100)), 0, 1000, 0)
    assert ledger.entries()["charge", "settle"] == sum(n // 2 for n in range(100))


async def test_what_the_writer_was_given_is_done_before_it_closes(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database("sqlite")
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    key = CreateKey(secrets.token_hex(32), secrets.token_hex(32), "k", "k", "speak", 0)
    making = asyncio.ensure_future(writer.submit(key))
    await asyncio.sleep(0)
    await writer.close()
    assert await making is True


async def test_a_database_that_is_not_there_refuses(tmp_path: Path) -> None:
    url = database_url(f"sqlite:///{tmp_path}/none.db")
    writer = Writer(open_writing(url, checkpoints=True))
    with pytest.raises(GatewayError, match="does not answer"):
        await writer.submit(CreateKey("h", "s", "k", "k", "speak", 0))
    await writer.close()
