"""Settings: everything the operator decides, as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

Port = Annotated[int, Meta(ge=1, le=65_535)]
Count = Annotated[int, Meta(ge=1)]
# A day is for ever here, and less than what a clock can add up.
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]


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
