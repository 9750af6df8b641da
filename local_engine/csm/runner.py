"""The Runner: one model on one device, its slots, and a frame for many of them at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from torch import Tensor

from local_engine.csm.graphs import Graphs, Recorder, Spent, Work, recorder_for
from local_engine.csm.model.backbone import prefill
from local_engine.csm.model.coding import FrameDecoder, SegmentEncoder
from local_engine.csm.model.delivery import Delivery
from local_engine.csm.model.frame import (
    Bounds,
    Buffers,
    commit_frame,
    compute_frame,
    new_buffers,
)
from local_engine.csm.model.network import Network
from local_engine.csm.model.sampler import FAST_RANKS
from local_engine.csm.model.slots import Slots, empty_slots
from local_engine.csm.running import (
    Codes,
    OutOfMemory,
    Prefill,
    Samples,
    Sampling,
    Snapshot,
    StepOutput,
)

BUCKETS = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Batch sizes that steps are padded to."""

REACH = 64
"""The torch reference reads whole blocks of so many positions."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much a runner holds and how it batches."""

    slots: int
    longest: int
    """Positions of a slot."""
    buckets: tuple[int, ...] = BUCKETS
    deterministic: bool = False
    """One batch size and one reach for every step, and prompts one by one: what a row comes to
    cannot depend, not even in its last bits, on who is beside it. A prompt's chunks still may."""
    graphs: bool = False
    """Capture CUDA graphs of steps; on a CPU there are none."""
    codec_graphs: bool = True
    """Of the codec, too; not of one that makes graphs of its own, as moshi's does."""


@dataclass(frozen=True, slots=True)
class KvSnapshot:
    """Keys and values of a slot's first positions, on the device: see running.Snapshot."""

    k: Tensor
    """[layers, kv_heads, positions, head_size]"""
    v: Tensor

    @property
    def positions(self) -> int:
        return self.k.shape[2]

    @property
    def bytes(self) -> int:
        return self.k.nbytes + self.v.nbytes


