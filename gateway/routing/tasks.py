"""Tasks: named purposes, read from config/tasks.toml; how a model name becomes models to try."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.errors import ModelNotFound
from gateway.routing.policies import SUFFIXES, Policy
from gateway.routing.preferences import Preferences, PriceCap
from gateway.settings import SettingsError
from providers import Catalog, Speech

TASK_PREFIX = "task/"


@dataclass(frozen=True, slots=True)
class Task:
    """A named purpose: models in order, and what a request for it does not have to say."""

    name: str
    models: tuple[str, ...]
    policy: Policy | None = None
    max_price: str | None = None
    """USD per million characters."""
    voice: str | None = None
    downgrade: tuple[str, ...] = ()
    """What speaks instead once a budget's soft threshold is passed, first choice first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request's model and task come to."""

    models: tuple[str, ...]
    """Public model names, first choice first."""
    policy: Policy | None = None
    task: Task | None = None

    def downgraded(self) -> "Wanted | None":
        """What the task's downgrade rule makes of it, where it has one."""
        if self.task is None or not self.task.downgrade:
            return None
        return replace(self, models=self.task.downgrade)

    def applied(self, speech: Speech, preferences: Preferences) -> tuple[Speech, Preferences]:
        """What the request did not say, the task says."""
        if self.task is None:
            return speech, preferences
        if not speech.voice and self.task.voice:
            speech = replace(speech, voice=self.task.voice)
        if preferences.cap == PriceCap() and self.task.max_price is not None:
            cap = PriceCap(usd_per_million_characters=Decimal(self.task.max_price))
            preferences = replace(preferences, cap=cap)
        return speech, preferences


class _TaskRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    models: Annotated[list[str], Meta(min_length=1)]
    policy: Policy | None = None
    max_price: Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")] | None = None
    voice: Annotated[str, Meta(min_length=1)] | None = None
    downgrade: list[str] = []


def read_tasks(file: Path, catalog: Catalog) -> Mapping[str, Task]:
    """Read and check tasks; a model or voice that nobody offers stops the start."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    if unknown := sorted(tables.keys() - {"task"}):
        raise SettingsError(f"{file}: [{unknown[0]}] is unknown; a task begins with [task.NAME]")
    rows = tables.get("task", {})
    if not isinstance(rows, dict):
        raise SettingsError(f"{file}: a task begins with [task.NAME]")
    return MappingProxyType(
        {name: _task(f"{file}: [task.{name}]", name, row, catalog) for name, row in rows.items()}
    )


def _task(place: str, name: str, table: object, catalog: Catalog) -> Task:
    try:
        row = msgspec.convert(table, _TaskRow)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{place} {error}") from None
    for field, models in (("models", row.models), ("downgrade", row.downgrade)):
        if unknown := [model for model in models if model not in catalog.models]:
            raise SettingsError(f"{place} {field}: nobody offers {unknown[0]!r}")
    offers = [offer for model in row.models for offer in catalog.models[model]]
    if row.voice and not any(catalog.kin(offer, row.voice) for offer in offers):
        raise SettingsError(f"{place} voice: none of its models has {row.voice!r}")
    downgrade = tuple(row.downgrade)
    return Task(name, tuple(row.models), row.policy, row.max_price, row.voice, downgrade)


def resolve(
    names: tuple[str, ...],
    aliases: Mapping[str, str],
    tasks: Mapping[str, Task],
    catalog: Catalog,
) -> Wanted:
    """Model names as asked (ids, aliases, `task/...`, `:nitro`) -> models, policy and task."""
    known = catalog.models
    models: list[str] = []
    policy: Policy | None = None
    task: Task | None = None
    for name in names:
        plain, suffix = _without_alias(name, aliases), None
        if plain not in known:
            plain, _, suffix = plain.partition(":")
            plain = _without_alias(plain, aliases)
        if suffix is not None:
            if suffix and suffix not in SUFFIXES:
                raise _unknown(name, known)
            policy = policy or SUFFIXES.get(suffix)
        if plain.startswith(TASK_PREFIX):
            found = tasks.get(plain.removeprefix(TASK_PREFIX))
            if found is None:
                listed = ", ".join(TASK_PREFIX + each for each in sorted(tasks))
                raise ModelNotFound(f"there is no task {plain!r}; tasks: {listed}", param="model")
            task = task or found
            models += found.models
        elif plain in known:
            models.append(plain)
        else:
            raise _unknown(name, known)
    return Wanted(tuple(dict.fromkeys(models)), policy or (task.policy if task else None), task)


def _without_alias(name: str, aliases: Mapping[str, str]) -> str:
    passed: set[str] = set()
    while name in aliases and name not in passed:
        passed.add(name)
        name = aliases[name]
    return name


def _unknown(name: str, known: Mapping[str, object]) -> ModelNotFound:
    listed = ", ".join(sorted(known)[:8])
    return ModelNotFound(
        f"model {name[:100]!r} is not offered here; among those that are: {listed}; "
        "GET /v1/models lists all",
        param="model",
    )
