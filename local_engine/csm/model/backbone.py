"""The backbone: prompts of several slots at once, then one frame for each row of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding

from local_engine.csm.model.attention import Places, attend
from local_engine.csm.model.network import Network
from local_engine.csm.model.sending import send
from local_engine.csm.model.slots import Slots
from local_engine.csm.model.stack import run_stack
from local_engine.csm.running import Prefill, Prompt

FRAMES_AT_ONCE = 256
"""Frames whose embeddings, one per codebook, are in memory before they are summed."""


def embed_frames(network: Network, codes: Tensor) -> Tensor:
    """[frames, codebooks] to [frames, width]: the sum of a frame's embeddings."""
    return embedding(codes + network.offsets, network.weights.audio_table).sum(1)


def embed_prompt(network: Network, prompt: Prompt) -> Tensor:
    """[positions, codebooks + 1] to [positions, width]: a text token's own, or a frame's sum."""
    table = network.weights.text_table
    embedded = table.new_empty(len(prompt), table.shape[1])
    is_text = prompt[:, -1] >= 0
    texts, frames = np.flatnonzero(is_text), np.flatnonzero(~is_text)
    embedded[_moved(texts, table)] = embedding(_moved(prompt[texts, -1], table), table)
    for part in range(0, len(frames), FRAMES_AT_ONCE):
        here = frames[part : part + FRAMES_AT_ONCE]
        summed = embed_frames(network, _moved(prompt[here, :-1], table))
        embedded[_moved(here, table)] = summed
    return embedded


def step(network: Network, x: Tensor, slots: Slots, places: Places, reach: int) -> Tensor:
    """One position for each row, embedded as x [rows, width]; gives hidden [rows, width].

    It writes keys and values behind each row's length, where nothing counts until that grows.
    """
    kernels = network.kernels

    def attend_layer(number: int, qkv: Tensor) -> Tensor:
        cache = slots.layer(number)
        q = kernels.store(qkv, network.backbone_rope, cache, places)
        return kernels.attend_slots(q, cache, places, reach)

    epsilon = network.shape.backbone.norm_epsilon
    return run_stack(x, network.weights.backbone, epsilon, kernels, attend_layer)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Where a Prefill's tokens lie among all tokens, and what each of them may see."""

    slot: int
    first: int
    last: int
    end: int
    seen: Tensor


def prefill(network: Network, slots: Slots, stretches: Sequence[Prefill]) -> Tensor:
    """Compute stretches without padding; gives the hidden of each one's end [stretches, width].

    All matrix products are done for all tokens at once; each stretch attends for itself.
    """
    like = network.weights.text_table
    laid = _laid_out(stretches, like.device)
    places = _places(stretches, like)

    def attend_layer(number: int, qkv: Tensor) -> Tensor:
        cache = slots.layer(number)
        q = network.kernels.store(qkv, network.backbone_rope, cache, places)
        found = [
            attend(
                q[None, one.first : one.last],
                *cache.read(slice(one.slot, one.slot + 1), one.end, q.dtype),
                one.seen,
            )[0]
            for one in laid
        ]
        return torch.cat(found)

    x = torch.cat([embed_prompt(network, stretch.prompt) for stretch in stretches])
    epsilon = network.shape.backbone.norm_epsilon
    hidden = run_stack(x, network.weights.backbone, epsilon, network.kernels, attend_layer)
    return hidden[_moved(np.array([one.last - 1 for one in laid]), like)]


def _laid_out(stretches: Sequence[Prefill], device: torch.device) -> list[_Stretch]:
    laid, first = [], 0
    for stretch in stretches:
        count, end = len(stretch.prompt), stretch.start + len(stretch.prompt)
        own = torch.arange(stretch.start, end, device=device)[:, None]
        seen = torch.arange(end, device=device) <= own
        laid.append(_Stretch(stretch.slot, first, first + count, end, seen[None]))
        first += count
    return laid


def _places(stretches: Sequence[Prefill], like: Tensor) -> Places:
    counts = [len(stretch.prompt) for stretch in stretches]
    slots = np.repeat([stretch.slot for stretch in stretches], counts)
    positions = [stretch.start + np.arange(len(stretch.prompt)) for stretch in stretches]
    return Places(_moved(slots, like), _moved(np.concatenate(positions), like))


def _moved(numbers: NDArray[np.integer], like: Tensor) -> Tensor:
    return send(numbers.astype(np.int64, copy=False), like.device)
