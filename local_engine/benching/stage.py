"""The model that is measured, and slots filled up to a context without computing them all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from local_engine.benching.options import REAL
from local_engine.benching.record import CaptureFigures, Run
from local_engine.csm.kernels import triton_kernels
from local_engine.csm.loading.assemble import join
from local_engine.csm.loading.entries import Unread
from local_engine.csm.loading.expected import account
from local_engine.csm.loading.fields import Json
from local_engine.csm.loading.layout import Checkpoint
from local_engine.csm.loading.random import REAL_CONFIG, random_checkpoint
from local_engine.csm.loading.tiny import CONFIG
from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.codec.moshi_codec import MoshiDecoder
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.weights import with_fp8_depth
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Prefill, Prompt, Runner, Sampling
from local_engine.csm.shape import Shape

SEED = 1
PREFILL_POSITIONS = 2048
"""Computed in one call at most, as EngineSettings has it by default."""

_READY_AT_ONCE = 64
_BYTES = 256


@dataclass(frozen=True, slots=True)
class Stage:
    """A network in memory, and of which codec its decoders are made."""

    network: Network
    codec: str

    @property
    def shape(self) -> Shape:
        return self.network.shape

    @property
    def like(self) -> Tensor:
        return self.network.weights.audio_table

    @property
    def device(self) -> torch.device:
        return self.like.device

    def decoder(self, slots: int) -> MimiDecoder | MoshiDecoder:
        kind = MoshiDecoder if self.codec == "moshi" else MimiDecoder
        codec = self.network.weights.codec
        return kind(self.shape.codec, codec, slots=slots, device=self.device)


class NoEncoder:
    """Nothing is encoded here; transformers' encoder takes seconds to import."""

    def encode(self, samples: Tensor) -> Tensor:
        raise NotImplementedError(f"{len(samples)} samples are not to be encoded here")


NewRunner = Callable[[Stage, Plan], Runner]


def eager_runner(stage: Stage, plan: Plan) -> Runner:
    """Make the runner that launches every kernel by itself."""
    return TorchRunner(stage.network, stage.decoder(plan.slots), NoEncoder(), plan)


def captured_runner(stage: Stage, plan: Plan) -> Runner:
    """Make the runner that replays CUDA graphs; they are captured in the first steps."""
    return eager_runner(stage, replace(plan, graphs=True, codec_graphs=stage.codec == "own"))


FORMS: Mapping[str, NewRunner] = {"graphs": captured_runner, "eager": eager_runner}
"""How a step may be run; on CUDA every point is measured in all forms."""


def captures_of(runner: Runner) -> dict[str, CaptureFigures] | None:
    """Give what capturing has cost this runner; None where it captures nothing."""
    captured = runner.captured.items()
    return {
        kind: CaptureFigures(cost.graphs, cost.seconds, cost.bytes) for kind, cost in captured
    } or None


def forms_on(device: torch.device) -> tuple[str, ...]:
    return tuple(FORMS) if device.type == "cuda" else ("eager",)


def config_of(model: str) -> Json:
    return REAL_CONFIG if model == REAL else CONFIG


def drawn(run: Run) -> Checkpoint:
    """Give the model's tensors, each drawn when it is read, the same ones in any process."""
    return random_checkpoint(config_of(run.model), run.device, dtype_of(run), SEED)


def dtype_of(run: Run) -> torch.dtype:
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[run.dtype]


def new_stage(run: Run) -> Stage:
    """Draw the weights on the device."""
    stage = staged(drawn(run), dtype_of(run), torch.device(run.device), run.codec)
    kernels = triton_kernels() if run.kernels == "triton" else TORCH
    network = stage.network
    weights = network.weights
    if run.depth_weights == "fp8":
        weights = with_fp8_depth(weights)
    shape = replace(network.shape, fp8_kv=run.kv == "fp8")
    return replace(stage, network=replace(network, kernels=kernels, weights=weights, shape=shape))


def staged(checkpoint: Checkpoint, dtype: torch.dtype, device: torch.device, codec: str) -> Stage:
    shape = checkpoint.shape
    account({name: entry.shape for name, entry in checkpoint.entries.items()}, shape)
    weights = join(Unread(checkpoint.entries, device, dtype, _quiet), shape)
    return Stage(build_network(weights, shape, shape.longest), codec)


def some_prompt(shape: Shape, positions: int, seed: int = 0) -> Prompt:
    """Give the frames of some sound, and before them a few bytes of text."""
    lot = np.random.default_rng(seed)
    prompt = np.full((positions, shape.codebooks + 1), -1, np.int32)
    most = shape.codec.codebook_size
    prompt[:, :-1] = lot.integers(1, most, (positions, shape.codebooks))
    words = min(16, positions)
    prompt[:words] = 0
    prompt[:words, -1] = lot.integers(0, _BYTES, words)
    return prompt


def fill(runner: Runner, prompt: Prompt) -> None:
    """Bring every slot behind this prompt: it is computed once, copied, and its end computed."""
    last = len(prompt) - 1
    compute(runner, 0, prompt[:last])
    kept = runner.keep(0, last)
    for slot in range(1, runner.slots):
        runner.restore(slot, kept)
    for first in range(0, runner.slots, _READY_AT_ONCE):
        slots = range(first, min(first + _READY_AT_ONCE, runner.slots))
        runner.prefill([Prefill(slot, last, prompt[last:]) for slot in slots])
    for slot in range(runner.slots):
        runner.begin(slot, Sampling(seed=slot))


def compute(runner: Runner, slot: int, prompt: Prompt) -> None:
    """Compute a prompt in stretches of what the engine computes at once."""
    for start in range(0, len(prompt), PREFILL_POSITIONS):
        runner.prefill([Prefill(slot, start, prompt[start : start + PREFILL_POSITIONS])])


def _quiet(_stage: str, _done: int, _total: int) -> None:
    pass
