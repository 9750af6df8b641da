"""Records: what a generation tells of its money, its attempts and the prices that they had."""

import secrets
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from openrouter import components

from gateway.endpoints.generations import record
from gateway.metering.database import open_reading
from gateway.metering.operations import (
    AttemptResult,
    Closing,
    Extend,
    Flag,
    Hold,
    Intent,
    Lose,
    Opening,
    Operation,
    Resolve,
    SeenPrice,
    SeePrices,
)
from gateway.metering.records import generation_record
from tests.conftest import NewDatabase
from tests.doubles.books import settled, until
from tests.doubles.catalogue import catalogue, offer, provider
from tests.doubles.life import Life, living
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream


def spoken(client: httpx.Client, model: str) -> dict[str, object]:
    response = client.post("/v1/audio/speech", json={"model": model, "input": secrets.token_hex(5)})
    assert response.status_code == 200, response.text
    return settled(client, response.headers["x-generation-id"])


def test_an_attempt_tells_its_bound_its_liability_and_its_price(client: httpx.Client) -> None:
    told = spoken(client, "test/fine")
    assert (told["flags"], told["characters_charged"], told["status_note"]) == ([], 10, None)
    [attempt] = told["provider_responses"]  # type: ignore[misc]  # a JSON list
    # Ten characters at 15 USD a million.
    assert (attempt["bound"], attempt["liability"]) == ("0.00015", "0.00015")
    assert (
        attempt["price_terms"] | {"per": "character", "rate": 15_000_000}
        == (attempt["price_terms"])
    )
    assert attempt["price_terms"]["version"] == attempt["price"]


def test_a_cost_that_nobody_knows_is_not_told_as_nothing(client: httpx.Client) -> None:
    told = spoken(client, "test/unpriced")
    assert told["flags"] == ["unpriced"]
    assert (told["cost"], told["liability"], told["upstream_inference_cost"]) == (None, None, None)
    [attempt] = told["provider_responses"]  # type: ignore[misc]  # a JSON list
    assert (attempt["bound"], attempt["liability"]) == (None, None)
    assert attempt["price_terms"]["per"] == "unknown"


@pytest.fixture(params=["sqlite", "postgresql"])
async def life(
    request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path
) -> AsyncIterator[Life]:
    async with living(new_database(request.param), tmp_path) as lived:
        yield lived


async def told_of(life: Life, opening: Opening, *operations: Operation) -> dict[str, Any]:
    """The record once these are done; the SDK's own models understand each."""
    for each in operations:
        assert await life.writer.submit(each)
    reading = open_reading(life.engine.url)
    async with reading.connect() as connection:
        found = await generation_record(connection, opening.id)
    await reading.dispose()
    assert found is not None
    told = record(*found)
    components.GenerationResponse.model_validate({"data": told})
    return told


async def test_an_attempt_tells_why_when_and_with_which_key_it_was_made(life: Life) -> None:
    opening = replace(life.opening(), created_ms=1_000)
    first = Intent(1, "p", "m", "v", 1_004, 90, credential="THE_KEY")
    second = Intent(2, "q", "m", "w", 3_500, 90, kind="resume", from_character=7)
    results = AttemptResult(1, "failed", 0, 5, audio_ms=800), AttemptResult(2, "done", 9, 5)
    closing = Closing("settled", 200, 9, audio_ms=2_000, attempts=results, flags=("resumed",))
    steps = Hold(opening, 100, first), Extend(opening.id, 0, second), Resolve(opening.id, closing)
    told = await told_of(life, opening, *steps)
    assert (told["fallbacks"], told["flags"], told["cut_at_seconds"]) == (1, ["resumed"], None)
    named = ("kind", "credential", "from_character", "audio_seconds", "started_after_ms")
    assert [[each[name] for name in named] for each in told["provider_responses"]] == [
        ["first", "THE_KEY", 0, 0.8, 4],
        ["resume", None, 7, 0.0, 2_500],
    ]
    at = [each["started_at"] for each in told["provider_responses"]]
    assert at == ["1970-01-01T00:00:01.004000+00:00", "1970-01-01T00:00:03.500000+00:00"]


