"""RMSNorm, the sum before it and SwiGLU in Triton are torch's, cast by cast."""

import pytest
import torch
from interpreted import KINDS, MARKS, assert_near, lot, poisoned, share_unequal

from local_engine.csm.kernels import triton_kernels
from local_engine.csm.model.kernels import TORCH

pytestmark = MARKS
TRITON = triton_kernels()
SIZES = [(1, 2048), (3, 100), (5, 24), (2, 1, 513), (1, 2, 16)]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_norms_are_torchs(sizes: tuple[int, ...], kind: torch.dtype) -> None:
    some = lot(1)
    x, more = some(*sizes, kind=kind), some(*sizes, kind=kind)
    weight = some(sizes[-1], kind=kind)
    with poisoned():
        alone = TRITON.norm(x, weight, 1e-5)
        total, normed = TRITON.add_norm(x, more, weight, 1e-5)
    expected = TORCH.add_norm(x, more, weight, 1e-5)
    for made, wanted in zip(
        (alone, total, normed), (TORCH.norm(x, weight, 1e-5), *expected), strict=True
    ):
        assert_near(made, wanted)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("sizes", [(1, 16384), (3, 200), (2, 1, 2050), (1, 2, 6)], ids=str)
def test_swiglu_is_torchs(sizes: tuple[int, ...], kind: torch.dtype) -> None:
    gate_up = lot(2)(*sizes, kind=kind) * 3
    with poisoned():
        made = TRITON.swiglu(gate_up)
    assert_near(made, TORCH.swiglu(gate_up))


def test_casts_come_in_transformers_order() -> None:
    some, half = lot(3), torch.float16
    x, more, weight = some(8, 1000, kind=half), some(8, 1000, kind=half), some(1000, kind=half)
    total, normed = TRITON.add_norm(x, more, weight, 1e-5)
    expected = TORCH.add_norm(x, more, weight, 1e-5)
    assert torch.equal(total, expected[0])
    assert share_unequal(normed, expected[1]) < 0.01
    gate_up = some(8, 2000, kind=half)
    assert share_unequal(TRITON.swiglu(gate_up), TORCH.swiglu(gate_up)) < 0.01


def test_the_order_of_casts_is_seen_in_float16() -> None:
    """The test above could not fail if another order gave the same."""
    some, half = lot(3), torch.float16
    x, weight = some(8, 1000, kind=half), some(1000, kind=half)
    once = torch.nn.functional.rms_norm(x.float(), (1000,), weight.float(), 1e-5).half()
    assert share_unequal(once, TORCH.norm(x, weight, 1e-5)) > 0.05
