"""Limits of keys against many requests at once, and keys that are taken away in between."""

import asyncio
import threading
import time
from decimal import Decimal

import httpx
import pytest

from tests.doubles.books import Books, new_key, settled, until
from tests.doubles.running import Running
from tests.doubles.upstream import Upstream

FIRST, SECOND = 15_000, 30_000
"""Nano-USD per character of the first and the second provider."""


@pytest.fixture
def books(gateway: Running) -> Books:
    return Books(gateway)


def limit(nano: int) -> str:
    return str(Decimal(nano) / 10**9)


def speak(client: httpx.Client, model: str, text: str, **body: object) -> httpx.Response:
    return client.post("/v1/audio/speech", json={"model": model, "input": text} | body)


def test_a_hold_counts_against_the_limit_while_it_lasts(
    client: httpx.Client, gateway: Running, upstream: Upstream, books: Books
) -> None:
    text = f"held on {gateway.url}"
    key = new_key(client, limit(FIRST * len(text)))
    body = {"model": "test/in-halves", "input": text}
    with gateway.client(key.plain) as mine:
        with mine.stream("POST", "/v1/audio/speech", json=body) as response:
            assert response.status_code == 200
            assert books.balance(key.hash)["held_nano"] == FIRST * len(text)
            refused = speak(mine, "test/fine", "x")
            upstream.said(text)[0].go.set()
            response.read()
        assert refused.status_code == 402
        assert refused.headers["x-should-retry"] == "false"
        assert refused.json()["error"]["type"] == "insufficient_quota"
        assert settled(client, response.headers["x-generation-id"])["status"] == "settled"
        assert speak(mine, "test/fine", "x").status_code == 402
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == FIRST * len(text)


def test_what_the_limit_does_not_cover_reaches_no_provider(
    client: httpx.Client, gateway: Running, upstream: Upstream, books: Books
) -> None:
    text = f"too dear on {gateway.url}"
    key = new_key(client, limit(SECOND * len(text) - 1))
    with gateway.client(key.plain) as mine:
        refused = speak(mine, "pair/fine", text)
    assert refused.status_code == 402
    assert upstream.said(text) == []
    record = settled(client, refused.headers["x-generation-id"])
    assert (record["status"], record["http_status"]) == ("voided", 402)
    books.assert_balanced(key.hash)


@pytest.mark.parametrize("short", [0, 1])
def test_a_further_attempt_needs_room_for_what_the_first_may_cost(
    client: httpx.Client, gateway: Running, upstream: Upstream, books: Books, short: int
) -> None:
    text = f"further {short} on {gateway.url}"
    key = new_key(client, limit((FIRST + SECOND) * len(text) - short))
    with gateway.client(key.plain) as mine:
        response = speak(mine, "pair/html", text)
    assert response.status_code == (502 if short else 200)
    assert len(upstream.said(text)) == (1 if short else 2)
    record = settled(client, response.headers["x-generation-id"])
    assert record["status"] == ("voided" if short else "settled")
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == (0 if short else SECOND * len(text))


@pytest.mark.parametrize(("asking", "covered"), [(50, 17), (20, 0), (20, 30)])
async def test_a_limit_admits_exactly_what_it_covers(
    client: httpx.Client, gateway: Running, books: Books, asking: int, covered: int
) -> None:
    text = "Exactly so many."
    most = FIRST * len(text) * covered + FIRST * len(text) // 2
    key = new_key(client, limit(most))
    highest = Highest(books, key.hash)
    async with httpx.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {key.plain}"}, timeout=30
    ) as many:
        body = {"model": "test/chunked", "input": text}
        asked = (many.post("/v1/audio/speech", json=body) for _ in range(asking))
        answers = await asyncio.gather(*asked)
    statuses = [answer.status_code for answer in answers]
    served = min(asking, covered)
    assert (statuses.count(200), statuses.count(402)) == (served, asking - served)
    assert highest.seen() <= most
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == FIRST * len(text) * served
    assert books.balance(key.hash)["posted_characters"] == len(text) * served


async def test_failures_at_once_give_all_of_the_limit_back(
    client: httpx.Client, gateway: Running, books: Books
) -> None:
    text = "Again and again."
    key = new_key(client, limit((FIRST + SECOND) * len(text) * 10))
    async with httpx.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {key.plain}"}, timeout=30
    ) as many:
        models = ["again/reset", "again/html", "again/cut-in-the-middle", "again/bad-key"] * 10
        bodies = [{"model": model, "input": text} for model in models]
        asked = (many.post("/v1/audio/speech", json=body) for body in bodies)
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert not any(isinstance(each, httpx.Response) and each.is_success for each in answers)
    books.assert_balanced(key.hash)
    assert books.balance(key.hash)["posted_nano"] == 0


class Highest:
    """Watches how much of a limit is used, in a thread."""

    def __init__(self, books: Books, key_hash: str) -> None:
        self._done = threading.Event()
        self._most = 0
        self._books, self._key_hash = books, key_hash
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.is_set():
            balance = self._books.balance(self._key_hash)
            used = int(str(balance["posted_nano"])) + int(str(balance["held_nano"]))
            self._most = max(self._most, used)

    def seen(self) -> int:
        self._done.set()
        self._thread.join(10)
        return self._most


def test_a_disabled_key_is_refused_at_once_and_what_runs_is_finished(
    client: httpx.Client, gateway: Running, upstream: Upstream, books: Books
) -> None:
    text = f"taken away on {gateway.url}"
    key = new_key(client)
    body = {"model": "test/in-halves", "input": text}
    with (
        gateway.client(key.plain) as mine,
        mine.stream("POST", "/v1/audio/speech", json=body) as response,
    ):
        assert client.patch(f"/v1/keys/{key.hash}", json={"disabled": True}).is_success
        disabled = time.monotonic()
        assert speak(mine, "test/fine", "no more").status_code == 401
        assert mine.get("/v1/key").status_code in {200, 401}
        until(lambda: mine.get("/v1/key").status_code == 401, 1.2)
        assert time.monotonic() - disabled < 1.2
        upstream.said(text)[0].go.set()
        response.read()
    assert settled(client, response.headers["x-generation-id"])["characters"] == len(text)
    assert upstream.said("no more") == []
    books.assert_balanced(key.hash)
