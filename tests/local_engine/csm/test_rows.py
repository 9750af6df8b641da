"""An utterance says the same whoever is beside it, and whoever had its slot before."""

from dataclasses import replace

import numpy as np
import pytest
from driving import Request, small_network, small_runner, some_text, speak_all, start, step_of
from reference import SMALL

from local_engine.csm.model.network import Network
from local_engine.csm.running import Codes, Sampling

WARM = Sampling(seed=77, temperature=1.1, top_k=30, top_p=0.9, min_p=0.01, repetition_penalty=1.2)
OURS = Request(some_text(9, 1), frames=10, sampling=WARM)
EVERY = Sampling(seed=5, temperature=1.0, top_k=0)


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.fixture(scope="module", params=[WARM, Sampling(temperature=0)], ids=["drawn", "greedy"])
def ours(request: pytest.FixtureRequest) -> Request:
    return replace(OURS, sampling=request.param)


@pytest.fixture(scope="module")
def alone(network: Network, ours: Request) -> tuple[Codes, bytes]:
    clip = speak_all(small_runner(network), [ours])[0]
    return np.stack(clip.codes), np.stack(clip.pcm).tobytes()


def others(count: int) -> list[Request]:
    return [
        Request(some_text(4 + n, n), frames=3 + n, comes=n % 3, sampling=replace(EVERY, seed=n))
        for n in range(count)
    ]


@pytest.mark.parametrize("deterministic", [False, True])
def test_in_a_full_batch_whose_rows_come_and_go(
    network: Network, ours: Request, alone: tuple[Codes, bytes], *, deterministic: bool
) -> None:
    runner = small_runner(network, deterministic=deterministic)
    clip = speak_all(runner, [*others(6), ours, *others(3)])[6]
    np.testing.assert_array_equal(np.stack(clip.codes), alone[0])
    assert np.stack(clip.pcm).tobytes() == alone[1]


def test_beside_cancelled_rows_and_after_a_pause(
    network: Network, ours: Request, alone: tuple[Codes, bytes]
) -> None:
    runner = small_runner(network)
    for slot, request in enumerate(others(4)):
        start(runner, slot, request)
    start(runner, 4, ours)
    plan = [[4, 0, 1, 2, 3], [2, 4], [0, 1], [0, 3], [4, 3, 0], [1], [4]]
    plan += [[4, 0]] * 3 + [[0]] + [[1, 4]] * 3
    made = []
    for slots in plan:
        output = step_of(runner, slots)
        made += [output.codes[slots.index(4)]] if 4 in slots else []
    np.testing.assert_array_equal(np.stack(made), alone[0])


def test_a_paused_row_waits_unharmed(
    network: Network, ours: Request, alone: tuple[Codes, bytes]
) -> None:
    runner = small_runner(network)
    start(runner, 1, ours)
    made = [step_of(runner, [1]).codes[0] for _ in range(4)]
    start(runner, 3, others(1)[0])
    for _ in range(5):
        step_of(runner, [3])
    made += [step_of(runner, [1]).codes[0] for _ in range(6)]
    np.testing.assert_array_equal(np.stack(made), alone[0])


def test_in_a_slot_that_a_longer_clip_has_left_dirty(
    network: Network, ours: Request, alone: tuple[Codes, bytes]
) -> None:
    runner = small_runner(network, slots=1)
    longer = Request(some_text(60, 9), frames=20, sampling=EVERY)
    clips = speak_all(runner, [longer, ours])
    np.testing.assert_array_equal(np.stack(clips[1].codes), alone[0])
    assert np.stack(clips[1].pcm).tobytes() == alone[1]


def test_another_seed_says_something_else(network: Network) -> None:
    runner = small_runner(network)
    requests = [replace(OURS, sampling=replace(WARM, seed=seed)) for seed in (77, 78, 77)]
    first, second, third = (np.stack(clip.codes) for clip in speak_all(runner, requests))
    np.testing.assert_array_equal(first, third)
    assert (first != second).mean() > 0.5


def test_a_repetition_penalty_holds_codes_back_for_the_whole_clip(network: Network) -> None:
    never = Sampling(temperature=0, repetition_penalty=1e9)
    codes = np.stack(
        speak_all(small_runner(network), [replace(OURS, frames=20, sampling=never)])[0].codes
    )
    for codebook in range(SMALL.codebooks):
        assert len(np.unique(codes[:, codebook])) == 20


def test_deterministic_steps_have_the_same_bits_for_any_company(network: Network) -> None:
    """Seen in the hidden state itself, by keeping keys and values and going on from them."""
    lone, crowded = (small_runner(network, deterministic=True) for _ in range(2))
    start(lone, 2, OURS)
    longer = Request(some_text(100, 8), sampling=EVERY)
    for slot, request in enumerate([*others(2), OURS, longer, *others(1)]):
        start(crowded, slot, request)
    for _ in range(6):
        step_of(lone, [2])
        step_of(crowded, [0, 1, 2, 3, 4])
    positions = len(OURS.prompt) + 6
    mine, theirs = lone.keep(2, positions), crowded.keep(2, positions)
    assert mine.k.equal(theirs.k)
    assert mine.v.equal(theirs.v)
