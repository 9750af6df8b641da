"""A task's downgrade rule: past a soft threshold its cheaper models speak, and it is told so."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import NewDatabase
from tests.doubles.books import Books, Key, settled
from tests.doubles.catalogue import catalogue
from tests.doubles.running import ROOT, Running, running
from tests.doubles.upstream import Upstream

TEXT = "x" * 100
COST = 1_500_000
"""Nano-USD of TEXT at the dearer model; the cheaper one is free."""
TASKS = """
[task.reading]
models = ["test/fine"]
downgrade = ["local/espeak-ng"]

[task.plain]
models = ["test/fine"]

[task.sharing]
models = ["test/fine"]
[task.sharing.downgrade]
models = ["local/espeak-ng"]
budget_used = 0.5

[task.capped]
models = ["task/plain"]
max_price = "14.999"
[task.capped.downgrade]
models = ["local/espeak-ng"]
over_price_cap = true

[task.late]
models = ["test/hang"]
deadline_ms = 300
"""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def own(
    request: pytest.FixtureRequest,
    new_database: NewDatabase,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("downgrade")
    config = folder / "config"
    config.mkdir()
    for name in ("gateway.toml", "providers.toml", "tasks.toml"):
        (config / name).write_text((ROOT / "config" / name).read_text())
    (config / "tasks.toml").write_text((config / "tasks.toml").read_text() + TASKS)
    extra = folder / "extra.toml"
    extra.write_text(catalogue(upstream))
    more = {"GATEWAY_CATALOG": str(extra), "GATEWAY_CONFIG": str(config)}
    with running(folder / "data", new_database(request.param), **more) as started:
        yield started


def make(client: httpx.Client, **terms: object) -> Key:
    answer = client.post("/v1/keys", json={"name": "a test's", **terms})
    assert answer.is_success, answer.text
    return Key(answer.json()["key"], answer.json()["data"]["hash"])


def speak(own: Running, key: Key, model: str = "task/reading") -> httpx.Response:
    with own.client(key.plain) as client:
        return client.post("/v1/audio/speech", json={"model": model, "input": TEXT})


def test_past_a_soft_threshold_the_cheaper_models_speak(own: Running) -> None:
    with own.client() as client:
        key = make(client, limit="1", soft_limit=f"{COST * 2 / 10**9:.9f}")
        answers = [speak(own, key) for _ in range(3)]
        assert [each.status_code for each in answers] == [200] * 3
        models = [each.headers["x-model"] for each in answers]
        assert models == ["test/fine", "test/fine", "local/espeak-ng"]
        record = settled(client, answers[2].headers["x-generation-id"])
        assert "downgraded" in str(record["flags"])
        assert "local/espeak-ng" in str(record["plan"])
        first = settled(client, answers[0].headers["x-generation-id"])
        assert "downgraded" not in str(first["flags"])
    books = Books(own)
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == 2 * COST


def test_what_has_no_downgrade_rule_goes_on_to_the_limit(own: Running) -> None:
    with own.client() as client:
        terms = {"limit": f"{COST * 2 / 10**9:.9f}", "soft_limit": "0"}
        key = make(client, **terms)
    statuses = [speak(own, key, "task/plain").status_code for _ in range(3)]
    assert statuses == [200, 200, 402]


def test_past_the_limit_a_cheaper_model_speaks_only_where_it_fits(own: Running) -> None:
    with own.client() as client:
        amount = f"{COST / 10**9:.9f}"
        free, plain = (make(client, limit=amount, soft_limit=amount) for _ in range(2))
    assert speak(own, free).headers["x-model"] == "test/fine"
    assert speak(own, free).headers["x-model"] == "local/espeak-ng", "it costs nothing"
    assert speak(own, plain, "task/plain").status_code == 200
    refused = speak(own, plain, "task/plain")
    assert (refused.status_code, refused.headers["x-should-retry"]) == (402, "false")


def test_the_soft_threshold_of_a_project_counts_for_its_keys(own: Running) -> None:
    with own.client() as client:
        made = client.post("/v1/projects", json={"id": "soft", "name": "S"})
        assert made.status_code == 201, made.text
        budget = {"scope": "project:soft", "period": "day", "soft_limit": "0.000000001"}
        assert client.put("/v1/budgets", json=budget).is_success
        key = make(client, project="soft")
    assert speak(own, key).headers["x-model"] == "local/espeak-ng"


def test_past_its_share_of_a_budget_a_task_speaks_by_its_cheaper_models(own: Running) -> None:
    with own.client() as client:
        key = make(client, limit=f"{COST * 4 / 10**9:.9f}")
        answers = [speak(own, key, "task/sharing") for _ in range(3)]
        models = [each.headers["x-model"] for each in answers]
        assert models == ["test/fine", "test/fine", "local/espeak-ng"]
        record = settled(client, answers[2].headers["x-generation-id"])
        assert "a budget is used beyond" in record["plan"]["downgraded"]  # type: ignore[index]  # JSON
    assert Books(own).balance(key.hash)["posted_nano"] == 2 * COST


def test_where_its_cap_leaves_none_of_its_models_a_task_speaks_by_its_cheaper_ones(
    own: Running,
) -> None:
    with own.client() as client:
        answer = speak(own, make(client), "task/capped")
        assert answer.headers["x-model"] == "local/espeak-ng"
        record = settled(client, answer.headers["x-generation-id"])
        assert "price cap" in record["plan"]["downgraded"]  # type: ignore[index]  # JSON
        assert (record["flags"], record["cost"]) == (["downgraded"], "0")


def test_a_tasks_deadline_counts_where_the_request_has_none(own: Running) -> None:
    with own.client() as client:
        key = make(client)
    late = speak(own, key, "task/late")
    assert late.status_code == 504
    assert late.elapsed.total_seconds() < 2


@pytest.mark.parametrize("wrong", ["nobody/has-it", ""])
def test_a_downgrade_to_what_nobody_offers_stops_the_start(tmp_path: Path, wrong: str) -> None:
    config = tmp_path / "config"
    config.mkdir()
    for name in ("gateway.toml", "providers.toml"):
        (config / name).write_text((ROOT / "config" / name).read_text())
    rule = f'[task.reading]\nmodels = ["local/espeak-ng"]\ndowngrade = ["{wrong}"]\n'
    (config / "tasks.toml").write_text(rule)
    more = {"GATEWAY_CONFIG": str(config)}
    with running(tmp_path / "data", f"sqlite:///{tmp_path}/g.db", wait=False, **more) as started:
        assert started.process.wait(30) == 2
        assert "[task.reading] downgrade: nobody offers" in started.said()
