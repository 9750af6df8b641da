"""The runner: batch sizes, refusals, PCM, and a step that memory was too small for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
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
    start,
    step_of,
)
from reference import SMALL
from torch import Tensor

from local_engine.csm.model.network import Network
from local_engine.csm.plan import Plan, fitting_buckets
from local_engine.csm.running import OutOfMemory, Prefill, Sampling

WARM = Sampling(seed=4, temperature=1.0, top_k=20, repetition_penalty=1.3)
OURS = Request(some_text(9, 1), frames=6, sampling=WARM)


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


@pytest.mark.parametrize(
    ("slots", "buckets"),
    [(1, (1,)), (4, (1, 2, 4)), (5, (1, 2, 4, 5)), (33, (1, 2, 4, 8, 16, 24, 32, 33))],
)
def test_batch_sizes_go_up_to_the_slots(slots: int, buckets: tuple[int, ...]) -> None:
    assert fitting_buckets(Plan(slots, 64)) == buckets
    assert fitting_buckets(Plan(slots, 64, deterministic=True)) == (slots,)


def test_a_step_without_memory_changes_nothing(network: Network) -> None:
    expected = speak_alone(small_runner(network), OURS)
    hum = Hum(3, network.shape.frame_samples)
    runner = runner_with(network, Plan(3, SMALL.longest), hum)
    start(runner, 1, OURS)
    made = [frames_of(runner, 1, 2)]
    hum.failures = 2
    for _ in range(2):
        with pytest.raises(OutOfMemory, match="the device is full"):
            runner.launch([1])
    made.append(frames_of(runner, 1, 4))
    np.testing.assert_array_equal(np.concatenate(made), expected)


def test_a_step_that_fails_within_the_model_changes_nothing(network: Network) -> None:
    expected = speak_alone(small_runner(network), OURS)
    attend = network.kernels.attend_slots
    calls = 0

    def sometimes(q: Tensor, *rest: object) -> Tensor:
        nonlocal calls
        calls += 1
        if calls == 2 * SMALL.layers:
            raise torch.OutOfMemoryError("no room for keys")
        return attend(q, *rest)

    kernels = replace(network.kernels, attend_slots=sometimes)
    runner = small_runner(replace(network, kernels=kernels))
    start(runner, 0, OURS)
    made = [frames_of(runner, 0, 1)]
    with pytest.raises(OutOfMemory, match="no room for keys"):
        runner.launch([0])
    made.append(frames_of(runner, 0, 5))
    np.testing.assert_array_equal(np.concatenate(made), expected)


def test_pcm_is_the_codecs_samples_in_sixteen_bits(network: Network) -> None:
    class Loud(Hum):
        def decode(self, rows: Tensor, codes: Tensor) -> Tensor:
            super().decode(rows, codes)
            return torch.linspace(-2, 2, self.frame_samples).expand(len(rows), -1)

    size = network.shape.frame_samples
    runner = runner_with(network, Plan(3, SMALL.longest), Loud(3, size))
    for slot in (0, 2):
        start(runner, slot, OURS)
    output = step_of(runner, [2, 0])
    assert output.rows == (2, 0)
    assert output.pcm.dtype == np.int16
    expected = np.clip(np.linspace(-2, 2, size, dtype=np.float32), -1, 1) * 32767
    assert np.abs(output.pcm - expected).max() <= 0.51
    assert (output.pcm.min(), output.pcm.max()) == (-32767, 32767)


@pytest.mark.parametrize("deterministic", [False, True])
def test_on_a_cpu_the_codec_decodes_no_padding(network: Network, *, deterministic: bool) -> None:
    class Counting(Hum):
        def decode(self, rows: Tensor, codes: Tensor) -> Tensor:
            decoded.append(rows.tolist())
            return super().decode(rows, codes)

    decoded: list[list[int]] = []
    counting = Counting(5, network.shape.frame_samples)
    plan = Plan(5, SMALL.longest, deterministic=deterministic)
    runner = runner_with(network, plan, counting)
    for slot in (0, 2, 3):
        start(runner, slot, OURS)
    output = step_of(runner, [3, 0, 2])
    assert decoded == [[3, 0, 2]]
    plain = small_runner(network, deterministic=deterministic)
    start(plain, 0, OURS)
    np.testing.assert_array_equal(step_of(plain, [0]).pcm[0], output.pcm[1])


def test_what_was_collected_is_not_overwritten_by_the_next_step(network: Network) -> None:
    runner = small_runner(network)
    start(runner, 0, OURS)
    first = step_of(runner, [0])
    before = first.codes.copy(), first.pcm.copy()
    step_of(runner, [0])
    np.testing.assert_array_equal(first.codes, before[0])
    np.testing.assert_array_equal(first.pcm, before[1])
    assert first.codes.dtype == np.int32


def test_a_cpu_has_one_step_in_flight(network: Network) -> None:
    runner = small_runner(network)
    start(runner, 0, OURS)
    assert runner.depth == 1
    runner.launch([0])
    with pytest.raises(RuntimeError, match="collected first"):
        runner.launch([0])


@pytest.mark.parametrize("slots", [[], [1, 1]])
def test_a_step_of_nobody_or_of_one_twice_is_refused(network: Network, slots: list[int]) -> None:
    with pytest.raises(ValueError, match="all different"):
        small_runner(network).launch(slots)


def test_a_slot_without_positions_left_is_refused(network: Network) -> None:
    runner = runner_with(network, Plan(2, 16), Hum(2, network.shape.frame_samples))
    start(runner, 0, replace(OURS, prompt=some_text(12, 1)))
    assert frames_of(runner, 0, 2).shape == (2, SMALL.codebooks)
    with pytest.raises(ValueError, match="no position left"):
        runner.launch([0])


@pytest.mark.parametrize(
    ("column", "value"), [(0, -1), (1, SMALL.codes), (SMALL.codebooks, SMALL.text_vocabulary)]
)
def test_ids_outside_of_the_tables_are_refused(network: Network, column: int, value: int) -> None:
    prompt = some_text(5, 1)
    prompt[2, column] = value
    with pytest.raises(ValueError, match="not in the model's tables"):
        small_runner(network).prefill([Prefill(0, 0, prompt)])


@pytest.mark.parametrize(("start_at", "length"), [(1, 5), (0, 0), (0, SMALL.longest + 1)])
def test_stretches_that_do_not_fit_are_refused(
    network: Network, start_at: int, length: int
) -> None:
    prompt = some_text(SMALL.longest, 1)[:length]
    with pytest.raises(ValueError, match=r"go on|more than"):
        small_runner(network).prefill([Prefill(0, start_at, prompt)])


def test_the_trash_slot_is_nobodys(network: Network) -> None:
    runner = small_runner(network, slots=2)
    for ask in (
        lambda: runner.begin(2, WARM),
        lambda: runner.launch([2]),
        lambda: runner.keep(2, 0),
        lambda: runner.prefill([Prefill(2, 0, OURS.prompt)]),
    ):
        with pytest.raises(IndexError):
            ask()
    start(runner, 0, OURS)
    np.testing.assert_array_equal(frames_of(runner, 0, 6), speak_alone(small_runner(network), OURS))


def test_a_segment_is_padded_to_whole_frames(network: Network) -> None:
    runner = small_runner(network)
    size = network.shape.frame_samples
    samples = np.linspace(-1, 1, 2 * size + 1, dtype=np.float32)
    codes = runner.encode(samples)
    assert (codes.shape, codes.dtype) == ((3, SMALL.codebooks), np.int32)
    assert codes[2].tolist() == [50, *[0] * (SMALL.codebooks - 1)]
    assert runner.encode(samples[:0]).shape == (0, SMALL.codebooks)


def test_a_runner_cannot_be_longer_than_its_network(network: Network) -> None:
    with pytest.raises(ValueError, match="positions"):
        runner_with(network, Plan(1, SMALL.longest + 1), Hum(1, network.shape.frame_samples))


def test_a_row_limit_below_the_slots_speaks_the_same(network: Network) -> None:
    """After a step without memory the scheduler halves its batch."""
    whole, halves = small_runner(network, slots=4), small_runner(network, slots=4)
    for runner in (whole, halves):
        for slot in range(4):
            start(runner, slot, replace(OURS, sampling=replace(GREEDY, seed=slot)))
    together = step_of(whole, [0, 1, 2, 3]).codes
    apart = [step_of(halves, [0, 1]).codes, step_of(halves, [2, 3]).codes]
    np.testing.assert_array_equal(np.concatenate(apart), together)
