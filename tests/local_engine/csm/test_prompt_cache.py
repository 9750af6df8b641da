"""Prompts in chunks, and prompts kept and restored, speak as the whole prompt does."""

import numpy as np
import pytest
from driving import (
    GREEDY,
    Hum,
    Request,
    frames_of,
    runner_with,
    small_network,
    small_runner,
    some_text,
    speak_alone,
    spoken_audio,
    start,
    step_of,
)
from reference import SMALL

from local_engine.csm.model.network import Network
from local_engine.csm.plan import Plan
from local_engine.csm.running import Codes, Prefill, Prompt

FRAMES = 6


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.fixture(scope="module")
def prompt() -> Prompt:
    frames = np.random.default_rng(2).integers(0, 64, (12, SMALL.codebooks))
    return np.concatenate((some_text(10, 1), spoken_audio(frames), some_text(8, 2)))


@pytest.fixture(scope="module")
def whole(network: Network, prompt: Prompt) -> Codes:
    return speak_alone(small_runner(network), Request(prompt, FRAMES))


@pytest.mark.parametrize("size", [1, 5, 16])
def test_a_prompt_in_chunks_is_the_whole_prompt(
    network: Network, prompt: Prompt, whole: Codes, size: int
) -> None:
    runner = small_runner(network)
    for begin in range(0, len(prompt), size):
        runner.prefill([Prefill(1, begin, prompt[begin : begin + size])])
    runner.begin(1, GREEDY)
    np.testing.assert_array_equal(frames_of(runner, 1, FRAMES), whole)


def test_chunks_of_several_prompts_go_together_between_steps(
    network: Network, prompt: Prompt, whole: Codes
) -> None:
    runner = small_runner(network)
    start(runner, 0, Request(some_text(5, 3)))
    for begin in range(0, len(prompt), 8):
        part = prompt[begin : begin + 8]
        runner.prefill([Prefill(3, begin, part), Prefill(2, begin, part)])
        step_of(runner, [0])
    for slot in (2, 3):
        runner.begin(slot, GREEDY)
        np.testing.assert_array_equal(frames_of(runner, slot, FRAMES), whole)


def test_what_was_kept_stands_for_what_is_computed(
    network: Network, prompt: Prompt, whole: Codes
) -> None:
    runner = small_runner(network)
    start(runner, 0, Request(prompt))
    snapshot = runner.keep(0, 20)
    per_position = 2 * SMALL.layers * SMALL.kv_heads * SMALL.head_size * 4
    assert (snapshot.positions, snapshot.bytes) == (20, 20 * per_position)
    start(runner, 0, Request(some_text(60, 4)))
    start(runner, 4, Request(some_text(60, 5)))
    runner.restore(4, snapshot)
    runner.prefill([Prefill(4, 20, prompt[20:])])
    runner.begin(4, GREEDY)
    np.testing.assert_array_equal(frames_of(runner, 4, FRAMES), whole)


def test_a_conversation_goes_on_from_the_frames_that_were_spoken(
    network: Network, prompt: Prompt, whole: Codes
) -> None:
    runner = small_runner(network)
    speak_alone(runner, Request(prompt, FRAMES), slot=2)
    spoken = len(prompt) + FRAMES
    snapshot = runner.keep(2, spoken)
    turn = np.concatenate((spoken_audio(whole[:0]), some_text(4, 6)))
    runner.restore(0, snapshot)
    runner.prefill([Prefill(0, spoken, turn)])
    runner.begin(0, GREEDY)
    told = np.concatenate((prompt, spoken_audio(whole), some_text(4, 6)))
    expected = speak_alone(small_runner(network), Request(told, FRAMES))
    np.testing.assert_array_equal(frames_of(runner, 0, FRAMES), expected)


def test_no_more_is_kept_than_a_slot_holds(network: Network, prompt: Prompt) -> None:
    runner = small_runner(network)
    runner.prefill([Prefill(0, 0, prompt)])
    with pytest.raises(ValueError, match="does not hold"):
        runner.keep(0, len(prompt) + 1)


def test_a_snapshot_longer_than_a_slot_is_refused(network: Network) -> None:
    runner = small_runner(network)
    runner.prefill([Prefill(0, 0, some_text(198, 1))])
    shorter = runner_with(network, Plan(1, 64), Hum(1, network.shape.frame_samples))
    with pytest.raises(ValueError, match="200 positions"):
        shorter.restore(0, runner.keep(0, 200))
