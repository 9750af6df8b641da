"""Tasks: named purposes; and how the name in a request becomes models to try."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.errors import ModelNotFound
from gateway.routing.policies import SUFFIXES, Policy
from gateway.routing.preferences import Preferences, PriceCap
from providers import Catalog, Sampling, Speech

TASK_PREFIX = "task/"


@dataclass(frozen=True, slots=True)
class Downgrade:
    """Whose models speak instead, and when; a budget's soft threshold always is a reason."""

    models: tuple[str, ...]
    """First choice first."""
    over_price_cap: bool = False
    """When the price cap leaves none of the task's own models."""
    budget_used: int | None = None
    """When so many thousandths of any budget would be used."""
    first_audio_ms: float | None = None
    """When the fastest of the task's offers that are well is slower, at its median."""


@dataclass(frozen=True, slots=True)
class Task:
    """A named purpose: models in order, and what a request for it does not have to say."""

    name: str
    models: tuple[str, ...]
    policy: Policy | None = None
    cap: PriceCap = field(default=PriceCap())
    deadline_ms: int | None = None
    voice: str | None = None
    voices: Mapping[str, str] = field(default_factory=dict)
    """Model -> the voice to use there, in place of `voice`."""
    speed: float | None = None
    instructions: str | None = None
    sampling: Sampling = field(default=Sampling())
    hedge: bool | None = None
    downgrade: Downgrade | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request's model and task come to."""

    models: tuple[str, ...]
    """Public model names, first choice first."""
    policy: Policy | None = None
    task: Task | None = None

    def applied(self, speech: Speech, preferences: Preferences) -> tuple[Speech, Preferences]:
        """What the request did not say, the task says; of two caps, the lower counts."""
        task = self.task
        if task is None:
            return speech, preferences
        said = replace(
            speech,
            voice=speech.voice or task.voice or "",
            speed=task.speed if speech.speed is None else speech.speed,
            instructions=speech.instructions or task.instructions,
            sampling=replace(task.sampling, **speech.sampling.chosen()),  # type: ignore[arg-type]  # its own fields
        )
        return said, replace(
            preferences,
            cap=preferences.cap.lower(task.cap),
            hedge=task.hedge if preferences.hedge is None else preferences.hedge,
            model_voices={} if speech.voice else task.voices,
        )


def resolve(
    names: tuple[str, ...],
    aliases: Mapping[str, str],
    tasks: Mapping[str, Task],
    catalog: Catalog,
) -> Wanted:
    """Model names as asked (ids, aliases, `task/...`, `:nitro`) -> models, policy and task."""
    models: list[str] = []
    policy: Policy | None = None
    task: Task | None = None
    for name in names:
        plain, suffix = _parted(name, aliases, catalog.models)
        found = _task(plain, tasks)
        if found is None and plain not in catalog.models:
            raise _unknown(name, catalog.models)
        if suffix and suffix not in SUFFIXES:
            listed = " and ".join(f":{each}" for each in SUFFIXES)
            told = f"model {name[:100]!r} ends in an unknown suffix; there are {listed}"
            raise ModelNotFound(told, param="model")
        policy = policy or SUFFIXES.get(suffix)
        task = task or found
        models += found.models if found else [plain]
    return Wanted(tuple(dict.fromkeys(models)), policy or (task.policy if task else None), task)


def _parted(name: str, aliases: Mapping[str, str], known: Mapping[str, object]) -> tuple[str, str]:
    """The name that an alias stands for, and its suffix, if it has one."""
    plain = unaliased(name, aliases)
    if plain in known:
        return plain, ""
    plain, _, suffix = plain.partition(":")
    return unaliased(plain, aliases), suffix


def unaliased(name: str, aliases: Mapping[str, str]) -> str:
    passed: set[str] = set()
    while name in aliases and name not in passed:
        passed.add(name)
        name = aliases[name]
    return name


def _task(plain: str, tasks: Mapping[str, Task]) -> Task | None:
    if not plain.startswith(TASK_PREFIX):
        return None
    found = tasks.get(plain.removeprefix(TASK_PREFIX))
    if found is None:
        listed = ", ".join(TASK_PREFIX + each for each in sorted(tasks))
        raise ModelNotFound(f"there is no task {plain[:150]!r}; tasks: {listed}", param="model")
    return found


def _unknown(name: str, known: Mapping[str, object]) -> ModelNotFound:
    listed = ", ".join(sorted(known)[:8])
    return ModelNotFound(
        f"model {name[:100]!r} is not offered here; among those that are: {listed}; "
        "GET /v1/models lists all",
        param="model",
    )
