"""The thread that all requests wait for: nothing that one of them brings may end it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from gateway.errors import GatewayError, InDoubt, MeteringUnavailable
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import (
    AttemptResult,
    Closing,
    CreateKey,
    Hold,
    Intent,
    Opening,
    Resolve,
)
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from gateway.tables import generation

KEY = "k" * 64


def hold(name: str, **more: Any) -> Hold:  # noqa: ANN401
    opening = Opening(name, "r", "t", KEY, 1, "a/m", "mp3", False, 10, "{}")
    return Hold(replace(opening, **more), 100, Intent(1, "p", "a/m", "v", 1, 100))


def settle(name: str) -> Resolve:
    done = AttemptResult(1, "done", 70, 5)
    closing = Closing("settled", 200, 5, cost_nano=70, charged_characters=10, attempts=(done,))
    return Resolve(name, closing)


class Failing:
    """An engine whose connections fail where a test says, once."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.fail_at_commit = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self.engine, name)

    def raw_connection(self) -> "FailingConnection":
        return FailingConnection(self, self.engine.raw_connection())


class FailingConnection:
    def __init__(self, home: Failing, connection: Any) -> None:  # noqa: ANN401
        self._home = home
        self._connection = connection

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._connection, name)

    def commit(self) -> None:
        self._connection.commit()
        if self._home.fail_at_commit:
            self._home.fail_at_commit = False
            raise sqlite3.OperationalError("disk I/O error")


@pytest.fixture
async def engine(tmp_path: Path) -> Failing:
    url = f"sqlite:///{tmp_path}/g.db"
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    return Failing(open_writing(database_url(url), checkpoints=True))


@pytest.fixture
async def writer(engine: Failing) -> AsyncIterator[Writer]:
    writer = Writer(engine)  # type: ignore[arg-type]
    await writer.submit(CreateKey(KEY, KEY, "n", "l", "speak", 1))
    yield writer
    await writer.close()


def statuses(engine: Failing) -> dict[str, str]:
    with engine.connect() as connection:
        return dict(connection.execute(select(generation.c.id, generation.c.status)).all())


async def test_an_impossible_operation_fails_alone(writer: Writer, engine: Failing) -> None:
    impossible = [hold("huge", characters=2**70), hold("twice"), hold("strange", user=object())]
    asked = [writer.submit(each) for each in (hold("a"), hold("twice"), *impossible, hold("b"))]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [answers[0], answers[1], answers[5]] == [True, True, True]
    for refused in answers[2:5]:
        assert isinstance(refused, GatewayError)
        assert not isinstance(refused, MeteringUnavailable), "it would be asked again and again"
    assert await writer.submit(settle("a")), "the thread lives"
    assert statuses(engine) == {"a": "settled", "twice": "held", "b": "held"}


async def test_a_commit_whose_outcome_is_unknown_is_told_as_such(
    writer: Writer, engine: Failing
) -> None:
    engine.fail_at_commit = True
    with pytest.raises(InDoubt):
        await writer.submit(hold("a"))
    assert statuses(engine) == {"a": "held"}
    engine.fail_at_commit = True
    with pytest.raises(InDoubt):
        await writer.submit(settle("a"))
    assert not await writer.submit(settle("a")), "it had been done"


async def test_whoever_waits_no_longer_is_not_served(
    writer: Writer, engine: Failing, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "g.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    writer.patience = 0.05
    first = asyncio.create_task(writer.submit(hold("first")))
    with pytest.raises(InDoubt):
        await first
    with pytest.raises(InDoubt):
        await writer.submit(hold("second"))
    other.close()
    writer.patience = 6.0
    assert await writer.submit(hold("third"))
    assert "second" not in statuses(engine)
    with engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(generation)).scalar_one() <= 2


async def test_what_is_asked_in_the_last_turn_is_done_before_the_end(engine: Failing) -> None:
    ending = Writer(engine)  # type: ignore[arg-type]
    await ending.submit(CreateKey(KEY, KEY, "n", "l", "speak", 1))
    last = asyncio.gather(*(ending.submit(hold(name)) for name in ("a", "b")))
    await asyncio.sleep(0)  # both are asked, and not handed over yet
    await ending.close()
    assert await asyncio.wait_for(last, 5) == [True, True]
    assert statuses(engine) == {"a": "held", "b": "held"}
