"""Eight bits instead of sixteen: matrices with a scale per output, kept rows with one per head.

The values are float8_e4m3fn, which reaches 448 and has three bits of mantissa. Products are not
taken in it: values are widened to the type of what they are multiplied with, and scaled after.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

_KIND = torch.float8_e4m3fn
MOST = 448.0
"""The largest number that it has."""
SCALE_BYTES = torch.float32.itemsize
"""Of a kept row's scale, which lies behind its values, so that both are copied together."""
CAPABILITY = (8, 9)
"""The least compute capability of a CUDA device that has this type."""


@dataclass(frozen=True, slots=True)
class Fp8Matrix:
    """A matrix whose rows are its outputs."""

    values: Tensor
    """float8 [outputs, inputs]"""
    scale: Tensor
    """float32 [outputs]"""


Matrix = Tensor | Fp8Matrix
"""[outputs, inputs]"""


def refused(capability: tuple[int, int]) -> str | None:
    """Say why a CUDA device cannot have it; None where it can."""
    if capability >= CAPABILITY:
        return None
    has, needs = (".".join(map(str, each)) for each in (capability, CAPABILITY))
    return f"fp8 needs compute capability {needs} (Ada, Hopper or later); this device has {has}"


def to_fp8(matrix: Tensor) -> Fp8Matrix:
    """Round to the nearest; the largest of each output keeps its value but for that rounding."""
    scale = _scale(matrix.float())
    return Fp8Matrix((matrix.float() / scale).to(_KIND), scale[:, 0])


def multiply(x: Tensor, matrix: Matrix) -> Tensor:
    """[..., inputs] to [..., outputs]; sums are rounded once, to x's type, after the scale."""
    if isinstance(matrix, Tensor):
        return linear(x, matrix)
    return (linear(x.float(), matrix.values.float()) * matrix.scale).to(x.dtype)


def pack(x: Tensor) -> Tensor:
    """[..., head_size] to bytes [..., head_size + 4]; head_size is a multiple of 4."""
    scale = _scale(x.float())
    values = (x.float() / scale).to(_KIND)
    return torch.cat((values.view(torch.uint8), scale.view(torch.uint8)), dim=-1)


def unpack(packed: Tensor, kind: torch.dtype) -> Tensor:
    """Bytes [..., head_size + 4] to [..., head_size] of this type."""
    values, scale = packed[..., :-SCALE_BYTES], packed[..., -SCALE_BYTES:]
    return (values.view(_KIND).float() * scale.view(torch.float32)).to(kind)


def _scale(wide: Tensor) -> Tensor:
    """[..., 1]: what brings the largest of the last dimension to 448; 1 where all are 0."""
    peak = wide.abs().amax(-1, keepdim=True)
    return torch.where(peak > 0, peak / MOST, 1.0)