async def test_a_clip_that_broke_tells_where_and_one_without_audio_does_not(life: Life) -> None:
    broken: dict[Flag, float | None] = {"cut": 1.25, "downgraded": None}
    for flag, at in broken.items():
        opening = life.opening()
        closing = Closing("voided", 502, 9, "broken_off", audio_ms=1_250, flags=(flag,))
        hold = Hold(opening, 100, Intent(1, "p", "m", "v", 1, 90))
        told = await told_of(life, opening, hold, Resolve(opening.id, closing))
        assert told["cut_at_seconds"] == at


async def test_the_plan_is_told_as_it_was_stored(life: Life) -> None:
    opening = replace(life.opening(), plan='{"choices":[{"offer":"p:m"}],"policy":"price"}')
    told = await told_of(life, opening, Hold(opening, 1, Intent(1, "p", "m", "v", 1, 1)))
    assert told["plan"] == {"choices": [{"offer": "p:m"}], "policy": "price"}


async def test_what_nobody_came_back_for_says_so(life: Life) -> None:
    hold = Hold(life.opening(), 100, Intent(1, "p", "m", "v", 1, 90, "v1"))
    seen = SeenPrice("v1", "p:m", '{"per":"run"}')
    again = SeePrices((replace(seen, terms="{}"),))
    lost = Lose((hold.opening.id,))
    told = await told_of(life, hold.opening, SeePrices((seen, seen)), again, hold, lost)
    assert (told["status"], told["flags"]) == ("unknown", ["recovered"])
    assert "stays counted" in told["status_note"]
    assert (told["cost"], told["characters_charged"]) == ("0.0000001", 0)
    [attempt] = told["provider_responses"]
    assert (attempt["outcome"], attempt["liability"]) == ("unknown", "0.00000009")
    assert attempt["price_terms"] == {"per": "run"}


def test_a_price_that_a_reload_brought_is_in_the_book(data: Path, upstream: Upstream) -> None:
    extra = data / "providers.toml"
    data.mkdir()
    extra.write_text(catalogue(upstream))
    database = f"sqlite+aiosqlite:///{data}/gateway.db"
    with (
        running(data, database, GATEWAY_CATALOG=str(extra)) as gateway,
        gateway.client() as client,
    ):
        row = provider("newcomer", upstream.address("fine"), offer("new/voice", "7"))
        extra.write_text(catalogue(upstream) + row)
        gateway.process.send_signal(signal.SIGHUP)
        until(lambda: "configuration reloaded" in gateway.said())
        told = spoken(client, "new/voice")
        wanted = {"id": str(told["id"])}
        until(lambda: terms(client, wanted) is not None)
        assert terms(client, wanted)["rate"] == 7_000_000


def terms(client: httpx.Client, wanted: dict[str, str]) -> dict[str, int]:
    told = client.get("/v1/generation", params=wanted).json()["data"]
    found: dict[str, int] = told["provider_responses"][0]["price_terms"]
    return found


def test_two_keys_of_one_name_are_two_rows_and_no_formula(
    client: httpx.Client, gateway: Running
) -> None:
    made = [client.post("/v1/keys", json={"name": "=cmd()"}).json() for _ in range(2)]
    for each in made:
        with gateway.client(each["key"]) as own:
            spoken(own, "test/fine")
    told = client.get("/v1/usage", params={"group_by": "key"}).json()
    ours = {row["key_hash"]: row for row in told["data"] if row["key"] == "=cmd()"}
    assert {each["data"]["hash"] for each in made} == ours.keys()
    assert [row["requests"] for row in ours.values()] == [1, 1]
    assert told["from"] < told["to"]
    told_csv = client.get("/v1/usage", params={"group_by": "key", "format": "csv"}).text
    assert told_csv.count(",'=cmd(),") == 2
