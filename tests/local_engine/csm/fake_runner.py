"""A Runner without torch whose frames follow from the slot's positions and the seed alone.

What an utterance does is said by words in its text, such as `stop=5 silent=2`: see Script.
"""

import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from local_engine.csm.messages import Ready, Refused, Submit
from local_engine.csm.prompting.preparing import Prepared
from local_engine.csm.running import (
    Captured,
    Codes,
    OutOfMemory,
    Prefill,
    Prompt,
    Samples,
    Sampling,
    Snapshot,
    StepOutput,
)
from local_engine.csm.speaking.engine import Parts
from local_engine.csm.speaking.guard import cap, text_frames
from local_engine.csm.speaking.snapshots import Boundary

CODEBOOKS = 4
FRAME_SAMPLES = 16
RATE = 200
VOICES = ("narrator", "plain")


@dataclass(frozen=True, slots=True)
class Script:
    """What an utterance does, by frame, where it does not simply babble."""

    stop: int | None = None
    silent: int | None = None
    loop: int | None = None
    cycle: int = 1
    fatal: int | None = None
    rows: int | None = None
    """From its preparation on the device has memory for so many rows only."""
    broken: int | None = None
    """It cannot be prepared."""


@dataclass(slots=True)
class FakeSnapshot:
    held: Prompt

    @property
    def positions(self) -> int:
        return len(self.held)

    @property
    def bytes(self) -> int:
        return self.held.nbytes


def nothing() -> Prompt:
    return np.zeros((0, CODEBOOKS + 1), np.int32)


@dataclass(slots=True)
class Slot:
    held: Prompt = field(default_factory=nothing)
    sampling: Sampling | None = None
    frames: int = 0
    stopped: bool = False
    flying: int = 0


