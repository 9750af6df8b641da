"""Attention of one position per row over its slot, reading as much of it as counts.

A row's keys are split over programs, so that few rows fill the device too; a second kernel joins
what they found. How many there are follows from what a CUDA graph fixes, how much each reads from
the row's own length.
"""

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from local_engine.csm.kernels.packing import scales_of, widened
from local_engine.csm.model.attention import Cache, Places

_BLOCK = 64
"""Positions that a program reads at once."""
_PROGRAMS = 1024
"""As many programs as there should be at least: several on each of a large GPU's processors."""
_LEAST = 16
"""The smallest side of a matrix product; a smaller group of queries is padded."""
_LOG2_E = 1.4426950408889634


def attend_slots(q: Tensor, cache: Cache, places: Places, reach: int) -> Tensor:
    """See attention.attend_slots; `reach` may be anything, each row's own position counts."""
    del reach
    tokens, heads, size = q.shape
    _, kv_heads, longest, _ = cache.k.shape
    k_scales, v_scales = scales_of(cache)
    splits = splits_of(tokens * kv_heads, longest)
    found = torch.empty_like(q)
    parts = q.new_empty(tokens, heads, splits, size, dtype=torch.float32) if splits > 1 else found
    peaks, sums = q.new_empty(2, tokens, heads, splits, dtype=torch.float32).unbind(0)
    block = max(_LEAST, triton.next_power_of_2(size))
    _attend_part[(tokens, kv_heads, splits)](
        q.contiguous(),
        cache.k,
        cache.v,
        places.slots,
        places.positions,
        parts,
        peaks,
        sums,
        k_scales,
        v_scales,
        *cache.k.stride()[:3],
        *cache.v.stride()[:3],
        _LOG2_E / math.sqrt(size),
        GROUP=heads // kv_heads,
        GROUP_BLOCK=max(_LEAST, triton.next_power_of_2(heads // kv_heads)),
        SIZE=size,
        SIZE_BLOCK=block,
        BLOCK=_BLOCK,
        SPLITS=splits,
        FP8=cache.in_fp8,
        WIDE=q.dtype == torch.float32 or triton.knobs.runtime.interpret,
        num_warps=4,
        num_stages=2,
    )
    if splits > 1:
        _join_parts[(tokens, heads)](
            parts,
            peaks,
            sums,
            places.positions,
            found,
            SIZE=size,
            SIZE_BLOCK=block,
            BLOCK=_BLOCK,
            SPLITS=splits,
            num_warps=4,
        )
    return found.view(tokens, heads * size)


def splits_of(programs: int, longest: int) -> int:
    """Over how many programs a slot of `longest` positions is split: a power of two."""
    most = min(_PROGRAMS // programs, -(-longest // _BLOCK))
    return 1 << (max(1, most).bit_length() - 1)


@triton.jit
def _attend_part(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    slots: tl.tensor,
    positions: tl.tensor,
    parts: tl.tensor,
    peaks: tl.tensor,
    sums: tl.tensor,
    k_scales: tl.tensor,
    v_scales: tl.tensor,
    k_slot: tl.tensor,
    k_head: tl.tensor,
    k_position: tl.tensor,
    v_slot: tl.tensor,
    v_head: tl.tensor,
    v_position: tl.tensor,
    scale: tl.tensor,
    GROUP: tl.constexpr,
    GROUP_BLOCK: tl.constexpr,
    SIZE: tl.constexpr,
    SIZE_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
    FP8: tl.constexpr,
    WIDE: tl.constexpr,
):
    """The queries of one key head on one part of its slot, with a running maximum."""
    token, kv_head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    part = tl.program_id(2)
    count = tl.load(positions + token).to(tl.int32) + 1
    share = tl.cdiv(tl.cdiv(count, BLOCK), SPLITS) * BLOCK
    begin = part * share
    end = tl.minimum(begin + share, count)
    if begin >= end:
        return
    slot = tl.load(slots + token)
    member, place = tl.arange(0, GROUP_BLOCK), tl.arange(0, SIZE_BLOCK)
    inner = place < SIZE
    head = token * (tl.num_programs(1) * GROUP) + kv_head * GROUP + member
    asked = (member < GROUP)[:, None] & inner[None, :]
    queries = tl.load(q + head[:, None] * SIZE + place[None, :], mask=asked, other=0.0)
    if WIDE:
        queries = queries.to(tl.float32)
    key_row, value_row = slot * k_slot + kv_head * k_head, slot * v_slot + kv_head * v_head
    keys_at, values_at = k + key_row + place[:, None], v + value_row + place[None, :]
    peak = tl.full((GROUP_BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((GROUP_BLOCK,), tl.float32)
    found = tl.zeros((GROUP_BLOCK, SIZE_BLOCK), tl.float32)
    for first in range(begin, end, BLOCK):
        at = first + tl.arange(0, BLOCK)
        counts = at < end
        far = at.to(tl.int64)
        keys = tl.load(
            keys_at + far[None, :] * k_position, mask=inner[:, None] & counts[None, :], other=0.0
        )
        values = tl.load(
            values_at + far[:, None] * v_position, mask=counts[:, None] & inner[None, :], other=0.0
        )
        if FP8:
            keys, values = widened(keys, queries.dtype), widened(values, queries.dtype)
        elif WIDE:
            keys, values = keys.to(tl.float32), values.to(tl.float32)
        scores = tl.dot(queries, keys, input_precision="ieee") * scale
        if FP8:
            own = tl.load(k_scales + (key_row + far * k_position) // 4, mask=counts, other=0.0)
            scores = scores * own[None, :]
        scores = tl.where(counts[None, :], scores, float("-inf"))
        higher = tl.maximum(peak, tl.max(scores, 1))
        fade = tl.exp2(peak - higher)
        shares = tl.exp2(scores - higher[:, None])
        total = total * fade + tl.sum(shares, 1)
        if FP8:
            own = tl.load(v_scales + (value_row + far * v_position) // 4, mask=counts, other=0.0)
            shares = shares * own[None, :]
        mixed = tl.dot(shares.to(values.dtype), values, input_precision="ieee")
        found = found * fade[:, None] + mixed
        peak = higher
    spot = head * SPLITS + part
    if SPLITS == 1:
        found = found / total[:, None]
    else:
        tl.store(peaks + spot, peak, mask=member < GROUP)
        tl.store(sums + spot, total, mask=member < GROUP)
    found = found.to(parts.dtype.element_ty)
    tl.store(parts + spot[:, None] * SIZE + place[None, :], found, mask=asked)


@triton.jit
def _join_parts(
    parts: tl.tensor,
    peaks: tl.tensor,
    sums: tl.tensor,
    positions: tl.tensor,
    found: tl.tensor,
    SIZE: tl.constexpr,
    SIZE_BLOCK: tl.constexpr,
    BLOCK: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """One head of one token; parts behind the row's length were never written, nor are read."""
    token = tl.program_id(0).to(tl.int64)
    head = token * tl.num_programs(1) + tl.program_id(1)
    count = tl.load(positions + token).to(tl.int32) + 1
    share = tl.cdiv(tl.cdiv(count, BLOCK), SPLITS) * BLOCK
    part, place = tl.arange(0, SPLITS), tl.arange(0, SIZE_BLOCK)
    made, inner = part * share < count, place < SIZE
    spot = head * SPLITS + part
    peak = tl.load(peaks + spot, mask=made, other=float("-inf"))
    weight = tl.exp2(peak - tl.max(peak, 0))
    total = tl.sum(weight * tl.load(sums + spot, mask=made, other=0.0), 0)
    read = parts + spot[:, None] * SIZE + place[None, :]
    held = tl.load(read, mask=made[:, None] & inner[None, :], other=0.0)
    joined = tl.sum(held * weight[:, None], 0) / total
    tl.store(found + head * SIZE + place, joined.to(found.dtype.element_ty), mask=inner)
