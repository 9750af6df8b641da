"""Attention within a frame, with RoPE and the write of keys and values: one launch per layer.

A frame has as many positions as a model has codebooks, so that one program holds all of them.
"""

import math

import triton
import triton.language as tl
from torch import Tensor

from local_engine.csm.kernels.turning import turned
from local_engine.csm.model.attention import Cache
from local_engine.csm.model.rope import RopeTable

_LOG2_E = 1.4426950408889634


def attend_frame(qkv: Tensor, rope: RopeTable, cache: Cache, end: int) -> Tensor:
    """See attention.attend_frame."""
    qkv = qkv.contiguous()
    rows, steps, packed = qkv.shape
    _, kv_heads, positions, size = cache.k.shape
    heads = packed // size - 2 * kv_heads
    found = qkv.new_empty(rows, steps, heads * size)
    _attend_frame[(rows, kv_heads)](
        qkv,
        rope.cos,
        rope.sin,
        cache.k,
        cache.v,
        found,
        end,
        *cache.k.stride()[:3],
        *cache.v.stride()[:3],
        _LOG2_E / math.sqrt(size),
        STEPS=steps,
        GROUP=heads // kv_heads,
        KV_HEADS=kv_heads,
        SIZE=size,
        HALF=triton.next_power_of_2(size // 2),
        POSITIONS=triton.next_power_of_2(positions),
        num_warps=4,
    )
    return found


# Its position grows with every codebook: a kernel of its own for 1 or for multiples of 16, as
# Triton makes them, would only be three to compile instead of one.
@triton.jit(do_not_specialize=["end"])
def _attend_frame(
    qkv: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    found: tl.tensor,
    end: tl.tensor,
    k_row: tl.tensor,
    k_head: tl.tensor,
    k_position: tl.tensor,
    v_row: tl.tensor,
    v_head: tl.tensor,
    v_position: tl.tensor,
    scale: tl.tensor,
    STEPS: tl.constexpr,
    GROUP: tl.constexpr,
    KV_HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    HALF: tl.constexpr,
    POSITIONS: tl.constexpr,
):
    """One key head of a row. New keys and values go to the cache and, beside it, straight on."""
    kind: tl.constexpr = found.dtype.element_ty
    middle: tl.constexpr = SIZE // 2
    row, kv_head = tl.program_id(0).to(tl.int64), tl.program_id(1)
    begin = end - STEPS
    at, place = tl.arange(0, POSITIONS), tl.arange(0, HALF)
    inner = (place < middle)[None, :]
    old = (at < begin)[:, None] & inner
    new = ((at >= begin) & (at < end))[:, None] & inner
    token = qkv + row * (STEPS * (GROUP + 2) * KV_HEADS * SIZE)
    step = at[:, None] - begin
    fresh = token + (step * (GROUP + 2) + GROUP) * (KV_HEADS * SIZE)
    fresh += kv_head * SIZE + place[None, :]
    angle = at[:, None] * SIZE + place[None, :]
    ahead, behind = turned(
        tl.load(fresh, mask=new, other=0.0),
        tl.load(fresh + middle, mask=new, other=0.0),
        tl.load(cos + angle, mask=new, other=0.0),
        tl.load(sin + angle, mask=new, other=0.0),
        kind,
    )
    keys = k + row * k_row + kv_head * k_head + at[:, None] * k_position + place[None, :]
    tl.store(keys, ahead, mask=new)
    tl.store(keys + middle, behind, mask=new)
    low_keys = tl.where(new, ahead, tl.load(keys, mask=old, other=0.0)).to(tl.float32)
    high_keys = tl.where(new, behind, tl.load(keys + middle, mask=old, other=0.0)).to(tl.float32)
    low = tl.load(fresh + KV_HEADS * SIZE, mask=new, other=0.0)
    high = tl.load(fresh + KV_HEADS * SIZE + middle, mask=new, other=0.0)
    values = v + row * v_row + kv_head * v_head + at[:, None] * v_position + place[None, :]
    tl.store(values, low, mask=new)
    tl.store(values + middle, high, mask=new)
    low = tl.where(new, low, tl.load(values, mask=old, other=0.0)).to(tl.float32)
    high = tl.where(new, high, tl.load(values + middle, mask=old, other=0.0)).to(tl.float32)
    alone = place < middle
    for number in tl.static_range(STEPS):
        own = (begin + number) * SIZE + place
        own_cos = tl.load(cos + own, mask=alone, other=0.0)
        own_sin = tl.load(sin + own, mask=alone, other=0.0)
        for member in tl.static_range(GROUP):
            head = (kv_head * GROUP + member) * SIZE + place
            asked = token + number * ((GROUP + 2) * KV_HEADS * SIZE) + head
            low_query, high_query = turned(
                tl.load(asked, mask=alone, other=0.0),
                tl.load(asked + middle, mask=alone, other=0.0),
                own_cos,
                own_sin,
                kind,
            )
            agreed = low_keys * low_query.to(tl.float32)[None, :]
            agreed += high_keys * high_query.to(tl.float32)[None, :]
            scores = tl.where(at <= begin + number, tl.sum(agreed, 1) * scale, float("-inf"))
            shares = tl.exp2(scores - tl.max(scores, 0))
            shares = (shares / tl.sum(shares, 0))[:, None]
            made = found + (row * STEPS + number) * (GROUP * KV_HEADS * SIZE) + head
            tl.store(made, tl.sum(shares * low, 0).to(kind), mask=alone)
            tl.store(made + middle, tl.sum(shares * high, 0).to(kind), mask=alone)
