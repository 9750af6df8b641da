"""Bad input: a clear error that names the field, nothing charged, nothing sent upstream."""

import httpx
import pytest

from tests.doubles.running import Running
from tests.doubles.upstream import Upstream

GOOD: dict[str, object] = {"model": "test/fine", "input": "Good day"}


def refusal(response: httpx.Response) -> dict[str, object]:
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error: dict[str, object] = response.json()["error"]
    assert error["code"] == response.status_code
    assert set(error) == {"code", "message", "type", "param", "metadata"}
    return error


@pytest.mark.parametrize(
    ("changes", "status", "param", "told"),
    [
        ({"model": "nobody/nothing"}, 404, "model", "again/bad-gateway"),
        ({"model": "task/nothing"}, 404, "model", "task/default"),
        ({"model": ""}, 400, "model", ">= 1"),
        ({"voice": "nobody"}, 400, "voice", "test-voice"),
        ({"model": "local/espeak-ng", "voice": "nobody"}, 400, "voice", "en-us"),
        ({"input": ""}, 400, "input", "empty"),
        ({"input": " \n "}, 400, "input", "empty"),
        ({"input": "?!..."}, 400, "input", "letter or digit"),
        ({"input": "a\0b"}, 400, "input", "NUL"),
        ({"input": 7}, 400, "input", "str"),
        ({"model": "test/short", "input": "x" * 21}, 400, "input", "20 characters"),
        ({"response_format": "ogg"}, 400, "response_format", "ogg"),
        ({"speed": 5}, 400, "speed", "4.0"),
        ({"speed": 0.1}, 400, "speed", "0.25"),
        ({"stream_format": "carrier pigeon"}, 400, "stream_format", "carrier"),
        ({"provider": {"max_price": "0.001"}}, 404, "provider.max_price", "cheapest"),
        ({"provider": {"max_price": "a lot"}}, 400, "provider.max_price", "decimal"),
        ({"provider": {"only": ["nobody"]}}, 400, "provider.only", "offered by fine"),
        ({"provider": {"only": ["refused"]}}, 404, "provider", "offered by fine"),
        (
            {"provider": {"order": ["nobody"], "allow_fallbacks": False}},
            400,
            "provider.order",
            "offered by fine",
        ),
        (
            {"provider": {"only": ["fine"], "ignore": ["Fine"]}},
            400,
            "provider.ignore",
            "provider.only, too",
        ),
        ({"model": "test/fine:fast"}, 404, "model", ":nitro and :floor"),
        ({"provider": {"colour": 1}}, 400, "provider.colour", "unknown field"),
        ({"sped": 1}, 400, "sped", "speed"),
        ({"model": "off/model"}, 503, "model", "TEST_UNSET_KEY"),
    ],
)
def test_bad_fields_are_named(  # noqa: PLR0913, PLR0917  # a row of the table, and where
    client: httpx.Client,
    upstream: Upstream,
    changes: dict[str, object],
    status: int,
    param: str,
    told: str,
) -> None:
    before = len(upstream.heard)
    response = client.post("/v1/audio/speech", json=GOOD | changes)
    error = refusal(response)
    assert (response.status_code, error["param"]) == (status, param)
    assert told in str(error["message"])
    assert len(upstream.heard) == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "object"),
        (b'{"input": "no model"}', "model"),
        (b'{"model": "auto", "input": "\\ud800"}', "surrogates"),
        (b'{"model": "auto", "input": "\xff"}', "UTF-8"),
        (b"[" * 100_000, "object"),
    ],
)
def test_what_is_no_body_is_told(client: httpx.Client, content: bytes, told: str) -> None:
    response = client.post("/v1/audio/speech", content=content)
    assert response.status_code == 400
    assert told in str(refusal(response)["message"])


def test_the_field_with_the_lone_surrogate_is_named(client: httpx.Client) -> None:
    content = b'{"model": "auto", "input": "fine", "instructions": "a \\udc00 b"}'
    response = client.post("/v1/audio/speech", content=content)
    assert response.status_code == 400
    assert refusal(response)["param"] == "instructions"


