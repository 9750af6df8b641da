"""The catalogue's rows as they stand in TOML: their shape, their prices, and where a fault is.

msgspec checks the shape; what it finds is told with file, line and row, because tomllib keeps none.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")
PICO = 10**12
MILLION = 10**6

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Model = Annotated[str, msgspec.Meta(pattern=r"^[^/\s:]+/[^/\s:]+$", max_length=128)]
FormatName = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Unit = Literal["character", "byte", "token", "second", "run", "free"]


class CatalogError(Exception):
    """A catalogue that cannot be used; the message names file, line and row."""


@dataclass(frozen=True, slots=True)
class Price:
    """What an offer costs, in integer pico-USD (1e-12 USD) per unit; free is never guessed."""

    per: Unit
    rate: int = 0
    """Per character, byte, second or run."""
    input_rate: int = 0
    """Per input token."""
    output_rate: int = 0
    """Per output token."""
    output_tokens_per_second: int = 0
    source: str | None = None
    as_of: str | None = None


class PriceRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """design.md section 10, "Prices": which fields belong to which unit."""

    per: Unit
    usd_per_million: str | None = None
    input_usd_per_million: str | None = None
    output_usd_per_million: str | None = None
    output_tokens_per_second: Annotated[int, msgspec.Meta(gt=0)] | None = None
    usd: str | None = None
    source: str | None = None
    as_of: str | None = None

    _needs = {
        "character": {"usd_per_million"},
        "byte": {"usd_per_million"},
        "token": {"input_usd_per_million", "output_usd_per_million", "output_tokens_per_second"},
        "second": {"usd"},
        "run": {"usd"},
        "free": set[str](),
    }

    def __post_init__(self) -> None:
        needs = self._needs[self.per] | (set() if self.per == "free" else {"source", "as_of"})
        given = {name for name in self.__struct_fields__ if getattr(self, name) is not None}
        if missing := sorted(needs - given):
            raise ValueError(f"a price per {self.per} needs {', '.join(missing)}")
        if extra := sorted(given - needs - {"per", "source", "as_of"}):
            raise ValueError(f"a price per {self.per} has no {', '.join(extra)}")
        self.price()

    def price(self) -> Price:
        return Price(
            per=self.per,
            rate=_pico(self.usd_per_million, MILLION) + _pico(self.usd, 1),
            input_rate=_pico(self.input_usd_per_million, MILLION),
            output_rate=_pico(self.output_usd_per_million, MILLION),
            output_tokens_per_second=self.output_tokens_per_second or 0,
            source=self.source,
            as_of=self.as_of,
        )


class OfferRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[provider.offer]]`."""

    model: Model
    upstream: str
    voices: Annotated[list[str], msgspec.Meta(min_length=1)]
    formats: Annotated[dict[FormatName, str], msgspec.Meta(min_length=1)]
    price: PriceRow
    default_voice: str | None = None
    sample_rate: Annotated[int, msgspec.Meta(ge=8000, le=48000)] = 24_000
    max_characters: Annotated[int, msgspec.Meta(gt=0)] | None = None
    max_bytes: Annotated[int, msgspec.Meta(gt=0)] | None = None
    languages: list[str] = []
    quality: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    capabilities: list[str] = []
    data_policy: str | None = None


class ProviderRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[provider]]`."""

    name: Name
    wire: str
    address: str = ""
    key: Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]*$")] | None = None
    auth: str = "Authorization: Bearer"
    omit: list[str] = []
    extra: dict[str, Any] = {}
    offer: list[OfferRow] = []


@dataclass(frozen=True, slots=True)
class Row:
    """One provider's row and where it stands."""

    values: ProviderRow
    file: Path
    lines: list[str]
    number: int

    def fail(self, field: str, reason: str, *, offer: int | None = None) -> NoReturn:
        line = _line(self.lines, self.number, offer, field)
        place = f"provider {self.values.name!r}"
        if offer is not None:
            place += f", offer {self.values.offer[offer].model!r}"
        raise CatalogError(f"{self.file}:{line}: {place}: {field}: {reason}")


def read_rows(file: Path, families: dict[str, tuple[str, ...]]) -> Iterator[Row]:
    """Each provider's row of one file; its voice families are added to `families`."""
    try:
        text = file.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{file}: {error}") from None
    if unknown := sorted(tables.keys() - {"provider", "voice_families"}):
        raise CatalogError(f"{file}: {unknown[0]!r} is unknown; provider, voice_families are known")
    try:
        families |= msgspec.convert(tables.get("voice_families", {}), dict[str, tuple[str, ...]])
    except msgspec.ValidationError as error:
        raise CatalogError(f"{file}: voice_families: {error}") from None
    lines = text.splitlines()
    for number, table in enumerate(tables.get("provider", [])):
        yield Row(_row(file, lines, number, table), file, lines, number)


def _row(file: Path, lines: list[str], number: int, table: dict[str, Any]) -> ProviderRow:
    try:
        return msgspec.convert(table, ProviderRow)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        offer = re.match(r"\.offer\[(\d+)\]", path)
        unknown = re.search(r"unknown field `(\w+)`", message)
        field = unknown[1] if unknown else (re.findall(r"\.([a-z_]+)", path) or ["name"])[-1]
        line = _line(lines, number, int(offer[1]) if offer else None, field)
        place = f"provider {table.get('name', f'number {number + 1}')!r}"
        if offer:
            row = table["offer"][int(offer[1])]
            place += f", offer {row.get('model', 'without a model')!r}"
        raise CatalogError(f"{file}:{line}: {place}: {field}: {message}") from None


def _line(lines: list[str], provider: int, offer: int | None, field: str) -> int:
    """The line of `field` in the given row, or of the row itself (TOML keeps tables in order)."""
    seen_providers, seen_offers, start = -1, -1, 1
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if stripped.startswith("[[provider]]"):
            seen_providers, seen_offers = seen_providers + 1, -1
            start = number if seen_providers == provider else start
        elif stripped.startswith("[[provider.offer]]"):
            seen_offers += 1
            start = number if (seen_providers, seen_offers) == (provider, offer) else start
        here = seen_providers == provider and (offer is None or seen_offers == offer)
        if here and re.match(rf"{re.escape(field)}\s*=", stripped):
            return number
    return start


def _pico(usd: str | None, units: int) -> int:
    """Decimal USD for `units` units -> whole pico-USD for one."""
    if usd is None:
        return 0
    try:
        exact = Decimal(usd) * PICO / units
    except InvalidOperation:
        raise ValueError(f"{usd!r} is not a decimal number of USD") from None
    if exact < 0 or exact != exact.to_integral_value():
        raise ValueError(f"{usd!r} is below zero or finer than a pico-USD per unit")
    return int(exact)
