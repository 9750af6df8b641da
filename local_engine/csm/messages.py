"""What the server and the engine process say to each other: msgpack over a socket, in order.

Server to engine: Submit, Cancel, Taken, Drain, in batches (`Orders`). Engine to server: Loading
until it is Ready, then one Report for each step, and one each second while nobody speaks.
"""

from typing import Literal

import msgspec

Finish = Literal[
    "stop",  # the model's own stop frame
    "length",  # max_tokens, as asked for
    "text",  # the most that a text of this length may take
    "silence",  # nothing but silence for too long
    "loop",  # the same frames again and again
    "context",  # no position left
    "deadline",
    "cancelled",
    "lost",  # the engine ended, or was ended
]
"""Why a clip ended. All but `stop` and `length` that were not asked for are told as a runaway."""


class Turn(msgspec.Struct, frozen=True):
    """What was said before: its words, and its sound as WAV or as an utterance made here."""

    speaker: str
    text: str
    audio: bytes | None = None
    """Samples at 24 kHz, mono, s16le."""
    utterance: str | None = None
    """The id of an earlier utterance whose codes may still be kept."""


class Sampling(msgspec.Struct, frozen=True):
    """As `running.Sampling`; what is not given is the model's own."""

    seed: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None


class Submit(msgspec.Struct, frozen=True, tag=True):
    """Speak this."""

    number: int
    """Of the server's own counting; later messages speak of it."""
    utterance: str
    """The public id, under which its codes are kept for later turns."""
    key: str
    """Whose request it is: nobody takes more than his share of the slots."""
    text: str
    voice: str
    context: tuple[Turn, ...] = ()
    sampling: Sampling = Sampling()
    most_frames: int | None = None
    """As asked for by max_tokens."""
    deadline_seconds: float | None = None
    """From now to the last frame."""


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Nobody listens any more."""

    number: int


class Taken(msgspec.Struct, frozen=True, tag=True):
    """How many frames of a clip its listener has taken by now, in all."""

    number: int
    frames: int


class Drain(msgspec.Struct, frozen=True, tag=True):
    """Take no more; end when the last clip has ended."""


class Orders(msgspec.Struct, frozen=True):
    """One message to the engine."""

    orders: tuple[Submit | Cancel | Taken | Drain, ...]


class Loading(msgspec.Struct, frozen=True, tag=True):
    """How far the start is."""

    stage: str
    done: int = 0
    total: int = 0
    """Of bytes or steps; 0 where it is not known."""


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The engine cannot start, and why, in words for an operator."""

    message: str


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The self-test has spoken."""

    model: str
    voices: tuple[str, ...]
    sample_rate: int
    frame_samples: int
    slots: int
    longest: int
    device: str
    load_seconds: float


class Spoken(msgspec.Struct, frozen=True):
    """The next frame of one clip: `samples` of the Report's pcm are its own, in this order."""

    number: int
    samples: int


class Refused(msgspec.Struct, frozen=True):
    """A Submit that will not be spoken: 429 where the queue is full, 400 where it is wrong."""

    number: int
    status: int
    message: str
    param: str | None = None
    retry_after: int | None = None


class Ended(msgspec.Struct, frozen=True):
    """A clip is over."""

    number: int
    finish: Finish
    frames: int
    prompt_positions: int
    reused_positions: int
    """Of the prompt: copied from what was kept."""
    dropped_turns: int
    """Whole turns at the beginning of the context for which there was no room."""
    forgotten_turns: int
    """Turns named by an utterance that is not kept any more; their words alone were used."""
    queue_seconds: float
    prefill_seconds: float
    first_audio_seconds: float | None
    seconds: float


class Gauges(msgspec.Struct, frozen=True):
    """The engine at a glance."""

    slots: int
    running: int
    paused: int
    prefilling: int
    waiting: int
    row_limit: int
    """Rows of a step at present; halved when memory ran out, and growing back."""
    frames: int
    """Made since the start."""
    steps: int
    out_of_memory: int
    snapshots: int
    snapshot_bytes: int
    memory_bytes: int
    """Of the device, in use by this process."""
    graphs: int = 0
    """CUDA graphs captured since the start; 0 where there are none, as on a CPU."""
    graph_seconds: float = 0.0
    """Spent on capturing them: nobody speaks meanwhile."""
    graph_bytes: int = 0
    """Of the device, kept for them."""


class Report(msgspec.Struct, frozen=True, tag=True):
    """What one step brought: one message, whatever the number of listeners."""

    gauges: Gauges
    step_seconds: float = 0.0
    """Of the step that this tells of; 0 where there was none."""
    spoken: tuple[Spoken, ...] = ()
    pcm: bytes = b""
    ended: tuple[Ended, ...] = ()
    refused: tuple[Refused, ...] = ()


FromEngine = Loading | Failed | Ready | Report