@dataclass(slots=True)
class _Held:
    """What the host knows of a slot without asking the device."""

    positions: int = 0
    """At most so many count: a row that stopped did not advance, which only the device knows."""
    sampling: Sampling = field(default_factory=Sampling)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the codec hears and the host is sent of a step, while the next one is computed."""

    rows: Tensor
    codes: Tensor
    stopped: Tensor

    def first(self, rows: int) -> "_Taken":
        return _Taken(self.rows[:rows], self.codes[:rows], self.stopped[:rows])


class TorchRunner:
    """See running.Runner. Where the decoder fails, the step has changed nothing either."""

    def __init__(
        self,
        network: Network,
        decoder: FrameDecoder,
        encoder: SegmentEncoder,
        plan: Plan,
        new_recorder: Callable[[torch.device], Recorder | None] = recorder_for,
    ) -> None:
        like = network.weights.audio_table
        if plan.longest > network.longest:
            raise ValueError(f"the network has {network.longest} positions, not {plan.longest}")
        self._network = network
        self._decoder = decoder
        self._encoder = encoder
        self._plan = plan
        self._device = like.device
        self._buckets = fitting_buckets(plan)
        self._held = [_Held() for _ in range(plan.slots)]
        with _computing():
            self._slots: Slots = empty_slots(network.shape, plan.slots, plan.longest, like)
            self._buffers = new_buffers(network.shape, plan.slots, like)
            self._waves = like.new_zeros(
                plan.slots, network.shape.frame_samples, dtype=torch.float32
            )
            self._pcm = torch.zeros_like(self._waves, dtype=torch.int16)
            made = self._buffers
            self._taken = _Taken(made.rows.clone(), made.codes.clone(), made.stopped.clone())
            self._free = deque(
                Delivery(network.shape, plan.slots, self._device) for _ in range(self.depth)
            )
        self._flying: deque[Delivery] = deque()
        self._side = _own_stream(self._device)
        # Steps and sounds are replayed beside each other.
        self._step_graphs = _graphs(new_recorder, self._device, wanted=plan.graphs)
        codec_too = plan.graphs and plan.codec_graphs
        self._codec_graphs = _graphs(new_recorder, self._device, wanted=codec_too)

    @property
    def captured(self) -> tuple[Spent, ...]:
        """What capturing has cost: of steps, then of the codec."""
        return tuple(graphs.spent for graphs in (self._step_graphs, self._codec_graphs) if graphs)

    @property
    def slots(self) -> int:
        return self._plan.slots

    @property
    def longest(self) -> int:
        return self._plan.longest

    @property
    def depth(self) -> int:
        return 2 if self._device.type == "cuda" else 1

    def prefill(self, stretches: Sequence[Prefill]) -> None:
        for stretch in stretches:
            self._check(stretch)
        if not stretches:
            return
        apart = [[one] for one in stretches] if self._plan.deterministic else [stretches]
        slots = [one.slot for one in stretches]
        ends = [one.start + len(one.prompt) for one in stretches]
        with _computing():
            hidden = torch.cat([prefill(self._network, self._slots, some) for some in apart])
            places = torch.tensor([slots, ends], device=self._device)
            self._slots.hidden.index_copy_(0, places[0], hidden)
            self._slots.length.index_copy_(0, places[0], places[1])
        for slot, end in zip(slots, ends, strict=True):
            self._held[slot].positions = end

    def begin(self, slot: int, sampling: Sampling) -> None:
        held = self._held[slot]
        with _computing():
            with self._beside():
                self._decoder.reset(slot)
            self._slots.begin(slot, sampling)
        held.sampling = sampling

    def launch(self, slots: Sequence[int]) -> None:
        rows = tuple(slots)
        if not self._free:
            raise RuntimeError("every launched step must be collected first")
        if not 0 < len(rows) == len(set(rows)):
            raise ValueError(f"a step needs slots, all different: {rows}")
        if any(self._held[slot].positions >= self.longest for slot in rows):
            raise ValueError("a slot has no position left for another frame")
        with _computing():
            bucket = next(bucket for bucket in self._buckets if bucket >= len(rows))
            # A CUDA codec has batch sizes of its own to keep to; on a CPU each row costs the same,
            # and padding is not decoded.
            heard = bucket if self._side or self._codec_graphs else len(rows)
            compute, decode = self._step(bucket, self._bounds(rows)), self._sound(heard)
            out = self._filled(rows, bucket)
            compute()
            self._deliver(rows, out.first(heard), decode)
            commit_frame(self._slots, out)
        self._flying.append(self._free.popleft())
        for slot in rows:
            self._held[slot].positions += 1

    def collect(self) -> StepOutput:
        delivery = self._flying.popleft()
        self._free.append(delivery)
        return delivery.take()

    def keep(self, slot: int, positions: int) -> Snapshot:
        if not 0 <= positions <= self._held[slot].positions:
            raise ValueError(f"slot {slot} does not hold {positions} positions")
        with _computing():
            k = self._slots.k[:, slot, :, :positions].clone()
            v = self._slots.v[:, slot, :, :positions].clone()
        return KvSnapshot(k, v)

    def restore(self, slot: int, snapshot: Snapshot) -> None:
        if not isinstance(snapshot, KvSnapshot):
            raise TypeError("not a snapshot of this runner")
        if snapshot.positions > self.longest:
            raise ValueError(f"the snapshot has {snapshot.positions} positions, too many")
        held = self._held[slot]
        with _computing():
            self._slots.k[:, slot, :, : snapshot.positions] = snapshot.k
            self._slots.v[:, slot, :, : snapshot.positions] = snapshot.v
            self._slots.length[slot] = snapshot.positions
        held.positions = snapshot.positions

    def encode(self, samples: Samples) -> Codes:
        size = self._network.shape.frame_samples
        whole = np.pad(samples.astype(np.float32), (0, -len(samples) % size))
        if not len(whole):
            return np.zeros((0, self._network.shape.codebooks), np.int32)
        with _computing():
            codes = self._encoder.encode(torch.from_numpy(whole).to(self._device))
            return codes.to("cpu", torch.int32).numpy()

    def _check(self, stretch: Prefill) -> None:
        shape, prompt = self._network.shape, stretch.prompt
        end = stretch.start + len(prompt)
        if not (len(prompt) and stretch.start <= self._held[stretch.slot].positions):
            raise ValueError(f"slot {stretch.slot} cannot go on with {stretch.start} to {end}")
        if end > self.longest:
            raise ValueError(f"{end} positions are more than the {self.longest} of a slot")
        codes, texts = prompt[:, :-1], prompt[:, -1]
        if codes.min() < 0 or codes.max() >= shape.codes or texts.max() >= shape.text_vocabulary:
            raise ValueError("a prompt's code or text id is not in the model's tables")

    def _step(self, bucket: int, bounds: Bounds) -> Work:
        """Give what computes a frame for the first rows of the buffers; it commits nothing."""
        out = self._buffers.first(bucket)
        compute = partial(compute_frame, self._network, self._slots, out, bounds)
        if self._step_graphs is None:
            return compute
        rest = partial(out.rows.fill_, self._slots.trash)
        return self._step_graphs.find((bucket, bounds), compute, rest)

    def _sound(self, bucket: int) -> Work:
        """Give what decodes the first rows of what was taken."""
        taken = self._taken.first(bucket)
        decode = partial(self._decode, taken)
        if self._codec_graphs is None:
            return decode
        rest = partial(taken.rows.fill_, self._slots.trash)
        return self._codec_graphs.find(bucket, decode, rest)

    def _filled(self, rows: tuple[int, ...], bucket: int) -> Buffers:
        """Name the rows of a batch, the padding ones as the trash slot."""
        named = torch.full((bucket,), self._slots.trash, dtype=torch.int64)
        named[: len(rows)] = torch.tensor(rows)
        out = self._buffers.first(bucket)
        out.rows.copy_(named.pin_memory() if self._side else named, non_blocking=True)
        return out

    def _bounds(self, rows: tuple[int, ...]) -> Bounds:
        codes = self._network.shape.codes
        fast = all(0 < self._held[slot].sampling.top_k <= FAST_RANKS for slot in rows)
        ranks = min(FAST_RANKS, codes) if fast else codes
        if self._plan.deterministic or self._network.kernels.reads_lengths:
            return Bounds(self.longest, ranks)
        most = max(self._held[slot].positions for slot in rows) + 1
        if self._plan.graphs:
            # Few graphs, not few positions.
            return Bounds(min(self.longest, max(REACH, 1 << (most - 1).bit_length())), ranks)
        return Bounds(min(self.longest, -(-most // REACH) * REACH), ranks)

    def _deliver(self, rows: tuple[int, ...], out: Buffers, decode: Work) -> None:
        """Decode and send. The codec reads copies: the next step may write `out` meanwhile."""
        taken = self._taken.first(len(out.rows))
        if self._side is not None:
            # It may still be at the step before, with what was taken of that.
            torch.cuda.current_stream(self._device).wait_stream(self._side)
        taken.rows.copy_(out.rows)
        taken.codes.copy_(out.codes)
        taken.stopped.copy_(out.stopped)
        with self._beside():
            decode()
            self._free[0].send(rows, taken.codes, taken.stopped, self._pcm)

    def _decode(self, taken: _Taken) -> None:
        last = self._network.shape.codec.codebook_size - 1
        samples = self._decoder.decode(taken.rows, taken.codes.clamp(max=last))
        # From here on the codec's streams have advanced: nothing may ask for memory any more.
        waves = self._waves[: len(taken.rows)]
        torch.clamp(samples, -1, 1, out=waves).mul_(32767).round_()
        self._pcm[: len(taken.rows)].copy_(waves)

    @contextmanager
    def _beside(self) -> Iterator[None]:
        """Enter the codec's own stream, after what was launched before; on a CPU there is none."""
        if self._side is None:
            yield
            return
        self._side.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._side):
            yield


def _graphs(
    new_recorder: Callable[[torch.device], Recorder | None], device: torch.device, *, wanted: bool
) -> Graphs | None:
    recorder = new_recorder(device) if wanted else None
    return None if recorder is None else Graphs(recorder)


def _own_stream(device: torch.device) -> torch.cuda.Stream | None:
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # untyped in torch


def fitting_buckets(plan: Plan) -> tuple[int, ...]:
    """Give the batch sizes up to what the slots need; only the largest if deterministic."""
    if plan.deterministic:
        return (plan.slots,)
    return (*(bucket for bucket in plan.buckets if bucket < plan.slots), plan.slots)


@contextmanager
def _computing() -> Iterator[None]:
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(str(error)) from error
