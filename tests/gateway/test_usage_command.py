"""`gateway usage`, as a person types it, and what OpenRouter's clients ask of the rollups."""

import asyncio
import csv
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from gateway.metering.database import database_url, open_writing
from tests.conftest import NewDatabase
from tests.doubles.books import Key, move_to_yesterday, new_key, settled
from tests.doubles.commanding import called, done
from tests.doubles.life import Life, living
from tests.doubles.running import Running, environment

STEPS = 10


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, new_database: NewDatabase) -> str:
    return new_database(request.param)


async def lived(url: str, folder: Path) -> None:
    async with living(url, folder) as life:
        for _ in range(STEPS):
            await life.step()
        mark(life)


def mark(life: Life) -> None:
    """A name that markup would break, and one that a spreadsheet would run."""
    with life.engine.begin() as connection:
        for key, name in zip(life.keys, ("[/red]", "=1+1"), strict=True):
            named = text("UPDATE api_key SET name = :name WHERE hash = :hash")
            connection.execute(named, {"name": name, "hash": key})


def test_usage_is_shown_as_a_table_as_json_and_as_csv(url: str, data: Path) -> None:
    asyncio.run(lived(url, data))
    environ = environment(data, url)
    shown = called(environ, "usage", "show", "--by", "key")
    assert shown.exit_code == 0, shown.stderr
    assert "[/red]" in shown.stdout
    assert "total" in shown.stdout
    told = done(environ, "usage", "show", "--by", "key")
    by_task = done(environ, "usage", "show", "--by", "task")
    assert {row["task"] for row in by_task["data"]} == {None, "calm", "narration"}
    assert by_task["total"] == told["total"]
    printed = called(environ, "usage", "show", "--by", "key", "--csv").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [row["key"] for row in rows] == ["'=1+1", "[/red]"]
    assert sum(int(row["requests"]) for row in rows) == told["total"]["requests"] > 0
    assert [row["cost"] for row in rows] == [row["cost"] for row in told["data"]]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--from", "someday"), "--from"),
        (("--from", "2026-01-02", "--to", "2026-01-01"), "--to"),
        (("--csv", "--json"), "--csv and --json"),
        (("--bucket", "year"), "'hour', 'day', 'month'"),
    ],
)
def test_a_bad_wish_is_told_by_its_option(data: Path, words: tuple[str, ...], told: str) -> None:
    ended = called(environment(data, "sqlite+aiosqlite://"), "usage", "show", *words)
    assert ended.exit_code == 2
    assert told in ended.stderr


def test_a_rebuild_says_plainly_what_differed(url: str, data: Path) -> None:
    asyncio.run(lived(url, data))
    environ = environment(data, url)
    clean = called(environ, "usage", "rebuild")
    assert "rows, none differed" in clean.stdout, clean.stderr
    assert "counting every request anew" in clean.stderr
    with open_writing(database_url(url), checkpoints=False).begin() as connection:
        connection.execute(text("UPDATE rollup SET requests = requests + 1 WHERE width = 'hour'"))
    told = called(environ, "usage", "rebuild")
    assert "rows differed from the records" in told.stdout
    assert done(environ, "usage", "rebuild")["differed"] == 0


# Over HTTP.


@pytest.fixture
def yesterdays(gateway: Running, client: httpx.Client) -> Key:
    """A key that spoke and failed, yesterday by the database."""
    key = new_key(client, limit="2")
    with gateway.client(key.plain) as own:
        for model in ("test/fine", "test/fine", "test/failing"):
            body = {"model": model, "input": "ten letters"}
            settled(own, own.post("/v1/audio/speech", json=body).headers["x-generation-id"])
    move_to_yesterday(gateway, key.hash)
    return key


def day(ago: int) -> str:
    return (datetime.now(UTC) - timedelta(days=ago)).date().isoformat()


def test_activity_tells_complete_days_by_model_and_provider(
    gateway: Running, client: httpx.Client, yesterdays: Key
) -> None:
    wanted = {"api_key_hash": yesterdays.hash, "date": day(1)}
    told = client.get("/api/v1/activity", params=wanted).json()["data"]
    assert [(each["model"], each["provider_name"], each["requests"]) for each in told] == [
        ("", "", 1),
        ("test/fine", "fine", 2),
    ]
    # Eleven characters at 15 USD a million, twice.
    assert (told[1]["date"], told[1]["cost"]) == (day(1), "0.00033")
    assert told[1]["endpoint_id"] == "fine:test/fine"
    with gateway.client(yesterdays.plain) as own:
        assert own.get("/v1/activity").json()["data"] == told
    earlier = wanted | {"date": day(2)}
    assert client.get("/v1/activity", params=earlier).json()["data"] == []


@pytest.mark.parametrize("date", [day(0), day(31), "yesterday", "2026-02-30"])
def test_activity_is_told_of_complete_days_only(client: httpx.Client, date: str) -> None:
    refused = client.get("/v1/activity", params={"date": date})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "date"


def test_a_key_sees_no_other_keys_activity(client: httpx.Client, gateway: Running) -> None:
    mine, other = new_key(client), new_key(client)
    with gateway.client(mine.plain) as own:
        refused = own.get("/v1/activity", params={"api_key_hash": other.hash})
        assert refused.status_code == 403
        assert own.get("/v1/activity", params={"api_key_hash": mine.hash}).json()["data"] == []


def test_credits_are_a_keys_limit_and_use_and_everybodys_to_management(
    client: httpx.Client, gateway: Running, yesterdays: Key
) -> None:
    with gateway.client(yesterdays.plain) as own:
        told = own.get("/v1/credits").json()["data"]
    assert told == {"total_credits": 2, "total_usage": pytest.approx(0.00033)}
    whole = client.get("/v1/credits").json()["data"]
    # Nothing limits everybody together, so nothing was bought ahead.
    assert whole["total_credits"] == whole["total_usage"] >= told["total_usage"]
    with gateway.client(new_key(client).plain) as unlimited:
        assert unlimited.get("/v1/credits").json()["data"] == {"total_credits": 0, "total_usage": 0}
