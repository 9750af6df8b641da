"""The log of requests and one request's page, as people with different keys see them."""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest

from tests.doubles.books import Books, Key, settled
from tests.doubles.managing import changes, make, speak
from tests.doubles.running import Running

LOG = "/dashboard/requests"
SCRIPT = "<script>alert(1)</script>"


@contextmanager
def signed_in(gateway: Running, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=gateway.url, timeout=30) as client:
        answer = client.post("/dashboard/sign-in", data={"key": key, "next": LOG})
        assert answer.status_code == 303, answer.text
        yield client


@pytest.fixture
def manager(gateway: Running) -> Iterator[httpx.Client]:
    with signed_in(gateway, gateway.key) as client:
        yield client


@pytest.fixture
def visitor(gateway: Running, key: Key) -> Iterator[httpx.Client]:
    with signed_in(gateway, key.plain) as client:
        yield client


def spoken(gateway: Running, key: Key, **body: object) -> str:
    id_ = speak(gateway, key, **body).headers["x-generation-id"]
    with gateway.client() as client:
        settled(client, id_)
    return id_


def listed(client: httpx.Client, **query: str) -> list[str]:
    """The ids on the page, in its order."""
    answer = client.get(LOG, params=query)
    assert answer.status_code == 200, answer.text
    return re.findall(r'href="/dashboard/requests/(gen-tts-[0-9a-f-]+)"', answer.text)


def test_a_key_finds_its_own_requests_newest_first_and_no_others(
    gateway: Running, visitor: httpx.Client, key: Key, client: httpx.Client
) -> None:
    other = spoken(gateway, make(client))
    mine = [spoken(gateway, key) for _ in range(2)]
    assert listed(visitor) == mine[::-1]
    assert listed(visitor, q=other) == []
    assert visitor.get(f"{LOG}/{other}").status_code == 404
    assert visitor.get(f"{LOG}/{other}/audio").status_code == 404
    assert listed(visitor, key="a test's") == mine[::-1]


def test_requests_are_found_by_whatever_is_known_of_them(
    gateway: Running, manager: httpx.Client, key: Key, client: httpx.Client
) -> None:
    named = {"session_id": secrets.token_hex(6), "user": secrets.token_hex(6)}
    good = spoken(gateway, key, **named)
    bad = spoken(gateway, key, model="test/refused")
    fell = spoken(gateway, key, model="pair/refused")
    record = settled(client, good)
    for value in (good, record["request_id"], record["trace_id"], *named.values()):
        assert listed(manager, q=str(value)) == [good]
    mine = {"key": key.hash}
    found = {
        "model=test/fine": [good],
        "model=test/refused": [bad],
        "provider=second": [fell],
        "status=voided": [bad],
        "status=held": [],
        f"error={settled(client, bad)['error_type']}": [bad],
        "failed=1": [bad],
        "fallbacks=1": [fell],
        "app=none": [],
        "from=2020-01-01T00:00": [fell, bad, good],
        "to=2020-01-01T00:00": [],
    }
    asked = {each: dict([each.split("=")]) for each in found}
    assert {each: listed(manager, **mine, **query) for each, query in asked.items()} == found
    assert listed(manager, key="nobody has this name") == []


@pytest.mark.parametrize("brought", ["mine-{}", "req-1763820000000-{}"])
def test_ids_that_a_client_brought_are_found_too(
    gateway: Running, manager: httpx.Client, key: Key, brought: str
) -> None:
    request, trace = brought.format(secrets.token_hex(10)), secrets.token_hex(16)
    wanted = {"model": "test/fine", "input": "brought"}
    headers = {"X-Request-Id": request, "traceparent": f"00-{trace}-{'b' * 16}-01"}
    with gateway.client(key.plain) as client:
        answer = client.post("/v1/audio/speech", json=wanted, headers=headers)
        assert answer.status_code == 200, answer.text
        id_ = answer.headers["x-generation-id"]
        assert settled(client, id_)["request_id"] == request
    assert listed(manager, q=request) == listed(manager, q=trace) == [id_]


def test_a_range_of_time_holds_what_was_asked_within_it(
    gateway: Running, visitor: httpx.Client, key: Key
) -> None:
    id_ = spoken(gateway, key)
    at = datetime.fromtimestamp(int(id_.split("-")[2]) / 1000, UTC)
    minute = timedelta(minutes=1)
    before, after = ((at + each).strftime("%Y-%m-%dT%H:%M:%S") for each in (-minute, minute))
    assert listed(visitor, **{"from": before, "to": after}) == [id_]
    assert listed(visitor, **{"from": after}) == []
    assert listed(visitor, to=before) == []


@pytest.mark.parametrize(
    "query",
    [
        {"from": "yesterday"},
        {"from": "2026-01-02T00:00", "to": "2026-01-01T00:00"},
        {"status": "odd"},
        {"q": "a\0b"},
        {"app": "x" * 257},
        {"after": "\x1b"},
    ],
)
def test_a_query_that_makes_no_sense_is_told_so(
    visitor: httpx.Client, query: dict[str, str]
) -> None:
    answer = visitor.get(LOG, params=query)
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text


def test_absurd_times_find_nothing_and_break_nothing(visitor: httpx.Client) -> None:
    assert listed(visitor, **{"from": "0001-01-01T00:00", "to": "9999-12-31T23:59"}) == []


