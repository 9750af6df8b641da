"""Steps: a frame computed, heard by the codec beside the next one, sent, and only then committed.

All is or nothing: everything that may fail comes before the commit.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from local_engine.csm.graphs import Graphs, Work
from local_engine.csm.model.coding import FrameDecoder
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
from local_engine.csm.model.sending import send
from local_engine.csm.model.slots import Slots
from local_engine.csm.plan import REACH, Plan, fitting_buckets, graph_reach
from local_engine.csm.running import StepOutput

STEPS, CODEC = "steps", "codec"
"""Kinds of graphs."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the codec hears and the host is sent of a step, while the next one is computed."""

    rows: Tensor
    codes: Tensor
    stopped: Tensor

    def first(self, rows: int) -> "_Taken":
        return _Taken(self.rows[:rows], self.codes[:rows], self.stopped[:rows])


class Frames:
    """Launches frames of many slots and collects them in order. Torch's errors are its own."""

    def __init__(
        self, network: Network, slots: Slots, decoder: FrameDecoder, plan: Plan, graphs: Graphs
    ) -> None:
        like, shape = network.weights.audio_table, network.shape
        self._network = network
        self._slots = slots
        self._decoder = decoder
        self._plan = plan
        self._graphs = graphs
        self._device = like.device
        self._buckets = fitting_buckets(plan)
        self._buffers = new_buffers(shape, plan.slots, like)
        self._waves = like.new_zeros(plan.slots, shape.frame_samples, dtype=torch.float32)
        self._pcm = torch.zeros_like(self._waves, dtype=torch.int16)
        made = self._buffers
        self._taken = _Taken(made.rows.clone(), made.codes.clone(), made.stopped.clone())
        self._free = deque(Delivery(shape, plan.slots, self._device) for _ in range(self.depth))
        self._flying: deque[Delivery] = deque()
        self._side = own_stream(self._device)

    @property
    def depth(self) -> int:
        return 2 if self._device.type == "cuda" else 1

    def bounds(self, positions: int, top_ks: Sequence[int]) -> Bounds:
        """Give what holds for rows of at most so many positions that draw from so many codes."""
        codes, longest = self._network.shape.codes, self._plan.longest
        fast = all(0 < top_k <= FAST_RANKS for top_k in top_ks)
        ranks = min(FAST_RANKS, codes) if fast else codes
        if self._plan.deterministic or self._network.kernels.reads_lengths:
            return Bounds(longest, ranks)
        if self._plan.graphs:
            return Bounds(graph_reach(positions + 1, REACH, longest), ranks)
        return Bounds(min(longest, -(-(positions + 1) // REACH) * REACH), ranks)

    def begin(self, slot: int) -> None:
        """Have the codec forget what it heard of this slot."""
        with self._beside():
            self._decoder.reset(slot)

    def launch(self, rows: tuple[int, ...], bounds: Bounds) -> None:
        """Start a frame for these slots, which are all different."""
        if not self._free:
            raise RuntimeError("every launched step must be collected first")
        bucket = next(bucket for bucket in self._buckets if bucket >= len(rows))
        # A CUDA codec has batch sizes of its own to keep to; on a CPU each row costs the same,
        # and padding is not decoded.
        heard = bucket if self._side or self._graphs.hold(CODEC) else len(rows)
        compute, decode = self.step(bucket, bounds), self.sound(heard)
        out = self._filled(rows, bucket)
        compute()
        self._deliver(rows, out.first(heard), decode)
        commit_frame(self._slots, out)
        self._flying.append(self._free.popleft())

    def collect(self) -> StepOutput:
        """Wait for the oldest launched step."""
        delivery = self._flying.popleft()
        self._free.append(delivery)
        return delivery.take()

    def step(self, bucket: int, bounds: Bounds) -> Work:
        """Give what computes a frame for the first rows of the buffers; it commits nothing."""
        out = self._buffers.first(bucket)
        compute = partial(compute_frame, self._network, self._slots, out, bounds)
        rest = partial(out.rows.fill_, self._slots.trash)
        return self._graphs.find(STEPS, (bucket, bounds), compute, rest)

    def sound(self, bucket: int) -> Work:
        """Give what decodes the first rows of what was taken."""
        taken = self._taken.first(bucket)
        rest = partial(taken.rows.fill_, self._slots.trash)
        return self._graphs.find(CODEC, bucket, partial(self._decode, taken), rest)

    def _filled(self, rows: tuple[int, ...], bucket: int) -> Buffers:
        """Name the rows of a batch, the padding ones as the trash slot."""
        named = np.full(bucket, self._slots.trash)
        named[: len(rows)] = rows
        out = self._buffers.first(bucket)
        out.rows.copy_(send(named, self._device))
        return out

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
        with after_current(self._side, self._device):
            yield


def own_stream(device: torch.device) -> torch.cuda.Stream | None:
    """Make a stream beside the others; on a CPU there is none."""
    if device.type != "cuda":
        return None
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # untyped in torch


@contextmanager
def after_current(stream: torch.cuda.Stream | None, device: torch.device) -> Iterator[None]:
    """Enter a stream, after what was launched on the current one; None changes nothing."""
    if stream is None:
        yield
        return
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
