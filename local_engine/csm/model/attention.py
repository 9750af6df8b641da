"""Attention with grouped queries: the torch reference over slots, in frames and for prompts."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from local_engine.csm.model.fp8 import SCALE_BYTES, pack, unpack
from local_engine.csm.model.rope import RopeTable, rotate


@dataclass(frozen=True, slots=True)
class Cache:
    """Keys and values of one layer, each [slots + 1, kv_heads, positions, head_size].

    Or bytes [..., head_size + 4], where they are kept in fp8: see fp8.pack.
    """

    k: Tensor
    v: Tensor

    @property
    def in_fp8(self) -> bool:
        return self.k.dtype == torch.uint8

    @property
    def head_size(self) -> int:
        return self.k.shape[3] - (SCALE_BYTES if self.in_fp8 else 0)

    def read(self, slots: Tensor | slice, reach: int, kind: torch.dtype) -> tuple[Tensor, Tensor]:
        """Give the first positions of these slots, keys and values, for queries of this type."""
        k, v = self.k[slots, :, :reach], self.v[slots, :, :reach]
        return (unpack(k, kind), unpack(v, kind)) if self.in_fp8 else (k, v)


@dataclass(frozen=True, slots=True)
class Places:
    """Where tokens stand, each int64 [tokens]: in which slot, at which position."""

    slots: Tensor
    positions: Tensor


def store(qkv: Tensor, rope: RopeTable, cache: Cache, places: Places) -> Tensor:
    """Turn queries and keys to their positions and write keys and values into the slots.

    qkv is [tokens, (heads + 2 * kv_heads) * head_size]; gives q [tokens, heads, head_size].
    """
    cos, sin = rope.cos[places.positions], rope.sin[places.positions]
    q, k, v = split_heads(qkv, cache)
    k = rotate(k, cos, sin)
    if cache.in_fp8:
        k, v = pack(k), pack(v)
    cache.k[places.slots, :, places.positions] = k
    cache.v[places.slots, :, places.positions] = v
    return rotate(q, cos, sin)


def attend_slots(q: Tensor, cache: Cache, places: Places, reach: int) -> Tensor:
    """Each token attends to its slot up to its own position, which lies below `reach`.

    q is [tokens, heads, head_size], the result [tokens, heads * head_size]. Every token sees at
    least itself, so that no row can become NaN.
    """
    place, last = torch.arange(reach, device=q.device), places.positions[:, None]
    k, v = gathered(cache, places.slots, torch.minimum(place, last), q.dtype)
    return attend(q[:, None], k, v, (place <= last)[:, None])[:, 0]


def attend_frame(qkv: Tensor, rope: RopeTable, cache: Cache, end: int) -> Tensor:
    """Positions of a frame that follow each other, the last of them `end` - 1, in each row.

    qkv is [rows, steps, (heads + 2 * kv_heads) * head_size]; their keys and values are written to
    the rows of `cache`, and each position attends to its own row up to itself. Gives
    [rows, steps, heads * head_size].
    """
    steps = qkv.shape[1]
    cos, sin = rope.cos[end - steps : end], rope.sin[end - steps : end]
    held = Cache(cache.k[:, :, :end], cache.v[:, :, :end])
    q, k, v = split_heads(qkv, cache)
    held.k[:, :, end - steps :] = rotate(k, cos, sin).transpose(1, 2)
    held.v[:, :, end - steps :] = v.transpose(1, 2)
    places = torch.arange(end, device=qkv.device)
    seen = None if steps == 1 else places <= places[end - steps :, None]
    return attend(rotate(q, cos, sin), held.k, held.v, None if seen is None else seen[None])


def attend(q: Tensor, k: Tensor, v: Tensor, seen: Tensor | None) -> Tensor:
    """Grouped queries: q [rows, steps, heads, head_size] on k, v [rows, kv_heads, ...].

    `seen` is bool [rows or 1, steps, positions]. The queries of a group are laid side by side as
    further steps of their one key head, so that no key is copied.
    Gives [rows, steps, heads * head_size].
    """
    rows, steps, heads, size = q.shape
    group = heads // k.shape[1]
    beside = q.transpose(1, 2).reshape(rows, k.shape[1], group * steps, size)
    mask = None if seen is None else seen.repeat(1, group, 1)[:, None]
    found = functional.scaled_dot_product_attention(beside, k, v, attn_mask=mask)
    return found.reshape(rows, heads, steps, size).transpose(1, 2).flatten(2)


def gathered(
    cache: Cache, slots: Tensor, positions: Tensor, kind: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Keys and values of slots [rows] at positions [rows, n], each [rows, kv_heads, n, head_size].

    What must not be seen must not be read either: a mask does not keep a NaN out.
    """
    k, v = (kept[slots[:, None], :, positions] for kept in (cache.k, cache.v))
    if cache.in_fp8:
        k, v = unpack(k, kind), unpack(v, kind)
    return k.transpose(1, 2), v.transpose(1, 2)


def split_heads(qkv: Tensor, cache: Cache) -> tuple[Tensor, Tensor, Tensor]:
    """[..., (heads + 2 * kv_heads) * head_size] as three of [..., heads of its own, head_size]."""
    kv_heads, size = cache.k.shape[1], cache.head_size
    apart = qkv.view(*qkv.shape[:-1], -1, size)
    q, k, v = apart.tensor_split((-2 * kv_heads, -kv_heads), dim=-2)
    return q, k, v
