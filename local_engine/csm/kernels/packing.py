"""Rows kept in fp8 inside of a kernel: what `fp8.pack` writes, and how it is read."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from local_engine.csm.model.attention import Cache

_MOST = tl.constexpr(448.0)


def scales_of(cache: Cache) -> tuple[Tensor, Tensor]:
    """Give the scales of keys and values: that of a row lies at a quarter of the row's offset.

    Where nothing is kept in fp8 they are not read.
    """
    if not cache.in_fp8:
        return cache.k, cache.v
    last = cache.head_size // torch.float32.itemsize
    k, v = cache.k.view(torch.float32), cache.v.view(torch.float32)
    return k[..., last:], v[..., last:]


@triton.jit
def shrunk(first: tl.tensor, second: tl.tensor):
    """Round the two halves of heads [heads, half]; gives them as bytes, and scales [heads, 1]."""
    first, second = first.to(tl.float32), second.to(tl.float32)
    peak = tl.max(tl.maximum(tl.abs(first), tl.abs(second)), 1)[:, None]
    scale = tl.where(peak > 0, tl.div_rn(peak, tl.full(peak.shape, _MOST, tl.float32)), 1.0)
    spread = tl.broadcast_to(scale, first.shape)
    first = tl.div_rn(first, spread).to(tl.float8e4nv).to(tl.uint8, bitcast=True)
    second = tl.div_rn(second, spread).to(tl.float8e4nv).to(tl.uint8, bitcast=True)
    return first, second, scale


@triton.jit
def widened(values: tl.tensor, KIND: tl.constexpr):
    """Bytes as numbers, exactly, their scale left out."""
    return values.to(tl.float8e4nv, bitcast=True).to(KIND)
