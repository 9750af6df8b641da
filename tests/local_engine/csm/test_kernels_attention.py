"""Attention in Triton is torch's: over slots of any length, within a frame, and what both keep."""

from dataclasses import dataclass

import pytest
import torch
from interpreted import DEVICE, KINDS, MARKS, assert_near, lot, poisoned, share_unequal
from torch import Tensor

from local_engine.csm.kernels import triton_kernels
from local_engine.csm.kernels.slot_attention import splits_of
from local_engine.csm.model.attention import Cache, Places
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.rope import RopeTable

pytestmark = MARKS
TRITON = triton_kernels()


@dataclass(frozen=True, slots=True)
class Heads:
    heads: int
    kv_heads: int
    size: int

    @property
    def packed(self) -> int:
        return (self.heads + 2 * self.kv_heads) * self.size


CASES = [
    (Heads(8, 2, 64), torch.float32),
    (Heads(4, 1, 64), torch.bfloat16),
    (Heads(2, 2, 16), torch.float16),
    (Heads(3, 1, 24), torch.float32),
    (Heads(2, 1, 128), torch.bfloat16),
    (Heads(20, 1, 32), torch.float32),
]


def table(positions: int, size: int, kind: torch.dtype) -> RopeTable:
    angles = lot(9)(positions, size // 2).repeat(1, 2)
    return RopeTable(angles.cos().to(kind), angles.sin().to(kind))


def places(slots: list[int], positions: list[int]) -> Places:
    return Places(torch.tensor(slots, device=DEVICE), torch.tensor(positions, device=DEVICE))


def cache_of(sizes: tuple[int, ...], kind: torch.dtype) -> Cache:
    """One layer of several, full of NaN."""
    whole = torch.full((2, 3, *sizes), torch.nan, dtype=kind, device=DEVICE)
    return Cache(whole[0, 1], whole[1, 1])


def assert_kept_alike(made: Cache, expected: Cache) -> None:
    for ours, theirs in ((made.k, expected.k), (made.v, expected.v)):
        assert torch.equal(ours.isnan(), theirs.isnan())
        assert_near(ours.nan_to_num(0), theirs.nan_to_num(0))


@pytest.mark.parametrize(("heads", "kind"), CASES, ids=str)
def test_queries_are_turned_and_keys_and_values_kept_where_they_belong(
    heads: Heads, kind: torch.dtype
) -> None:
    rope, sizes = table(40, heads.size, kind), (5, heads.kv_heads, 40, heads.size)
    qkv, where = lot(4)(4, heads.packed, kind=kind), places([3, 0, 1, 3], [39, 0, 17, 2])
    ours, theirs = cache_of(sizes, kind), cache_of(sizes, kind)
    with poisoned():
        q = TRITON.store(qkv, rope, ours, where)
    assert_near(q, TORCH.store(qkv, rope, theirs, where))
    assert_kept_alike(ours, theirs)
    assert kind != torch.float16 or share_unequal(ours.k.nan_to_num(0), theirs.k.nan_to_num(0)) == 0


def ragged(heads: Heads, counts: list[int], longest: int, kind: torch.dtype) -> tuple[Cache, Cache]:
    """Slots of which so many positions count: the rest is zero in one, and NaN in the other."""
    some, sizes = lot(5), (len(counts), heads.kv_heads, longest, heads.size)
    clean = Cache(some(*sizes, kind=kind), some(*sizes, kind=kind))
    counted = torch.arange(longest, device=DEVICE) < torch.tensor(counts, device=DEVICE)[:, None]
    spare = ~counted[:, None, :, None]

    def filled(x: Tensor, value: float) -> Tensor:
        return x.masked_fill(spare, value)

    poison = Cache(filled(clean.k, torch.nan), filled(clean.v, torch.nan))
    return Cache(filled(clean.k, 0), filled(clean.v, 0)), poison


@pytest.mark.parametrize(("heads", "kind"), CASES, ids=str)
def test_each_row_attends_to_as_much_of_its_slot_as_counts(heads: Heads, kind: torch.dtype) -> None:
    counts = [1, 0, 63, 64, 65, 300]
    clean, poison = ragged(heads, counts, 300, kind)
    slots = [5, 0, 3, 2, 4]
    where = places(slots, [counts[slot] - 1 for slot in slots])
    q = lot(6)(len(slots), heads.heads, heads.size, kind=kind)
    with poisoned():
        found = TRITON.attend_slots(q, poison, where, 1)
    assert_near(found, TORCH.attend_slots(q, clean, where, 300))


def test_splits_follow_from_what_a_graph_fixes() -> None:
    assert [splits_of(rows * 8, 2048) for rows in (1, 2, 4, 16, 64, 128, 512)] == [
        *(32, 32, 32, 8, 2, 1, 1)
    ]
    assert [splits_of(1, longest) for longest in (1, 64, 65, 200, 256)] == [1, 1, 2, 4, 4]


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_slots_that_are_not_split_are_attended_to_alike(kind: torch.dtype) -> None:
    heads, counts = Heads(4, 2, 16), [1, 40, 17, 2]
    clean, poison = ragged(heads, counts, 40, kind)
    where = places([3, 2, 1], [1, 16, 39])
    q = lot(7)(3, heads.heads, heads.size, kind=kind)
    with poisoned():
        found = TRITON.attend_slots(q, poison, where, 1)
    assert_near(found, TORCH.attend_slots(q, clean, where, 40))


@pytest.mark.parametrize(("heads", "kind"), CASES[:5], ids=str)
def test_positions_of_a_frame_attend_to_those_before_them(heads: Heads, kind: torch.dtype) -> None:
    positions, rows, some = 7, 2, lot(8)
    sizes = (rows, heads.kv_heads, positions, heads.size)
    ours, theirs = cache_of(sizes, kind), cache_of(sizes, kind)
    rope = table(positions, heads.size, kind)
    for steps, end in ((2, 2), (1, 3), (1, 4)):
        qkv = some(rows, steps, heads.packed, kind=kind)
        with poisoned():
            found = TRITON.attend_frame(qkv, rope, ours, end)
        assert_near(found, TORCH.attend_frame(qkv, rope, theirs, end))
        assert_kept_alike(ours, theirs)
