"""Offers told: their prices and limits, how they do, and why one may not be asked now."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from openrouter import components

from gateway.endpoints.offers import endpoint, endpoints, resting
from gateway.routing.standings import Ending, Grant, Rest, Standing, Standings
from providers import Offer, Provider, RateLimited
from tests.doubles.offers import catalog, offer

GOOD, BAD = offer("good", usd_per_million=15), offer("bad", usd_per_million=15)
AMONG = catalog(GOOD, BAD)
NOW = 1_000.0


def told(standings: Standings, now: float = NOW) -> dict[str, dict[str, Any]]:
    """By provider; the SDK's own models understand it all."""
    whole = endpoints("a/m", AMONG.models["a/m"], AMONG, standings, now)
    components.ListEndpointsResponse.model_validate(whole)
    return {each["tag"]: each for each in whole["endpoints"]}


def saw(standings: Standings, whom: Offer, endings: Iterable[Ending]) -> None:
    for ending in endings:
        provider = AMONG.providers[whom.provider]
        granted = standings.grant(provider, whom, whom.default_voice, NOW)
        assert isinstance(granted, Grant)
        standings.ended(granted, ending, NOW)


def one(row: Provider | None = None, rest: Rest | None = None, **more: object) -> dict[str, Any]:
    plain = Provider(name="good", wire="openai_speech", address="http://127.0.0.1:1")
    changed = replace(GOOD, **more)  # type: ignore[arg-type]  # the tests name its fields
    return endpoint(changed, row or plain, Standing(), rest)


def test_an_offer_that_nobody_asked_yet_is_well_and_tells_no_numbers() -> None:
    good = told(Standings())["good"]
    assert (good["status"], good["attempts"], good["in_flight"], good["failures"]) == (0, 0, 0, {})
    unknown = ("latency_last_30m", "throughput_last_30m", "uptime_last_5m", "real_time_factor")
    assert [good[name] for name in unknown] == [None] * 4
    assert (good["off"], good["resting"]) == (None, None)
    assert good["perf_last_30m_by_workload"]["tts"]["request_count"] == 0


def test_an_offer_tells_how_quick_it_was() -> None:
    standings = Standings()
    quick = [Ending(first_audio_ms=100, real_time_factor=0.1)] * 60
    slow = [Ending(first_audio_ms=900, real_time_factor=0.5)] * 40
    saw(standings, GOOD, quick + slow)
    good, bad = told(standings)["good"], told(standings)["bad"]
    assert good["latency_last_30m"]["p50"] == pytest.approx(100, rel=0.05)
    assert good["latency_last_30m"]["p99"] == pytest.approx(900, rel=0.05)
    # Seconds of audio per second: the higher percentile is the slower one.
    assert good["throughput_last_30m"]["p50"] == pytest.approx(10, rel=0.05)
    assert good["throughput_last_30m"]["p90"] == pytest.approx(2, rel=0.05)
    assert good["perf_last_30m_by_workload"]["tts"]["throughput"] == good["throughput_last_30m"]
    assert (good["attempts"], good["uptime_last_5m"]) == (100, 100)
    assert bad["latency_last_30m"] is None


def test_an_offer_that_rests_tells_why_and_for_how_long() -> None:
    standings = Standings()
    saw(standings, BAD, [Ending(RateLimited("slow down", status=429, wait=7))])
    bad = told(standings, NOW + 1)["bad"]
    assert (bad["status"], bad["failures"]) == (-1, {"rate_limit_exceeded": 1})
    assert bad["resting"]["reason"]
    assert bad["resting"]["seconds"] == pytest.approx(6, rel=0.2)
    assert resting(AMONG, standings, NOW + 1) == {"bad": {"a/m": bad["resting"]}}
    assert told(standings, NOW + 60)["bad"]["resting"] is None
    assert resting(AMONG, standings, NOW + 60) == {}


def test_an_offer_that_is_only_full_is_well() -> None:
    assert one(rest=Rest(0.5, "it has enough to do", is_full=True))["status"] == 0
    assert one(rest=Rest(0.5, "it is broken", is_broken=True))["status"] == -1


