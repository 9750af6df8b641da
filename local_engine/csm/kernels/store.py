"""RoPE on queries and keys, and the write of keys and values into their slots, in one launch."""

import triton
import triton.language as tl
from torch import Tensor

from local_engine.csm.kernels.packing import scales_of, shrunk
from local_engine.csm.kernels.turning import turned
from local_engine.csm.model.attention import Cache, Places
from local_engine.csm.model.rope import RopeTable

_HEADS = 8
"""Heads of a program: enough to fill its warps, few enough that one row has several programs."""


def store(qkv: Tensor, rope: RopeTable, cache: Cache, places: Places) -> Tensor:
    """See attention.store."""
    qkv = qkv.contiguous()
    kv_heads, size = cache.k.shape[1], cache.head_size
    tokens, packed = qkv.shape
    heads = packed // size - 2 * kv_heads
    q = qkv.new_empty(tokens, heads, size)
    _store_heads[(tokens, triton.cdiv(heads + 2 * kv_heads, _HEADS))](
        qkv,
        rope.cos,
        rope.sin,
        cache.k,
        cache.v,
        places.slots,
        places.positions,
        q,
        *scales_of(cache),
        *cache.k.stride()[:3],
        *cache.v.stride()[:3],
        HEADS=heads,
        KV_HEADS=kv_heads,
        SIZE=size,
        HALF=triton.next_power_of_2(size // 2),
        BLOCK=_HEADS,
        FP8=cache.in_fp8,
        num_warps=1,
    )
    return q


@triton.jit
def _store_heads(
    qkv: tl.tensor,
    cos: tl.tensor,
    sin: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    slots: tl.tensor,
    positions: tl.tensor,
    q: tl.tensor,
    k_scales: tl.tensor,
    v_scales: tl.tensor,
    k_slot: tl.tensor,
    k_head: tl.tensor,
    k_position: tl.tensor,
    v_slot: tl.tensor,
    v_head: tl.tensor,
    v_position: tl.tensor,
    HEADS: tl.constexpr,
    KV_HEADS: tl.constexpr,
    SIZE: tl.constexpr,
    HALF: tl.constexpr,
    BLOCK: tl.constexpr,
    FP8: tl.constexpr,
):
    """Some heads of a token; queries, keys and values lie behind each other in its row."""
    token = tl.program_id(0).to(tl.int64)
    slot, position = tl.load(slots + token), tl.load(positions + token)
    head = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[:, None]
    place = tl.arange(0, HALF)[None, :]
    inner = place < SIZE // 2
    is_q = (head < HEADS) & inner
    is_key = (head >= HEADS) & (head < HEADS + KV_HEADS)
    is_value = (head >= HEADS + KV_HEADS) & (head < HEADS + 2 * KV_HEADS)
    is_k, is_v = is_key & inner, is_value & inner
    read = qkv + token * ((HEADS + 2 * KV_HEADS) * SIZE) + head * SIZE + place
    first = tl.load(read, mask=is_q | is_k | is_v, other=0.0)
    second = tl.load(read + SIZE // 2, mask=is_q | is_k | is_v, other=0.0)
    angle = position * SIZE + place
    angle_cos = tl.load(cos + angle, mask=inner, other=0.0)
    angle_sin = tl.load(sin + angle, mask=inner, other=0.0)
    ahead, behind = turned(first, second, angle_cos, angle_sin, q.dtype.element_ty)
    to_q = q + token * (HEADS * SIZE) + head * SIZE + place
    tl.store(to_q, ahead, mask=is_q)
    tl.store(to_q + SIZE // 2, behind, mask=is_q)
    to_k = slot * k_slot + (head - HEADS) * k_head + position * k_position
    to_v = slot * v_slot + (head - HEADS - KV_HEADS) * v_head + position * v_position
    if FP8:
        ahead, behind, key_scale = shrunk(ahead, behind)
        first, second, value_scale = shrunk(first, second)
        tl.store(k_scales + to_k // 4, key_scale, mask=is_key)
        tl.store(v_scales + to_v // 4, value_scale, mask=is_value)
    tl.store(k + to_k + place, ahead, mask=is_k)
    tl.store(k + to_k + place + SIZE // 2, behind, mask=is_k)
    tl.store(v + to_v + place, first, mask=is_v)
    tl.store(v + to_v + place + SIZE // 2, second, mask=is_v)
