"""Settings: config/gateway.toml under GATEWAY_... variables, frozen and checked once at start."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta

Shape = TypeVar("Shape")
Port = Annotated[int, Meta(ge=1, le=65_535)]
Count = Annotated[int, Meta(ge=1)]
# A day is for ever here, and less than what a clock can add up.
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]

# Spellings of design.md section 8 that do not follow GATEWAY_<SECTION>_<FIELD>.
_SHORT = {"GATEWAY_HOST": "GATEWAY_SERVER_HOST", "GATEWAY_PORT": "GATEWAY_SERVER_PORT"}
SHORTEST_SECRET = 32
LONGEST_SECRET = 512
_WEAK = {"changeme", "password", "secret", "admin", "default", "example", "sk-1234"}


class SettingsError(Exception):
    """A setting that cannot be used; the message names it and where it stands."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where the gateway listens and what it lets in."""

    host: str = "127.0.0.1"
    port: Port = 8000
    max_body_bytes: Count = 12 * 1024 * 1024
    """A context may bring 8 MB of audio along, a third more in base64."""
    drain_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 30.0
    public_catalogue: bool = False
    """Whether /models and /audio/voices answer without a key beyond loopback."""


@dataclass(frozen=True, slots=True)
class Database:
    """SQLite by default, PostgreSQL for many replicas; any SQLAlchemy URL of the two."""

    url: str = "sqlite+aiosqlite:///data/gateway.db"


@dataclass(frozen=True, slots=True)
class EmbeddedVoice:
    """The voice that `gateway serve` starts beside itself."""

    enabled: bool = True
    provider: str = "local"
    """The catalogue's row that it answers for."""
    model: str = "espeak-ng"
    workers: Count = 2


@dataclass(frozen=True, slots=True)
class Engine:
    """The CSM engine: one that `gateway serve` starts beside itself, or others run elsewhere."""

    model: str = ""
    """What to start: a hub id, a folder or `tiny-random`; empty: none."""
    address: str = ""
    """Base addresses of engines run elsewhere, with commas between them."""
    provider: str = "local-csm"
    """The catalogue's row that it answers for."""
    device: str = ""
    """cpu, cuda, cuda:1; empty: a GPU where there is one."""
    slots: Annotated[int, Meta(ge=0)] = 0
    """Clips spoken at once; 0: as many as fit into memory."""
    waiting: Annotated[int, Meta(ge=0)] = 0
    """Requests that may wait for a slot; 0: as the engine has it."""
    voices: str = ""
    """A voices.toml of named prompts."""
    config: str = ""
    """The engine's own file, for all else that it can be told."""
    ready_seconds: Seconds = 600.0
    """Loading takes minutes; after so long it is told that something may be wrong."""

    @property
    def addresses(self) -> tuple[str, ...]:
        return tuple(each.strip() for each in self.address.split(",") if each.strip())


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a request may take, and how often it may be tried."""

    first_audio_seconds: Seconds = 20.0
    """From request to first audio over all attempts; `deadline_ms` in a body replaces it."""
    attempt_seconds: Seconds = 8.0
    """To first audio within one attempt."""
    clip_seconds: Seconds = 600.0
    """From request to the last byte."""
    stall_seconds: Seconds = 20.0
    """How long a client may take nothing before it counts as gone."""
    attempts: Count = 3


@dataclass(frozen=True, slots=True)
class RecoveryRules:
    """When a gateway counts as dead, and what becomes of the requests that it left."""

    beat_seconds: Seconds = 2.0
    dead_seconds: Seconds = 15.0
    """For how long its beat must stand still."""
    unknown: Literal["keep", "release"] = "keep"
    """Whether money that may have been spent stays spent, once nobody has come back for it."""
    unknown_hours: Annotated[float, Meta(gt=0, le=8760)] = 24.0


@dataclass(frozen=True, slots=True)
class Resilience:
    """When an offer is left alone, and how much extra traffic failing well may cause."""

    breaker_failures: Count = 5
    """In a row; then nobody asks the offer with that credential for a while."""
    breaker_seconds: Seconds = 10.0
    """For how long at first; longer each time, to `breaker_longest_seconds`."""
    breaker_longest_seconds: Seconds = 300.0
    retry_share: Annotated[float, Meta(ge=0, le=2)] = 0.2
    """Further attempts, as a share of the requests of the last ten seconds."""
    hedge_share: Share = 0.05
    """The same of hedges."""
    explore_share: Share = 0.05
    """How many requests may go first to an offer that nothing is known of."""


@dataclass(frozen=True, slots=True)
class Load:
    """How much is done at once, and how much may wait for it."""

    concurrent: Count = 512
    """Requests at once in this process."""
    queue: Annotated[int, Meta(ge=0)] = 128
    """Requests that may wait for their turn; one more is refused at once."""
    wait_share: Share = 0.2
    """How much of its time to first audio a request may wait."""
    offer_concurrent: Count = 256
    """Requests at once to one offer, at most; fewer while it shows that it has enough."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request that does not say gets."""

    policy: str = "balanced"


