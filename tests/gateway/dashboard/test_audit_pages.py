"""Audit at the dashboard: who changed what, told field by field, and turned over by the page."""

import re
from collections.abc import Iterator

import httpx
import pytest

from gateway.dashboard.differences import Difference, differences
from tests.doubles.managing import budget, change, make
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, visiting, words_of


@pytest.fixture(scope="module")
def visit(gateway: Running) -> Iterator[Visit]:
    with visiting(gateway) as visit:
        yield visit


def test_a_change_is_told_field_by_field(visit: Visit, client: httpx.Client) -> None:
    key = make(client, name="before", limit=5)
    change(client, key, name="after", limit=None, allowed={"voices": ["alloy", "echo"]})
    words = words_of(visit.page("/dashboard/audit", subject=f"key:{key.hash}"))
    row = words[words.index("key.change") : words.index("key.create")]
    assert "name was before → is now after" in row
    assert "per total: limit was $5 → is now none" in row
    assert "allowed voices → is now alloy, echo" in row
    assert "project" not in row


def test_changes_are_kept_to_an_actor_and_a_subject(visit: Visit, client: httpx.Client) -> None:
    key = make(client, name="by somebody")
    manager = make(client, name="another manager", scopes=["manage"])
    with httpx.Client(
        base_url=client.base_url, headers={"authorization": f"Bearer {manager.plain}"}
    ) as theirs:
        assert change(theirs, key, name="by another").status_code == 200
    page = visit.page("/dashboard/audit", actor=manager.hash)
    assert words_of(page).count("another manager") == 1
    assert "by another" in page
    page = visit.page("/dashboard/audit", actor=manager.hash, subject=f"key:{manager.hash}")
    assert "No changes." in page


def test_changes_are_turned_over_without_a_gap(visit: Visit, client: httpx.Client) -> None:
    key = make(client, name="often changed")
    scope = f"key:{key.hash}"
    for number in range(51):
        assert budget(client, scope, "day", limit=number + 1).status_code == 200
    first = visit.page("/dashboard/audit", subject=scope)
    older = re.search(r'rel="next" href="([^"]*)"', first)
    assert older
    second = visit.page(older[1].replace("&amp;", "&"))
    assert first.count("budget.set") == 50
    assert (second.count("budget.set"), second.count("key.create")) == (1, 1)
    assert 'rel="next"' not in second
    assert 'rel="prev"' in second


@pytest.mark.parametrize(
    "query", [{"before": "x"}, {"before": "9" * 30}, {"subject": "\0"}, {"actor": "'; --"}]
)
def test_absurd_filters_are_no_error(visit: Visit, query: dict[str, str]) -> None:
    assert "Audit" in visit.page("/dashboard/audit", **query)


def test_a_key_that_only_speaks_sees_no_audit(gateway: Running, client: httpx.Client) -> None:
    with visiting(gateway, make(client, scopes=["speak", "read"]).plain) as speaking:
        assert speaking.client.get("/dashboard/audit").status_code == 403


# Differences.


def test_sides_that_are_absent_have_nothing() -> None:
    assert differences(None, '{"name": "new", "expires_ms": null}') == [
        Difference("name", "none", "new")
    ]
    assert differences('{"disabled": false}', None) == [Difference("disabled", "no", "none")]
    assert differences(None, None) == []


def test_amounts_and_times_are_told_in_their_units() -> None:
    before = '{"limit_nano": 1000000001, "expires_ms": 0, "limit_characters": 1000}'
    assert differences(before, "{}") == [
        Difference("limit", "$1.000000001", "none"),
        Difference("expires", "1970-01-01 00:00:00 UTC", "none"),
        Difference("limit characters", "1,000", "none"),
    ]


def test_budgets_are_told_by_their_period() -> None:
    after = '{"scope": "global", "period": "day", "limit_nano": 0}'
    assert differences(None, after) == [Difference("per day: limit", "none", "$0")]
    inside = '{"budgets": [{"scope": "key:x", "period": "minute", "limit_requests": 3}]}'
    assert differences(None, inside) == [Difference("per minute: limit requests", "none", "3")]
