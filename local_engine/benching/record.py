"""What a run of the benchmark found, as its JSON has it. Times are milliseconds."""

from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

SCHEMA = 2
"""Raised when a field changes its meaning or goes away."""


class Spread(Struct, frozen=True):
    """Repeated times of one thing."""

    samples: int
    mean: float
    p50: float
    p95: float
    p99: float


class Machine(Struct, frozen=True):
    """Where it ran."""

    cpu: str
    cores: int
    memory_bytes: int
    gpu: dict[str, str] | None
    """What nvidia-smi tells of the first GPU; null without it."""
    packages: dict[str, str]
    commit: str | None
    """With + where tracked files differ from it."""


class ModelFigures(Struct, frozen=True):
    """What was run."""

    name: str
    weights: str
    device: str
    dtype: str
    codec: str
    threads: int
    parameters: int
    draw_seconds: float
    memory_bytes: int
    """After the weights are there: of the device on CUDA, else of this process."""


class PartFigures(Struct, frozen=True):
    """One part of a step, called alone."""

    part: str
    """The sampler is part of the depth decoder."""
    ms: Spread
    gflop: float
    gigabytes: float
    """Both by arithmetic, of one step."""
    teraflop_per_second: float
    gigabytes_per_second: float
    floor_ms: float | None
    """By arithmetic; null where the device's peak is not known."""


class CaptureFigures(Struct, frozen=True):
    """CUDA graphs of one kind: steps, codec or prompts."""

    graphs: int
    seconds: float
    bytes: int
    """Of the device, kept for them."""


class StepPoint(Struct, frozen=True):
    """Steps of a full batch, all of its rows near one context."""

    form: str
    """How steps are run: eager, or what joins it."""
    batch: int
    context: int
    frames: int
    step: Spread
    """As the engine drives it, until the samples are on the host."""
    floor_ms: float | None
    """By arithmetic: of backbone, depth decoder and codec; null as in PartFigures."""
    audio_seconds_per_second: float
    real_time_factor: float
    parts: list[PartFigures]
    memory_bytes: int
    """At most, as in ModelFigures."""
    captures: dict[str, CaptureFigures] | None = None
    """By kind; null where nothing is captured, as on a CPU."""


class PrefillPoint(Struct, frozen=True):
    """Prompts computed, against the same positions copied from a snapshot."""

    positions: int
    at_once: int
    prefill: Spread
    """Of all prompts of the call."""
    restore: Spread | None
    """Of one prompt; null where several are computed at once."""
    form: str = "eager"
    """As in StepPoint."""
    captures: dict[str, CaptureFigures] | None = None
    """As in StepPoint."""


class Parity(Struct, frozen=True, tag="parity"):
    """Greedy codes of a small model in float32: the engine's and those of transformers."""

    device: str
    prompts: int
    frames: int
    equal: bool
    first_difference: str | None


class Baseline(Struct, frozen=True, tag="baseline"):
    """transformers' generate with the same weights; its codec is not run."""

    form: str
    batch: int
    positions: int
    ms: Spread
    """Per frame."""
    audio_seconds_per_second: float
    ratio: float | None = None
    """The engine's audio per second, its codec run, to this; null where it has no such point."""


class Level(Struct, frozen=True):
    """So many clients, each of which asks again as soon as its clip is over."""

    clients: int
    clips: int
    failed: int
    first_audio: Spread | None
    """From the request to the first samples, at the client."""
    gap: Spread | None
    """Between two arrivals of samples."""
    under_runs: int
    """In all clips: how often a player that began at the first samples ran dry."""
    unbroken_share: float
    """Of the clips, failed ones among them: those without an under-run."""
    audio_seconds_per_second: float
    cpu_percent: float
    """Of the server and its engine together; 100 is one core."""


class ServerFigures(Struct, frozen=True):
    """The engine's server, asked over HTTP from another process of the same machine."""

    start_seconds: float
    """Until it is ready."""
    frames: int
    """Of each clip."""
    levels: list[Level]
    cancel: Spread | None
    """From closing the connection until the server tells how the clip ended."""
    cancel_streams: int
    """Clips that were spoken meanwhile, the one that was hung up on among them."""


class Hour(Struct, frozen=True):
    """Clips of many lengths that come and go, as fast as they are made; an hour has 45,000 frames.

    Memory is told ten times, after as many frames each.
    """

    form: str
    rows: int
    frames: int
    clips: int
    seconds: float
    process_bytes: list[int]
    """Resident."""
    device_bytes: list[int]
    """Reserved by torch; empty on a CPU."""

    @property
    def growth(self) -> int:
        """Bytes from the second of ten readings to the last, the first being for what is set up."""
        return sum(each[-1] - each[1] for each in (self.process_bytes, self.device_bytes) if each)


class Target(Struct, frozen=True):
    """What the engine is to reach, on one H100 with the real shape."""

    what: str
    limit: str
    found: float | None
    verdict: Literal["met", "missed", "not measured"]


class Dropped(Struct, frozen=True):
    """What was not measured."""

    what: str
    why: str


class Result(Struct, frozen=True):
    """A whole run."""

    schema: int
    began: str
    seconds: float
    budget_seconds: float
    arguments: list[str]
    machine: Machine
    model: ModelFigures | None
    steps: list[StepPoint]
    prefill: list[PrefillPoint]
    parity: Parity | None
    baseline: list[Baseline]
    server: ServerFigures | None
    hour: Hour | None
    targets: list[Target]
    dropped: list[Dropped]
    finished: bool
    """Whether all sections were over when this was written; it is written after each of them."""


@dataclass(frozen=True, slots=True)
class Run:
    """What was asked for, every default filled in."""

    model: str
    device: str
    dtype: str
    codec: str
    batches: tuple[int, ...]
    contexts: tuple[int, ...]
    frames: int
    threads: int
    """Of torch on a CPU: one, as the engine has it by default."""
    seconds: float
    baseline: bool
    clients: tuple[int, ...]
    """Of the server; none where it is not measured."""
    load_seconds: float
    """With so many clients; 0 takes what the time allows."""
    kernels: str = "torch"
    """Of the steps and prompts; the server's engine chooses for itself."""
    depth_weights: str = "auto"
    kv: str = "auto"
    """Both as in EngineSettings, of the server's engine too."""
    hour_frames: int = 0
    """Of all rows together, while memory is watched; 0 leaves it out."""
