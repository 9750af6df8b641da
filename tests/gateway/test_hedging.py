"""Hedging, seen from outside: a second offer beside one that is late; the key pays once."""

import asyncio
import shutil
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import httpx
import pytest

from gateway.app import HEDGES_PER_SECOND
from gateway.dispatch.hedging import LONGEST_TEXT
from gateway.dispatch.outlet import Abandoned
from gateway.metering.prices import usd
from gateway.routing.allowance import WINDOW_SECONDS
from gateway.settings import Deadlines
from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, settled
from tests.doubles.catalogue import STEADY, offer, provider
from tests.doubles.collector import Collector, attributes
from tests.doubles.running import ROOT, Running, running
from tests.doubles.stage import Stage
from tests.doubles.upstream import Upstream

FIRST, SECOND = 15_000, 30_000
"""Nano-USD per character of the first and the second provider."""
FLOOR = round(HEDGES_PER_SECOND * WINDOW_SECONDS)
CASES = {
    "late": "hang",
    "quick": "fine",
    "of-task": "hang",
    "of-row": "hang",
    "failing": "hang",
}
"""Case -> how its first provider behaves; its second one speaks, but for that of `failing`."""
TASK = """
[task.hedging]
models = ["hedge/of-task"]
hedge = true
"""


def _catalogue(upstream: Upstream) -> str:
    rows = []
    for case, behaviour in CASES.items():
        first, second = f"hedge-{case}-1", f"hedge-{case}-2"
        upstream.mood |= {first: behaviour, second: "failing" if case == "failing" else "chunked"}
        hedges = ["hedge = true"] if case == "of-row" else []
        rows.append(provider(first, upstream.address(first), offer(f"hedge/{case}", "15", *hedges)))
        rows.append(provider(second, upstream.address(second), offer(f"hedge/{case}", "30")))
    return "\n".join(rows)


def _started(
    folder: Path, upstream: Upstream, url: str, **more: str
) -> AbstractContextManager[Running]:
    (folder / "providers.toml").write_text(_catalogue(upstream))
    catalog = str(folder / "providers.toml")
    off = {"GATEWAY_EMBEDDED_VOICE_ENABLED": "false"}
    return running(folder, url, GATEWAY_CATALOG=catalog, **STEADY, **off, **more)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as server:
        yield server


