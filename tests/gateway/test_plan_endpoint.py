"""`POST /audio/speech/plan`: the plan and its worst case, with nothing spent, written or asked."""

from decimal import Decimal

import httpx
import pytest

from tests.doubles.books import Books, Key
from tests.doubles.running import Running
from tests.doubles.upstream import Upstream

TEXT = "x" * 100
BODY: dict[str, object] = {"model": "pair/fine", "input": TEXT}
PATH = "/v1/audio/speech/plan"


def planned(client: httpx.Client, path: str = PATH, **changes: object) -> dict[str, object]:
    answer = client.post(path, json=BODY | changes)
    assert answer.status_code == 200, answer.text
    told: dict[str, object] = answer.json()
    return told


def providers(told: object, among: str = "choices") -> list[str]:
    assert isinstance(told, dict)
    return [each["provider"] for each in told[among]]


def test_a_plan_tells_who_is_asked_in_which_order_and_for_how_much(client: httpx.Client) -> None:
    told = planned(client)
    assert (told["object"], told["model"], told["task"]) == ("speech.plan", "pair/fine", None)
    assert (told["policy"], told["characters"], told["error"]) == ("price", 100, None)
    assert providers(told) == ["fine", "second"]
    first = told["choices"][0]  # type: ignore[index]  # JSON
    assert first["cost_at_most"] == "0.0015"
    assert first["price"]["per"] == "character"
    assert (first["voice"], first["format"], first["demoted"]) == ("test-voice", "mp3", None)
    assert {"first_audio_ms", "real_time_factor", "availability", "uptime_5m"} <= set(
        first["standing"]
    )


def test_the_worst_case_is_the_dearest_offer_and_with_every_attempt_the_dearest_three(
    client: httpx.Client,
) -> None:
    told = planned(client)
    assert (told["cost_at_most"], told["liability_at_most"]) == ("0.003", "0.0075")
    alone = planned(client, provider={"only": ["fine"]})
    assert (alone["cost_at_most"], alone["liability_at_most"]) == ("0.0015", "0.003")


def test_the_api_paths_have_their_own_default_format(client: httpx.Client) -> None:
    told = planned(client, f"/api{PATH}")
    assert [each["format"] for each in told["choices"]] == ["pcm", "pcm"]  # type: ignore[attr-defined]  # JSON


def test_what_is_left_out_is_told_with_its_reason_and_price(client: httpx.Client) -> None:
    told = planned(client, provider={"max_price": 15})
    assert (providers(told), told["cap"]) == (["fine"], "0.0015")
    assert told["excluded"] == [
        {
            "provider": "second",
            "model": "pair/fine",
            "reason": "price",
            "detail": "may cost 0.003 USD",
            "cost_at_most": "0.003",
        }
    ]


def test_a_price_that_nobody_knows_is_never_told_as_nothing(client: httpx.Client) -> None:
    told = planned(client, model="test/unpriced")
    assert (told["cost_at_most"], told["liability_at_most"]) == (None, None)
    assert told["choices"][0]["cost_at_most"] is None  # type: ignore[index]  # JSON


def test_a_draw_is_told_by_how_often_each_goes_first(client: httpx.Client) -> None:
    told = planned(client, provider={"sort": "balanced"})
    shares = {each["provider"]: each["share"] for each in told["choices"]}  # type: ignore[attr-defined]  # JSON
    assert shares == {"fine": pytest.approx(0.8), "second": pytest.approx(0.2)}


@pytest.mark.parametrize("named", [{"task": "narration"}, {"model": "task/narration"}])
def test_a_task_is_planned_with_its_own_terms_and_its_cheaper_plan(
    client: httpx.Client, named: dict[str, object]
) -> None:
    told = planned(client, **named)
    assert (told["task"], told["policy"]) == ("narration", "quality")
    assert Decimal(str(told["cap"])) == Decimal(500) * 100 / 10**6
    assert told["choices"][-1]["voice"] == "en-gb"  # type: ignore[index]  # JSON
    assert providers(told["downgrade"]) == ["local"]
    assert told["downgraded"] is None


def test_a_plan_without_a_choice_tells_the_error_that_speech_would_answer(
    client: httpx.Client,
) -> None:
    told = planned(client, provider={"max_price": "1"})
    assert (told["choices"], told["cost_at_most"]) == ([], "0")
    refused = client.post("/v1/audio/speech", json=BODY | {"provider": {"max_price": "1"}})
    assert refused.status_code == 404
    error, spoken = told["error"], refused.json()["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["param"]) == (404, "provider.max_price")
    assert error["message"] == spoken["message"]


@pytest.mark.parametrize(
    ("changes", "status", "param"),
    [
        ({"input": ""}, 400, "input"),
        ({"sped": 1}, 400, "sped"),
        ({"model": "test/gone"}, 404, "model"),
        ({"model": "test/fine:fast"}, 404, "model"),
        ({"provider": {"only": ["nobody"]}}, 400, "provider.only"),
        ({"provider": {"only": ["fine"], "ignore": ["fine"]}}, 400, "provider.ignore"),
    ],
)
def test_a_body_that_speech_would_refuse_is_refused(
    client: httpx.Client, changes: dict[str, object], status: int, param: str
) -> None:
    answer = client.post(PATH, json=BODY | changes)
    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


def test_only_a_key_that_may_speak_may_plan(gateway: Running) -> None:
    assert httpx.post(gateway.url + PATH, json=BODY).status_code == 401
    with gateway.client() as client:
        made = client.post("/v1/keys", json={"name": "reader", "scopes": ["read"]})
    with gateway.client(made.json()["key"]) as reader:
        assert reader.post(PATH, json=BODY).status_code == 403


def test_nothing_is_spent_written_or_asked(
    mine: httpx.Client, key: Key, books: Books, upstream: Upstream
) -> None:
    counted = "SELECT (SELECT count(*) FROM generation) AS g, (SELECT count(*) FROM entry) AS e"
    before, heard = books.ask(counted), len(upstream.heard)
    for body in ({}, {"task": "narration"}, {"provider": {"max_price": "1"}}):
        planned(mine, **body)
    assert (books.ask(counted), len(upstream.heard)) == (before, heard)
    held = "SELECT held_nano, posted_nano, requests FROM balance WHERE scope = :scope"
    assert all(not any(row.values()) for row in books.ask(held, scope=f"key:{key.hash}"))


def test_a_context_is_required_only_where_parameters_are(client: httpx.Client) -> None:
    context = [{"speaker": "a", "text": "Who is there?"}]
    assert providers(planned(client, context=context)) == ["fine", "second"]
    told = planned(client, context=context, provider={"require_parameters": True})
    details = {each["detail"] for each in told["excluded"]}  # type: ignore[attr-defined]  # JSON
    assert (providers(told), details) == ([], {"does not take context"})
