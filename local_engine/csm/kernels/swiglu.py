"""SwiGLU over packed gate and up: a program for each row and thousand columns."""

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 1024
"""Columns of a program: eight of each thread, 16 bytes of bfloat16 in one access."""


def swiglu(gate_up: Tensor) -> Tensor:
    """See layers.swiglu."""
    gate_up = gate_up.contiguous()
    *outer, both = gate_up.shape
    ffn = both // 2
    made = gate_up.new_empty(*outer, ffn)
    block = min(_BLOCK, triton.next_power_of_2(ffn))
    grid = (gate_up.numel() // both, triton.cdiv(ffn, block))
    _swiglu_block[grid](gate_up, made, FFN=ffn, BLOCK=block, num_warps=4)
    return made


@triton.jit
def _swiglu_block(gate_up: tl.tensor, made: tl.tensor, FFN: tl.constexpr, BLOCK: tl.constexpr):
    kind = made.dtype.element_ty
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = columns < FFN
    gates = gate_up + row * (2 * FFN) + columns
    gate = tl.load(gates, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(gates + FFN, mask=inside, other=0.0).to(tl.float32)
    opened = (gate / (1.0 + tl.exp(-gate))).to(kind).to(tl.float32)
    tl.store(made + row * FFN + columns, (opened * up).to(kind), mask=inside)
