"""Keys and what they used: made, listed, disabled, limited; usage to the last nano-dollar."""

import stat
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from tests.doubles.books import settled, until
from tests.doubles.running import Running

TEXT = "Seventeen letters"


def _refused(response: httpx.Response) -> httpx.Response | None:
    return response if response.status_code == 401 else None


def new_key(client: httpx.Client, **body: object) -> dict[str, object]:
    response = client.post("/api/v1/keys", json={"name": "made for a test"} | body)
    assert response.status_code == 201, response.text
    made: dict[str, object] = response.json()
    return made


def speak(
    gateway: Running, key: object, model: str = "test/fine", text: str = TEXT
) -> httpx.Response:
    with gateway.client(str(key)) as client:
        return client.post("/v1/audio/speech", json={"model": model, "input": text})


def final(gateway: Running, key: object, response: httpx.Response) -> dict[str, object]:
    with gateway.client(str(key)) as client:
        return settled(client, response.headers["x-generation-id"])


def test_the_first_key_is_written_for_its_owner_alone(gateway: Running) -> None:
    file = gateway.data / "admin.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == gateway.key
    assert gateway.said().count(gateway.key) == 1


def test_a_key_is_shown_once_and_speaks(client: httpx.Client, gateway: Running) -> None:
    made = new_key(client, name="reader", limit=1.5)
    data = made["data"]
    assert isinstance(data, dict)
    assert (data["name"], data["limit"], data["limit_remaining"]) == ("reader", 1.5, 1.5)
    assert data["scopes"] == ["speak"]
    listed = client.get("/api/v1/keys").text
    assert data["hash"] in listed
    assert str(made["key"]) not in listed
    assert speak(gateway, made["key"]).status_code == 200


def test_a_speak_key_cannot_manage(client: httpx.Client, gateway: Running) -> None:
    made = new_key(client)
    with gateway.client(str(made["key"])) as other:
        for response in (other.get("/v1/keys"), other.post("/v1/keys", json={"name": "x"})):
            assert response.status_code == 403
            assert response.json()["error"]["metadata"]["error_type"] == "permission_denied"


def test_a_manage_key_cannot_speak_unless_it_may(client: httpx.Client, gateway: Running) -> None:
    made = new_key(client, scopes=["manage"])
    assert speak(gateway, made["key"]).status_code == 403
    with gateway.client(str(made["key"])) as managing:
        for path in ("/v1/key", "/v1/usage", "/v1/generations", "/v1/models", "/v1/keys"):
            assert managing.get(path).status_code == 200


def test_a_disabled_key_stops_and_starts_again(client: httpx.Client, gateway: Running) -> None:
    made = new_key(client)
    path = f"/api/v1/keys/{made['data']['hash']}"  # type: ignore[index]  # a JSON object
    assert client.patch(path, json={"disabled": True}).json()["data"]["disabled"] is True
    response = speak(gateway, made["key"])
    assert response.status_code == 401
    assert "disabled" in response.json()["error"]["message"]
    client.patch(path, json={"disabled": False})
    time.sleep(1.1)  # a refusal is not remembered; an acceptance is, for a second
    assert speak(gateway, made["key"]).status_code == 200


def test_money_and_characters_are_exact(client: httpx.Client, gateway: Running) -> None:
    key = new_key(client, limit=1)["key"]
    record = final(gateway, key, speak(gateway, key))
    # 17 characters at 15 USD a million.
    assert record["cost"] == "0.000255"
    assert record["characters"] == len(TEXT)
    assert record["status"] == "settled"
    with gateway.client(str(key)) as own:
        told = own.get("/api/v1/key").json()["data"]
    assert Decimal(str(told["usage"])) == Decimal("0.000255")
    assert Decimal(str(told["limit_remaining"])) == 1 - Decimal("0.000255")
    assert told["characters"] == len(TEXT)


def test_characters_are_code_points_as_received(client: httpx.Client, gateway: Running) -> None:
    key = new_key(client)["key"]
    text = "né 👩‍👧 日本"
    assert final(gateway, key, speak(gateway, key, text=text))["characters"] == len(text) == 9


