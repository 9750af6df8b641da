"""Budgets at the dashboard: every scope and period, set, changed and removed by forms."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.books import Key, settled
from tests.doubles.managing import COST, TEXT, budget, changes, make, speak
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, field_of, visiting, words_of


@pytest.fixture(scope="module")
def visit(gateway: Running) -> Iterator[Visit]:
    with visiting(gateway) as visit:
        yield visit


@pytest.fixture
def key(client: httpx.Client) -> Key:
    return make(client, name="budgeted")


def limits(client: httpx.Client, scope: str) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = client.get("/v1/budgets", params={"scope": scope}).json()[
        "data"
    ]
    return rows


def test_a_budget_is_set_with_everything_that_was_typed(
    visit: Visit, client: httpx.Client, key: Key
) -> None:
    scope = f"key:{key.hash}"
    fields = {
        "scope": scope,
        "period": "total",
        "limit": "1.5",
        "soft_limit": "1",
        "characters_limit": "1000",
        "soft_characters_limit": "900",
        "requests_limit": "",
        "concurrent": "4",
    }
    answer = visit.send("/dashboard/budgets", fields)
    assert answer.status_code == 303
    [row] = limits(client, scope)
    told = ("limit", "soft_limit", "characters_limit", "soft_characters_limit", "concurrent")
    assert [row[name] for name in told] == ["1.5", "1", 1000, 900, 4]
    assert row["requests_limit"] is None
    change = changes(client, scope)[-1]
    assert change["action"] == "budget.set"
    assert len(str(change["actor"])) == 64
    page = visit.page("/dashboard/budgets", scope=scope, done="set")
    assert "The budget is set." in page
    assert f'<a href="/dashboard/keys/{key.hash}">budgeted</a>' in page


def test_what_is_used_and_left_is_shown(
    visit: Visit, gateway: Running, client: httpx.Client, key: Key
) -> None:
    scope = f"key:{key.hash}"
    assert budget(client, scope, "month", limit="0.001", characters_limit=20).status_code == 200
    settled(client, speak(gateway, key).headers["x-generation-id"])
    words = words_of(visit.page("/dashboard/budgets", scope=scope))
    left = f"{(10**6 - COST) / 10**9:.6f}".rstrip("0")
    assert f"money $0.001 - ${COST / 10**9:.6f} $0 ${left}" in words
    assert f"characters 20 - {len(TEXT)} 0 {20 - len(TEXT)}" in words


def test_0_is_a_limit_and_nothing_typed_is_none(
    visit: Visit, gateway: Running, client: httpx.Client, key: Key
) -> None:
    fields = {"scope": f"key:{key.hash}", "period": "day", "requests_limit": "0", "limit": ""}
    assert visit.send("/dashboard/budgets", fields).status_code == 303
    assert speak(gateway, key).status_code == 402
    [row] = limits(client, f"key:{key.hash}")
    assert (row["requests_limit"], row["limit"]) == (0, None)


def test_a_budget_is_changed_from_what_it_was(visit: Visit, client: httpx.Client, key: Key) -> None:
    scope = f"key:{key.hash}"
    budget(client, scope, "week", limit="3", characters_limit=50)
    page = visit.page("/dashboard/budgets/set", scope=scope, period="week")
    assert (field_of(page, "limit"), field_of(page, "characters_limit")) == ("3", "50")
    assert '<option value="week" selected>' in page
    fields = {"scope": scope, "period": "week", "limit": "4", "characters_limit": ""}
    assert visit.send("/dashboard/budgets", fields).status_code == 303
    [row] = limits(client, scope)
    assert (row["limit"], row["characters_limit"]) == ("4", None)


def test_a_budget_is_removed(visit: Visit, client: httpx.Client, key: Key) -> None:
    scope = f"key:{key.hash}"
    budget(client, scope, "week", limit="3")
    answer = visit.send("/dashboard/budgets/remove", {"scope": scope, "period": "week"})
    assert answer.status_code == 303
    assert limits(client, scope) == []
    assert changes(client, scope)[-1]["action"] == "budget.remove"
    again = visit.send("/dashboard/budgets/remove", {"scope": scope, "period": "week"})
    assert again.status_code == 404


@pytest.mark.parametrize(
    ("field", "typed", "said"),
    [
        ("scope", "", "organisation:<id>"),
        ("scope", "planet:mars", "is none of"),
        ("scope", "key:nobody", "there is no key"),
        ("scope", "project:<script>", "there is no project"),
        ("scope", "provider:nobody", "there is no provider"),
        ("period", "fortnight", "minute, hour, day, week, month, total"),
        ("limit", "-1", "USD from 0"),
        ("soft_limit", "9", "is above limit"),
        ("soft_characters_limit", "99", "is above characters_limit"),
        ("requests_limit", "one", "a whole number from 0"),
        ("concurrent", "2", "of period total only"),
    ],
)
def test_what_is_refused_is_told_beside_its_field(
    visit: Visit, client: httpx.Client, field: str, typed: str, said: str
) -> None:
    before = client.get("/v1/budgets").json()
    good = {"scope": "global", "period": "month", "limit": "5", "characters_limit": "9"}
    answer = visit.send("/dashboard/budgets", good | {field: typed})
    assert answer.status_code == (404 if "there is no" in said else 400)
    beside = answer.text.partition(f'id="{field}-wrong">')[2].partition("</p>")[0]
    assert said in words_of(beside)
    assert "<script>" not in beside
    if field != "period":
        assert field_of(answer.text, field) == typed
    assert client.get("/v1/budgets").json() == before


def test_budgets_are_turned_over_and_told_by_kind(visit: Visit, client: httpx.Client) -> None:
    for _ in range(26):  # two of each
        make(client, name="many", limit=1, rates={"requests_per_minute": 1})
    pages = [visit.page("/dashboard/budgets", kind="key", page=number) for number in (1, 2)]
    assert pages[0].count('scope="rowgroup"') == 50
    assert pages[1].count('scope="rowgroup"') >= 2
    assert 'rel="next"' in pages[0]
    assert 'rel="prev"' in pages[1]
    assert pages[0].count('<span class="soft">key</span>') == 50
    for query in ({"kind": "planet"}, {"scope": "\0"}, {"page": "x"}):
        assert "Budgets" in visit.page("/dashboard/budgets", **query)


def test_a_forged_form_or_a_key_that_only_speaks_sets_nothing(
    visit: Visit, gateway: Running, client: httpx.Client, key: Key
) -> None:
    scope = f"key:{key.hash}"
    budget(client, scope, "day", limit="3")
    fields = {"scope": scope, "period": "day", "limit": "4"}
    places = ("/dashboard/budgets", "/dashboard/budgets/remove")
    for place in places:
        assert visit.client.post(place, data=fields).status_code == 403
        assert visit.client.post(place, data=fields | {"csrf": "forged"}).status_code == 403
    with visiting(gateway, key.plain) as speaking:
        for place in places:
            assert speaking.send(place, fields).status_code == 403
        for place in ("/dashboard/budgets", "/dashboard/budgets/set"):
            assert speaking.client.get(place).status_code == 403
    assert [row["limit"] for row in limits(client, scope)] == ["3"]
