"""Budgets of every scope, and what a key may use: enforced where requests pass."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest

from tests.doubles.books import Books, settled, until
from tests.doubles.managing import COST, TEXT, budget, changes, make, speak
from tests.doubles.running import Running
from tests.doubles.upstream import Upstream


@pytest.fixture
def books(gateway: Running) -> Books:
    return Books(gateway)


@pytest.fixture
def project(client: httpx.Client) -> str:
    """A project of an organisation of its own, both new."""
    number = len(client.get("/v1/projects").json()["data"])
    made = client.post("/v1/organisations", json={"id": f"org-{number}", "name": "An Org"})
    assert made.status_code == 201, made.text
    body = {"id": f"project-{number}", "name": "A Project", "organisation": f"org-{number}"}
    made = client.post("/v1/projects", json=body)
    assert made.status_code == 201, made.text
    return str(body["id"])


def found(client: httpx.Client, scope: str, period: str) -> dict[str, object]:
    rows = client.get("/v1/budgets", params={"scope": scope}).json()["data"]
    [row] = [each for each in rows if each["period"] == period]
    return dict(row)


def use_up(client: httpx.Client, scope: str) -> None:
    """Leave nothing: its budget is what other tests have used of it already."""
    ample = budget(client, scope, "total", limit=1000).json()["data"]
    used = 1000 - Decimal(ample["left"])
    assert budget(client, scope, "total", limit=str(used)).status_code == 200


def usd(nano: int) -> str:
    return f"{nano / 10**9:.9f}"


# Rates.


def _early_in_the_minute() -> bool:
    return datetime.now(UTC).second < 50


def test_one_request_too_many_in_a_minute_is_told_when_to_come_back(
    client: httpx.Client, gateway: Running
) -> None:
    until(_early_in_the_minute, 15)
    key = make(client, rates={"requests_per_minute": 2})
    assert [speak(gateway, key).status_code for _ in range(2)] == [200, 200]
    refused = speak(gateway, key)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert "x-should-retry" not in refused.headers
    assert "2 requests per minute" in refused.json()["error"]["message"]
    assert refused.json()["error"]["type"] == "rate_limit_error"


def test_characters_have_a_rate_too(client: httpx.Client, gateway: Running) -> None:
    until(_early_in_the_minute, 15)
    key = make(client, rates={"characters_per_minute": len(TEXT) + 1})
    assert speak(gateway, key).status_code == 200
    refused = speak(gateway, key)
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60


def test_so_many_at_once_and_no_more(
    client: httpx.Client, gateway: Running, upstream: Upstream
) -> None:
    text = f"at once on {gateway.url}"
    key = make(client, rates={"concurrent": 1})
    body = {"model": "test/in-halves", "input": text}
    with (
        gateway.client(key.plain) as mine,
        mine.stream("POST", "/v1/audio/speech", json=body) as response,
    ):
        assert response.status_code == 200
        refused = speak(gateway, key)
        assert refused.status_code == 429
        assert "1 requests at once" in refused.json()["error"]["message"]
        upstream.said(text)[0].go.set()
        response.read()
    settled(client, response.headers["x-generation-id"])
    assert speak(gateway, key).status_code == 200


def test_a_limit_of_characters_is_payment_required(client: httpx.Client, gateway: Running) -> None:
    key = make(client, characters_limit=2 * len(TEXT) - 1)
    assert speak(gateway, key).status_code == 200
    refused = speak(gateway, key)
    assert refused.status_code == 402
    assert refused.headers["x-should-retry"] == "false"
    assert speak(gateway, key, model="local/espeak-ng").status_code == 402


# Budgets of other scopes.


@pytest.mark.parametrize("kind", ["project", "organisation"])
def test_two_keys_share_the_budget_of_what_they_are_of(
    client: httpx.Client, gateway: Running, project: str, kind: str
) -> None:
    scope = f"project:{project}" if kind == "project" else f"organisation:org{project[7:]}"
    assert budget(client, scope, "month", limit=usd(COST * 3 // 2)).status_code == 200
    one, two = make(client, project=project), make(client, project=project)
    assert speak(gateway, one).status_code == 200
    refused = speak(gateway, two)
    assert refused.status_code == 402
    assert scope.replace(":", " ") in refused.json()["error"]["message"]
    assert speak(gateway, make(client)).status_code == 200
    row = until(lambda: _when_used(client, scope))
    assert (row["used"], row["held"], row["left"]) == ("0.000255", "0", "0.0001275")


def _when_used(client: httpx.Client, scope: str) -> dict[str, object] | None:
    row = found(client, scope, "month")
    return row if row["used"] != "0" else None


def test_a_global_budget_holds_for_every_key(client: httpx.Client, gateway: Running) -> None:
    key = make(client)
    assert budget(client, "global", "total", concurrent=0).status_code == 200
    try:
        refused = speak(gateway, key)
    finally:
        assert client.delete(
            "/v1/budgets", params={"scope": "global", "period": "total"}
        ).is_success
    assert refused.status_code == 429
    assert "this gateway" in refused.json()["error"]["message"]
    assert speak(gateway, key).status_code == 200


def test_a_provider_without_budget_is_not_asked(
    client: httpx.Client, gateway: Running, upstream: Upstream
) -> None:
    text = f"no budget on {gateway.url}"
    use_up(client, "provider:only-flac")
    try:
        refused = speak(gateway, make(client), model="only/flac", input=text)
    finally:
        removing = {"scope": "provider:only-flac", "period": "total"}
        assert client.delete("/v1/budgets", params=removing).json() == {"deleted": True}
    assert refused.status_code == 402
    assert upstream.said(text) == []
    assert speak(gateway, make(client), model="only/flac", input=text).status_code == 200


def test_a_budget_tells_all_that_it_was_set_to(client: httpx.Client, project: str) -> None:
    limits = {
        "limit": "12.000000001",
        "soft_limit": "10",
        "characters_limit": 1000,
        "soft_characters_limit": 900,
        "requests_limit": 50,
        "concurrent": 4,
    }
    scope = f"project:{project}"
    answer = budget(client, scope, "total", **limits)
    row = found(client, scope, "total")
    assert answer.json()["data"] == row
    assert {name: row[name] for name in limits} == limits
    assert (row["left"], row["characters_left"], row["requests"]) == ("12.000000001", 1000, 0)
    assert budget(client, scope, "week", limit=1).is_success
    ends = datetime.fromisoformat(str(found(client, scope, "week")["resets_at"]))
    assert (ends.weekday(), ends.hour) == (0, 0)


def state(books: Books, scope: str) -> list[Mapping[str, object]]:
    return [
        row
        for table, name in (("budget", "scope"), ("balance", "scope"), ("audit", "subject"))
        for row in books.ask(f"SELECT * FROM {table} WHERE {name} = :scope", scope=scope)  # noqa: S608  # our own names
    ]


def test_a_budget_below_what_is_used_is_refused_and_nothing_is_changed(
    client: httpx.Client, gateway: Running, project: str, books: Books
) -> None:
    scope = f"project:{project}"
    assert budget(client, scope, "month", limit=1).is_success
    assert speak(gateway, make(client, project=project)).status_code == 200
    until(lambda: _when_used(client, scope))
    before = state(books, scope)
    for period in ("month", "day"):
        refused = budget(client, scope, period, limit="0.0001")
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "limit")
        refused = budget(client, scope, period, characters_limit=1)
        assert refused.json()["error"]["param"] == "characters_limit"
    assert state(books, scope) == before


def test_a_removed_budget_goes_on_counting(
    client: httpx.Client, gateway: Running, project: str
) -> None:
    scope = f"project:{project}"
    where = {"scope": scope, "period": "month"}
    assert budget(client, scope, "month", limit=1).is_success
    assert client.delete("/v1/budgets", params=where).json() == {"deleted": True}
    assert client.get("/v1/budgets", params={"scope": scope}).json()["data"] == []
    assert client.delete("/v1/budgets", params=where).status_code == 404
    generation = speak(gateway, make(client, project=project)).headers["x-generation-id"]
    settled(client, generation)
    assert budget(client, scope, "month", limit=1).json()["data"]["used"] == "0.000255"
    actions = [row["action"] for row in changes(client, scope)]
    assert actions == ["project.create", "budget.set", "budget.remove", "budget.set"]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"scope": "project:none-such"}, 404, "scope"),
        ({"scope": "organisation:none-such"}, 404, "scope"),
        ({"scope": f"key:{'0' * 64}"}, 404, "scope"),
        ({"scope": "provider:none-such"}, 404, "scope"),
        ({"scope": "planet:earth"}, 400, "scope"),
        ({"scope": "project:"}, 400, "scope"),
        ({"scope": "global:x"}, 400, "scope"),
        ({"scope": "project:nul\0"}, 400, "scope"),
        ({"period": "year"}, 400, "period"),
        ({"period": None}, 400, "period"),
        ({"limit": -1}, 400, "limit"),
        ({"limit": "NaN"}, 400, "limit"),
        ({"limit": 1, "soft_limit": 2}, 400, "soft_limit"),
        ({"characters_limit": 1, "soft_characters_limit": 2}, 400, "soft_characters_limit"),
        ({"characters_limit": 10**12 + 1}, 400, "characters_limit"),
        ({"requests_limit": True}, 400, "requests_limit"),
        ({"concurrent": 1}, 400, "concurrent"),
        ({"limits": 1}, 400, "limits"),
    ],
)
def test_a_wrong_budget_is_named_and_sets_nothing(
    client: httpx.Client, books: Books, body: dict[str, object], status: int, field: str
) -> None:
    before = books.ask("SELECT count(*) FROM budget"), books.ask("SELECT count(*) FROM audit")
    answer = client.put("/v1/budgets", json={"scope": "global", "period": "month"} | body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, field), answer.text
    after = books.ask("SELECT count(*) FROM budget"), books.ask("SELECT count(*) FROM audit")
    assert after == before


def test_limits_as_large_as_they_may_be_are_kept(client: httpx.Client, project: str) -> None:
    limits = {"limit": "9000000000", "characters_limit": 10**12, "requests_limit": 10**12}
    answer = budget(client, f"project:{project}", "day", **limits)
    assert {name: answer.json()["data"][name] for name in limits} == limits


# Projects.


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("projects", {"id": "Not A Slug"}, "id"),
        ("projects", {"id": "x" * 65}, "id"),
        ("projects", {"id": "line\n"}, "id"),
        ("projects", {"id": "default"}, "id"),
        ("projects", {"id": "fine", "organisation": "none-such"}, "organisation"),
        ("projects", {"id": "fine", "name": ""}, "name"),
        ("organisations", {"id": "default"}, "id"),
        ("organisations", {}, "id"),
    ],
)
def test_a_wrong_project_is_named_and_not_made(
    client: httpx.Client, path: str, body: dict[str, object], field: str
) -> None:
    before = client.get(f"/v1/{path}").json()
    answer = client.post(f"/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field), answer.text
    assert client.get(f"/v1/{path}").json() == before


# What a key may use.


@pytest.mark.parametrize(
    "body",
    [
        {"model": "test/chunked"},
        {"model": "tts-1"},
        {"model": "task/default"},
        {"model": "test/chunked", "models": ["test/html"]},
    ],
)
def test_a_model_that_a_key_may_not_use_is_refused_by_whatever_name(
    client: httpx.Client, gateway: Running, books: Books, body: dict[str, object]
) -> None:
    key = make(client, allowed={"models": ["test/fine"]})
    refused = speak(gateway, key, **body)
    assert refused.status_code == 403
    assert refused.json()["error"]["param"] == "model"
    assert (
        books.ask(
            "SELECT 1 FROM generation WHERE key_hash = :k AND instance IS NOT NULL", k=key.hash
        )
        == []
    )
    assert speak(gateway, key).status_code == 200


def test_what_a_key_may_use_is_left_of_what_was_asked(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client, allowed={"models": ["test/fine"]})
    spoken = speak(gateway, key, model="test/chunked", models=["test/fine"])
    assert (spoken.status_code, spoken.headers["x-model"]) == (200, "test/fine")
    record = settled(client, spoken.headers["x-generation-id"])
    plan = record["plan"]
    assert isinstance(plan, dict)
    assert [(each["model"], each["reason"]) for each in plan["excluded"]] == [
        ("test/chunked", "key")
    ]


def test_a_provider_that_a_key_may_not_use_is_passed_over(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client, allowed={"providers": ["second"]})
    assert speak(gateway, key, model="pair/fine").headers["x-provider"] == "second"
    refused = speak(gateway, key, model="test/fine")
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "provider")


def test_a_voice_that_a_key_may_not_use_is_refused(client: httpx.Client, gateway: Running) -> None:
    key = make(client, allowed={"voices": ["alloy"]})
    assert speak(gateway, key, voice="alloy").status_code == 200
    for body in ({"voice": "test-voice"}, {}, {"provider": {"voices": {"fine": "test-voice"}}}):
        refused = speak(gateway, key, **body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (403, "voice")


def test_a_keys_own_task_stands_in_for_no_model_and_for_auto(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client, default_task="default")
    for body in ({"model": None}, {"model": "auto"}):
        spoken = speak(gateway, key, **body)
        assert spoken.status_code == 200
        record = settled(client, spoken.headers["x-generation-id"])
        assert record["requested_model"] == "task/default"
    assert speak(gateway, key).headers["x-model"] == "test/fine"
    nothing = speak(gateway, make(client), model=None)
    assert (nothing.status_code, nothing.json()["error"]["param"]) == (400, "model")


def test_where_a_provider_has_no_budget_left_the_next_offer_speaks(
    client: httpx.Client, gateway: Running
) -> None:
    key = make(client)
    use_up(client, "provider:kept")
    try:
        spoken = speak(gateway, key, model="pair/kept")
    finally:
        client.delete("/v1/budgets", params={"scope": "provider:kept", "period": "total"})
    assert (spoken.status_code, spoken.headers["x-provider"]) == (200, "second")
    record = settled(client, spoken.headers["x-generation-id"])
    assert [each["provider_name"] for each in record["provider_responses"]] == ["second"]  # type: ignore[attr-defined]  # a list


def test_a_key_with_a_budget_passes_over_an_offer_without_a_known_price(
    client: httpx.Client, gateway: Running
) -> None:
    refused = speak(gateway, make(client, limit="1"), model="test/unpriced")
    assert refused.status_code == 402
    assert "price is not known" in refused.json()["error"]["message"]
    spoken = speak(gateway, make(client), model="test/unpriced")
    record = settled(client, spoken.headers["x-generation-id"])
    assert (record["cost"], record["flags"]) == (None, ["unpriced"])