def test_pages_follow_one_another_without_gap_or_repeat(
    gateway: Running, visitor: httpx.Client, key: Key, books: Books
) -> None:
    id_ = spoken(gateway, key)
    plain = _copied(books, id_, 120)
    pages, place = [], LOG
    while place:
        answer = visitor.get(place, headers={"hx-request": "true"} if pages else {})
        assert ("<html" in answer.text) == (not pages)
        pages.append(re.findall(r'href="/dashboard/requests/(gen-[^"]+)"', answer.text))
        older = re.search(r'hx-get="([^"]+)"', answer.text)
        place = unescape(older[1]) if older else ""
    assert [len(each) for each in pages] == [50, 50, 21]
    assert [each for page in pages for each in page] == sorted([id_, *plain], reverse=True)


def _copied(books: Books, id_: str, times: int) -> list[str]:
    """Older requests of the same key."""
    [row] = books.ask("SELECT * FROM generation WHERE id = :id", id=id_)
    made = [f"gen-tts-{1_600_000_000_000 + n}-{n:020x}" for n in range(times)]
    names = ", ".join(f'"{name}"' for name in row)
    values = ", ".join(f":{name}" for name in row)
    books.tell(
        f"INSERT INTO generation ({names}) VALUES ({values})",  # noqa: S608  # the table's own names
        [dict(row) | {"id": each} for each in made],
    )
    return made


# One request.


def test_a_request_tells_its_steps_its_attempts_its_money_and_its_headers(
    gateway: Running, visitor: httpx.Client, key: Key, client: httpx.Client
) -> None:
    answer = speak(gateway, key, model="pair/refused")
    id_ = answer.headers["x-generation-id"]
    record = settled(client, id_)
    page = unescape(visitor.get(f"{LOG}/{id_}").text)
    for told in ("plan", "hold", "first: refused", "fallback: second", "first audio", "settle"):
        assert f'<th scope="row">{told}</th>' in page
    for name in ("x-provider", "x-model", "x-voice", "x-attempts", "x-request-id"):
        assert f'<dd class="mono">{answer.headers[name]}</dd>' in page
    sent = durations(answer.headers["server-timing"])
    assert durations(page) == pytest.approx(sent, abs=0.5)
    assert str(record["trace_id"]) in page
    assert page.count("<td>charge</td><td>settle</td>") == 1
    assert "<svg" in page
    assert "style=" not in page


def durations(told: str) -> list[float]:
    """Of a Server-Timing: plan, hold and first audio."""
    found = re.search(r"plan;dur=([0-9.]+), hold;dur=([0-9.]+), first-audio;dur=([0-9.]+)", told)
    assert found is not None
    return [float(each) for each in found.groups()]


def test_the_steps_are_measured_in_order(gateway: Running, key: Key, client: httpx.Client) -> None:
    timings = settled(client, spoken(gateway, key))["timings"]
    assert isinstance(timings, dict)
    [[started, opened, ended]] = timings["attempts"]
    steps = [*timings["plan"], *timings["hold"], started, opened, ended]
    steps += [timings["last_byte"], timings["settle"]]
    assert steps == sorted(steps)
    assert started <= timings["first_audio"] <= ended


def test_a_request_without_measured_steps_is_drawn_from_its_record(
    gateway: Running, visitor: httpx.Client, key: Key, books: Books
) -> None:
    id_ = spoken(gateway, key)
    books.tell("UPDATE generation SET timings = NULL WHERE id = :id", [{"id": id_}])
    page = visitor.get(f"{LOG}/{id_}").text
    assert "were not measured in full" in page
    assert "first: fine" in page


def test_what_is_kept_is_shown_played_and_deleted_from_the_page(
    gateway: Running, client: httpx.Client, key: Key
) -> None:
    name = f"p{secrets.token_hex(6)}"
    client.post("/v1/projects", json={"id": name, "keep_text_hours": 1, "keep_audio_hours": 1})
    keeper = make(client, project=name)
    id_ = spoken(gateway, keeper, input=SCRIPT, response_format="pcm", user=SCRIPT)
    with signed_in(gateway, keeper.plain) as own, signed_in(gateway, key.plain) as other:
        page = own.get(f"{LOG}/{id_}").text
        assert SCRIPT not in page
        assert SCRIPT in unescape(page)
        heard = own.get(f"{LOG}/{id_}/audio")
        assert (heard.headers["content-type"], heard.content[:4]) == ("audio/wav", b"RIFF")
        given = own.get(f"{LOG}/{id_}/audio?download=pcm")
        assert given.headers["content-disposition"] == f'attachment; filename="{id_}.pcm"'
        form = re.search(r'name="csrf" value="([^"]+)"', page)
        assert form is not None
        assert own.post(f"{LOG}/{id_}/forget", data={"csrf": "forged"}).status_code == 403
        assert other.post(f"{LOG}/{id_}/forget", data={"csrf": form[1]}).status_code == 403
        assert "Delete what is kept" in own.get(f"{LOG}/{id_}").text
        assert own.post(f"{LOG}/{id_}/forget", data={"csrf": form[1]}).status_code == 303
        assert "Neither its text nor its audio" in own.get(f"{LOG}/{id_}").text
    [change] = changes(client, f"generation:{id_}")
    assert (change["action"], change["actor"]) == ("generation.forget", keeper.hash)
