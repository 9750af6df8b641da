"""What a layer does besides attention: the torch reference of add+RMSNorm and SwiGLU."""

import torch
from torch import Tensor
from torch.nn import functional


def rms_norm(x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
    """Normalise [..., width] in float32, cast back, then scale: the order of transformers."""
    wide = x.float()
    scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + epsilon)
    return weight * scaled.to(x.dtype)


def add_norm(x: Tensor, more: Tensor, weight: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Give the sum, which is carried on, and its norm, which the next matrix reads."""
    total = x + more
    return total, rms_norm(total, weight, epsilon)


def swiglu(gate_up: Tensor) -> Tensor:
    """[..., 2 * ffn], gate first, to [..., ffn]."""
    gate, up = gate_up.chunk(2, dim=-1)
    return functional.silu(gate) * up
