"""Offers that are left alone: passed over while another can speak, told as 503 when none can."""

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, new_key, settled, until
from tests.doubles.catalogue import offer, provider
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

BREAKER_SECONDS = 2
CASES = {
    "limited": "too-many",
    "refused": "bad-key",
    "broken": "failing",
    "flighty": "failing",
    "voiceless": "missing",
    "missing-key": "forbidden",
}
"""Case -> how its first provider behaves at first; its second one speaks."""
LONELY = {"lonely-limited": "too-many", "lonely-broken": "failing", "lonely-silent": "no-credit"}


@pytest.fixture(scope="module")
def gateway(
    upstream: Upstream, new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway with the default rules, but for the time that a breaker takes."""
    data = tmp_path_factory.mktemp("resting")
    (data / "providers.toml").write_text(_catalogue(upstream))
    with running(
        data,
        new_database("sqlite"),
        GATEWAY_CATALOG=str(data / "providers.toml"),
        GATEWAY_EMBEDDED_VOICE_ENABLED="false",
        GATEWAY_DEFAULTS_POLICY="price",
        GATEWAY_RESILIENCE_BREAKER_SECONDS=str(BREAKER_SECONDS),
        GATEWAY_RESILIENCE_EXPLORE_SHARE="0",
        REST_KEY_ONE="rest-key-one",
        REST_KEY_TWO="rest-key-two",
    ) as started:
        yield started


def _catalogue(upstream: Upstream) -> str:
    rows = []
    for case, behaviour in (CASES | LONELY).items():
        upstream.mood[f"{case}-1"] = behaviour
        model = offer(f"rest/{case}", "15")
        rows.append(provider(f"{case}-1", upstream.address(f"{case}-1"), model))
    for case in CASES:
        upstream.mood[f"{case}-2"] = "fine"
        model = offer(f"rest/{case}", "30")
        rows.append(provider(f"{case}-2", upstream.address(f"{case}-2"), model))
    keys = ("REST_KEY_ONE", "REST_KEY_TWO")
    upstream.mood["two-keys"] = "one-key"
    two = provider("two-keys", upstream.address("two-keys"), offer("rest/two-keys", "15"), key=keys)
    return "\n".join([*rows, two])


def speak(client: httpx.Client, case: str, **body: object) -> httpx.Response:
    asked = {"model": f"rest/{case}", "input": "Let it rest"} | body
    return client.post("/v1/audio/speech", json=asked)


def spoken_by(client: httpx.Client, case: str, **body: object) -> tuple[str, str]:
    """By which provider, and at which attempt."""
    response = speak(client, case, **body)
    assert response.status_code == 200, response.text
    return response.headers["x-provider"], response.headers["x-attempts"]


@pytest.mark.parametrize("case", ["limited", "refused", "missing-key"])
def test_whom_a_refusal_closes_is_passed_over_by_the_next_request(
    mine: httpx.Client, upstream: Upstream, case: str
) -> None:
    assert spoken_by(mine, case) == (f"{case}-2", "2")
    for _ in range(3):
        assert spoken_by(mine, case) == (f"{case}-2", "1")
    assert upstream.counts[f"{case}-1"] == 1


def test_alone_it_is_told_when_to_come_back_and_costs_nothing(
    mine: httpx.Client, key: Key, books: Books, upstream: Upstream
) -> None:
    assert speak(mine, "lonely-limited").status_code == 502
    response = speak(mine, "lonely-limited")
    assert response.status_code == 503, response.text
    assert 1 <= int(response.headers["retry-after"]) <= 9  # the 7 that it asked for, and jitter
    assert upstream.counts["lonely-limited-1"] == 1
    record = settled(mine, response.headers["x-generation-id"])
    assert (record["status"], record["cost"], record["characters"]) == ("voided", "0", 0)
    assert record["upstream_inference_cost"] == 0
    assert books.charged(key.hash) == (0, 0)
    books.assert_balanced(key.hash)


def test_a_provider_without_money_is_not_asked_again(
    mine: httpx.Client, upstream: Upstream
) -> None:
    statuses = [speak(mine, "lonely-silent").status_code for _ in range(4)]
    assert statuses == [502, 503, 503, 503]
    assert upstream.counts["lonely-silent-1"] == 1


def test_after_five_failures_in_a_row_the_sixth_request_goes_elsewhere_at_once(
    mine: httpx.Client, upstream: Upstream
) -> None:
    assert [spoken_by(mine, "broken") for _ in range(5)] == [("broken-2", "2")] * 5
    assert spoken_by(mine, "broken") == ("broken-2", "1")
    assert upstream.counts["broken-1"] == 5


def test_once_it_has_rested_a_probe_finds_out_that_it_is_well(
    mine: httpx.Client, upstream: Upstream
) -> None:
    for _ in range(6):
        speak(mine, "flighty")
    upstream.mood["flighty-1"] = "fine"
    assert spoken_by(mine, "flighty") == ("flighty-2", "1")
    until(lambda: spoken_by(mine, "flighty") == ("flighty-1", "1"), 2 * BREAKER_SECONDS)


def test_a_broken_one_that_is_alone_is_tried_now_and_then(
    mine: httpx.Client, upstream: Upstream
) -> None:
    answers = [speak(mine, "lonely-broken") for _ in range(40)]
    assert {each.status_code for each in answers} == {502, 503}
    assert upstream.counts["lonely-broken-1"] < 20
    told = [each for each in answers if each.status_code == 503]
    assert all(int(each.headers["retry-after"]) >= 1 for each in told)


def test_a_voice_that_is_not_there_rests_and_another_voice_does_not(
    mine: httpx.Client, upstream: Upstream
) -> None:
    assert spoken_by(mine, "voiceless", voice="alloy") == ("voiceless-2", "2")
    assert spoken_by(mine, "voiceless", voice="alloy") == ("voiceless-2", "1")
    upstream.mood["voiceless-1"] = "fine"
    assert spoken_by(mine, "voiceless", voice="test-voice") == ("voiceless-1", "1")


def test_another_credential_is_used_at_once_within_the_same_request(
    mine: httpx.Client, upstream: Upstream
) -> None:
    response = speak(mine, "two-keys")
    assert response.status_code == 200, response.text
    record = settled(mine, response.headers["x-generation-id"])
    responses = record["provider_responses"]
    assert isinstance(responses, list)
    assert [(each["provider_name"], each["kind"], each["credential"]) for each in responses] == [
        ("two-keys", "first", "REST_KEY_ONE"),
        ("two-keys", "credential", "REST_KEY_TWO"),
    ]
    assert [spoken_by(mine, "two-keys") for _ in range(3)] == [("two-keys", "1")] * 3
    assert upstream.counts["two-keys"] == 5


def test_a_key_of_its_own_makes_no_difference_to_who_rests(
    client: httpx.Client, gateway: Running, upstream: Upstream
) -> None:
    """Standings are the process's, not a caller's."""
    before = upstream.counts["lonely-silent-1"]
    for _ in range(2):
        with gateway.client(new_key(client).plain) as another:
            speak(another, "lonely-silent")
    assert upstream.counts["lonely-silent-1"] <= max(before, 1)
