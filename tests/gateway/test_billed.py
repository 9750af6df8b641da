"""What a provider says that it bills, from its wire to the cost of the clip."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from gateway.audio.formats import Format, Sound
from gateway.dispatch.costs import cost_of, flags_of
from gateway.dispatch.first_audio import Heard, first_audio
from gateway.metering.prices import Cost, upper_bound
from gateway.metering.spoken import longest_ms
from gateway.routing.plan import Choice
from providers import Client, Price, Receipt, open_client, speak
from tests.doubles.asking import OFFER, provider, saying
from tests.doubles.books import settled
from tests.doubles.running import Running
from tests.doubles.upstream import Upstream

TEXT = "x" * 1000
OWN = 15_000_000
OFFERED = replace(OFFER, price=Price(per="character", rate=15_000_000))
CHOICE = Choice(OFFERED, "alloy", "mp3", OWN)
HEADERS = {"billed_units_header": "x-units", "billed_usd_header": "x-usd"}


async def hear(client: Client, upstream: Upstream, *bill: str) -> Heard:
    """Everything that an attempt hears of a clip whose provider bills so."""
    heard = Heard(Sound(Format.MP3, 24_000))
    whom = provider(upstream.address("billing"), **HEADERS)
    speech = saying(TEXT, options={"bill": list(bill)})
    async for _ in first_audio(speak(client, whom, OFFERED, speech), heard):
        pass
    return heard


@pytest.mark.parametrize(
    ("bill", "units", "nano", "malformed"),
    [
        ([], None, None, False),
        (["x-units: 1000", "x-usd: 0.015"], 1000, OWN, False),
        (["x-units: 0"], 0, None, False),
        (["x-usd: 0"], None, 0, False),
        (["x-usd: -1"], None, None, True),
        (["x-units: 1000", "x-usd: none"], 1000, None, True),
    ],
)
async def test_the_bill_is_heard_with_the_audio(
    upstream: Upstream,
    bill: list[str],
    units: int | None,
    nano: int | None,
    malformed: bool,  # noqa: FBT001  # a column of the table
) -> None:
    async with open_client() as client:
        heard = await hear(client, upstream, *bill)
    assert (heard.billed_units, heard.billed_nano) == (units, nano)
    assert heard.billed_malformed is malformed


@pytest.mark.parametrize(
    ("bill", "cost"),
    [
        ("x-unrelated: 1", Cost(OWN, 1000)),
        ("x-usd: 0.015", Cost(OWN, 1000, reported=True)),
        ("x-units: 1000", Cost(OWN, 1000, reported=True)),
        ("x-usd: 0.015075", Cost(15_075_000, 1000, reported=True)),
        ("x-units: 995", Cost(14_925_000, 995, reported=True)),
        ("x-usd: 0.0153", Cost(15_300_000, 1000, reported=True, drift=True)),
        ("x-units: 1020", Cost(15_300_000, 1020, reported=True, drift=True)),
        ("x-usd: 0", Cost(0, 1000, reported=True, drift=True)),
        ("x-units: 0", Cost(0, 0, reported=True, drift=True)),
        ("x-usd: 1.5e-2", Cost(OWN, 1000, malformed=True)),
        ("x-usd: ", Cost(OWN, 1000, malformed=True)),
        ("x-units: -1000", Cost(OWN, 1000, malformed=True)),
        ("x-usd: 15000", Cost(OWN, 1000, malformed=True)),
        ("x-units: 99999999999999999999", Cost(OWN, 1000, malformed=True)),
        ("x-usd: 999", Cost(999 * 10**9, 1000, reported=True, drift=True)),
    ],
)
async def test_what_a_clip_came_to_follows_the_bill(
    upstream: Upstream, bill: str, cost: Cost
) -> None:
    async with open_client() as client:
        heard = await hear(client, upstream, bill)
    assert cost_of(CHOICE, saying(TEXT), heard, 60.0, whole=True) == cost


HEARD = Heard(Sound(Format.MP3, 24_000))
UNKNOWN = replace(CHOICE, offer=replace(OFFER, price=Price("unknown")), bound_nano=None)


def test_a_clip_not_heard_to_its_end_costs_its_bound() -> None:
    price = Price(per="second", rate=10**9)
    choice = replace(CHOICE, offer=replace(OFFER, price=price))
    bound = upper_bound(price, TEXT, longest_ms(TEXT))
    assert cost_of(choice, saying(TEXT), HEARD, 1.0, whole=False) == Cost(bound, None)


def test_a_clip_not_heard_to_its_end_costs_what_its_provider_reported() -> None:
    heard = replace(HEARD, billed_nano=OWN // 2)
    cost = cost_of(CHOICE, saying(TEXT), heard, 1.0, whole=False)
    assert cost == Cost(OWN // 2, 1000, reported=True, drift=True)


def test_what_is_remarkable_about_a_cost_is_flagged() -> None:
    assert flags_of(Cost(OWN, None)) == ()
    assert flags_of(Cost(OWN, None, drift=True, malformed=True)) == ("drift", "malformed_bill")
    assert cost_of(UNKNOWN, saying(TEXT), HEARD, 1.0, whole=True).nano is None
    assert flags_of(Cost(None, None)) == ("unpriced",)


async def test_later_figures_replace_earlier_ones_and_none_replaces_nothing() -> None:
    async def pieces() -> AsyncIterator[bytes | Receipt]:
        yield Receipt(billed_units=5, billed_nano=7, billed_malformed=True)
        yield b"\1\2" * 800
        yield Receipt(billed_units=0)

    heard = Heard(Sound(Format.PCM, 24_000))
    async for _ in first_audio(pieces(), heard):
        pass
    assert (heard.billed_units, heard.billed_nano, heard.billed_malformed) == (0, 7, True)


@pytest.mark.parametrize(
    ("bill", "cost"),
    [
        ([], "0.00015"),
        (["x-usd: 0.0001"], "0.0001"),
        (["x-units: 0"], "0"),
        (["x-units: lots"], "0.00015"),
        (["x-usd: 5"], "5"),
    ],
)
def test_a_record_costs_what_was_billed_even_beyond_what_was_held(
    client: httpx.Client, bill: list[str], cost: str
) -> None:
    body = {"model": "test/billing", "input": "ten of it."}
    options = {"provider": {"options": {"billing": {"bill": bill}}}}
    response = client.post("/v1/audio/speech", json=body | options)
    assert response.status_code == 200, response.text
    record = settled(client, response.headers["x-generation-id"])
    assert record["cost"] == cost
    flags = str(record["flags"])
    assert ("over_hold" in flags) == ("drift" in flags and cost == "5")


def test_an_unknown_price_speaks_without_a_cap_and_not_under_one(
    client: httpx.Client, gateway: Running
) -> None:
    body = {"model": "test/unpriced", "input": "unpriced"}
    assert client.post("/v1/audio/speech", json=body).status_code == 200
    capped = client.post("/v1/audio/speech", json=body | {"provider": {"max_price": "1000000"}})
    assert capped.status_code == 404
    assert "its price is not known" in capped.json()["error"]["message"]
