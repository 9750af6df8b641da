"""Duplicates at once: whatever the order and whatever fails, one of them is spoken and charged."""

import asyncio
import random
import secrets
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Self

import httpx

from tests.doubles.books import Books, Key
from tests.doubles.repeating import (
    PRICE,
    ask,
    moods,
    unique,
)
from tests.doubles.running import Running
from tests.doubles.sound import clip
from tests.doubles.upstream import Upstream

ROUNDS = 25
CALLERS = 3
KEYS = 50


def at_once(
    together: threading.Barrier, token: str, text: str, client: httpx.Client
) -> httpx.Response:
    together.wait()
    return ask(client, token, text)


class Callers:
    """Clients with connections of their own, opened before they race."""

    def __init__(self, gateway: Running, key: Key) -> None:
        self.clients = [gateway.client(key.plain) for _ in range(CALLERS)]

    def __enter__(self) -> Self:
        for each in self.clients:
            assert each.get("/v1/key").status_code == 200
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.clients:
            each.close()


def test_of_two_at_once_one_is_spoken(
    mine: httpx.Client, key: Key, gateway: Running, upstream: Upstream, books: Books
) -> None:
    with ThreadPoolExecutor(CALLERS) as threads, Callers(gateway, key) as callers:
        for _ in range(ROUNDS):
            token, text = unique(), f"race {unique()}"
            together = threading.Barrier(CALLERS)

            race = partial(at_once, together, token, text)
            answers = list(threads.map(race, callers.clients))
            statuses = Counter(each.status_code for each in answers)
            assert statuses[200] + statuses[409] == CALLERS, [each.text for each in answers]
            assert len(upstream.said(text)) == 1
            assert {each.content for each in answers if each.is_success} == {clip("pcm", 0.5)}
    books.assert_balanced(key.hash)
    charged = "SELECT id FROM generation WHERE key_hash = :hash AND status = 'settled'"
    assert len(books.ask(charged, hash=key.hash)) == ROUNDS


async def test_however_often_a_request_comes_and_whatever_fails_it_is_charged_once(
    gateway: Running, key: Key, upstream: Upstream, books: Books
) -> None:
    """Fifty keys, each sent by up to six callers at once, who come back until they have it."""
    seed = secrets.randbits(32)
    chance = random.Random(seed)  # so that a failure can be played again
    faults = ("failing", "html", "reset", "cut-in-the-middle", "empty", "bad-gateway")
    async with httpx.AsyncClient(
        base_url=gateway.url,
        headers={"authorization": f"Bearer {key.plain}"},
        timeout=60,
        limits=httpx.Limits(max_connections=40),
    ) as many:

        async def until_heard(token: str, body: dict[str, object]) -> bytes:
            for _ in range(100):
                with suppress(httpx.RemoteProtocolError, httpx.ReadError):
                    answer = await many.post(
                        "/v1/audio/speech", json=body, headers={"idempotency-key": token}
                    )
                    if answer.is_success:
                        return answer.content
                    assert answer.status_code in {409, 502, 503}, answer.text
                await asyncio.sleep(0.1)
            raise AssertionError(f"never answered: {body}")

        asked: list[tuple[str, list[asyncio.Task[bytes]]]] = []
        for _ in range(KEYS):
            token, text = unique(), f"many {unique()}"
            ways = [chance.choice(faults) for _ in range(chance.randrange(4))]
            body = {
                "model": "test/moody",
                "input": text,
                "response_format": "pcm",
                "provider": moods(*ways),
            }
            callers = chance.randint(2, 6)
            asked.append(
                (text, [asyncio.create_task(until_heard(token, body)) for _ in range(callers)])
            )
        for text, tasks in asked:
            heard = set(await asyncio.gather(*tasks))
            last = max(each.nth for each in upstream.said(text))
            assert heard == {clip("pcm", 0.5 + 0.01 * last)}, (seed, text)
    books.assert_balanced(key.hash)
    rows = books.ask(
        "SELECT c.id, g.status, (SELECT count(*) FROM generation o WHERE o.key_hash = g.key_hash "
        "AND o.status = 'settled') AS settled FROM claim c JOIN generation g "
        "ON g.id = c.generation_id WHERE g.key_hash = :hash",
        hash=key.hash,
    )
    assert [each["status"] for each in rows] == ["settled"] * KEYS, seed
    assert {each["settled"] for each in rows} == {KEYS}, seed
    assert books.balance(key.hash)["posted_nano"] == PRICE * sum(len(text) for text, _ in asked)