class FakeRunner:
    def __init__(self, slots: int = 4, longest: int = 400, depth: int = 1) -> None:
        self._slots = [Slot() for _ in range(slots)]
        self._longest = longest
        self._depth = depth
        self._flying: deque[StepOutput] = deque()
        self.scripts: dict[int, Script] = {}
        self.memory_rows = slots
        self.memory_positions = 1 << 30
        self.always: Script | None = None
        self.captured: Mapping[str, Captured] = {}
        self.most_prefilled = 0
        """Positions of one call."""
        self.launches: list[tuple[int, ...]] = []

    @property
    def slots(self) -> int:
        return len(self._slots)

    @property
    def longest(self) -> int:
        return self._longest

    @property
    def depth(self) -> int:
        return self._depth

    def prefill(self, stretches: Sequence[Prefill]) -> None:
        positions = sum(len(stretch.prompt) for stretch in stretches)
        if positions > self.memory_positions:
            raise OutOfMemory
        self.most_prefilled = max(self.most_prefilled, positions)
        for stretch in stretches:
            slot = self._slots[stretch.slot]
            assert not slot.flying, "a slot was given away while a step held it"
            if stretch.start == 0:
                slot.held = nothing()
            assert len(slot.held) == stretch.start, "a stretch that does not follow"
            slot.held = np.concatenate([slot.held, stretch.prompt])
            assert len(slot.held) <= self._longest

    def begin(self, slot: int, sampling: Sampling) -> None:
        assert not self._slots[slot].flying
        self._slots[slot] = Slot(self._slots[slot].held, sampling)

    def launch(self, slots: Sequence[int]) -> None:
        assert len(self._flying) < self._depth, "too many steps launched"
        assert 0 < len(slots) == len(set(slots))
        if len(slots) > self.memory_rows:
            raise OutOfMemory
        self.launches.append(tuple(slots))
        made = [self._frame(self._slots[slot]) for slot in slots]
        codes, stopped, pcm = zip(*made, strict=True)
        self._flying.append(
            StepOutput(tuple(slots), np.stack(codes), np.array(stopped), np.stack(pcm))
        )

    def collect(self) -> StepOutput:
        output = self._flying.popleft()
        for slot in output.rows:
            self._slots[slot].flying -= 1
        return output

    def keep(self, slot: int, positions: int) -> Snapshot:
        held = self._slots[slot].held
        assert 0 < positions <= len(held)
        return FakeSnapshot(held[:positions].copy())

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        assert isinstance(snapshot, FakeSnapshot)
        assert not self._slots[slot].flying
        self._slots[slot] = Slot(snapshot.held.copy())

    def encode(self, samples: Samples) -> Codes:
        frames = -(-len(samples) // FRAME_SAMPLES)
        padded = np.pad(samples, (0, frames * FRAME_SAMPLES - len(samples)))
        loud = np.abs(padded.reshape(frames, CODEBOOKS, -1)).max(axis=2)
        return np.asarray(1 + loud * 40, np.int32)

    def _frame(self, slot: Slot) -> tuple[NDArray[np.int32], bool, NDArray[np.int16]]:
        assert slot.sampling is not None, "it has not begun"
        script = self.always or self.scripts.get(slot.sampling.seed, Script())
        if slot.frames == script.fatal:
            raise RuntimeError("the device is gone")
        slot.flying += 1
        slot.stopped = slot.stopped or slot.frames == script.stop
        if slot.stopped:
            return np.zeros(CODEBOOKS, np.int32), True, np.zeros(FRAME_SAMPLES, np.int16)
        codes = self._codes(slot, script)
        frame = np.append(codes, np.int32(-1))[None]
        slot.held = np.concatenate([slot.held, frame])
        assert len(slot.held) <= self._longest, "no position left"
        silent = script.silent is not None and slot.frames >= script.silent
        slot.frames += 1
        return codes, False, np.full(FRAME_SAMPLES, 0 if silent else 1000 + codes[0], np.int16)

    def _codes(self, slot: Slot, script: Script) -> NDArray[np.int32]:
        assert slot.sampling is not None
        if script.loop is not None and slot.frames >= script.loop:
            return np.full(CODEBOOKS, 1 + slot.frames % script.cycle, np.int32)
        draw = zlib.crc32(slot.held.tobytes(), slot.sampling.seed)
        return np.random.default_rng(draw).integers(1, 50, CODEBOOKS, dtype=np.int32)


def digest(prompt: Prompt) -> bytes:
    return sha256(np.ascontiguousarray(prompt).tobytes()).digest()


def words(text: str) -> Prompt:
    prompt = np.zeros((len(text.encode()), CODEBOOKS + 1), np.int32)
    prompt[:, -1] = list(text.encode())
    return prompt


def sound(codes: Codes) -> Prompt:
    frames = np.zeros((len(codes) + 1, CODEBOOKS + 1), np.int32)
    frames[:-1, :-1] = codes
    frames[:, -1] = -1
    return frames


def parts_of(stretches: Sequence[Prompt]) -> tuple[Prompt, tuple[Boundary, ...]]:
    """Join them; boundaries lie after each but the last, and before each that is a zero frame."""
    ends = [sum(map(len, stretches[: n + 1])) for n in range(len(stretches) - 1)]
    prompt = np.concatenate(stretches)
    places = sorted({place for end in ends for place in (end - 1, end) if place})
    return prompt, tuple((place, digest(prompt[:place])) for place in places)


@dataclass(slots=True)
class FakePreparer:
    """Bytes are tokens; the voice `narrator` has three frames of sound."""

    runner: FakeRunner
    clip_seconds: float = 90.0
    hold: Callable[[], None] = lambda: None
    """Called for each: may wait."""

    def prepare(self, submit: Submit, kept: Mapping[str, Codes]) -> Prepared | Refused:
        self.hold()
        if submit.voice not in VOICES:
            return Refused(submit.number, 400, "no such voice", "voice")
        script = script_of(submit.text)
        if script.broken:
            raise RuntimeError("broken")
        if script.rows is not None:
            self.runner.memory_rows = script.rows
        seed = submit.sampling.seed if submit.sampling.seed is not None else submit.number
        self.runner.scripts[seed] = script
        voice = [words("[voice]"), sound(np.full((3, CODEBOOKS), 7, np.int32))]
        stretches = voice if submit.voice == "narrator" else []
        stretches = [*stretches, *self._context(submit, kept), words(f"[0]{submit.text}")]
        prompt, boundaries = parts_of(stretches)
        text = text_frames(submit.text, RATE / FRAME_SAMPLES, self.clip_seconds)
        room = self.runner.longest - len(prompt)
        return Prepared(
            prompt,
            boundaries,
            Sampling(seed=seed),
            cap(text, room, submit.most_frames),
            voice_positions=sum(map(len, voice)) if submit.voice == "narrator" else 0,
            forgotten_turns=sum(
                turn.utterance is not None and turn.utterance not in kept for turn in submit.context
            ),
        )

    def digest(self, prompt: Prompt) -> bytes:
        return digest(prompt)

    def _context(self, submit: Submit, kept: Mapping[str, Codes]) -> list[Prompt]:
        stretches = []
        for turn in submit.context:
            stretches.append(words(f"[{turn.speaker}]{turn.text}"))
            if turn.audio is not None:
                samples = np.frombuffer(turn.audio, "<i2").astype(np.float32) / 32768
                stretches.append(sound(self.runner.encode(samples)))
            elif turn.utterance in kept:
                stretches.append(sound(kept[turn.utterance]))
        return stretches


def script_of(text: str) -> Script:
    pairs = [word.split("=") for word in text.split() if "=" in word]
    return replace(Script(), **{name: int(value) for name, value in pairs})


def parts(runner: FakeRunner, preparer: FakePreparer | None = None) -> Parts:
    ready = Ready("fake", VOICES, RATE, FRAME_SAMPLES, runner.slots, runner.longest, "cpu", 0.0)
    return Parts(runner, preparer or FakePreparer(runner), ready, memory=lambda: 12_345)
