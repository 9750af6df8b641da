"""How many slots fit: counted for the real model, and told where not even one does."""

import pytest
import torch
from reference import SMALL, small_config
from transformers import CsmConfig

from local_engine.csm.loading.config import read_shape
from local_engine.csm.model.budget import NotEnoughMemory, plan_budget, plan_slots
from local_engine.csm.model.slots import empty_slots
from local_engine.csm.shape import Shape

GIB = 2**30


@pytest.fixture(scope="module")
def real() -> Shape:
    return read_shape(CsmConfig().to_dict())


def test_keys_and_values_are_counted_exactly(real: Shape) -> None:
    like = torch.zeros(1, dtype=torch.bfloat16, device="meta")
    one, two = (empty_slots(real, slots, 2048, like) for slots in (1, 2))
    budget = plan_budget(real, torch.bfloat16, GIB, 2048)
    for name in ("k", "v", "hidden", "seen"):
        assert getattr(two, name).nbytes > getattr(one, name).nbytes
    grown = sum(
        getattr(two, name).nbytes - getattr(one, name).nbytes
        for name in ("k", "v", "hidden", "seen")
    )
    assert budget.kv == grown
    assert 67_108_864 < budget.kv < 67_200_000


@pytest.mark.parametrize(("free", "least", "most"), [(75, 512, 512), (20, 200, 280), (6, 50, 80)])
def test_cards_hold_about_as_many_as_was_reckoned(
    real: Shape, free: int, least: int, most: int
) -> None:
    assert least <= plan_slots(real, torch.bfloat16, free * GIB, 2048) <= most


def test_more_memory_never_holds_fewer(real: Shape) -> None:
    planned = [
        plan_budget(real, torch.float32, free * GIB // 2, 2048).slots for free in range(1, 100)
    ]
    assert planned == sorted(planned)
    assert planned[0] == 0
    assert 300 < planned[-1] < 400


def test_too_little_for_one_slot_says_how_much_is_needed() -> None:
    shape = read_shape(small_config(SMALL).to_dict())
    needed = plan_budget(shape, torch.float32, 0, 256).needed
    assert plan_slots(shape, torch.float32, needed, 256) == 1
    with pytest.raises(NotEnoughMemory, match=f"{needed / 2**20:,.1f} MiB"):
        plan_slots(shape, torch.float32, needed - 1, 256)


def test_the_budget_tells_of_the_slots_that_are_made(real: Shape) -> None:
    budget = plan_budget(real, torch.bfloat16, 20 * GIB, 2048)
    told = budget.told(3)
    assert told.startswith("3 slots of ")
    assert f"take {(budget.fixed + 3 * budget.slot) / 2**20:,.1f} MiB of 20,480.0 MiB free" in told
    assert told.endswith(f"there is room for {budget.slots}")
    assert budget.told(1).startswith("1 slot of ")
