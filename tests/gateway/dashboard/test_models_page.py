"""Models: the list and its filters, one model's offers and use, and code that really speaks."""

import json
import re
import shlex
from html import unescape
from pathlib import Path

import httpx
import pytest

from gateway.dashboard.pages.models import CHART_HEIGHT, CHART_WIDTH, bars
from tests.doubles.books import Key, settled
from tests.doubles.managing import TEXT, speak
from tests.doubles.running import Running
from tests.doubles.visiting import Visit, visiting, words_of


def listed(visit: Visit, **query: str) -> list[str]:
    page = visit.page("/dashboard/models", **query)
    table = page[page.index('id="models"') : page.index('id="named-title"')]
    return re.findall(r'href="/dashboard/models/([^"]+)"', table)


def row_of(page: str, scope: str) -> str:
    """What a table's row says whose head is so."""
    rows = [words_of(each) for each in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)]
    [found] = [each for each in rows if each.startswith(f"{scope} ")]
    return found


def code_of(page: str, language: str) -> str:
    [code] = re.findall(rf'id="code-{language}">(.*?)</pre>', page, re.DOTALL)
    return unescape(code)


def test_each_model_is_listed_with_its_price_and_how_many_of_its_offers_can_be_asked(
    gateway: Running,
) -> None:
    with visiting(gateway) as visit:
        page = visit.page("/dashboard/models")
    assert "$15.00 2 of 2" in row_of(page, "pair/fine")
    assert "off $1.00 0 of 1" in row_of(page, "off/model")
    assert "not known 1 of 1" in row_of(page, "test/unpriced")
    assert "free 1 of 1" in row_of(page, "local/espeak-ng")


def test_the_list_is_narrowed_by_what_is_asked(gateway: Running) -> None:
    with visiting(gateway) as visit:
        assert listed(visit, q="SAYS what") == ["test/dated"]
        assert "local/espeak-ng" in listed(visit, language="cy")
        assert "test/fine" not in listed(visit, language="cy")
        assert listed(visit, capability="seed", provider="dated") == ["test/dated"]
        assert listed(visit, provider="keyless") == ["off/model"]
        assert listed(visit, provider="keyless", ready="1") == []
        cheap = listed(visit, sort="pricing-low-to-high")
        assert (
            cheap.index("local/espeak-ng") < cheap.index("test/secret") < cheap.index("test/fine")
        )


def test_absurd_wishes_list_nothing_and_break_nothing(gateway: Running) -> None:
    with visiting(gateway) as visit:
        page = visit.page("/dashboard/models", q="<script>alert(1)</script>", sort="\x00" * 300)
    assert "No model is like that" in page
    assert "<script>alert" not in page


def test_a_model_tells_its_offers_side_by_side(gateway: Running) -> None:
    with visiting(gateway) as visit:
        both = visit.page("/dashboard/models/pair/fine")
        off = visit.page("/dashboard/models/off/model")
    assert "ready $15 per million characters" in row_of(both, "fine")
    assert "ready $30 per million characters" in row_of(both, "second")
    assert "off TEST_UNSET_KEY is not set" in row_of(off, "keyless")


def test_its_use_is_that_of_the_keys_which_the_visitor_sees(
    gateway: Running, client: httpx.Client, key: Key
) -> None:
    answer = speak(gateway, key, model="test/dated")
    settled(client, answer.headers["x-generation-id"])
    with visiting(gateway, key.plain) as visit:
        page = words_of(visit.page("/dashboard/models/test/dated"))
        listing = visit.page("/dashboard/models", q="test/dated")
        unused = words_of(visit.page("/dashboard/models/pair/fine"))
    assert f"Requests 1 Characters {len(TEXT)} Spent $0.000255" in page
    assert f"no name given {len(TEXT)} 1" in page
    assert row_of(listing, "test/dated").endswith(f"1 {len(TEXT)}")
    assert "Requests 0 Characters 0" in unused


def test_a_task_or_alias_leads_to_the_models_that_answer_it(gateway: Running) -> None:
    with visiting(gateway) as visit:
        page = visit.page("/dashboard/models/auto")
    assert "A name that is answered by" in page
    assert 'href="/dashboard/models/local/espeak-ng"' in page
    assert '"voice": "alloy"' in code_of(page, "curl")


def test_a_model_that_nobody_has_is_a_page_that_says_so(gateway: Running) -> None:
    with visiting(gateway) as visit:
        answer = visit.client.get("/dashboard/models/<script>alert(1)</script>")
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text


def test_the_python_code_speaks_as_it_stands(
    gateway: Running, key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with visiting(gateway) as visit:
        code = code_of(visit.page("/dashboard/models/local/espeak-ng"), "python")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOXROUTE_API_KEY", key.plain)
    exec(compile(code, "snippet", "exec"), {})  # noqa: S102  # that it runs is what is tested
    assert (tmp_path / "hello.mp3").stat().st_size > 1000


def test_the_code_for_curl_and_node_asks_for_the_same(gateway: Running, mine: httpx.Client) -> None:
    with visiting(gateway) as visit:
        page = visit.page("/dashboard/models/local/espeak-ng")
    words = shlex.split(code_of(page, "curl"))
    assert words[:2] == ["curl", f"{gateway.url}/v1/audio/speech"]
    answer = mine.post(words[1], content=words[words.index("-d") + 1])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/mpeg")
    node = code_of(page, "node")
    body = json.loads(words[words.index("-d") + 1])
    assert all(json.dumps(value) in node for value in body.values())
    assert f'baseURL: "{gateway.url}/v1"' in node


def test_the_highest_bar_fills_the_chart_and_all_of_them_its_width() -> None:
    drawn = bars([0, 5, 10])
    assert [high for _, _, _, high in drawn] == [0, CHART_HEIGHT / 2, CHART_HEIGHT]
    assert all(y + high == CHART_HEIGHT for _, y, _, high in drawn)
    x, _, wide, _ = drawn[-1]
    assert x + wide == CHART_WIDTH - 1
    assert bars([]) == []
    assert {high for _, _, _, high in bars([0, 0])} == {0}