def test_a_limit_below_the_price_refuses_without_a_retry(
    client: httpx.Client, gateway: Running
) -> None:
    key = new_key(client, limit=0.0001)["key"]
    response = speak(gateway, key)
    assert response.status_code == 402
    assert response.headers["x-should-retry"] == "false"
    assert "0.0001 USD" in response.json()["error"]["message"]
    assert final(gateway, key, response)["status"] == "voided"


def test_a_refusal_is_on_record_when_it_is_told(client: httpx.Client, gateway: Running) -> None:
    key = new_key(client, limit=0.0001)["key"]
    with gateway.client(str(key)) as own:
        for _ in range(20):
            refused = own.post("/v1/audio/speech", json={"model": "test/fine", "input": TEXT})
            wanted = {"id": refused.headers["x-generation-id"]}
            assert own.get("/v1/generation", params=wanted).json()["data"]["http_status"] == 402


def test_a_key_without_money_can_still_use_what_is_free(
    client: httpx.Client, gateway: Running
) -> None:
    key = new_key(client, limit=0)["key"]
    assert speak(gateway, key, model="local/espeak-ng").status_code == 200


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": ""}, "name"),
        ({}, "name"),
        ({"name": "x", "limit": -1}, "limit"),
        ({"name": "x", "limit": "much"}, "limit"),
        ({"name": "x", "limit_reset": "yearly"}, "limit_reset"),
        ({"name": "x", "scopes": ["everything"]}, "scopes"),
        ({"name": "x", "expires_at": "soon"}, "expires_at"),
        ({"name": "x", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ],
)
def test_a_bad_wish_for_a_key_is_named(
    client: httpx.Client, body: dict[str, object], param: str
) -> None:
    response = client.post("/api/v1/keys", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_an_expired_key_is_refused(client: httpx.Client, gateway: Running) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1)
    key = new_key(client, expires_at=soon.isoformat())["key"]
    assert speak(gateway, key).status_code == 200
    refused = until(lambda: _refused(speak(gateway, key)), 3)
    assert datetime.now(UTC) >= soon
    assert "expired" in refused.json()["error"]["message"]


def test_a_limit_cannot_fall_below_what_is_used(client: httpx.Client, gateway: Running) -> None:
    made = new_key(client, limit=1)
    final(gateway, made["key"], speak(gateway, made["key"]))
    path = f"/api/v1/keys/{made['data']['hash']}"  # type: ignore[index]  # a JSON object
    response = client.patch(path, json={"limit": 0.0001})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "limit"


def test_a_record_is_seen_by_its_own_key_and_by_management(
    client: httpx.Client, gateway: Running
) -> None:
    mine, other = new_key(client)["key"], new_key(client)["key"]
    response = speak(gateway, mine)
    record = final(gateway, mine, response)
    wanted = {"id": record["id"]}
    assert client.get("/v1/generation", params=wanted).status_code == 200
    with gateway.client(str(other)) as stranger:
        assert stranger.get("/v1/generation", params=wanted).status_code == 404
        assert stranger.get("/v1/generations").json()["data"] == []


def test_usage_adds_up_by_every_group(client: httpx.Client, gateway: Running) -> None:
    key = new_key(client, name="usage test")["key"]
    for model in ("test/fine", "pair/empty", "test/failing"):
        final(gateway, key, speak(gateway, key, model=model))
    with gateway.client(str(key)) as own:
        whole = own.get("/v1/usage").json()
        by_model = own.get("/v1/usage", params={"group_by": "model", "bucket": "hour"}).json()
    # 17 characters at 15, then at 30 USD a million; the failed request costs nothing, and asked
    # nobody else.
    assert whole["total"] | {"audio_seconds": 0} == {
        "requests": 3,
        "characters": 2 * len(TEXT),
        "cost": "0.000765",
        "audio_seconds": 0,
        "errors": 1,
        "fallbacks": 1,
        "cache_hits": 0,
    }
    assert whole["total"]["audio_seconds"] == pytest.approx(2.0, abs=0.2)
    assert sum(Decimal(row["cost"]) for row in by_model["data"]) == Decimal("0.000765")
    assert {row["model"] for row in by_model["data"]} == {"test/fine", "pair/empty", None}


