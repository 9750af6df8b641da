"""The task file: config/tasks.toml, read strictly; whatever is wrong in it stops the start."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, NoReturn

import msgspec
from msgspec import Meta

from gateway.routing import ranges
from gateway.routing.policies import Policy
from gateway.routing.preferences import PriceCap
from gateway.routing.tasks import TASK_PREFIX, Downgrade, Task, unaliased
from gateway.settings import SettingsError, Share
from providers import Catalog, Sampling

THOUSANDTHS = 1000
LONGEST_NAME = 100
"""What the ledger has room for."""
Models = Annotated[list[str], Meta(min_length=1)]
Voice = Annotated[str, Meta(min_length=1, max_length=200)]
Usd = Annotated[str, Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]


class _SamplingRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    seed: ranges.Seed | None = None
    temperature: ranges.Temperature | None = None
    top_k: ranges.TopK | None = None
    top_p: ranges.TopP | None = None
    min_p: ranges.MinP | None = None
    repetition_penalty: ranges.RepetitionPenalty | None = None
    max_tokens: ranges.MaxTokens | None = None

    def sampling(self) -> Sampling:
        return Sampling(**msgspec.structs.asdict(self))


class _DowngradeRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    models: Models
    over_price_cap: bool = False
    budget_used: Share | None = None
    first_audio_ms: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if self.budget_used is not None and _thousandths(self.budget_used) % 1:
            raise ValueError(f"budget_used: {self.budget_used} is finer than a thousandth")


class _TaskRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    models: Models
    policy: Policy | None = None
    max_price: Usd | None = None
    """USD per million characters."""
    deadline_ms: ranges.DeadlineMs | None = None
    voice: Voice | None = None
    voices: dict[str, Voice] = {}
    speed: ranges.Speed | None = None
    instructions: ranges.Instructions | None = None
    sampling: _SamplingRow = _SamplingRow()
    hedge: bool | None = None
    downgrade: list[str] | _DowngradeRow = []

    @property
    def downgrade_row(self) -> _DowngradeRow | None:
        """A list is the models alone: past a soft threshold, and for no other reason."""
        if isinstance(self.downgrade, _DowngradeRow):
            return self.downgrade
        return _DowngradeRow(self.downgrade) if self.downgrade else None


def read_tasks(file: Path, catalog: Catalog, aliases: Mapping[str, str]) -> Mapping[str, Task]:
    """Read and check tasks; a model or voice that nobody offers stops the start."""
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    if unknown := sorted(tables.keys() - {"task"}):
        raise SettingsError(f"{file}: [{unknown[0]}] is unknown; a task begins with [task.NAME]")
    tables = tables.get("task", {})
    if not isinstance(tables, dict):
        raise SettingsError(f"{file}: a task begins with [task.NAME]")
    if bad := [name for name in tables if not 1 <= len(name) <= LONGEST_NAME]:
        told = f"[task.{bad[0]}] a name has from 1 to {LONGEST_NAME} letters"
        raise SettingsError(f"{file}: {told}")
    rows = {name: _row(f"{file}: [task.{name}]", table) for name, table in tables.items()}
    reading = _Reading(file, rows, catalog, aliases)
    return MappingProxyType({name: reading.task(name) for name in rows})


def _row(place: str, table: object) -> _TaskRow:
    try:
        return msgspec.convert(table, _TaskRow)
    except msgspec.ValidationError as error:
        message, _, field = str(error).partition(" - at `$.")
        told = f"{field.rstrip('`')}: {message}" if field else message
        raise SettingsError(f"{place} {told}") from None


@dataclass(frozen=True, slots=True)
class _Reading:
    """The rows of one file, and what their names may mean."""

    file: Path
    rows: Mapping[str, _TaskRow]
    catalog: Catalog
    aliases: Mapping[str, str]

    def task(self, name: str) -> Task:
        row = self.rows[name]
        models = self._models(name, "models", row.models, (name,))
        downgrade = self._downgrade(name, row.downgrade_row)
        self._check_voices(name, row, models, downgrade.models if downgrade else ())
        return Task(
            name=name,
            models=models,
            policy=row.policy,
            cap=PriceCap(None if row.max_price is None else Decimal(row.max_price)),
            deadline_ms=row.deadline_ms,
            voice=row.voice,
            voices=MappingProxyType(row.voices),
            speed=row.speed,
            instructions=row.instructions or None,
            sampling=row.sampling.sampling(),
            hedge=row.hedge,
            downgrade=downgrade,
        )

    def _downgrade(self, name: str, row: _DowngradeRow | None) -> Downgrade | None:
        if row is None:
            return None
        models = self._models(name, "downgrade", row.models, (name,))
        used = None if row.budget_used is None else int(_thousandths(row.budget_used))
        return Downgrade(models, row.over_price_cap, used, row.first_audio_ms)

    def _models(
        self, name: str, field: str, given: Iterable[str], passed: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The models that these names stand for; passed: the tasks that led here."""
        models: list[str] = []
        for each in given:
            plain = unaliased(each, self.aliases)
            inner = plain.removeprefix(TASK_PREFIX) if plain.startswith(TASK_PREFIX) else ""
            if plain in self.catalog.models:
                models.append(plain)
            elif inner in passed:
                self._fail(name, field, f"{each!r} leads back to task/{inner}")
            elif inner in self.rows:
                further = self.rows[inner].models
                models += self._models(inner, "models", further, (*passed, inner))
            else:
                self._fail(name, field, f"nobody offers {each!r}")
        return tuple(dict.fromkeys(models))

    def _check_voices(
        self, name: str, row: _TaskRow, models: tuple[str, ...], cheaper: tuple[str, ...]
    ) -> None:
        if row.voice and not any(self._has(model, row.voice) for model in models):
            self._fail(name, "voice", f"none of its models has {row.voice!r}")
        for model, voice in row.voices.items():
            if model not in models + cheaper:
                self._fail(name, "voices", f"{model!r} is not among its models")
            if not self._has(model, voice):
                self._fail(name, "voices", f"{model!r} has no voice {voice!r}")

    def _has(self, model: str, voice: str) -> bool:
        return any(self.catalog.kin(offer, voice) for offer in self.catalog.models[model])

    def _fail(self, name: str, field: str, told: str) -> NoReturn:
        raise SettingsError(f"{self.file}: [task.{name}] {field}: {told}")


def _thousandths(share: float) -> Decimal:
    """As it is written: 0.8 is not a little more or less than 800."""
    return Decimal(str(share)) * THOUSANDTHS
