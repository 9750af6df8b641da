"""Rotary positions: inverse frequencies as transformers computes them, and their table.

Source: `_compute_llama3_parameters` and CsmRotaryEmbedding of transformers 5.23.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from local_engine.csm.shape import Rope


@dataclass(frozen=True, slots=True)
class RopeTable:
    """Cosines and sines of every position, each [positions, head_size], in the model's type."""

    cos: Tensor
    sin: Tensor


def rope_table(rope: Rope, head_size: int, positions: int, like: Tensor) -> RopeTable:
    """Reckon in float32; the table has the type and the device of `like`."""
    turns = torch.arange(positions).float()[:, None] * frequencies(rope, head_size)
    angles = torch.cat((turns, turns), dim=-1)
    return RopeTable(angles.cos().to(like), angles.sin().to(like))


def frequencies(rope: Rope, head_size: int) -> Tensor:
    """Inverse frequencies, float32 [head_size / 2]."""
    exponents = torch.arange(0, head_size, 2).float() / head_size
    plain = 1.0 / (rope.theta**exponents)
    return plain if rope.factor == 1 else _stretched(plain, rope)


def _stretched(plain: Tensor, rope: Rope) -> Tensor:
    """Long waves are slowed down by the factor, short ones kept, those between are blended."""
    waves = 2 * math.pi / plain
    longest, shortest = rope.original / rope.low, rope.original / rope.high
    slowed = torch.where(waves > longest, plain / rope.factor, plain)
    share = (rope.original / waves - rope.low) / (rope.high - rope.low)
    blended = (1 - share) * slowed / rope.factor + share * slowed
    return torch.where((waves >= shortest) & (waves <= longest), blended, slowed)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn [..., heads, head_size] by the angles [..., head_size], halves against each other."""
    first, second = x.chunk(2, dim=-1)
    turned = torch.cat((-second, first), dim=-1)
    return x * cos.unsqueeze(-2) + turned * sin.unsqueeze(-2)