def test_a_provider_that_is_off_says_why_and_does_not_rest() -> None:
    among = catalog(GOOD, BAD, off="bad")
    whole = endpoints("a/m", among.models["a/m"], among, Standings(), NOW)
    good, bad = whole["endpoints"]
    assert (bad["status"], bad["off"], bad["resting"]) == (-1, "ITS_KEY is not set", None)
    assert (good["status"], good["off"]) == (0, None)


@pytest.mark.parametrize(
    ("limits", "length"),
    [
        ({"max_characters": 40}, 40),
        ({"max_bytes": 80}, 80),
        ({"max_characters": 40, "max_bytes": 80}, 40),
        ({}, 2**20),
    ],
)
def test_how_much_an_offer_takes_is_always_a_number(limits: dict[str, Any], length: int) -> None:
    assert one(**limits)["context_length"] == length


def test_an_offer_tells_what_it_can_do() -> None:
    able = one(capabilities=frozenset({"speed", "cloning"}), quality=0.7, data_policy="none")
    assert (able["supports_voice_cloning"], one()["supports_voice_cloning"]) == (True, False)
    assert able["supported_parameters"] == ["response_format", "speed", "voice"]
    assert able["capabilities"] == ["cloning", "speed"]
    assert (able["voices"], able["default_voice"], able["formats"]) == (["alloy"], "alloy", ["mp3"])
    assert (able["quality"], able["data_policy"], able["credentials"]) == (0.7, "none", 0)
    assert able["pricing"]["prompt"] == "0.000015"


@pytest.mark.parametrize("name", ["test/fine", "test%2Ffine", "tts-1", "task%2Fdefault", "auto"])
def test_every_name_that_speaks_has_endpoints_on_both_bases(
    client: httpx.Client, name: str
) -> None:
    ours = client.get(f"/v1/models/{name}/endpoints").json()["data"]
    assert ours["id"] == name.replace("%2F", "/")
    assert {each["status"] for each in ours["endpoints"]} <= {0, -1}
    assert len(ours["endpoints"]) >= 1
    theirs = client.get(f"/api/v1/models/{name}/endpoints").json()["data"]
    assert [each["name"] for each in theirs["endpoints"]] == [
        each["name"] for each in ours["endpoints"]
    ]


def test_the_details_of_every_listed_model_lead_to_its_endpoints(client: httpx.Client) -> None:
    listed = client.get("/v1/models").json()["data"]
    assert {"task/default", "tts-1", "test/fine"} <= {model["id"] for model in listed}
    for model in listed:
        told_there = client.get(model["links"]["details"])
        assert told_there.json()["data"]["id"] == model["id"]


def test_a_model_that_nobody_can_be_asked_for_still_has_endpoints(client: httpx.Client) -> None:
    assert client.get("/v1/models/off/model").status_code == 404
    [only] = client.get("/v1/models/off/model/endpoints").json()["data"]["endpoints"]
    assert (only["off"], only["status"]) == ("TEST_UNSET_KEY is not set", -1)


@pytest.mark.parametrize("name", ["no/such", "task/no-such", "endpoints", ""])
def test_a_name_of_nothing_has_no_endpoints(client: httpx.Client, name: str) -> None:
    assert client.get(f"/v1/models/{name}/endpoints").status_code == 404


def test_a_provider_that_wants_a_rest_is_told_with_it(client: httpx.Client) -> None:
    client.post("/v1/audio/speech", json={"model": "again/too-many", "input": "hello"})
    [told_there] = client.get("/v1/models/again/too-many/endpoints").json()["data"]["endpoints"]
    assert told_there["status"] == -1
    assert 0 < told_there["resting"]["seconds"] <= 10
    ready = client.get("/health/ready", params={"verbose": ""})
    assert ready.status_code == 200
    assert ready.json()["resting"]["too-many-again"]["again/too-many"]["reason"]


def test_readiness_tells_who_is_off(client: httpx.Client) -> None:
    told_ready = client.get("/health/ready", params={"verbose": ""}).json()
    assert told_ready["providers"]["fine"] == "on"
    assert told_ready["providers"]["keyless"] == "TEST_UNSET_KEY is not set"
    assert "keyless" not in told_ready["resting"]
    assert "resting" not in client.get("/health/ready").json()
