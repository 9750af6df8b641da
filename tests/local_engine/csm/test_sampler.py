"""Drawing a code: transformers' filters, the exact distribution, nobody else's random numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers.generation import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from local_engine.csm.model.sampler import (
    FAST_RANKS,
    Choice,
    penalised,
    sample,
    surviving,
    uniforms,
)
from local_engine.csm.model.slots import signed
from local_engine.csm.running import Sampling

CODES = 200
SETTINGS = [
    Sampling(temperature=0.9, top_k=50),
    Sampling(temperature=1.0, top_k=1),
    Sampling(temperature=0.7, top_k=0, top_p=0.8),
    Sampling(temperature=1.3, top_k=20, top_p=0.5),
    Sampling(temperature=1.0, top_k=0, min_p=0.1),
    Sampling(temperature=2.0, top_k=64, top_p=0.95, min_p=0.02),
    Sampling(temperature=0.5, top_k=150, top_p=0.01),
    Sampling(temperature=1.0, top_k=30, top_p=0.0),
    Sampling(temperature=1.0, top_k=0),
]
WORDS = [2845829992, 229870754, 2688735095, 2487721441, 2591771346]
"""Reckoned apart, with Python's own whole numbers."""
FAST = [sampling for sampling in SETTINGS if 0 < sampling.top_k <= FAST_RANKS]


def choice_of(samplings: list[Sampling], frames: list[int] | None = None) -> Choice:
    real = torch.float32
    rows = len(samplings)
    return Choice(
        seed=torch.tensor([signed(one.seed) for one in samplings]),
        frame=torch.tensor(frames or [0] * rows),
        temperature=torch.tensor([one.temperature for one in samplings], dtype=real),
        top_k=torch.tensor([one.top_k for one in samplings]),
        top_p=torch.tensor([one.top_p for one in samplings], dtype=real),
        min_p=torch.tensor([one.min_p for one in samplings], dtype=real),
        repetition_penalty=torch.tensor([one.repetition_penalty for one in samplings], dtype=real),
        seen=torch.zeros(rows, 2, CODES, dtype=torch.bool),
    )


def some_logits(rows: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, CODES, generator=torch.Generator().manual_seed(seed)) * 3


def reference_scores(logits: Tensor, sampling: Sampling) -> Tensor:
    """One row through the processors that generate() would build, in its order."""
    steps = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.top_k:
        steps.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        steps.append(TopPLogitsWarper(sampling.top_p))
    steps.append(MinPLogitsWarper(sampling.min_p))
    return steps(torch.zeros(1, 1, dtype=torch.long), logits[None].clone())[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("samplings", "ranks"), [(SETTINGS, CODES), (FAST, FAST_RANKS)], ids=["all ranks", "fast"]
)
def test_what_survives_is_what_survives_in_transformers(
    samplings: list[Sampling], ranks: int, seed: int
) -> None:
    logits = some_logits(len(samplings), seed)
    scores = surviving(logits, choice_of(samplings), ranks)
    expected = torch.stack(
        [reference_scores(row, one) for row, one in zip(logits, samplings, strict=True)]
    )
    torch.testing.assert_close(scores, expected)


def test_equal_scores_at_the_edge_stay_together_as_in_transformers() -> None:
    logits = torch.full((1, CODES), -1.0)
    logits[0, 5:155] = 2.0
    sampling = Sampling(temperature=1.0, top_k=50)
    scores = surviving(logits, choice_of([sampling]), FAST_RANKS)
    torch.testing.assert_close(scores[0], reference_scores(logits[0], sampling))
    assert int(scores.isfinite().sum()) == 150


def test_the_penalty_is_transformers() -> None:
    logits = some_logits(3)
    had = torch.tensor([[1, 7, 7], [150, 2, 0], [9, 8, 3]])
    seen = torch.zeros(3, CODES, dtype=torch.bool).scatter(1, had, value=True)
    expected = RepetitionPenaltyLogitsProcessor(1.4)(had, logits.clone())
    torch.testing.assert_close(penalised(logits, seen, torch.full((3,), 1.4)), expected)


def test_codes_seen_in_this_codebook_alone_are_penalised() -> None:
    logits = torch.zeros(1, CODES)
    logits[0, 3], logits[0, 4] = 5.0, 4.0
    choice = choice_of([Sampling(temperature=0, repetition_penalty=2.0)])
    choice.seen[0, 1, 3] = True
    assert sample(logits, choice, 0, FAST_RANKS).tolist() == [3]
    assert sample(logits, choice, 1, FAST_RANKS).tolist() == [4]


