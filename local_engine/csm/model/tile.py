"""A tile of prompts through the backbone: rows of as many tokens, padded at their ends.

Static buffers, no host sync and no shape that depends on data: one CUDA graph can hold it.
Padding is computed like anything else, but writes to the trash slot alone and is read by nobody.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding

from local_engine.csm.model.attention import Places, attend, gathered
from local_engine.csm.model.backbone import FRAMES_AT_ONCE, embed_frames
from local_engine.csm.model.network import Network
from local_engine.csm.model.slots import Slots
from local_engine.csm.model.stack import run_stack
from local_engine.csm.shape import Shape


@dataclass(frozen=True, slots=True)
class TileBuffers:
    """What goes into a tile and what it makes; all but `hidden` is filled before."""

    prompt: Tensor
    """int32 [rows, tokens, codebooks + 1]: see running.Prompt; padding must be in the tables"""
    numbers: Tensor
    """int64 [3, rows]: slots, starts, counts"""
    hidden: Tensor
    """[rows, width]: of each row's last token that is no padding"""

    @property
    def slots(self) -> Tensor:
        """[rows]; padding rows name the trash slot."""
        return self.numbers[0]

    @property
    def starts(self) -> Tensor:
        """[rows]: positions that each slot holds before."""
        return self.numbers[1]

    @property
    def counts(self) -> Tensor:
        """[rows]: tokens that are no padding."""
        return self.numbers[2]


@dataclass(frozen=True, slots=True)
class TileMemory:
    """Memory for tiles of any size up to the largest."""

    prompt: Tensor
    """int32 [most rows * most tokens * (codebooks + 1)]"""
    numbers: Tensor
    """int64 [3 * most rows]"""
    hidden: Tensor
    """[most rows, width]"""

    def shaped(self, rows: int, tokens: int, shape: Shape) -> TileBuffers:
        """The same memory for a tile of this size."""
        width = shape.codebooks + 1
        prompt = self.prompt[: rows * tokens * width].view(rows, tokens, width)
        return TileBuffers(prompt, self.numbers[: 3 * rows].view(3, rows), self.hidden[:rows])


def new_tile_memory(shape: Shape, rows: int, tokens: int, like: Tensor) -> TileMemory:
    """For tiles of at most so many rows and tokens in a row."""
    ids = rows * tokens * (shape.codebooks + 1)
    return TileMemory(
        prompt=like.new_zeros(ids, dtype=torch.int32),
        numbers=like.new_zeros(3 * rows, dtype=torch.int64),
        hidden=like.new_zeros(rows, shape.backbone.width),
    )


@dataclass(frozen=True, slots=True)
class _Laid:
    """Where the tokens of a tile stand, and what they see: the same in every layer."""

    places: Places
    """[rows * tokens]: where keys and values go, those of padding to the trash slot"""
    held: Tensor
    """int64 [rows, reach]: the positions of its slot that a row reads; behind its end, where
    anything may lie, the last one again"""
    seen: Tensor
    """bool [rows, tokens, reach]"""
    last: Tensor
    """int64 [rows]: the token whose hidden is given"""


def compute_tile(network: Network, slots: Slots, tile: TileBuffers, reach: int) -> None:
    """Fill `tile.hidden`; of the slots, only what lies from `starts` on is touched."""
    rows, tokens, _ = tile.prompt.shape
    laid = _laid_out(slots, tile, tokens, reach)
    kernels = network.kernels

    def attend_layer(number: int, qkv: Tensor) -> Tensor:
        cache = slots.layer(number)
        q = kernels.store(qkv, network.backbone_rope, cache, laid.places)
        k, v = gathered(cache, tile.slots, laid.held, q.dtype)
        return attend(q.view(rows, tokens, *q.shape[1:]), k, v, laid.seen).flatten(0, 1)

    x = embed_tokens(network, tile.prompt.flatten(0, 1))
    epsilon = network.shape.backbone.norm_epsilon
    made = run_stack(x, network.weights.backbone, epsilon, kernels, attend_layer)
    number = torch.arange(rows, device=made.device)
    tile.hidden.copy_(made.view(rows, tokens, -1)[number, laid.last])


def embed_tokens(network: Network, prompt: Tensor) -> Tensor:
    """[tokens, codebooks + 1] to [tokens, width], as `backbone.embed_prompt` does.

    Each token is embedded both as a text's and as a frame, so that nothing depends on which it is.
    """
    codes, texts = prompt[:, :-1], prompt[:, -1]
    sums = torch.cat([embed_frames(network, part) for part in torch.split(codes, FRAMES_AT_ONCE)])
    words = embedding(texts.clamp(min=0), network.weights.text_table)
    return torch.where(texts[:, None] >= 0, words, sums)


def _laid_out(slots: Slots, tile: TileBuffers, tokens: int, reach: int) -> _Laid:
    device = tile.slots.device
    token, position = torch.arange(tokens, device=device), torch.arange(reach, device=device)
    ends = (tile.starts + tile.counts - 1).clamp(min=0)[:, None]
    own = torch.minimum(tile.starts[:, None] + token, ends)
    where = torch.where(token < tile.counts[:, None], tile.slots[:, None], slots.trash)
    return _Laid(
        places=Places(where.flatten(), own.flatten()),
        held=torch.minimum(position, ends),
        seen=position <= own[:, :, None],
        last=(tile.counts - 1).clamp(min=0),
    )
