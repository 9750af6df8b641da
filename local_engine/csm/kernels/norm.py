"""RMSNorm, and the sum before it: a program for each row, which stays in registers throughout."""

import torch
import triton
import triton.language as tl
from torch import Tensor

_LANE = 256
"""Values of a warp: eight of each thread, 16 bytes of bfloat16 in one access."""


def norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """See layers.rms_norm."""
    x = x.contiguous()
    normed = torch.empty_like(x)
    _launch((x, x, weight, x, normed), epsilon, adds=False)
    return normed


def add_norm(x: Tensor, more: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """See layers.add_norm."""
    x, more = x.contiguous(), more.contiguous()
    total, normed = torch.empty_like(x), torch.empty_like(x)
    _launch((x, more, weight, total, normed), epsilon, adds=True)
    return total, normed


def _launch(tensors: tuple[Tensor, ...], epsilon: float, *, adds: bool) -> None:
    width = tensors[0].shape[-1]
    block = triton.next_power_of_2(width)
    warps = min(16, max(1, block // _LANE))
    grid = (tensors[0].numel() // width,)
    _norm_row[grid](*tensors, epsilon, WIDTH=width, BLOCK=block, ADDS=adds, num_warps=warps)


@triton.jit
def _norm_row(
    x: tl.tensor,
    more: tl.tensor,
    weight: tl.tensor,
    total: tl.tensor,
    normed: tl.tensor,
    epsilon: tl.tensor,
    WIDTH: tl.constexpr,
    BLOCK: tl.constexpr,
    ADDS: tl.constexpr,
):
    """Round where transformers does: the sum, the normed value, and its product with the weight."""
    kind = normed.dtype.element_ty
    columns = tl.arange(0, BLOCK)
    inside = columns < WIDTH
    places = tl.program_id(0).to(tl.int64) * WIDTH + columns
    wide = tl.load(x + places, mask=inside, other=0.0).to(tl.float32)
    if ADDS:
        wide += tl.load(more + places, mask=inside, other=0.0).to(tl.float32)
        rounded = wide.to(kind)
        tl.store(total + places, rounded, mask=inside)
        wide = rounded.to(tl.float32)
    scale = tl.rsqrt(tl.sum(wide * wide, 0) / WIDTH + epsilon)
    scaled = (wide * scale).to(kind).to(tl.float32)
    gains = tl.load(weight + columns, mask=inside, other=0.0).to(tl.float32)
    tl.store(normed + places, (gains * scaled).to(kind), mask=inside)