@pytest.fixture(scope="module")
def own(
    collector: Collector,
    upstream: Upstream,
    new_database: NewDatabase,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[httpx.Client]:
    """The client of a gateway whose requests all may hedge."""
    folder = tmp_path_factory.mktemp("hedging")
    config = shutil.copytree(ROOT / "config", folder / "config")
    with (config / "tasks.toml").open("a") as file:
        file.write(TASK)
    more = {
        "GATEWAY_CONFIG": str(config),
        "GATEWAY_RESILIENCE_HEDGE_SHARE": "1",
        "GATEWAY_DEADLINES_ATTEMPT_SECONDS": "2.4",  # an unknown offer is late after 0.6 s
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.address,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with (
        _started(folder, upstream, new_database("sqlite"), **more) as started,
        started.client() as client,
    ):
        yield client


def speak(
    client: httpx.Client, case: str, text: str, *, hedge: bool | None = None, model: str = ""
) -> httpx.Response:
    body = {"model": model or f"hedge/{case}", "input": text, "provider": {"hedge": hedge}}
    response = client.post("/v1/audio/speech", json=body)
    assert response.status_code == 200, response.text
    return response


def test_the_quicker_is_heard_and_the_late_one_hung_up_on(
    own: httpx.Client, upstream: Upstream
) -> None:
    response = speak(own, "late", "who is quicker", hedge=True)
    assert response.headers["x-provider"] == "hedge-late-2"
    assert response.headers["x-attempts"] == "2"
    late, quicker = upstream.said("who is quicker")
    assert (late.behaviour, quicker.behaviour) == ("hedge-late-1", "hedge-late-2")
    assert late.gone.wait(5)


def test_the_record_tells_of_both_and_the_key_pays_for_the_one_it_heard(
    mine: httpx.Client, key: Key, books: Books
) -> None:
    text = "paid once, and owed twice"
    response = speak(mine, "late", text, hedge=True, model="pair/hang")
    record = settled(mine, response.headers["x-generation-id"])
    attempts = [(each["kind"], each["outcome"]) for each in responses(record)]
    assert attempts == [("first", "abandoned"), ("hedge", "done")]
    assert (record["flags"], record["fallbacks"]) == (["hedged"], 0)
    assert record["provider_name"] == "second"
    assert record["cost"] == usd(len(text) * SECOND)
    assert record["liability"] == usd(len(text) * (FIRST + SECOND))
    assert books.charged(key.hash) == (len(text) * SECOND, len(text))
    books.assert_balanced(key.hash)


def responses(record: dict[str, object]) -> list[dict[str, object]]:
    found = record["provider_responses"]
    assert isinstance(found, list)
    return found


def test_beside_a_quick_one_nobody_is_asked(own: httpx.Client, upstream: Upstream) -> None:
    response = speak(own, "quick", "quick enough", hedge=True)
    assert response.headers["x-attempts"] == "1"
    assert settled(own, response.headers["x-generation-id"])["flags"] == []
    assert upstream.counts["hedge-quick-2"] == 0


@pytest.mark.parametrize(
    ("case", "model"), [("of-row", "hedge/of-row"), ("of-task", "task/hedging")]
)
def test_an_offers_row_or_a_task_may_hedge_and_the_request_may_refuse(
    own: httpx.Client, case: str, model: str
) -> None:
    kinds = []
    for hedge in (None, False):
        response = speak(own, case, "by itself", hedge=hedge, model=model)
        assert response.headers["x-provider"] == f"hedge-{case}-2"
        record = settled(own, response.headers["x-generation-id"])
        kinds.append([each["kind"] for each in responses(record)])
    assert kinds == [["first", "hedge"], ["first", "fallback"]]


@pytest.mark.parametrize(("length", "kind"), [(LONGEST_TEXT, "hedge"), (501, "fallback")])
def test_what_is_too_long_is_not_said_twice(own: httpx.Client, length: int, kind: str) -> None:
    response = speak(own, "late", "x" * length, hedge=True)
    record = settled(own, response.headers["x-generation-id"])
    assert responses(record)[1]["kind"] == kind


def test_where_both_fail_both_are_told_of(own: httpx.Client) -> None:
    body = {"model": "hedge/failing", "input": "neither", "provider": {"hedge": True}}
    response = own.post("/v1/audio/speech", json=body)
    assert response.status_code == 502, response.text
    told = response.json()["error"]["metadata"]["attempts"]
    assert [each["error_type"] for each in told[:2]] == ["timeout", "provider_overloaded"]
    record = settled(own, response.headers["x-generation-id"])
    assert (record["status"], record["cost"]) == ("voided", "0")


def test_the_trace_tells_why_each_attempt_was_made(own: httpx.Client, collector: Collector) -> None:
    response = speak(own, "late", "traced", hedge=True)
    spans = collector.trace(response.headers["traceparent"].split("-")[1])
    attempts = [attributes(each) for each in spans if each.name == "attempt"]
    kinds = [(each["voxroute.kind"], each["voxroute.outcome"]) for each in attempts]
    assert kinds == [("first", "abandoned"), ("hedge", "done")]


def test_of_many_at_once_no_more_are_hedged_than_are_allowed(
    tmp_path: Path, upstream: Upstream, new_database: NewDatabase
) -> None:
    more = {"GATEWAY_RESILIENCE_HEDGE_SHARE": "0", "GATEWAY_DEADLINES_ATTEMPT_SECONDS": "1.2"}
    with (
        _started(tmp_path, upstream, new_database("sqlite"), **more) as gateway,
        gateway.client() as client,
        ThreadPoolExecutor(3 * FLOOR) as threads,
    ):
        body = {"model": "hedge/late", "input": "at once", "provider": {"hedge": True}}
        asking = [
            threads.submit(client.post, "/v1/audio/speech", json=body) for _ in range(3 * FLOOR)
        ]
        ids = [each.result().headers["x-generation-id"] for each in asking]
        flags = [settled(client, each)["flags"] for each in ids]
    assert (flags.count(["hedged"]), flags.count([])) == (FLOOR, 2 * FLOOR)


async def test_for_a_client_that_has_left_no_second_offer_is_asked() -> None:
    async def silent(_: str) -> AsyncGenerator[bytes]:
        await asyncio.sleep(30)
        yield b""

    stage = Stage(silent, hedge=True, deadlines=Deadlines(attempt_seconds=2))
    stage.extending = stage.outlet.abandon  # it leaves while the rival's hold is made
    with pytest.raises(Abandoned):
        await asyncio.wait_for(stage.run(), 1.5)
    assert stage.asked == ["first"]
    assert stage.in_flight() == 0