def test_a_temperature_of_zero_takes_the_likeliest_beside_others_that_draw() -> None:
    logits = some_logits(3)
    choice = choice_of([Sampling(), Sampling(temperature=0, top_k=0), Sampling()])
    for frame in range(20):
        drawn = sample(logits, replace(choice, frame=torch.full((3,), frame)), 0, CODES)
        assert drawn[1] == logits[1].argmax()


@pytest.mark.parametrize("temperature", [1e-3, 1e-12, 1e-40])
def test_hardly_any_temperature_is_as_good_as_none(temperature: float) -> None:
    logits = some_logits(4)
    drawn = sample(logits, choice_of([Sampling(temperature=temperature)] * 4), 0, FAST_RANKS)
    assert torch.equal(drawn, logits.argmax(-1))


def test_logits_that_are_not_numbers_give_a_code_all_the_same() -> None:
    logits = torch.full((2, CODES), torch.nan)
    drawn = sample(logits, choice_of([Sampling(), Sampling(temperature=0)]), 0, FAST_RANKS)
    assert ((drawn >= 0) & (drawn < CODES)).all()


def test_the_same_seed_frame_and_codebook_draw_the_same_in_any_order() -> None:
    samplings = [replace(one, seed=seed) for seed, one in enumerate(FAST * 4)]
    logits = some_logits(len(samplings))
    frames = list(range(len(samplings)))
    drawn = sample(logits, choice_of(samplings, frames), 3 % 2, FAST_RANKS)
    order = torch.randperm(len(samplings), generator=torch.Generator().manual_seed(1)).tolist()
    moved = choice_of([samplings[n] for n in order], [frames[n] for n in order])
    assert torch.equal(sample(logits[order], moved, 3 % 2, FAST_RANKS), drawn[order])
    for row, one in enumerate(samplings):
        alone = sample(logits[row : row + 1], choice_of([one], [row]), 1, CODES)
        assert alone[0] == drawn[row]


def test_draws_follow_the_distribution() -> None:
    draws = 20_000
    sampling = Sampling(seed=11, temperature=1.2, top_k=12)
    logits = some_logits(1, 3)
    choice = choice_of([sampling] * draws, list(range(draws)))
    drawn = sample(logits.expand(draws, -1), replace(choice, seen=choice.seen[:1]), 7 % 2, 64)
    expected = reference_scores(logits[0], sampling).softmax(-1) * draws
    counted = torch.bincount(drawn, minlength=CODES)
    inside = expected > 0
    assert counted[~inside].sum() == 0
    chi_square = ((counted - expected)[inside] ** 2 / expected[inside]).sum()
    assert chi_square < 24.7  # 11 degrees of freedom, one in a hundred


@pytest.mark.parametrize("along", ["seed", "frame", "codebook"])
def test_random_numbers_are_even_and_unlike_their_neighbours(along: str) -> None:
    count = 20_000
    steps, still = torch.arange(count), torch.full((count,), 42)
    if along == "codebook":
        numbers = torch.cat([uniforms(steps[:625], still[:625], book) for book in range(32)])
    else:
        numbers = uniforms(*((steps, still) if along == "seed" else (still, steps)), codebook=3)
    assert ((numbers > 0) & (numbers < 1)).all()
    assert abs(float(numbers.mean()) - 0.5) < 0.0062  # three standard errors
    assert abs(float(numbers.var()) - 1 / 12) < 0.002
    beside = np.corrcoef(numbers[:-1].numpy(), numbers[1:].numpy())[0, 1]
    assert abs(beside) < 0.022
    assert len(numbers.unique()) > count - 10


def test_random_numbers_are_these_on_every_device() -> None:
    seeds = torch.tensor([0, 1, -1, signed(2**64 - 7), 2**40])
    frames = torch.tensor([0, 5, 1124, 3, 7])
    words = (uniforms(seeds, frames, 31) * 2**32 - 0.5).long().tolist()
    assert words == WORDS


def test_any_seed_fits_and_distinct_ones_differ() -> None:
    seeds = torch.tensor([signed(seed) for seed in (0, 2**32, 2**63, 2**64 - 1, -1)])
    numbers = uniforms(seeds, torch.zeros(5, dtype=torch.long), 0)
    assert numbers[3] == numbers[4]
    assert len(numbers.unique()) == 4
