"""What a decoder remembers of each slot between two calls, in three tensors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from local_engine.csm.shape import CodecShape


@dataclass(frozen=True, slots=True)
class DecoderState:
    """A row for each slot, and a last one, the trash slot, that padding rows write to."""

    tails: Tensor
    """[slots + 1, floats]: what each convolution needs of the past, side by side, in the order of
    the layers. Of a plain one the last inputs of its kernel's reach, [channels, context]; of a
    transposed one what it has already made of the samples to come, [channels, overlap]."""
    ring: Tensor
    """[layers, slots + 1, entries, 2, kv_heads, head_size]: the keys (rotated) and values of the
    transformer's last positions; position p stands at entry p modulo entries."""
    positions: Tensor
    """[slots + 1]: how many positions of the transformer each slot has behind it."""

    @staticmethod
    def silent(shape: CodecShape, example: Tensor, *, slots: int, ahead: int) -> "DecoderState":
        """Make that of slots which have heard nothing, for calls of up to `ahead` positions.

        The first of those still attends to a whole window, so a ring has ahead - 1 entries more.
        `example` [floats] is one slot's tails, on the device and of the type to be used.
        """
        entries = shape.window + ahead - 1
        heads = (shape.layers, slots + 1, entries, 2, shape.kv_heads, shape.head_size)
        return DecoderState(
            tails=example.new_zeros(slots + 1, len(example)),
            ring=example.new_zeros(heads),
            positions=example.new_zeros(slots + 1, dtype=torch.int64),
        )

    @property
    def slot_bytes(self) -> int:
        """Memory that one slot takes."""
        ring = self.ring[:, 0].nbytes
        return self.tails[0].nbytes + ring + self.positions[0].nbytes

    def reset(self, slot: int) -> None:
        """Forget one slot. Its ring is cleared too, so that a NaN in it does not live on."""
        self.tails[slot].zero_()
        self.ring[:, slot].zero_()
        self.positions[slot].zero_()


@dataclass(frozen=True, slots=True)
class Change:
    """What a call leaves behind for its rows; nothing of it is in the state yet."""

    rows: Tensor
    """[B]"""
    tails: Tensor
    """[B, floats]"""
    entries: Tensor
    """[B * T]: which entries of the ring are new, counted through all slots."""
    ring: Tensor
    """[layers, B * T, 2, kv_heads, head_size]"""
    positions: Tensor
    """[B]"""


def commit(state: DecoderState, changes: Sequence[Change]) -> None:
    """Write what was computed. It allocates nothing, so memory cannot run out half-way.

    Rows of the trash slot may come twice; which of them is kept does not matter.
    """
    ring = state.ring.flatten(1, 2)
    for change in changes:
        state.tails.index_copy_(0, change.rows, change.tails)
        ring.index_copy_(1, change.entries, change.ring)
        state.positions.index_copy_(0, change.rows, change.positions)
