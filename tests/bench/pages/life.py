"""A month of requests, drawn by lot: who asked whom for what, and how it ended. No database."""

import json
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from gateway.metering.scopes import DAY_MS, HOUR_MS

DAYS = 30
OPEN_MS = 20 * 60_000
"""Only the newest requests may be held or unknown still."""
OFFERS = (
    ("openai/gpt-4o-mini-tts", "openai", 12_000),
    ("openai/tts-1", "openai", 15_000),
    ("openai/tts-1-hd", "openai", 30_000),
    ("sesame/csm-1b", "deepinfra", 7_000),
    ("hexgrad/kokoro-82m", "deepinfra", 650),
    ("elevenlabs/eleven_flash_v2_5", "elevenlabs", 50_000),
    ("elevenlabs/eleven_v3", "elevenlabs", 100_000),
    ("cartesia/sonic-3", "cartesia", 37_000),
    ("deepgram/aura-2", "deepgram", 30_000),
    ("local/espeak-ng", "local", 0),
)
"""Model, provider, and nano-USD a character."""
APPS = (
    *("Reader", "Phone tree", "Radio", "Museum guide", "Newsroom", "Audiobooks", "Kiosk"),
    *("Podcast desk", "Language school", "Navigation", "Game", "Screen reader"),
)
ERRORS = ("provider_unavailable", "timeout", "rate_limited", "bad_audio", "invalid_request")
FORMATS = ("mp3", "opus", "wav", "pcm")
OFF = [
    {"provider": name, "model": "sesame/csm-1b", "reason": "off", "detail": f"{name} has no key"}
    for name in ("replicate", "fal", "llmapi", "huggingface", "openrouter")
]
GENERATION = (
    *("id", "request_id", "trace_id", "key_hash", "project", "status", "created_ms", "at_ms"),
    *("requested_model", "task", "format", "streamed", "characters", "hold_nano"),
    *("hold_characters", "user", "session_id", "app", "user_agent", "plan", "http_status"),
    *("error_type", "model", "provider", "voice", "charged_characters", "cost_nano"),
    *("liability_nano", "audio_ms", "first_audio_ms", "duration_ms", "fallbacks", "cancelled"),
    *("cache_hit", "timings"),
)
"""The columns of a request, in the order of its row."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A key, with the habits of who holds it."""

    hash: str
    project: str
    offers: tuple[int, ...]
    apps: tuple[str | None, ...]
    weight: float
    """Its share of all requests."""


def holders(random: Random, hashes: list[str], projects: list[str]) -> list[Holder]:
    """The first is the busiest; half of the requests are those of some fiftieth of the keys."""
    weights = [1 / (place + 10) for place in range(len(hashes))]
    whole = sum(weights)
    return [
        Holder(
            hash_,
            projects[place % len(projects)],
            tuple(random.choices(range(len(OFFERS)), k=random.randrange(1, 4))),
            tuple(random.choices((None, *APPS), k=random.randrange(1, 3))),
            weight / whole,
        )
        for place, (hash_, weight) in enumerate(zip(hashes, weights, strict=True))
    ]


def requests(
    random: Random, of: list[Holder], how_many: int, now_ms: int
) -> Iterator[tuple[object, ...]]:
    """Rows of GENERATION, the oldest first; more by day than by night."""
    bounds = list(accumulate(each.weight for each in of))
    first = now_ms - DAYS * DAY_MS
    hours = [h for h in range(24) for _ in range(1 if h < 6 else 4)]
    draws = (random.random() for _ in range(how_many))
    times = (int(first + draw * DAYS * DAY_MS) for draw in draws)
    by_day = sorted(
        at - at % DAY_MS + random.choice(hours) * HOUR_MS + at % HOUR_MS for at in times
    )
    for at in by_day:
        holder = of[min(bisect(bounds, random.random()), len(of) - 1)]
        yield _request(random, holder, min(max(at, first), now_ms), now_ms)


def _request(random: Random, holder: Holder, at: int, now_ms: int) -> tuple[object, ...]:
    lot, tail = random.random(), f"{random.getrandbits(80):020x}"
    model, provider, rate = OFFERS[random.choice(holder.offers)]
    characters, first_ms = random.randrange(20, 900), random.randrange(60, 700)
    status = _status(lot, is_new=at > now_ms - OPEN_MS)
    fell_back = status == "settled" and lot > 0.95
    heard, cost = status == "settled", characters * rate
    ended = status in {"settled", "voided"}
    return (
        *(f"gen-tts-{at:013}-{tail}", f"req-{tail}", f"{random.getrandbits(128):032x}"),
        *(holder.hash, holder.project, status, at, at),
        *(model, "narration" if lot > 0.5 else None, FORMATS[characters % 4], False, characters),
        *(cost if status != "held" else 0, characters),
        f"user-{characters}" if lot > 0.8 else None,
        f"session-{tail[:6]}" if lot > 0.9 else None,
        *(random.choice(holder.apps), "voxroute-bench/1", _plan(model, provider, cost)),
        *({"settled": 200, "voided": 502}.get(status), _error(random, status)),
        model if ended else None,
        provider if status != "held" else None,
        "alloy" if ended else None,
        *(characters if heard else 0, cost if status in {"settled", "unknown"} else 0),
        *(cost if heard else 0, characters * 60 if heard else 0, first_ms if heard else None),
        *(first_ms * 3 if ended else None, int(fell_back), heard and lot < 0.06, False),
        _timings(first_ms) if heard else None,
    )


def _status(lot: float, *, is_new: bool) -> str:
    if is_new and lot < 0.3:
        return "held" if lot < 0.15 else "unknown"
    return "voided" if lot < 0.04 else "settled"


def _error(random: Random, status: str) -> str | None:
    return {"voided": random.choice(ERRORS), "unknown": "lost"}.get(status)


def _plan(model: str, provider: str, cost: int) -> str:
    choice = {"provider": provider, "model": model, "voice": "alloy", "at_most_nano_usd": cost}
    return json.dumps({"policy": "price", "choices": [choice], "excluded": OFF})


def _timings(first_ms: int) -> str:
    return json.dumps(
        {
            "plan": [0.1, 0.9],
            "hold": [0.9, 2.4],
            "attempts": [[2.5, first_ms, first_ms * 2.9]],
            "first_audio": first_ms,
            "last_byte": first_ms * 2.9,
            "settle": first_ms * 2.95,
        }
    )