@dataclass(frozen=True, slots=True)
class Kept:
    """Finished audio on disk, for requests that are sent again under their Idempotency-Key."""

    hours: Annotated[float, Meta(gt=0, le=8_760)] = 24.0
    """How long a clip, and what its Idempotency-Key stands for, are remembered."""
    megabytes: Count = 1024
    """Of all clips; the oldest go first."""
    clip_megabytes: Count = 100
    """Of one clip; a larger one is not kept."""
    folder: str = ""
    """Empty: `kept` in the data folder."""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is told of the gateway's work; OTLP is set by the standard OTEL_* variables."""

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    public_metrics: bool = False
    """Let /metrics be read without a key beyond loopback, too."""
    trace_url: str = ""
    """A trace's page in a viewer, with {trace_id} in it; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the operator decides."""

    config: Path
    data: Path
    server: Server = Server()
    database: Database = Database()
    embedded_voice: EmbeddedVoice = EmbeddedVoice()
    engine: Engine = Engine()
    deadlines: Deadlines = Deadlines()
    recovery: RecoveryRules = RecoveryRules()
    resilience: Resilience = Resilience()
    load: Load = Load()
    defaults: Defaults = Defaults()
    kept: Kept = Kept()
    telemetry: Telemetry = Telemetry()
    aliases: Mapping[str, str] = field(default_factory=dict)
    catalog_files: tuple[Path, ...] = ()
    admin_key: str | None = field(default=None, repr=False)
    key_pepper: str | None = field(default=None, repr=False)

    @property
    def kept_folder(self) -> Path:
        return Path(self.kept.folder) if self.kept.folder else self.data / "kept"


