"""A product with a matrix in fp8: its bytes come from memory, and are widened on the way.

Where there are few rows and outputs, a sum is split over programs so that they fill the device; a
second kernel adds the parts up, in the same order always.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.nn.functional import linear

from local_engine.csm.kernels.packing import widened
from local_engine.csm.model.fp8 import Matrix

_LEAST_ROWS, _MOST_ROWS = 16, 128
"""Rows of a program: as many as there are, between these."""
_OUTPUTS = 64
_INPUTS = 128
"""Of a program at a time."""
_PROGRAMS = 256
"""As many as there should be at least: two on each of a large GPU's processors."""
_JOINED = 1024


def multiply(x: Tensor, matrix: Matrix) -> Tensor:
    """See fp8.multiply; without fp8 it is torch's own product."""
    if isinstance(matrix, Tensor):
        return linear(x, matrix)
    outputs, inputs = matrix.values.shape
    flat = x.reshape(-1, inputs)
    rows = len(flat)
    made = x.new_empty(*x.shape[:-1], outputs)
    block = min(_MOST_ROWS, max(_LEAST_ROWS, triton.next_power_of_2(rows)))
    across, down = triton.cdiv(outputs, _OUTPUTS), triton.cdiv(rows, block)
    splits = splits_of(across * down, inputs)
    parts = x.new_empty(splits, rows, outputs, dtype=torch.float32) if splits > 1 else made
    _multiply_part[(across, down, splits)](
        flat.contiguous(),
        matrix.values.view(torch.uint8),
        matrix.scale,
        parts,
        rows,
        outputs,
        INPUTS=inputs,
        ROW_BLOCK=block,
        OUTPUT_BLOCK=_OUTPUTS,
        INPUT_BLOCK=_INPUTS,
        SPLITS=splits,
        WIDE=x.dtype == torch.float32 or triton.knobs.runtime.interpret,
        num_warps=8 if block == _MOST_ROWS else 4,
        num_stages=3,
    )
    if splits > 1:
        _add_parts[(triton.cdiv(rows * outputs, _JOINED),)](
            parts,
            matrix.scale,
            made,
            rows * outputs,
            outputs,
            BLOCK=_JOINED,
            SPLITS=splits,
            num_warps=4,
        )
    return made


def splits_of(programs: int, inputs: int) -> int:
    """Over how many programs a sum is split, a power of two; each has two steps at least."""
    most = min(_PROGRAMS // programs, -(-inputs // _INPUTS) // 2)
    return 1 << (max(1, most).bit_length() - 1)


@triton.jit(do_not_specialize=["rows"])
def _multiply_part(
    x: tl.tensor,
    matrix: tl.tensor,
    scales: tl.tensor,
    parts: tl.tensor,
    rows: tl.tensor,
    outputs: tl.tensor,
    INPUTS: tl.constexpr,
    ROW_BLOCK: tl.constexpr,
    OUTPUT_BLOCK: tl.constexpr,
    INPUT_BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    WIDE: tl.constexpr,
):
    """Some outputs of some rows over one part of the inputs; scaled where that is all of them."""
    row = tl.program_id(1).to(tl.int64) * ROW_BLOCK + tl.arange(0, ROW_BLOCK)
    output = tl.program_id(0).to(tl.int64) * OUTPUT_BLOCK + tl.arange(0, OUTPUT_BLOCK)
    part = tl.program_id(2)
    is_row, is_output = row < rows, output < outputs
    share: tl.constexpr = tl.cdiv(tl.cdiv(INPUTS, INPUT_BLOCK), SPLITS) * INPUT_BLOCK
    found = tl.zeros((ROW_BLOCK, OUTPUT_BLOCK), tl.float32)
    for first in range(0, share, INPUT_BLOCK):
        at = part * share + first + tl.arange(0, INPUT_BLOCK)
        inside = at < INPUTS
        told = tl.load(
            x + row[:, None] * INPUTS + at[None, :],
            mask=is_row[:, None] & inside[None, :],
            other=0.0,
        )
        weights = tl.load(
            matrix + output[None, :] * INPUTS + at[:, None],
            mask=is_output[None, :] & inside[:, None],
            other=0,
        )
        if WIDE:
            told = told.to(tl.float32)
        found += tl.dot(told, widened(weights, told.dtype), input_precision="ieee")
    if SPLITS == 1:
        found *= tl.load(scales + output, mask=is_output, other=0.0)[None, :]
    spot = (part * rows + row[:, None]) * outputs + output[None, :]
    kept = found.to(parts.dtype.element_ty)
    tl.store(parts + spot, kept, mask=is_row[:, None] & is_output[None, :])


@triton.jit(do_not_specialize=["count"])
def _add_parts(
    parts: tl.tensor,
    scales: tl.tensor,
    made: tl.tensor,
    count: tl.tensor,
    outputs: tl.tensor,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    found = tl.zeros((BLOCK,), tl.float32)
    for part in range(SPLITS):
        found += tl.load(parts + part * count.to(tl.int64) + at, mask=inside, other=0.0)
    found *= tl.load(scales + at % outputs, mask=inside, other=0.0)
    tl.store(made + at, found.to(made.dtype.element_ty), mask=inside)
