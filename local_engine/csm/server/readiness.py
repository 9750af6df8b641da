"""Whether new requests would be spoken: the whole server's answer, and each model's."""

from collections.abc import Iterable
from dataclasses import dataclass

from local_engine.csm.messages import Gauges
from local_engine.csm.server.keeper import Keeper


@dataclass(frozen=True, slots=True)
class ModelReadiness:
    """One model: ready, full, or how far its start is."""

    model: str
    status: str
    pid: int | None
    stage: str | None
    """Of the start; null once it speaks."""
    done: int
    total: int
    device: str | None
    slots: int
    running: int
    paused: int
    waiting: int
    waiting_limit: int


@dataclass(frozen=True, slots=True)
class Readiness:
    """The server: ready when every model can speak and one of them has room."""

    status: str
    models: list[ModelReadiness]


def readiness(keepers: Iterable[Keeper], *, draining: bool) -> Readiness:
    """Look at every model."""
    models = [_of(keeper) for keeper in keepers]
    if draining:
        return Readiness("draining", models)
    statuses = [model.status for model in models]
    unable = [status for status in statuses if status not in ("ready", "full")]
    best = "ready" if "ready" in statuses else "full"
    return Readiness(unable[0] if unable else best, models)


def _of(keeper: Keeper) -> ModelReadiness:
    ready, gauges, limit = keeper.client.ready, keeper.client.gauges, keeper.model.waiting
    stage = None if ready else keeper.loading
    return ModelReadiness(
        model=keeper.model.name,
        status="loading" if ready is None else "full" if _is_full(gauges, limit) else "ready",
        pid=keeper.pid,
        stage=stage.stage if stage else None,
        done=stage.done if stage else 0,
        total=stage.total if stage else 0,
        device=ready.device if ready else None,
        slots=ready.slots if ready else 0,
        running=gauges.running if gauges else 0,
        paused=gauges.paused if gauges else 0,
        waiting=gauges.waiting if gauges else 0,
        waiting_limit=limit,
    )


def _is_full(gauges: Gauges | None, limit: int) -> bool:
    if gauges is None:
        return False
    return gauges.waiting >= limit and (limit > 0 or gauges.running >= gauges.slots)
