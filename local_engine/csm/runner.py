"""The Runner: one model on one device, its slots, and a frame for many of them at a time."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from local_engine.csm.frames import CODEC, STEPS, Frames, after_current, own_stream
from local_engine.csm.graphs import Graphs, Recorder, recorder_for
from local_engine.csm.model.coding import FrameDecoder, SegmentEncoder
from local_engine.csm.model.network import Network
from local_engine.csm.model.sending import send
from local_engine.csm.model.slots import Slots, empty_slots
from local_engine.csm.plan import Plan, fitting_buckets
from local_engine.csm.prompts import KIND as PROMPTS
from local_engine.csm.prompts import Prompts
from local_engine.csm.running import (
    Captured,
    Codes,
    OutOfMemory,
    Prefill,
    Samples,
    Sampling,
    Snapshot,
    StepOutput,
)

log = logging.getLogger(__name__)


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


class TorchRunner:
    """See running.Runner. Where the decoder fails, the step has changed nothing either."""

    def __init__(
        self,
        network: Network,
        decoder: FrameDecoder,
        encoder: SegmentEncoder,
        plan: Plan,
        new_recorder: Callable[[torch.device], Recorder] = recorder_for,
    ) -> None:
        like = network.weights.audio_table
        if plan.longest > network.longest:
            raise ValueError(f"the network has {network.longest} positions, not {plan.longest}")
        self._network = network
        self._encoder = encoder
        self._plan = plan
        self._device = like.device
        self._held = [_Held() for _ in range(plan.slots)]
        self._graphs = Graphs(_recorders(plan, lambda: new_recorder(like.device)))
        with _computing():
            self._slots: Slots = empty_slots(network.shape, plan.slots, plan.longest, like)
            self._prompts = Prompts(network, self._slots, plan, self._graphs)
            self._frames = Frames(network, self._slots, decoder, plan, self._graphs)
        self._encodes_on = own_stream(self._device)

    @property
    def captured(self) -> Mapping[str, Captured]:
        return self._graphs.captured

    @property
    def slots(self) -> int:
        return self._plan.slots

    @property
    def longest(self) -> int:
        return self._plan.longest

    @property
    def depth(self) -> int:
        return self._frames.depth

    def prefill(self, stretches: Sequence[Prefill]) -> None:
        for stretch in stretches:
            self._check(stretch)
        if not stretches:
            return
        slots = [one.slot for one in stretches]
        ends = [one.start + len(one.prompt) for one in stretches]
        with _computing():
            hidden = self._prompts.compute(stretches)
            places = send(np.array([slots, ends]), self._device)
            self._slots.hidden.index_copy_(0, places[0], hidden)
            self._slots.length.index_copy_(0, places[0], places[1])
        for slot, end in zip(slots, ends, strict=True):
            self._held[slot].positions = end

    def begin(self, slot: int, sampling: Sampling) -> None:
        held = self._held[slot]
        with _computing():
            self._frames.begin(slot)
            self._slots.begin(slot, sampling)
        held.sampling = sampling

    def launch(self, slots: Sequence[int]) -> None:
        rows = tuple(slots)
        if not 0 < len(rows) == len(set(rows)):
            raise ValueError(f"a step needs slots, all different: {rows}")
        held = [self._held[slot] for slot in rows]
        most = max(one.positions for one in held)
        if most >= self.longest:
            raise ValueError("a slot has no position left for another frame")
        bounds = self._frames.bounds(most, [one.sampling.top_k for one in held])
        with _computing():
            self._frames.launch(rows, bounds)
        for one in held:
            one.positions += 1

    def collect(self) -> StepOutput:
        return self._frames.collect()

    def warm(self, seconds: float, told: Callable[[int, int], None]) -> None:
        """Capture beforehand what there is time for, the largest first, and tell how far it is.

        Graphs of one pool reuse what the first of them needed: a smaller one takes no more. What
        is left is captured when it is first asked for, and whoever speaks then waits for it.
        """
        began = perf_counter()
        asks = self._asks()
        for done, ask in enumerate(asks):
            told(done, len(asks))
            if perf_counter() - began >= seconds:
                break
            with _computing():
                ask()
        if asks:
            made = sum(self.captured.values(), Captured())
            log.info(
                "%d of %d CUDA graphs captured at start in %.1f s, %.0f MiB",
                *(made.graphs, len(asks), made.seconds, made.bytes / 2**20),
            )

    def _asks(self) -> list[Callable[[], object]]:
        """Give what captures each of the graphs that are likely to be asked for."""
        if not self._graphs.captured:
            return []
        buckets = fitting_buckets(self._plan)[::-1]
        # torch's kernels have a graph for every reach, of which few are needed.
        steps = buckets if self._network.kernels.reads_lengths else buckets[:1]
        bounds = self._frames.bounds(self.longest - 1, [Sampling().top_k])
        return [
            *(partial(self._frames.step, bucket, bounds) for bucket in steps),
            *(partial(self._frames.sound, bucket) for bucket in buckets),
            *(partial(self._prompts.find, size) for size in self._prompts.sizes()),
        ]

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
        # Not behind the steps of others, nor they behind it: it may take as long as many of them.
        with _computing(), after_current(self._encodes_on, self._device):
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


def _recorders(plan: Plan, new_recorder: Callable[[], Recorder]) -> Mapping[str, Recorder]:
    """Prompts and steps are replayed one after the other, and may share; sounds beside them."""
    if not plan.graphs:
        return {}
    one = new_recorder()
    recorders = {PROMPTS: one, STEPS: one}
    return recorders | {CODEC: new_recorder()} if plan.codec_graphs else recorders


@contextmanager
def _computing() -> Iterator[None]:
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory(str(error)) from error
