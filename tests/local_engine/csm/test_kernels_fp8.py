"""fp8 in Triton is the reference's: products of any size, and slots that are kept as bytes."""

from dataclasses import replace

import pytest
import torch
from interpreted import DEVICE, KINDS, MARKS, assert_near, lot, poisoned
from test_kernels_attention import CASES, Heads, places, table
from torch import Tensor

from local_engine.csm.kernels import triton_kernels
from local_engine.csm.kernels.matrix import splits_of
from local_engine.csm.model.attention import Cache
from local_engine.csm.model.fp8 import pack, to_fp8, unpack
from local_engine.csm.model.kernels import TORCH

pytestmark = MARKS
TRITON = triton_kernels()
SIZES = [(1, 24, 40), (3, 70, 600), (2, 64, 1024), (19, 65, 128), (130, 16, 96)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("rows", "outputs", "inputs"), SIZES)
def test_a_product_is_that_of_the_reference(
    rows: int, outputs: int, inputs: int, kind: torch.dtype
) -> None:
    some = lot(1)
    matrix = to_fp8(some(outputs, inputs))
    x = (some(rows, inputs) / inputs**0.5).to(kind)
    with poisoned():
        made = TRITON.multiply(x, matrix)
    assert made.shape == (rows, outputs)
    assert_near(made, TORCH.multiply(x, matrix))


def test_rows_of_several_steps_keep_their_shape_and_no_fp8_is_torchs_own() -> None:
    some = lot(2)
    x, matrix = some(2, 2, 32), some(48, 32)
    held = to_fp8(matrix)
    assert_near(TRITON.multiply(x, held), TORCH.multiply(x, held))
    assert torch.equal(TRITON.multiply(x, matrix), TORCH.multiply(x, matrix))


def test_splits_follow_from_what_a_graph_fixes() -> None:
    # The depth decoder's matrices of CSM-1B: gate and up, qkv, out, down.
    real = ((256, 1024), (24, 1024), (16, 1024), (16, 8192))
    assert [splits_of(programs, inputs) for programs, inputs in real] == [1, 4, 4, 16]
    assert splits_of(1, 128) == splits_of(512, 8192) == 1


def bytes_of(sizes: tuple[int, ...]) -> Cache:
    """One layer of several, full of NaN."""
    whole = torch.full((2, 3, *sizes[:-1], sizes[-1] + 4), 0xFF, dtype=torch.uint8, device=DEVICE)
    return Cache(whole[0, 1], whole[1, 1])


@pytest.mark.parametrize(("heads", "kind"), CASES, ids=str)
def test_queries_are_turned_and_keys_and_values_kept_as_bytes(
    heads: Heads, kind: torch.dtype
) -> None:
    rope, sizes = table(40, heads.size, kind), (5, heads.kv_heads, 40, heads.size)
    qkv, where = lot(4)(4, heads.packed, kind=kind), places([3, 0, 1, 3], [39, 0, 17, 2])
    ours, theirs = bytes_of(sizes), bytes_of(sizes)
    with poisoned():
        q = TRITON.store(qkv, rope, ours, where)
    assert_near(q, TORCH.store(qkv, rope, theirs, where))
    for made, expected in ((ours.k, theirs.k), (ours.v, theirs.v)):
        near(made, expected, kind)


def near(made: Tensor, expected: Tensor, kind: torch.dtype) -> None:
    """The same bytes; in bfloat16 the interpreter cuts, so that a key may be one step off."""
    if kind != torch.bfloat16:
        assert torch.equal(made, expected)
        return
    ours, theirs = unpack(made, torch.float32), unpack(expected, torch.float32)
    assert torch.equal(ours.isnan(), theirs.isnan())
    torch.testing.assert_close(ours.nan_to_num(0), theirs.nan_to_num(0), rtol=2**-3, atol=2**-6)


def ragged(heads: Heads, counts: list[int], longest: int, kind: torch.dtype) -> tuple[Cache, Cache]:
    """Slots of which so many positions count: the rest is zero in one, and NaN in the other."""
    some, sizes = lot(5), (len(counts), heads.kv_heads, longest, heads.size)
    k, v = (pack(some(*sizes, kind=kind)) for _ in range(2))
    counted = torch.arange(longest, device=DEVICE) < torch.tensor(counts, device=DEVICE)[:, None]
    spare = ~counted[:, None, :, None]
    clean = Cache(k.masked_fill(spare, 0), v.masked_fill(spare, 0))
    return clean, replace(clean, k=k.masked_fill(spare, 0xFF), v=v.masked_fill(spare, 0xFF))


@pytest.mark.parametrize(("heads", "kind"), CASES, ids=str)
@pytest.mark.parametrize("longest", [40, 300])
def test_each_row_attends_to_as_much_of_its_bytes_as_counts(
    heads: Heads, kind: torch.dtype, longest: int
) -> None:
    counts = [min(count, longest) for count in (1, 0, 63, 64, 65, 300)]
    clean, poison = ragged(heads, counts, longest, kind)
    slots = [5, 0, 3, 2, 4]
    where = places(slots, [counts[slot] - 1 for slot in slots])
    q = lot(6)(len(slots), heads.heads, heads.size, kind=kind)
    with poisoned():
        found = TRITON.attend_slots(q, poison, where, 1)
    assert_near(found, TORCH.attend_slots(q, clean, where, longest))
