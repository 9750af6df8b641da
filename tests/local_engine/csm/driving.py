"""A runner over a small model, a stand-in codec, and requests that come and go at its steps."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from reference import SMALL, Small, small_weights
from torch import Tensor

from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.weights import LayerWeights, StackWeights, Weights
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, Prefill, Prompt, Sampling, StepOutput

GREEDY = Sampling(temperature=0)


class Hum:
    """A decoder whose samples tell of all codes that a slot has had; it can be out of memory."""

    def __init__(self, slots: int, frame_samples: int) -> None:
        self.phase = torch.zeros(slots + 1, dtype=torch.float64)
        self.frame_samples = frame_samples
        self.highest = 0
        self.failures = 0

    def reset(self, slot: int) -> None:
        self.phase[slot] = 0

    def decode(self, rows: Tensor, codes: Tensor) -> Tensor:
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("the device is full")
        self.highest = max(self.highest, int(codes.max()))
        phase = self.phase[rows] + codes.sum(1)
        self.phase[rows] = phase
        return (phase[:, None] + torch.arange(self.frame_samples)).sin().float()


class Rounded:
    """An encoder: a segment's own samples, rounded to codes."""

    def __init__(self, codebooks: int, frame_samples: int) -> None:
        self.codebooks = codebooks
        self.frame_samples = frame_samples

    def encode(self, samples: Tensor) -> Tensor:
        frames = samples.view(-1, self.frame_samples)[:, : self.codebooks]
        return (frames.abs() * 50).round().long()


def small_network(small: Small = SMALL, *, fold_projector: bool = False) -> Network:
    _, shape, weights = small_weights(small)
    return build_network(weights, shape, small.longest, fold_projector=fold_projector)


def small_runner(network: Network, slots: int = 5, *, deterministic: bool = False) -> TorchRunner:
    plan = Plan(slots, network.longest, deterministic=deterministic)
    return runner_with(network, plan, Hum(slots, network.shape.frame_samples))


def runner_with(network: Network, plan: Plan, decoder: Hum) -> TorchRunner:
    encoder = Rounded(network.shape.codebooks, network.shape.frame_samples)
    return TorchRunner(network, decoder, encoder, plan)


def spoken_text(ids: list[int], codebooks: int) -> Prompt:
    prompt = np.zeros((len(ids), codebooks + 1), np.int32)
    prompt[:, -1] = ids
    return prompt


def spoken_audio(codes: NDArray[np.integer]) -> Prompt:
    """A turn's frames and the frame of zeros that ends them."""
    prompt = np.full((len(codes) + 1, codes.shape[1] + 1), -1, np.int32)
    prompt[:-1, :-1] = codes
    prompt[-1, :-1] = 0
    return prompt


def some_text(length: int, seed: int, codebooks: int = SMALL.codebooks) -> Prompt:
    ids = np.random.default_rng(seed).integers(0, 256, length)
    return spoken_text([256, *ids.tolist(), 257], codebooks)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be said, from which step on, and for how many frames at most."""

    prompt: Prompt
    frames: int = 8
    comes: int = 0
    sampling: Sampling = GREEDY


@dataclass(slots=True)
class Clip:
    """What came of it, the stop frame included."""

    codes: list[Codes] = field(default_factory=list)
    pcm: list[NDArray[np.int16]] = field(default_factory=list)
    stopped: bool = False


def speak_all(runner: TorchRunner, requests: list[Request]) -> list[Clip]:
    """Serve them as slots become free: each joins when it comes and leaves when it is done."""
    clips = [Clip() for _ in requests]
    free = list(range(runner.slots))
    waiting = sorted(range(len(requests)), key=lambda number: requests[number].comes)
    running: dict[int, int] = {}
    step = 0
    while waiting or running:
        while waiting and free and requests[waiting[0]].comes <= step:
            number, slot = waiting.pop(0), free.pop(0)
            start(runner, slot, requests[number])
            running[slot] = number
        if running:
            for slot in heard(clips, running, step_of(runner, list(running)), requests):
                free.append(slot)
                del running[slot]
        step += 1
    return clips


def heard(
    clips: list[Clip], running: dict[int, int], output: StepOutput, requests: list[Request]
) -> list[int]:
    """Note a step's frames; gives the slots that have ended."""
    for slot, codes, stopped, pcm in zip(
        output.rows, output.codes, output.stopped, output.pcm, strict=True
    ):
        clip = clips[running[slot]]
        clip.codes.append(codes)
        clip.pcm.append(pcm)
        clip.stopped = bool(stopped)
    return [
        slot
        for slot, number in running.items()
        if clips[number].stopped or len(clips[number].codes) == requests[number].frames
    ]


def start(runner: TorchRunner, slot: int, request: Request) -> None:
    runner.prefill([Prefill(slot, 0, request.prompt)])
    runner.begin(slot, request.sampling)


def step_of(runner: TorchRunner, slots: list[int]) -> StepOutput:
    runner.launch(slots)
    return runner.collect()


def frames_of(runner: TorchRunner, slot: int, frames: int) -> Codes:
    """So many frames of one slot alone."""
    return np.stack([step_of(runner, [slot]).codes[0] for _ in range(frames)])


def speak_alone(runner: TorchRunner, request: Request, slot: int = 0) -> Codes:
    start(runner, slot, request)
    return frames_of(runner, slot, request.frames)


def as_type(weights: Weights, dtype: torch.dtype) -> Weights:
    """The same model in another type, its codec left alone."""
    return replace(
        weights,
        text_table=weights.text_table.to(dtype),
        audio_table=weights.audio_table.to(dtype),
        backbone=_stack_as(weights.backbone, dtype),
        first_head=weights.first_head.to(dtype),
        projector=weights.projector.to(dtype),
        depth=_stack_as(weights.depth, dtype),
        heads=weights.heads.to(dtype),
    )


def _stack_as(stack: StackWeights, dtype: torch.dtype) -> StackWeights:
    layers = tuple(
        LayerWeights(
            layer.attention_norm.to(dtype),
            layer.qkv.to(dtype),
            layer.out.to(dtype),
            layer.ffn_norm.to(dtype),
            layer.gate_up.to(dtype),
            layer.down.to(dtype),
        )
        for layer in stack.layers
    )
    return StackWeights(layers, stack.norm.to(dtype))
