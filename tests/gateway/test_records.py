"""Records: what a generation tells of its money, its attempts and the prices that they had."""

import secrets
import signal
from pathlib import Path

import httpx
import pytest

from gateway.endpoints.generations import record
from gateway.metering.database import database_url, open_reading
from gateway.metering.operations import Hold, Intent, Lose, SeenPrice, SeePrices
from gateway.metering.records import generation_record
from tests.conftest import NewDatabase
from tests.doubles.books import settled, until
from tests.doubles.catalogue import catalogue, offer, provider
from tests.doubles.life import living
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


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_what_nobody_came_back_for_says_so(
    kind: str, new_database: NewDatabase, tmp_path: Path
) -> None:
    url = new_database(kind)
    async with living(url, tmp_path) as life:
        hold = Hold(life.opening(), 100, Intent(1, "p", "m", "v", 1, 90, "v1"))
        terms = '{"per":"run"}'
        await life.writer.submit(SeePrices((SeenPrice("v1", "p:m", terms),) * 2))
        await life.writer.submit(SeePrices((SeenPrice("v1", "p:m", "{}"),)))
        await life.writer.submit(hold)
        await life.writer.submit(Lose((hold.opening.id,)))
        reading = open_reading(database_url(url))
        async with reading.connect() as connection:
            found = await generation_record(connection, hold.opening.id)
        await reading.dispose()
    assert found is not None
    told = record(*found)
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
