"""Steps that are captured and replayed, by a recorder that needs no device: what it changes."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import (
    GREEDY,
    Hum,
    Request,
    Rounded,
    frames_of,
    small_network,
    small_runner,
    some_text,
    speak_all,
    speak_alone,
    start,
)
from reference import SMALL

from local_engine.csm.graphs import Graphs, Work, recorder_for
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.network import Network
from local_engine.csm.runner import Plan, TorchRunner
from local_engine.csm.running import OutOfMemory, Sampling

WARM = Sampling(seed=4, temperature=1.0, top_k=20, repetition_penalty=1.3)
OURS = Request(some_text(9, 1), frames=6, sampling=WARM)


class Tape:
    """As a device captures: the work is run once beforehand, and once more at each replay."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.replays = 0

    def free(self) -> int:
        return 1000

    def capture(self, work: Work) -> Work:
        work()
        if self.failures:
            raise self.failures.pop()

        def replay() -> None:
            self.replays += 1
            work()

        return replay


@pytest.fixture(scope="module")
def network() -> Network:
    return small_network()


def taped(network: Network, tape: Tape, plan: Plan) -> TorchRunner:
    size = network.shape.frame_samples
    rounded = Rounded(network.shape.codebooks, size)
    return TorchRunner(network, Hum(plan.slots, size), rounded, plan, lambda _: tape)


def covering(inner: Exception) -> RuntimeError:
    """What a capture ends with if the device's memory ran out on its way."""
    error = RuntimeError("the capture was broken off")
    error.__context__ = inner
    return error


def test_captured_steps_speak_as_others_do(network: Network) -> None:
    requests = [replace(OURS, comes=n, prompt=some_text(5 + n, n)) for n in range(5)]
    tape = Tape()
    runner = taped(network, tape, Plan(5, SMALL.longest, graphs=True))
    expected, made = speak_all(small_runner(network), requests), speak_all(runner, requests)
    for ours, theirs in zip(made, expected, strict=True):
        np.testing.assert_array_equal(ours.codes, theirs.codes)
        np.testing.assert_array_equal(ours.pcm, theirs.pcm)
    steps, sounds = runner.captured
    assert (steps.graphs, sounds.graphs) == (4, 4)
    assert tape.replays == 2 * 10
    assert steps.seconds > 0


@pytest.mark.parametrize(
    "full",
    [
        torch.OutOfMemoryError("the device is full"),
        covering(torch.OutOfMemoryError("the device is full")),
    ],
    ids=["told at once", "covered"],
)
@pytest.mark.parametrize("calls", [1, 2])
def test_a_capture_without_memory_changes_nothing(
    network: Network, full: Exception, calls: int
) -> None:
    expected = speak_alone(small_runner(network), OURS)
    tape = Tape()
    runner = taped(network, tape, Plan(3, SMALL.longest, graphs=True))
    start(runner, 1, OURS)
    tape.failures = [full] * calls
    for _ in range(calls):
        with pytest.raises(OutOfMemory):
            runner.launch([1])
    np.testing.assert_array_equal(frames_of(runner, 1, 6), expected)


def test_what_cannot_be_captured_runs_without_a_graph_and_says_so_once(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    tape = Tape()
    runner = taped(network, tape, Plan(3, SMALL.longest, graphs=True, codec_graphs=False))
    tape.failures = [RuntimeError("operation not permitted")] * 2
    requests = [replace(OURS, comes=n) for n in range(2)]
    with caplog.at_level(logging.WARNING):
        made = speak_all(runner, requests)
    for clip, theirs in zip(made, speak_all(small_runner(network), requests), strict=True):
        np.testing.assert_array_equal(clip.codes, theirs.codes)
    assert tape.replays == 0
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert runner.captured[0].graphs == 0


def test_the_codec_may_go_without(network: Network) -> None:
    tape = Tape()
    runner = taped(network, tape, Plan(3, SMALL.longest, graphs=True, codec_graphs=False))
    speak_alone(runner, OURS)
    assert len(runner.captured) == 1
    assert tape.replays == OURS.frames


def test_graphs_are_few_however_long_the_rows_are(network: Network) -> None:
    runner = taped(network, Tape(), Plan(1, SMALL.longest, graphs=True))
    long = Request(some_text(120, 1), frames=20, sampling=GREEDY)
    expected = speak_alone(small_runner(network), long)
    np.testing.assert_array_equal(speak_alone(runner, long), expected)
    assert runner.captured[0].graphs == 2


def test_kernels_that_read_lengths_need_one_graph_for_any_length(network: Network) -> None:
    reading = replace(network, kernels=replace(TORCH, reads_lengths=True))
    runner = taped(reading, Tape(), Plan(1, SMALL.longest, graphs=True))
    speak_alone(runner, Request(some_text(120, 1), frames=20, sampling=GREEDY))
    assert runner.captured[0].graphs == 1


def test_there_are_no_graphs_on_a_cpu(network: Network) -> None:
    assert recorder_for(torch.device("cpu")) is None
    size = network.shape.frame_samples
    plan = Plan(2, SMALL.longest, graphs=True)
    runner = TorchRunner(network, Hum(2, size), Rounded(network.shape.codebooks, size), plan)
    assert runner.captured == ()


def test_a_graph_is_captured_once() -> None:
    graphs, ran = Graphs(Tape()), [0]
    work: Callable[[], None] = lambda: ran.append(ran[-1] + 1)  # noqa: E731 - the smallest work
    for _ in range(3):
        graphs.find("a step", work, lambda: None)()
    assert ran == [0, 1, 2, 3, 4]
    assert graphs.spent.graphs == 1