@pytest.mark.parametrize("group", ["key", "model", "provider", "app", "task", "project"])
def test_usage_adds_up_in_every_split(client: httpx.Client, group: str) -> None:
    told = client.get("/v1/usage", params={"group_by": group}).json()
    assert sum(row["requests"] for row in told["data"]) == told["total"]["requests"] > 0
    assert all(group in row for row in told["data"])


def test_use_is_counted_on_the_task_that_was_really_used(
    client: httpx.Client, gateway: Running
) -> None:
    key = new_key(client, default_task="accessibility")["key"]
    of_its_own: list[dict[str, object]] = [{}, {"model": "auto"}]
    of_another: list[dict[str, object]] = [
        {"model": "task/prototyping"},
        {"task": "prototyping", "model": "test/fine"},
        {"task": "prototyping", "provider": {"only": ["fine"]}},  # which has none of its models
    ]
    of_none = [{"model": "test/fine"}, {"model": "task/invented"}, {"task": "invented"}]
    with gateway.client(str(key)) as own:
        for body in (*of_its_own, *of_another, *of_none):
            answer = own.post("/v1/audio/speech", json={"input": TEXT} | body)
            settled(own, answer.headers["x-generation-id"])
        told = own.get("/v1/usage", params={"group_by": "task"}).json()
        rows = own.get("/v1/usage", params={"group_by": "task", "format": "csv"}).text.split()
    used = [(row["task"], row["requests"], row["errors"]) for row in told["data"]]
    assert used == [(None, 3, 2), ("accessibility", 2, 0), ("prototyping", 3, 1)]
    assert rows[0].startswith("start,task,requests,")
    assert [row.split(",")[1] for row in rows[1:]] == ["", "accessibility", "prototyping"]


def test_usage_comes_as_csv_and_by_month(client: httpx.Client) -> None:
    response = client.get(
        "/v1/usage", params={"format": "csv", "bucket": "month", "group_by": "key"}
    )
    assert response.headers["content-type"].startswith("text/csv")
    head, *rows = response.text.splitlines()
    counted = "requests,characters,cost,audio_seconds,errors,fallbacks,cache_hits"
    assert head == f"start,key,key_hash,{counted}"
    assert all(row.split(",")[0].endswith("-01T00:00:00+00:00") for row in rows)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"from": "yesterday"}, "from"),
        ({"from": "1969-12-31"}, "from"),
        ({"to": "9" * 18}, "to"),
        ({"to": "0001-01-01T00:00:00+14:00"}, "to"),
        ({"from": "2026-02-01", "to": "2026-01-31"}, "to"),
        ({"from": "2016-01-01", "to": "2026-02-01", "bucket": "hour"}, "from"),
        ({"bucket": "year"}, "bucket"),
        ({"group_by": "x"}, "group_by"),
    ],
)
def test_a_bad_question_about_usage_is_named(
    client: httpx.Client, query: dict[str, str], param: str
) -> None:
    response = client.get("/v1/usage", params=query)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


def test_generations_are_paged_newest_first(client: httpx.Client, gateway: Running) -> None:
    key = new_key(client)["key"]
    made = [final(gateway, key, speak(gateway, key))["id"] for _ in range(3)]
    with gateway.client(str(key)) as own:
        first = own.get("/v1/generations", params={"limit": 2}).json()
        rest = own.get("/v1/generations", params={"limit": 2, "after": first["data"][-1]["id"]})
    assert [each["id"] for each in first["data"] + rest.json()["data"]] == made[::-1]
    assert (first["has_more"], rest.json()["has_more"]) == (True, False)


def test_no_key_is_readable_in_the_database(gateway: Running, client: httpx.Client) -> None:
    made = new_key(client)
    file = gateway.environ["GATEWAY_DATABASE_URL"].partition("///")[2]
    if not file.endswith(".db"):
        pytest.skip("PostgreSQL's files are not ours to read")
    stored = b"".join(
        path.read_bytes() for path in gateway.data.parent.glob("sqlite*/*") if path.is_file()
    )
    assert str(made["key"]).encode() not in stored
    assert gateway.key.encode() not in stored
