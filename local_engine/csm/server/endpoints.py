"""What can be asked of CSM's server: speech, how it ended, models, voices, health, metrics."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from litestar import Request, Response, get, post
from litestar.datastructures import State
from litestar.types import ASGIApp
from prometheus_client import CONTENT_TYPE_LATEST

from local_engine.body import read
from local_engine.csm.server.body import SpeechBody
from local_engine.csm.server.keeper import Keeper
from local_engine.csm.server.metrics import Metrics
from local_engine.csm.server.readiness import Readiness, readiness
from local_engine.csm.server.results import Result, Results
from local_engine.csm.server.settings import Settings
from local_engine.errors import Refusal, Unavailable, UnknownModel, UnknownUtterance
from local_engine.reply import Reply

_LOADING_RETRY_SECONDS = 5


@dataclass(slots=True)
class Engine:
    """What every endpoint shares."""

    settings: Settings
    keepers: Mapping[str, Keeper]
    """By the name of their model."""
    results: Results
    metrics: Metrics
    draining: bool = False
    """Set once the server is to end: it takes no new work."""

    def keeper(self, model: str | None) -> Keeper:
        """Find who keeps the model that was asked for."""
        there_are = ", ".join(map(repr, self.keepers))
        if model is None:
            raise Refusal(f"model is missing; this engine has {there_are}", "model")
        if model not in self.keepers:
            raise UnknownModel(f"model {model!r} is not here; this engine has {there_are}", "model")
        return self.keepers[model]


@post("/v1/audio/speech")
async def speak(request: Request[None, None, State], engine: Engine) -> ASGIApp:
    """Speak a text."""
    body = read(await request.body(), SpeechBody)
    keeper = engine.keeper(body.model)
    if engine.draining:
        raise Unavailable("the engine is ending")
    ready = keeper.client.ready
    if ready is None:
        raise _not_ready(keeper)
    utterance = f"utt-{uuid.uuid4().hex}"
    format_ = body.format(ready)
    clip = keeper.client.speaking(await body.submit(utterance, ready))
    headers = [(b"x-utterance-id", utterance.encode())]
    return Reply(clip, format_, engine.settings.stall_seconds, headers)


def _not_ready(keeper: Keeper) -> Unavailable:
    stage = keeper.loading.stage
    refusal = Unavailable(f"model {keeper.model.name!r} is not ready to speak: {stage}")
    refusal.retry_after = _LOADING_RETRY_SECONDS
    return refusal


@get("/v1/utterances/{utterance:str}", sync_to_thread=False)
def ended(utterance: str, engine: Engine) -> Result:
    """Tell how a clip ended."""
    result = engine.results.find(utterance)
    if result is None:
        raise UnknownUtterance(f"utterance {utterance!r} is not known, not over, or too long ago")
    return result


@get("/v1/models", sync_to_thread=False)
def models(engine: Engine) -> dict[str, object]:
    """List the models, as OpenAI lists them."""
    data = [
        {"id": name, "object": "model", "created": 0, "owned_by": "local"}
        for name in engine.keepers
    ]
    return {"object": "list", "data": data}


@get("/v1/audio/voices", sync_to_thread=False)
def voices(engine: Engine) -> dict[str, list[dict[str, str]]]:
    """List the voices of the models that are ready."""
    listed = [
        {"id": voice, "name": voice, "model": name}
        for name, keeper in engine.keepers.items()
        for voice in (keeper.client.ready.voices if keeper.client.ready else ())
    ]
    return {"voices": listed}


@get("/health/live", sync_to_thread=False)
def live() -> dict[str, str]:
    """Answer."""
    return {"status": "live"}


@get("/health/ready", sync_to_thread=False)
def ready(engine: Engine) -> Response[Readiness]:
    """Say whether a new request would be spoken, and how far the models are that start."""
    told = readiness(engine.keepers.values(), draining=engine.draining)
    return Response(told, status_code=200 if told.status == "ready" else 503)


@get("/metrics", sync_to_thread=False)
def metrics(engine: Engine) -> Response[bytes]:
    """Give the numbers of all models."""
    return Response(engine.metrics.text(), media_type=CONTENT_TYPE_LATEST)


ENDPOINTS = (speak, ended, models, voices, live, ready, metrics)
