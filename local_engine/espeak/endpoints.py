"""What can be asked of the engine: speech, its model, its voices, its health."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.types import ASGIApp

from local_engine.errors import Unavailable
from local_engine.espeak.body import SpeechBody
from local_engine.espeak.pool import Health, Pool
from local_engine.espeak.settings import MODEL, Settings
from local_engine.espeak.utterance import Utterance
from local_engine.espeak.voices import Voice, Voices
from local_engine.reply import Listen, Reply


@dataclass(slots=True)
class Engine:
    """What every endpoint shares."""

    settings: Settings
    pool: Pool
    voices: Voices
    draining: bool = False
    """Set once the engine is to end: it takes no new work."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a new request would be spoken, and why not."""

    status: str
    model: str
    workers: list[int]
    busy: int
    waiting: int
    waiting_limit: int


@post("/v1/audio/speech")
async def speak(request: Request[None, None, State], engine: Engine) -> ASGIApp:
    """Speak a text."""
    body = SpeechBody.read(await request.body())
    utterance = body.utterance(engine.voices, engine.settings.max_characters)
    if engine.draining:
        raise Unavailable("the engine is ending")
    clip = _speaking(engine.pool, utterance)
    return Reply(clip, body.format(), engine.settings.stall_seconds)


@asynccontextmanager
async def _speaking(pool: Pool, utterance: Utterance) -> AsyncIterator[Listen]:
    async with pool.lease() as worker:
        await worker.begin(utterance)
        yield worker.listen


@get("/v1/models", sync_to_thread=False)
def models() -> dict[str, object]:
    """List the one model, as OpenAI lists them."""
    model = {"id": MODEL, "object": "model", "created": 0, "owned_by": "espeak-ng"}
    return {"object": "list", "data": [model]}


@get("/v1/audio/voices", sync_to_thread=False)
def voices(engine: Engine) -> dict[str, list[Voice]]:
    """List the voices, and the variants any of them may take on."""
    return {"voices": engine.voices.listed, "variants": engine.voices.variants}


@get("/health/live", sync_to_thread=False)
def live() -> dict[str, str]:
    """Answer."""
    return {"status": "live"}


@get("/health/ready", sync_to_thread=False)
def ready(engine: Engine) -> Response[Readiness]:
    """Say whether a new request would be spoken."""
    health = engine.pool.health()
    status = _status(engine, health)
    return Response(
        Readiness(status, MODEL, health.workers, health.busy, health.waiting, health.waiting_limit),
        status_code=200 if status == "ready" else 503,
    )


def _status(engine: Engine, health: Health) -> str:
    if engine.draining:
        return "draining"
    if not health.workers:
        return "no worker"
    return "full" if health.waiting >= health.waiting_limit else "ready"


ENDPOINTS = (speak, models, voices, live, ready)
