"""The catalogue's rows as they stand in TOML: their shape, and where a fault is.

msgspec checks the shape; what it finds is told with file, line and row, because tomllib keeps none.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import msgspec

from providers.price import PriceRow

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Model = Annotated[str, msgspec.Meta(pattern=r"^[^/\s:]+/[^/\s:]+$", max_length=128)]
Voice = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Voices = (
    Annotated[list[Voice], msgspec.Meta(min_length=1)]
    | Annotated[dict[Voice, Voice], msgspec.Meta(min_length=1)]
)
Theirs = Annotated[str, msgspec.Meta(min_length=1)]
FormatName = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
Variable = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Z0-9_]*(\+[A-Z][A-Z0-9_]*)*$")]
Host = Annotated[str, msgspec.Meta(pattern=r"^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$")]
Header = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
Capability = Literal[
    "streaming",
    "context",
    "cloning",
    "instructions",
    "ssml",
    "speed",
    "seed",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "max_tokens",
]
"""What an offer can do with a request; all but the first three are named as the body's fields."""
Extension = Literal["context", "caller"]
"""What a server of OpenAI's wire may take beyond OpenAI's own fields."""
DataPolicy = Literal["none", "retained", "trained"]
"""What becomes of a text: nothing is kept, it is kept for some time, models may learn from it."""


class CatalogError(Exception):
    """A catalogue that cannot be used; the message names file, line and row."""


class OfferRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[provider.offer]]`."""

    model: Model
    upstream: str
    formats: Annotated[dict[FormatName, Theirs], msgspec.Meta(min_length=1)]
    price: PriceRow
    voices: Voices | None = None
    """Its provider's, where it names none."""
    default_voice: str | None = None
    sample_rate: Annotated[int, msgspec.Meta(ge=8000, le=48000)] = 24_000
    max_characters: Annotated[int, msgspec.Meta(gt=0)] | None = None
    max_bytes: Annotated[int, msgspec.Meta(gt=0)] | None = None
    languages: list[str] = []
    quality: Annotated[float, msgspec.Meta(ge=0, le=100)] | None = None
    quality_source: str | None = None
    capabilities: list[Capability] = []
    data_policy: DataPolicy | None = None
    released: dt.date | None = None
    retires: dt.date | None = None
    description: str = ""
    first_audio_seconds: Annotated[float, msgspec.Meta(ge=0, le=600)] = 0.0
    hedge: bool = False
    extra: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if self.quality is not None and not self.quality_source:
            raise ValueError("quality needs quality_source: who says so, and when")


class ProviderRow(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`[[provider]]`."""

    name: Name
    wire: str
    address: str = ""
    key: Variable | Annotated[list[Variable], msgspec.Meta(min_length=1)] = []
    auth: str = "Authorization: Bearer"
    omit: list[str] = []
    extra: dict[str, Any] = {}
    headers: dict[Header, str] = {}
    hosts: list[Host] = []
    fields: dict[Extension, Theirs] = {}
    id_header: Header | None = None
    voices: Voices | None = None
    """Those of its offers that name none of their own."""
    billed_units_header: Header | None = None
    billed_usd_header: Header | None = None
    offer: list[OfferRow] = []


@dataclass(frozen=True, slots=True)
class Row:
    """One provider's row and where it stands."""

    values: ProviderRow
    file: Path
    lines: list[str]
    number: int

    def fail(self, field: str, reason: str, *, offer: int | None = None) -> NoReturn:
        line = _line(self.lines, self.number, offer, (field,))
        place = f"provider {self.values.name!r}"
        if offer is not None:
            place += f", offer {self.values.offer[offer].model!r}"
        raise CatalogError(f"{self.file}:{line}: {place}: {field}: {reason}")


@dataclass(frozen=True, slots=True)
class Family:
    """A voice name, the names of its kin, and where that is said."""

    voice: str
    kin: tuple[str, ...]
    file: Path
    line: int


def read_rows(file: Path) -> tuple[list[Family], list[Row]]:
    """The voice families and the providers' rows of one file."""
    try:
        text = file.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise CatalogError(f"{file}:{line}: not UTF-8") from None
    except OSError as error:
        raise CatalogError(f"{file}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else len(text.splitlines())
        raise CatalogError(f"{file}:{line}: {error}") from None
    lines = text.splitlines()
    if unknown := sorted(tables.keys() - {"provider", "voice_families"}):
        line = _first(lines, rf"\[*\s*{re.escape(unknown[0])}\b")
        known = "provider and voice_families are known"
        raise CatalogError(f"{file}:{line}: {unknown[0]!r} is unknown; {known}")
    providers = tables.get("provider", [])
    if not isinstance(providers, list):
        line = _first(lines, r"\[?\s*provider\b")
        raise CatalogError(f"{file}:{line}: provider: a row begins with [[provider]]")
    return _families(file, lines, tables.get("voice_families", {})), [
        Row(_row(file, lines, number, table), file, lines, number)
        for number, table in enumerate(providers)
    ]


def _families(file: Path, lines: list[str], table: object) -> list[Family]:
    start = _first(lines, r"\[voice_families\]")
    try:
        families = msgspec.convert(table, dict[str, tuple[str, ...]])
    except msgspec.ValidationError as error:
        raise CatalogError(f"{file}:{start}: voice_families: {error}") from None
    return [
        Family(voice, kin, file, _first(lines, rf"\"?{re.escape(voice)}\"?\s*=", after=start))
        for voice, kin in families.items()
    ]


def _row(file: Path, lines: list[str], number: int, table: object) -> ProviderRow:
    try:
        return msgspec.convert(table, ProviderRow)
    except msgspec.ValidationError as error:
        message, *at = re.split(r" - at `(?:key` in `)?\$", str(error))
        path = "".join(at)
        offer = re.match(r"\.offer\[(\d+)\]", path)
        named = re.search(r"(?:unknown|required) field `(\w+)`", message)
        fields = [*re.findall(r"\.([a-z_]+)", path), *([named[1]] if named else [])]
        line = _line(lines, number, int(offer[1]) if offer else None, fields)
        place = f"provider {_named(table, 'name', number)}"
        if offer and isinstance(table, dict):
            row = int(offer[1])
            place += f", offer {_named(table['offer'][row], 'model', row)}"
        field = f"{fields[-1]}: " if fields else ""
        raise CatalogError(f"{file}:{line}: {place}: {field}{message}") from None


