"""A month of a gateway's life, made through the real ledger and then moved to its days."""

import asyncio
import json
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import httpx
from sqlalchemy import Engine, bindparam, update

from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import (
    AttemptResult,
    Closing,
    Extend,
    Hold,
    Intent,
    Lose,
    Opening,
    Resolve,
)
from gateway.metering.rollups import rebuild
from gateway.metering.scopes import DAY_MS, HOUR_MS
from gateway.metering.writer import Writer
from gateway.tables import attempt, generation
from tests.doubles.running import Running

GENERATIONS = 360
DAYS = 28
SCRIPT = "<script>alert('app')</script>"
MOUTHS = [
    ("test/fine", "first", 15_000),
    ("test/fine", "second", 30_000),
    ("sesame/csm-1b", "csm", 7_000),
    ("local/espeak-ng", "espeak", 0),
]
"""Model, provider, and nano-USD a character."""
APPS = [None, "Reader", "Phone tree", "=cmd|' /C calc'!A0", SCRIPT]


@dataclass(frozen=True)
class Seeded:
    """Keys by which the pages are looked at."""

    management: str
    speak: str
    read: str


def seed(running: Running) -> Seeded:
    """Keys and projects by the API; their requests by the ledger."""
    with running.client() as client:
        _post(client, "/v1/projects", id="radio", name="Radio plays")
        made = [
            _key(
                client, name="Reader app", limit=25, limit_reset="monthly", characters_limit=10**6
            ),
            _key(client, name="Radio desk", project="radio", scopes=["speak", "read"], limit=3),
            _key(client, name='<b>bold</b> & "quoted"'),
        ]
        client.put("/v1/budgets", json={"scope": "global", "period": "month", "limit": "40.00"})
        client.put("/v1/budgets", json={"scope": "project:radio", "period": "day", "limit": "2.50"})
    hashes = [made[0][1], made[0][1], made[1][1], made[2][1]]
    with ThreadPoolExecutor(1) as apart:  # the browser's own loop runs in this thread
        apart.submit(lambda: asyncio.run(_live(running, hashes))).result()
    return Seeded(running.key, made[0][0], made[1][0])


def _post(client: httpx.Client, place: str, **body: object) -> dict[str, object]:
    answer = client.post(place, json=body)
    assert answer.is_success, answer.text
    told: dict[str, object] = answer.json()
    return told


def _key(client: httpx.Client, **body: object) -> tuple[str, str]:
    told = _post(client, "/v1/keys", **body)
    data = told["data"]
    assert isinstance(data, dict)
    return str(told["key"]), str(data["hash"])


async def _live(running: Running, keys: list[str]) -> None:
    url = database_url(running.environ["GATEWAY_DATABASE_URL"])
    engine, random = open_writing(url, checkpoints=False), Random(8)
    writer = Writer(open_writing(url, checkpoints=False))
    ids = [f"gen-tts-{secrets.token_hex(12)}" for _ in range(GENERATIONS)]
    lost = ids[:3]
    await asyncio.gather(
        *(_request(writer, random, id_, random.choice(keys), is_lost=id_ in lost) for id_ in ids)
    )
    await writer.submit(Lose(tuple(lost)))
    await writer.close()
    _move(engine, random, ids)
    engine.dispose()


async def _request(writer: Writer, random: Random, id_: str, key: str, *, is_lost: bool) -> None:
    """One request, which ends in one of the ways that there are."""
    model, provider, nano = random.choice(MOUTHS)
    characters, fails, falls_back = random.randrange(20, 900), random.random(), random.random()
    opening = Opening(
        id=id_,
        request_id=f"req-{id_[-8:]}",
        trace_id=secrets.token_hex(16),
        key_hash=key,
        created_ms=int(time.time() * 1000),
        requested_model=model,
        format="mp3",
        streamed=False,
        characters=characters,
        plan=json.dumps({"choices": [f"{provider}:{model}"], "exclusions": []}),
        app=random.choice(APPS),
        task=random.choice([None, "default"]),
    )
    cost, started = characters * nano, opening.created_ms
    await writer.submit(Hold(opening, cost, Intent(1, provider, model, "alloy", started, cost)))
    if falls_back < 0.1:
        more = Intent(2, "second", model, "alloy", started + 90, cost, kind="fallback")
        await writer.submit(Extend(id_, cost, more))
    if is_lost:
        return
    is_bad, attempts = fails < 0.08, 2 if falls_back < 0.1 else 1
    first_ms = random.randrange(60, 700)
    ends = [
        AttemptResult(
            seq,
            "failed" if is_bad or seq < attempts else "done",
            0 if is_bad or seq < attempts else cost,
            first_ms * 3,
            first_audio_ms=None if is_bad else first_ms,
            http_status=500 if is_bad or seq < attempts else 200,
            error_type="provider_error" if is_bad or seq < attempts else None,
            audio_ms=0 if is_bad else characters * 60,
        )
        for seq in range(1, attempts + 1)
    ]
    closing = Closing(
        "voided" if is_bad else "settled",
        502 if is_bad else 200,
        first_ms * 3,
        error_type="provider_error" if is_bad else None,
        model=model,
        provider=provider if attempts == 1 else "second",
        voice="alloy",
        cost_nano=0 if is_bad else cost,
        charged_characters=0 if is_bad else characters,
        audio_ms=0 if is_bad else characters * 60,
        first_audio_ms=None if is_bad else first_ms,
        attempts=tuple(ends),
    )
    await writer.submit(Resolve(id_, closing))


def _move(engine: Engine, random: Random, ids: list[str]) -> None:
    """Each to a time of its own in the last weeks; the newest stay in the running hour."""
    moves = []
    for place, id_ in enumerate(ids):
        back = 0 if place % 20 == 0 else random.randrange(DAYS) * DAY_MS
        moves.append({"its": id_, "back": back + (random.randrange(12) * HOUR_MS if back else 0)})
    row = update(generation).where(generation.c.id == bindparam("its"))
    tries = update(attempt).where(attempt.c.generation_id == bindparam("its"))
    with engine.begin() as connection:
        for move in moves:
            back = move["back"]
            connection.execute(
                row.values(
                    at_ms=generation.c.at_ms - back, created_ms=generation.c.created_ms - back
                ),
                {"its": move["its"]},
            )
            connection.execute(
                tries.values(started_ms=attempt.c.started_ms - back), {"its": move["its"]}
            )
        rebuild(connection)