_SECTIONS = {
    "server": Server,
    "database": Database,
    "embedded_voice": EmbeddedVoice,
    "engine": Engine,
    "deadlines": Deadlines,
    "recovery": RecoveryRules,
    "resilience": Resilience,
    "load": Load,
    "defaults": Defaults,
    "kept": Kept,
    "telemetry": Telemetry,
}


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read gateway.toml of GATEWAY_CONFIG (or the shipped one) and lay the variables over it."""
    # An empty variable is an unset one; a short spelling, which the command line uses, wins.
    environ = {name: value for name, value in environ.items() if value}
    environ |= {long: environ[short] for short, long in _SHORT.items() if short in environ}
    config = shipped("config", environ.get("GATEWAY_CONFIG"))
    if not config.is_dir():
        raise SettingsError(f"GATEWAY_CONFIG: there is no folder {config}")
    file = config / "gateway.toml"
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: {error}") from None
    if unknown := sorted(tables.keys() - _SECTIONS.keys() - {"aliases"}):
        known = ", ".join([*_SECTIONS, "aliases"])
        raise SettingsError(f"{file}: [{unknown[0]}] is unknown; known: {known}")
    extra = [Path(name) for name in environ.get("GATEWAY_CATALOG", "").split(":") if name]
    return Settings(
        config=config,
        data=Path(environ.get("GATEWAY_DATA", "data")),
        server=_section(file, tables, "server", Server, environ),
        database=_section(file, tables, "database", Database, environ),
        embedded_voice=_section(file, tables, "embedded_voice", EmbeddedVoice, environ),
        engine=_engine(file, tables, environ),
        deadlines=_section(file, tables, "deadlines", Deadlines, environ),
        recovery=_section(file, tables, "recovery", RecoveryRules, environ),
        resilience=_section(file, tables, "resilience", Resilience, environ),
        load=_section(file, tables, "load", Load, environ),
        defaults=_section(file, tables, "defaults", Defaults, environ),
        kept=_section(file, tables, "kept", Kept, environ),
        telemetry=_telemetry(file, tables, environ),
        aliases=MappingProxyType(_aliases(file, tables)),
        catalog_files=(config / "providers.toml", *extra),
        admin_key=_secret("GATEWAY_ADMIN_KEY", environ),
        key_pepper=_secret("GATEWAY_KEY_PEPPER", environ),
    )


def shipped(name: str, chosen: str | None = None) -> Path:
    """A folder of the checkout (`config`, `migrations`), or its copy inside the installed wheel."""
    if chosen:
        return Path(chosen)
    if Path(name).is_dir():
        return Path(name)
    checkout = Path(__file__).parent.parent / name
    return checkout if checkout.is_dir() else Path(__file__).parent / "shipped" / name


def _section(
    file: Path,
    tables: Mapping[str, object],
    name: str,
    shape: type[Shape],
    environ: Mapping[str, str],
) -> Shape:
    table = tables.get(name, {})
    if not isinstance(table, dict):
        raise SettingsError(f"{file}: {name} must be a table")
    known = [each.name for each in fields(shape)]  # type: ignore[arg-type]  # shapes are dataclasses
    if unknown := sorted(table.keys() - set(known)):
        wrong = f"[{name}] {unknown[0]} is unknown; known: {', '.join(known)}"
        raise SettingsError(f"{file}: {wrong}")
    variables = {each: f"GATEWAY_{name}_{each}".upper() for each in known}
    table = table | {each: environ[v] for each, v in variables.items() if v in environ}
    try:
        return msgspec.convert(table, shape, strict=False)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`")
        variable = variables.get(field, "")
        place = variable if variable in environ else f"{file}: [{name}] {field}"
        raise SettingsError(f"{place}: {message}") from None


def _engine(file: Path, tables: Mapping[str, object], environ: Mapping[str, str]) -> Engine:
    engine = _section(file, tables, "engine", Engine, environ)
    given = {each: f"GATEWAY_ENGINE_{each}".upper() for each in ("model", "address")}
    model, address = (
        variable if variable in environ else f"{file}: [engine] {each}"
        for each, variable in given.items()
    )
    if engine.model and engine.addresses:
        both = "the engine is either started here or run elsewhere; leave one of them empty"
        raise SettingsError(f"{model} and {address} are both set: {both}")
    for each in engine.addresses:
        if not re.fullmatch(r"https?://[^/\s@]+(/[^\s@?#]*)?", each):
            # What is wrong with an address may be a password inside it, so it is not shown.
            wrong = "must be base addresses such as http://10.0.0.5:8801/v1, with commas between"
            raise SettingsError(f"{address}: {wrong}")
    if len(set(engine.addresses)) < len(engine.addresses):
        raise SettingsError(f"{address}: an address stands twice")
    return engine


def _telemetry(file: Path, tables: Mapping[str, object], environ: Mapping[str, str]) -> Telemetry:
    telemetry = _section(file, tables, "telemetry", Telemetry, environ)
    url = telemetry.trace_url
    if url and not (re.match(r"https?://", url) and "{trace_id}" in url):
        wrong = "must be an address such as https://traces.example/{trace_id}"
        raise SettingsError(f"{file}: [telemetry] trace_url {wrong}")
    return telemetry


def _aliases(file: Path, tables: Mapping[str, object]) -> dict[str, str]:
    try:
        aliases = msgspec.convert(tables.get("aliases", {}), dict[str, str])
    except msgspec.ValidationError as error:
        raise SettingsError(f"{file}: [aliases] {error}") from None
    for alias in aliases:
        name, passed = alias, set[str]()
        while name in aliases:
            if name in passed:
                raise SettingsError(f"{file}: [aliases] {alias} leads back to {name}")
            passed.add(name)
            name = aliases[name]
    return aliases


def _secret(variable: str, environ: Mapping[str, str]) -> str | None:
    """A secret of the operator's own; a known or short one is refused."""
    secret = environ.get(variable)
    if not secret:
        return None
    letters = secret.lower()
    plain = secret.isascii() and secret.isprintable() and " " not in secret
    if len(secret) > LONGEST_SECRET or not plain:
        raise SettingsError(
            f"{variable} must be at most {LONGEST_SECRET} plain characters without spaces"
        )
    if (
        len(secret) < SHORTEST_SECRET
        or len(set(secret)) < SHORTEST_SECRET // 4
        or secret in (secret + secret)[1:-1]  # the same few letters over and over
        or any(letters.startswith(word) for word in _WEAK)
    ):
        raise SettingsError(
            f"{variable} must be {SHORTEST_SECRET} characters or more and not guessable"
        )
    return secret