def _named(table: object, field: str, number: int) -> str:
    name = table.get(field) if isinstance(table, dict) else None
    return f"number {number + 1}" if name is None else repr(name)


def _line(lines: list[str], provider: int, offer: int | None, fields: Sequence[str]) -> int:
    """The line of the last of `fields` that stands in the given row, or of the row itself.

    TOML keeps tables in order, so the row is found by counting heads.
    """
    wanted = (provider, -1 if offer is None else offer)
    at, found, depth = (-1, -1), 0, -1
    for number, line in enumerate(lines, start=1):
        head = re.match(r"\s*\[\[\s*provider\s*(\.\s*offer\s*)?\]\]", line)
        if head:
            at = (at[0], at[1] + 1) if head[1] else (at[0] + 1, -1)
            found = number if at == wanted else found
        name = re.match(r"\s*\[*\s*(?:provider\.(?:offer\.)?)?([\w-]+)\s*[\]=]", line)
        if at == wanted and not head and name and name[1] in fields[depth + 1 :]:
            depth = fields.index(name[1], depth + 1)
            found = number
    if not found and offer is not None:  # offers written inside their provider's own table
        return _line(lines, provider, None, ["offer"])
    return found or 1


def _first(lines: list[str], pattern: str, after: int = 1) -> int:
    """The first line, at or below `after`, that begins so; `after` when there is none."""
    numbers = range(after, len(lines) + 1)
    return next((n for n in numbers if re.match(rf"\s*{pattern}", lines[n - 1])), after)
