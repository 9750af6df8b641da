"""An Idempotency-Key pays once, however many ask with it at the same time."""

import asyncio
from dataclasses import replace
from pathlib import Path
from random import Random

from gateway.errors import Conflict
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import Claim
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from tests.conftest import NewDatabase
from tests.gateway.ledger.asked import CREATE, hold, settle, void
from tests.gateway.ledger.audit import assert_sound
from tests.gateway.ledger.bench import Bench

HOUR = 3_600_000


def claim(token: str, fingerprint: str = "f") -> Claim:
    return Claim(token, fingerprint, HOUR)


def test_of_those_who_ask_at_once_with_one_key_exactly_one_is_served(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    chance = Random(7)
    for number in range(60):
        ids = [f"{chance.getrandbits(64):x}" for _ in range(2 + number % 3)]
        racers = [hold(id_, 1, claim=claim(f"t{number}")) for id_ in ids]
        answers = bench.ask(*racers)
        assert sorted(map(str, answers)) == ["Conflict"] * (len(racers) - 1) + ["True"]
    with bench.looking() as connection:
        assert len(assert_sound(connection)["generation"]) == 60


async def test_two_gateways_that_are_asked_at_once_serve_one(
    new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database("postgresql")
    migrate(Settings(config=tmp_path, data=tmp_path, database=Database(url)))
    gateways = [Writer(open_writing(database_url(url), checkpoints=True)) for _ in range(2)]
    await gateways[0].submit(replace(CREATE, project="default"))
    for number in range(80):
        racers = [hold(f"{number}-{each}", 1, claim=claim(f"t{number}")) for each in range(2)]
        asked = [writer.submit(each) for writer, each in zip(gateways, racers, strict=True)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sorted(type(each) for each in answers if each is not True) == [Conflict]
    for writer in gateways:
        await writer.close()


def test_a_key_is_free_again_once_its_request_failed_and_not_before(bench: Bench) -> None:
    assert bench.ask(CREATE) == [True]
    assert bench.ask(hold("a", 1, claim=claim("t"))) == [True]
    assert bench.ask(hold("b", 1, claim=claim("t"))) == ["Conflict"]
    assert bench.ask(hold("b", 1, claim=claim("t", "g"))) == ["Mismatch"]
    assert bench.ask(void("a")) == [True]
    assert bench.ask(hold("b", 1, claim=claim("t", "g"))) == [True]
    assert bench.ask(settle("b", 1)) == [True]
    assert bench.ask(hold("c", 1, claim=claim("t", "g"))) == ["Replay"]
    assert bench.ask(hold("c", 1, claim=claim("t"))) == ["Mismatch"]
    bench.turn(HOUR)
    assert bench.ask(hold("c", 1, claim=claim("t", "g"))) == ["Replay"], "the last moment"
    bench.turn(HOUR + 1)
    assert bench.ask(hold("c", 1, claim=claim("t"))) == [True]
