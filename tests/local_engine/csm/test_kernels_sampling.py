"""Sampling in Triton draws the codes that torch's reference draws."""

from dataclasses import replace

import pytest
import torch
from interpreted import DEVICE, MARKS, lot, poisoned
from test_sampler import CODES, FAST, SETTINGS, choice_of
from torch import Tensor

from local_engine.csm.kernels import triton_kernels
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.sampler import FAST_RANKS, Choice
from local_engine.csm.running import Sampling

pytestmark = MARKS
TRITON = triton_kernels()
GREEDY = [Sampling(temperature=0, top_k=0), Sampling(temperature=0, repetition_penalty=1.5)]
PENALISED = [Sampling(repetition_penalty=1.7), Sampling(top_k=5, repetition_penalty=0.5)]


def some_choice(samplings: list[Sampling], seed: int) -> Choice:
    seeded = [replace(one, seed=seed * 2**61 + 7 * row) for row, one in enumerate(samplings)]
    choice = choice_of(seeded, [seed + row for row in range(len(samplings))])
    choice.seen.copy_(torch.rand(choice.seen.shape, generator=torch.manual_seed(seed)) < 0.3)
    return Choice(*(getattr(choice, name).to(DEVICE) for name in Choice.__slots__))


def assert_alike(logits: Tensor, choice: Choice, codebook: int, ranks: int) -> None:
    with poisoned():
        drawn = TRITON.sample(logits, choice, codebook, ranks)
    assert drawn.tolist() == TORCH.sample(logits, choice, codebook, ranks).tolist()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16], ids=str)
def test_every_filter_draws_the_same_code(seed: int, kind: torch.dtype) -> None:
    """Rounded to bfloat16, many scores are equal, at the edges of the filters too."""
    samplings = SETTINGS + GREEDY + PENALISED
    logits = (lot(seed)(len(samplings), CODES) * 3).to(kind)
    assert_alike(logits, some_choice(samplings, seed), seed % 2, CODES)


@pytest.mark.parametrize("seed", range(3))
def test_few_ranks_draw_the_same_code(seed: int) -> None:
    logits = lot(10 + seed)(len(FAST), CODES) * 3
    assert_alike(logits, some_choice(FAST, seed), 1, FAST_RANKS)


def test_as_many_codes_as_the_real_model_has_are_drawn_alike() -> None:
    samplings = [Sampling(), Sampling(top_k=64, top_p=0.7), Sampling(top_k=1), Sampling(top_k=0)]
    choice = some_choice(samplings, 3)
    seen = torch.zeros(4, 2, 2051, dtype=torch.bool, device=DEVICE)
    logits = (lot(4)(4, 2051) * 2).bfloat16()
    assert_alike(logits, replace(choice, seen=seen), 1, 2051)


def test_equal_scores_stand_and_fall_together() -> None:
    logits = torch.full((2, CODES), -1.0, device=DEVICE)
    logits[:, 5:155], logits[:, 7], logits[:, 9] = 2.0, 0.0, -0.0
    assert_alike(logits, some_choice([Sampling(top_k=50), Sampling(top_k=151)], 5), 0, CODES)


def test_the_first_of_equally_likely_codes_is_taken() -> None:
    logits = torch.zeros(1, CODES, device=DEVICE)
    logits[0, [40, 90]] = 3.0
    assert TRITON.sample(logits, some_choice([GREEDY[0]], 0), 0, CODES).tolist() == [40]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, in the interpreter
def test_logits_that_are_not_numbers_give_a_code_all_the_same() -> None:
    logits = torch.full((3, CODES), torch.nan, device=DEVICE)
    samplings = [Sampling(), Sampling(temperature=0), Sampling(top_p=0.5, min_p=0.1)]
    with poisoned():
        drawn = TRITON.sample(logits, some_choice(samplings, 1), 0, FAST_RANKS)
    assert ((drawn >= 0) & (drawn < CODES)).all()