def test_openrouters_preferences_for_text_are_no_reason_to_refuse(client: httpx.Client) -> None:
    preferences = {
        "quantizations": ["fp8"],
        "preferred_max_latency": {"p90": 2},
        "preferred_min_throughput": 50,
        "enforce_distillable_text": False,
    }
    body = GOOD | {"provider": preferences, "response_format": "mp3"}
    assert client.post("/api/v1/audio/speech", json=body).status_code == 200


def test_a_body_beyond_the_limit_is_refused(client: httpx.Client) -> None:
    response = client.post("/v1/audio/speech", content=b" " * 12_600_000)
    assert response.status_code == 413
    refusal(response)


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Basic abc",
        "Bearer vox_short",
        "Bearer vox_" + "a" * 50,
        "Bearer " + "x" * 600,
        "Bearer sk-or-v1-0123456789abcdef0123456789abcdef",
    ],
)
def test_without_a_good_key_nothing_is_said(gateway: Running, authorization: str | None) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    response = httpx.post(f"{gateway.url}/v1/audio/speech", json=GOOD, headers=headers)
    assert response.status_code == 401
    assert refusal(response)["type"] == "authentication_error"
    assert "x-generation-id" not in response.headers


def test_the_key_is_asked_for_before_the_body_is_judged(gateway: Running) -> None:
    assert httpx.post(f"{gateway.url}/v1/audio/speech", content=b"{").status_code == 401


def test_a_refused_request_has_a_record_and_costs_nothing(client: httpx.Client) -> None:
    response = client.post("/v1/audio/speech", json=GOOD | {"voice": "nobody"})
    generation = response.headers["x-generation-id"]
    record = client.get("/v1/generation", params={"id": generation}).json()["data"]
    assert record["status"] == "voided"
    assert record["http_status"] == 400
    assert record["error_type"] == "invalid_request"
    assert (record["cost"], record["characters"]) == ("0", 0)
    assert record["plan"]["excluded"][0]["reason"] == "voice"


def test_a_body_that_cannot_be_read_leaves_no_record(client: httpx.Client) -> None:
    response = client.post("/v1/audio/speech", json=GOOD | {"speed": 9})
    assert "x-generation-id" not in response.headers


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/readyz", "/v1/test", "/health", "/metrics/x"])
def test_unknown_paths_are_an_honest_404(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert path in str(refusal(response)["message"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/generation?id=%00", 404),
        ("/v1/generations/%00/content", 404),
        ("/v1/generations/%00/audio", 404),
        ("/v1/generations?after=%00", 200),
        ("/v1/activity?api_key_hash=%00", 400),
        ("/v1/keys/%00", 404),
        ("/v1/budgets?scope=%00", 400),
        ("/v1/audit?subject=%00", 400),
        ("/v1/models?q=%00", 200),
        ("/v1/models/%00/%00/endpoints", 404),
    ],
)
def test_a_name_that_no_database_takes_is_a_name_of_nothing(
    client: httpx.Client, path: str, status: int
) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text


def test_a_turn_cannot_name_a_generation_that_no_database_takes(client: httpx.Client) -> None:
    context = [{"speaker": 0, "text": "hello", "generation_id": "\0"}]
    body = {"model": "test/fine", "input": "hello", "context": context}
    answer = client.post("/v1/audio/speech", json=body)
    assert answer.status_code == 400, answer.text


def test_a_wrong_method_is_told(client: httpx.Client) -> None:
    response = client.get("/v1/audio/speech")
    assert response.status_code == 405
    refusal(response)


def test_openrouters_path_takes_unknown_fields_and_nulls(client: httpx.Client) -> None:
    nulls = dict.fromkeys(("voice", "speed", "provider", "instructions", "seed", "models"))
    body = GOOD | nulls | {"something": "new", "response_format": "mp3"}
    assert client.post("/api/v1/audio/speech", json=body).status_code == 200


def test_a_request_id_of_the_clients_own_is_kept_when_it_is_plain(client: httpx.Client) -> None:
    kept = client.get("/v1/none", headers={"x-request-id": "my-id.1"})
    assert kept.headers["x-request-id"] == "my-id.1"
    odd = client.get("/v1/none", headers={"x-request-id": "a b<script>"})
    assert odd.headers["x-request-id"].startswith("req-")
