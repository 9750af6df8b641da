"""A ledger's life: requests that end in every way that they can, many at once."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import get_args

from sqlalchemy import Engine, update

from gateway.errors import GatewayError
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import (
    AttemptResult,
    Closing,
    CreateKey,
    Extend,
    Hold,
    Intent,
    Judge,
    Kind,
    Lose,
    Opening,
    Operation,
    Outcome,
    Record,
    Resolve,
)
from gateway.metering.scopes import HOUR_MS
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from gateway.tables import generation

AT_ONCE = 8


class Life:
    """Random requests of two keys: each step is a handful of operations at once."""

    def __init__(self, writer: Writer, engine: Engine, random: Random) -> None:
        self.writer = writer
        self.engine = engine
        self.random = random
        self.keys = [secrets.token_hex(32) for _ in range(2)]
        self.held: dict[str, int] = {}
        """Ids with their number of attempts."""
        self.lost: list[str] = []

    async def make_keys(self) -> None:
        for key in self.keys:
            await self.writer.submit(CreateKey(key, secrets.token_hex(32), "k", "k", "speak", 0))

    async def step(self) -> None:
        operations = [self._operation() for _ in range(AT_ONCE)]
        answers = await asyncio.gather(
            *(self.writer.submit(each) for each in operations), return_exceptions=True
        )
        wrong = [each for each in answers if isinstance(each, BaseException)]
        assert all(isinstance(each, GatewayError) for each in wrong), wrong
        for operation, answer in zip(operations, answers, strict=True):
            if isinstance(operation, Hold) and answer is True:
                self.held[operation.opening.id] = 1

    def move_back(self) -> None:
        """Some holds were made hours ago, as a long clip's or a dead gateway's were."""
        with self.engine.begin() as connection:
            for id_ in self.held:
                hours = self.random.randrange(40)
                connection.execute(
                    update(generation)
                    .where(generation.c.id == id_, generation.c.status == "held")
                    .values(at_ms=generation.c.at_ms - hours * HOUR_MS)
                )

    def _operation(self) -> Operation:  # noqa: PLR0911  # one a kind
        wished = self.random.choice(["hold", "hold", "record", "extend", "resolve", "lose", "late"])
        match wished:
            case "extend" if self.held:
                id_ = self.random.choice(sorted(self.held))
                self.held[id_] += 1
                return Extend(id_, 70, self._intent(self.held[id_]))
            case "resolve" if self.held:
                id_ = self.random.choice(sorted(self.held))
                return Resolve(id_, self._closing(self.held.pop(id_)))
            case "lose" if self.held:
                id_, _ = self.held.popitem()
                self.lost.append(id_)
                return Lose((id_,))
            case "late" if self.lost:
                id_ = self.lost.pop(0)
                if self.random.random() < 0.5:
                    return Judge((id_,), keep=self.random.random() < 0.5)
                return Resolve(id_, self._closing(1))
            case "record":
                return Record(self.opening(), Closing("voided", 402, 1, "budget_exceeded"))
            case _:
                return Hold(self.opening(), 100, self._intent(1))

    def opening(self) -> Opening:
        return Opening(
            id=f"gen-tts-{secrets.token_hex(8)}",
            request_id="r",
            trace_id="t",
            key_hash=self.random.choice(self.keys),
            created_ms=1,
            requested_model="m",
            format="mp3",
            streamed=False,
            characters=10,
            plan="{}",
            app=self.random.choice([None, "an app", "=other"]),
            task=self.random.choice([None, "calm", "narration"]),
        )

    def _intent(self, seq: int) -> Intent:
        provider, bound = self.random.choice("pq"), self.random.choice([None, 90])
        kind: Kind = "first" if seq == 1 else self.random.choice(get_args(Kind)[1:])
        return Intent(seq, provider, "m", "v", 1, bound, kind=kind, credential="A_KEY")

    def _closing(self, attempts: int) -> Closing:
        pays = self.random.random() < 0.6
        outcome: Outcome = "done" if pays else "failed"
        return Closing(
            "settled" if pays else "voided",
            200 if pays else 502,
            5,
            error_type=None if pays else "provider_error",
            model=self.random.choice(["m", "n", None]),
            provider=self.random.choice(["p", "q", None]),
            cost_nano=self.random.randrange(150) if pays else 0,
            charged_characters=10 if pays else 0,
            audio_ms=self.random.randrange(900),
            attempts=tuple(
                AttemptResult(seq, outcome, self.random.randrange(120), 5)
                for seq in range(1, attempts + 1)
            ),
        )


@asynccontextmanager
async def living(url: str, folder: Path) -> AsyncIterator[Life]:
    """A life on a new database."""
    migrate(Settings(config=folder, data=folder, database=Database(url)))
    engine = open_writing(database_url(url), checkpoints=False)
    writer = Writer(open_writing(database_url(url), checkpoints=True))
    lived = Life(writer, engine, Random(0))  # nothing is secret here
    await lived.make_keys()
    yield lived
    await writer.close()
    engine.dispose()
