"""Prompts computed in padded tiles: what an unpadded prompt gives, whatever lies in the padding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import (
    Hum,
    Request,
    Rounded,
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
from torch import Tensor

from local_engine.csm.graphs import EagerRecorder, Graphs
from local_engine.csm.model.network import Network
from local_engine.csm.model.slots import Slots, empty_slots
from local_engine.csm.plan import Plan
from local_engine.csm.prompts import KIND, Prompts
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import OutOfMemory, Prefill, Prompt, Sampling
from local_engine.csm.tiles import TOKENS

LONG = replace(SMALL, longest=800)
WARM = Sampling(seed=4, temperature=1.0, top_k=20, repetition_penalty=1.3)
SLOTS = 12
GARBAGE = 2**31 - 1


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network(LONG)


def prompt_of(length: int, seed: int) -> Prompt:
    """Turns of text and sound, cut off anywhere."""
    lot = np.random.default_rng(seed)
    turns: list[Prompt] = []
    while sum(map(len, turns)) < length:
        turns.append(some_text(int(lot.integers(1, 60)), int(lot.integers(1000))))
        turns.append(spoken_audio(lot.integers(0, 64, (int(lot.integers(1, 90)), 4))))
    return np.concatenate(turns)[:length]


def tiled_runner(network: Network, *, deterministic: bool = False) -> TorchRunner:
    plan = Plan(SLOTS, network.longest, graphs=True, deterministic=deterministic)
    return runner_with(network, plan, Hum(SLOTS, network.shape.frame_samples))


class Bench:
    """Slots and prompts without the steps, so that a test may look at and spoil their memory."""

    def __init__(self, network: Network, *, tiles: bool = True) -> None:
        like = network.weights.audio_table
        self.slots: Slots = empty_slots(network.shape, SLOTS, network.longest, like)
        graphs = Graphs({KIND: EagerRecorder()} if tiles else {})
        plan = Plan(SLOTS, network.longest, graphs=tiles)
        self.prompts = Prompts(network, self.slots, plan, graphs)

    @torch.inference_mode()
    def compute(self, *stretches: Prefill) -> Tensor:
        return self.prompts.compute(stretches)

    @torch.inference_mode()
    def spoil(self) -> None:
        """Fill with NaN, or what is in no table, all that nobody has computed yet."""
        self.slots.k.fill_(torch.nan)
        self.slots.v.fill_(torch.nan)
        assert self.prompts.memory is not None
        self.prompts.memory.prompt.fill_(GARBAGE)
        self.prompts.memory.numbers.fill_(GARBAGE)
        self.prompts.memory.hidden.fill_(torch.nan)


@pytest.mark.parametrize("seed", range(6))
def test_ragged_prompts_in_tiles_speak_as_unpadded_ones(network: Network, seed: int) -> None:
    lot = np.random.default_rng(seed)
    lengths = [1, 31, 32, 33, 256, 257, 512, 700, *lot.integers(1, 780, 4).tolist()]
    prompts = [prompt_of(length, seed + n) for n, length in enumerate(lengths)]
    stretches = [Prefill(slot, 0, prompt) for slot, prompt in enumerate(prompts)]
    spoken = []
    for runner in (tiled_runner(network), small_runner(network, SLOTS)):
        runner.prefill(stretches)
        for slot in range(SLOTS):
            runner.begin(slot, replace(WARM, seed=slot))
        spoken.append([step_of(runner, list(range(SLOTS))).codes for _ in range(4)])
    np.testing.assert_array_equal(*spoken)


@pytest.mark.parametrize("seed", range(4))
def test_hidden_keys_and_values_are_those_of_unpadded_prompts(network: Network, seed: int) -> None:
    lot = np.random.default_rng(seed)
    lengths = lot.integers(1, 780, 5).tolist()
    stretches = [Prefill(slot, 0, prompt_of(n, slot)) for slot, n in enumerate(lengths)]
    padded, plain = Bench(network), Bench(network, tiles=False)
    torch.testing.assert_close(padded.compute(*stretches), plain.compute(*stretches))
    for slot, length in enumerate(lengths):
        for ours, theirs in ((padded.slots.k, plain.slots.k), (padded.slots.v, plain.slots.v)):
            torch.testing.assert_close(ours[:, slot, :, :length], theirs[:, slot, :, :length])


def test_what_lies_in_padding_and_in_unused_memory_changes_no_bit(network: Network) -> None:
    stretches = [Prefill(slot, 0, prompt_of(n, slot)) for slot, n in enumerate([5, 40, 300, 700])]
    clean, spoilt = Bench(network), Bench(network)
    spoilt.spoil()
    expected = clean.compute(*stretches)
    assert torch.equal(spoilt.compute(*stretches), expected)
    assert expected.isfinite().all()


def test_nothing_is_written_but_the_positions_that_were_asked_for(network: Network) -> None:
    bench = Bench(network)
    bench.compute(Prefill(3, 0, prompt_of(50, 1)))
    before = bench.slots.k.clone(), bench.slots.v.clone()
    bench.compute(Prefill(3, 50, prompt_of(37, 2)), Prefill(1, 0, prompt_of(270, 3)))
    for kept, now in zip(before, (bench.slots.k, bench.slots.v), strict=True):
        changed = (kept != now).any(4).any(2).any(0)
        rows, positions = changed[: bench.slots.trash].nonzero(as_tuple=True)
        written = {(1, n) for n in range(270)} | {(3, n) for n in range(50, 87)}
        assert set(zip(rows.tolist(), positions.tolist(), strict=True)) == written


def test_who_is_beside_it_changes_no_bit_in_a_tile_of_one_size(network: Network) -> None:
    ours, made = Prefill(0, 0, prompt_of(40, 1)), []
    for seed in range(4):
        bench = Bench(network)
        others = [Prefill(n, 0, prompt_of(33 + 7 * n + seed, 10 * seed + n)) for n in (1, 2, 3)]
        made.append(bench.compute(ours, *others)[0])
    assert all(torch.equal(one, made[0]) for one in made)


@pytest.mark.parametrize("cuts", [(1,), (31, 64), (256,), (255, 257), (100, 101, 600)])
def test_a_prompt_may_be_cut_anywhere(network: Network, cuts: tuple[int, ...]) -> None:
    request = Request(prompt_of(650, 7), frames=4, sampling=WARM)
    runner, ends = tiled_runner(network), [*cuts, 650]
    for first, last in zip([0, *cuts], ends, strict=True):
        runner.prefill([Prefill(2, first, request.prompt[first:last])])
    runner.begin(2, WARM)
    expected = speak_alone(small_runner(network), request)
    np.testing.assert_array_equal(frames_of(runner, 2, 4), expected)


@pytest.mark.parametrize("kept", [1, 64, 300])
def test_a_beginning_that_is_copied_speaks_as_one_that_is_computed(
    network: Network, kept: int
) -> None:
    request = Request(prompt_of(340, 8), frames=4, sampling=WARM)
    runner = tiled_runner(network)
    start(runner, 1, request)
    expected = frames_of(runner, 1, 4)
    start(runner, 5, Request(prompt_of(780, 9)))  # the slot has been somebody's
    runner.restore(5, runner.keep(1, kept))
    runner.prefill([Prefill(5, kept, request.prompt[kept:])])
    runner.begin(5, WARM)
    np.testing.assert_array_equal(frames_of(runner, 5, 4), expected)
    np.testing.assert_array_equal(speak_alone(small_runner(network), request), expected)


def test_alone_a_prompt_has_the_same_bits_whoever_comes_with_it(network: Network) -> None:
    ours, made = Prefill(0, 0, prompt_of(300, 1)), []
    for others in (0, 1, 7):
        runner = tiled_runner(network, deterministic=True)
        runner.prefill([*(Prefill(n + 1, 0, prompt_of(290, n)) for n in range(others)), ours])
        kept = runner.keep(0, 300)
        made.append((kept.k, kept.v))
    for k, v in made[1:]:
        assert torch.equal(k, made[0][0])
        assert torch.equal(v, made[0][1])


def test_a_running_clip_hears_nothing_of_prompts_computed_between_its_frames(
    network: Network,
) -> None:
    request = Request(prompt_of(90, 1), frames=6, sampling=WARM)
    expected = speak_alone(small_runner(network), request)
    runner = tiled_runner(network)
    start(runner, 4, request)
    made = []
    for frame in range(6):
        long = prompt_of(720, 2)[120 * frame : 120 * (frame + 1)]
        runner.prefill([Prefill(0, 120 * frame, long), Prefill(frame + 5, 0, prompt_of(9, frame))])
        made.append(frames_of(runner, 4, 1)[0])
    np.testing.assert_array_equal(made, expected)


def test_a_tile_that_fails_changes_nothing(network: Network) -> None:
    request = Request(prompt_of(600, 3), frames=4, sampling=WARM)
    expected = speak_alone(small_runner(network), request)
    whole, calls = network.kernels.store, [0]

    def sometimes(*given: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] == 8 * LONG.layers:  # four tiles are captured, and run; the last one fails
            raise torch.OutOfMemoryError("no room for keys")
        return whole(*given)

    failing = replace(network, kernels=replace(network.kernels, store=sometimes))
    runner = tiled_runner(failing)
    runner.prefill([Prefill(1, 0, request.prompt[:300])])
    with pytest.raises(OutOfMemory, match="no room for keys"):
        runner.prefill([Prefill(1, 300, request.prompt[300:])])
    with pytest.raises(ValueError, match="go on"):
        runner.prefill([Prefill(1, 600, request.prompt[:1])])
    runner.prefill([Prefill(1, 300, request.prompt[300:])])
    runner.begin(1, WARM)
    np.testing.assert_array_equal(frames_of(runner, 1, 4), expected)


def test_tiles_are_captured_once_for_each_size(network: Network) -> None:
    size = network.shape.frame_samples
    plan = Plan(SLOTS, network.longest, graphs=True)
    decoder, encoder = Hum(SLOTS, size), Rounded(network.shape.codebooks, size)
    runner = TorchRunner(network, decoder, encoder, plan)
    for seed in range(3):
        lengths = (20, 30, 50, 60, 200)
        runner.prefill([Prefill(n, 0, prompt_of(m, seed)) for n, m in enumerate(lengths)])
    assert runner.captured[KIND].graphs == 3


def test_the_longest_slot_may_be_shorter_than_a_tile(network: Network) -> None:
    short = runner_with(network, Plan(3, 20, graphs=True), Hum(3, network.shape.frame_samples))
    assert TOKENS[0] > short.longest
    request = Request(prompt_of(17, 1), frames=3, sampling=WARM)
    expected = speak_alone(small_runner(network), request)
    np.testing.assert_array_equal(speak_alone(short, request), expected)
