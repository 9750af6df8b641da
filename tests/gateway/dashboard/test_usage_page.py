"""The usage page over HTTP: whose use it tells, of which time, and what it refuses."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape

import httpx
import pytest

from tests.doubles.books import Key, new_key, settled
from tests.doubles.browsing import visitor
from tests.doubles.managing import COST, TEXT, budget, change, speak
from tests.doubles.running import Running

ABSURD = [
    "from=2026-12-01&to=2020-01-01",
    "from=0000-00-00",
    "from=2026-02-30&to=2026-03-01",
    "from=now",
    "from=1969-12-31&to=1970-01-02",
    "from=1970-01-01&to=9999-12-31",
    "from=1970-01-01&to=9999-12-31&bucket=hour",
    "from=2026-01-01T10:10&to=2026-01-01T10:20",
    "range=a-century",
    "range=90d&bucket=hour",
    "range=30d&bucket=hour",
    "from=2024-01-01&to=2025-06-01&bucket=day",
    "bucket=fortnight",
    "measure=salary",
    "by=secret",
    "sort=colour",
    "to=99999999999999999999",
    "from=<script>alert(1)</script>",
]


def shown(page: str) -> str:
    """What the page says, when it asks again, that it shows already."""
    [told] = re.findall(r"""hx-headers='({"If-None-Match": "[^"]+"})'""", unescape(page))
    tag: str = json.loads(told)["If-None-Match"]
    return tag


@pytest.fixture(scope="module")
def spent(gateway: Running) -> Iterator[tuple[Key, httpx.Client]]:
    """A key that spoke twice, and failed once, and its visitor."""
    with gateway.client() as client:
        key = new_key(client)
        for body in ({}, {}, {"model": "test/fine", "input": TEXT, "voice": "nobody"}):
            answer = speak(gateway, key, **body)
        with gateway.client(key.plain) as own:
            settled(own, answer.headers["x-generation-id"])
            for record in own.get("/v1/generations").json()["data"]:
                settled(own, record["id"])
    with visitor(gateway, key.plain) as signed_in:
        yield key, signed_in


def figures(page: str) -> dict[str, str]:
    found = re.findall(r'<span class="soft">([\w ]+)</span> <strong[^>]*>([^<]+)</strong>', page)
    return {name: unescape(value) for name, value in found}


def test_a_key_sees_what_it_used(spent: tuple[Key, httpx.Client]) -> None:
    told = figures(spent[1].get("/dashboard").text)
    assert told["Characters"] == str(2 * len(TEXT))
    assert told["Spend"] == f"${2 * COST / 10**9:.6f}".rstrip("0")
    assert told["Requests"] == "3"
    assert told["Errors"] == "1"
    assert "Unknown" not in told


def test_a_key_that_used_nothing_sees_nothing_of_others(
    spent: tuple[Key, httpx.Client], speaker: httpx.Client
) -> None:
    page = speaker.get("/dashboard?by=key").text
    assert figures(page)["Requests"] == "0"
    assert "Nothing was used in this range." in page


def test_a_management_key_sees_everybody(
    spent: tuple[Key, httpx.Client], manager: httpx.Client
) -> None:
    page = manager.get("/dashboard?by=key").text
    assert int(figures(page)["Requests"].replace(",", "")) >= 3
    assert 'aria-sort="descending"' in page


@pytest.mark.parametrize("of", ["24h", "7d", "30d", "90d", "month"])
def test_every_range_tells_of_now(spent: tuple[Key, httpx.Client], of: str) -> None:
    page = spent[1].get(f"/dashboard?range={of}").text
    assert figures(page)["Requests"] == "3"
    assert len(re.findall(r"data-at=", page)) in {"24h": {24}, "7d": {7}, "30d": {30}}.get(
        of, set(range(1, 91))
    )


@pytest.mark.parametrize("by", ["model", "provider", "app", "task", "key", "project"])
@pytest.mark.parametrize("sort", ["name", "cost", "audio", "cache_hits"])
def test_every_split_in_every_order_adds_up(
    spent: tuple[Key, httpx.Client], by: str, sort: str
) -> None:
    answer = spent[1].get(f"/dashboard?by={by}&sort={sort}&measure=requests")
    assert answer.status_code == 200
    body = answer.text.partition('id="split"')[2].partition("</table>")[0]
    rows = re.findall(r'<tr>\s*<th scope="row">(.*?)</tr>', body, re.DOTALL)
    assert sum(int(re.findall(r'"number">([\d,]+)</td>', row)[1]) for row in rows) == 3


@pytest.mark.parametrize("query", ABSURD)
def test_an_absurd_range_is_refused_in_a_sentence(
    spent: tuple[Key, httpx.Client], query: str
) -> None:
    answer = spent[1].get(f"/dashboard?{query}")
    assert answer.status_code == 400
    assert re.search(r'role="alert">This range cannot be shown: .{10,}\.</p>', answer.text)
    assert "<script>alert" not in answer.text
    assert "hx-get" not in answer.text
    assert spent[1].get(f"/dashboard/usage.csv?{query}").status_code == 400


def test_what_is_chosen_stands_in_the_addresses(spent: tuple[Key, httpx.Client]) -> None:
    page = unescape(spent[1].get("/dashboard?range=30d&by=provider&measure=audio").text)
    assert 'hx-get="/dashboard?range=30d&measure=audio&by=provider"' in page
    assert 'href="/dashboard?range=24h&measure=audio&by=provider"' in page
    assert 'href="/dashboard/usage.csv?range=30d&measure=audio&by=provider"' in page


def test_a_spreadsheet_has_what_the_page_tells(spent: tuple[Key, httpx.Client]) -> None:
    answer = spent[1].get("/dashboard/usage.csv?range=24h&by=model")
    assert answer.headers["content-type"].startswith("text/csv")
    assert re.search(r'filename="usage-[\d-]+-by-model.csv"', answer.headers["content-disposition"])
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert sum(int(row["requests"]) for row in rows) == 3
    assert sum(int(row["characters"]) for row in rows) == 2 * len(TEXT)


def test_a_spreadsheet_wants_a_session(gateway: Running) -> None:
    with visitor(gateway) as client:
        headers = {"authorization": f"Bearer {gateway.key}"}
        assert client.get("/dashboard/usage.csv", headers=headers).status_code == 303


def test_a_key_is_told_its_own_limits_with_what_is_left(
    gateway: Running, client: httpx.Client, key: Key
) -> None:
    change(client, key, limit="0.5", limit_reset="daily", characters_limit=1000)
    assert speak(gateway, key).is_success
    budget(client, f"key:{key.hash}", "week", requests_limit=4)
    with visitor(gateway, key.plain) as visiting:
        page = visiting.get("/dashboard").text.partition('id="budgets"')[2]
    assert "This key" in page
    assert "$0.5 per day" in page
    assert "4 requests per week" in page
    assert "This key" in page
    assert f"{1000 - len(TEXT)} characters" in page
    assert "Everything" not in page


def test_a_management_key_is_told_all_budgets(
    client: httpx.Client, manager: httpx.Client, key: Key
) -> None:
    budget(client, "global", "month", limit="123456")
    change(client, key, name="of <limits>", limit="0")
    page = manager.get("/dashboard").text.partition('id="budgets"')[2]
    assert "Everything" in page
    assert "$123,456.00 per month" in page
    assert "Key of &lt;limits&gt;" in page
    budget(client, "global", "month")


def test_who_shows_all_that_there_is_is_sent_nothing(
    gateway: Running, client: httpx.Client
) -> None:
    key = new_key(client)
    with visitor(gateway, key.plain) as own:
        tag = shown(own.get("/dashboard").text)
        again = own.get("/dashboard", headers={"hx-request": "true", "if-none-match": tag})
        assert (again.status_code, again.content) == (304, b"")
        other = own.get("/dashboard?range=24h", headers={"if-none-match": tag})
        assert other.status_code == 200
        spoken = speak(gateway, key).headers["x-generation-id"]
        with gateway.client(key.plain) as asking:
            settled(asking, spoken)
        changed = own.get("/dashboard", headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert "<html" not in changed.text
    assert shown(changed.text) != tag
