"""What is captured and replayed, by the recorder that needs no device: what it changes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace

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
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from local_engine.csm.graphs import EagerRecorder, Graphs, Work, recorder_for
from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.frame import Bounds, commit_frame, compute_frame, new_buffers
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.network import Network
from local_engine.csm.model.slots import empty_slots
from local_engine.csm.model.tile import compute_tile, new_tile_memory
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Sampling

WARM = Sampling(seed=4, temperature=1.0, top_k=20, repetition_penalty=1.3)
OURS = Request(some_text(9, 1), frames=6, sampling=WARM)


class Tape(EagerRecorder):
    """The recorder of a CPU, which counts, and fails where it is told to."""

    def __init__(self) -> None:
        self.failures: list[Exception] = []
        self.captures = 0
        self.replays = 0

    def capture(self, work: Work) -> Work:
        captured = super().capture(work)
        self.captures += 1
        if self.failures:
            raise self.failures.pop()

        def replay() -> None:
            self.replays += 1
            captured()

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
    captured = runner.captured
    assert {kind: cost.graphs for kind, cost in captured.items()} == {
        "prompts": 1,
        "steps": 4,
        "codec": 4,
    }
    assert tape.replays == 5 + 2 * 10
    assert captured["steps"].seconds > 0


FULL = [
    torch.OutOfMemoryError("the device is full"),
    covering(torch.OutOfMemoryError("the device is full")),
    RuntimeError("CUDA error: out of memory"),
]


@pytest.mark.parametrize("full", FULL, ids=["told at once", "covered", "CUDA's"])
@pytest.mark.parametrize("failures", [1, 2, 3])
def test_what_there_is_no_memory_to_capture_runs_without_a_graph(
    network: Network, full: Exception, failures: int, caplog: pytest.LogCaptureFixture
) -> None:
    expected = speak_alone(small_runner(network), OURS)
    tape = Tape()
    runner = taped(network, tape, Plan(3, SMALL.longest, graphs=True))
    tape.failures = [full] * failures
    with caplog.at_level(logging.WARNING):
        start(runner, 1, OURS)
        np.testing.assert_array_equal(frames_of(runner, 1, 6), expected)
    assert sum(cost.graphs for cost in runner.captured.values()) == 3 - failures
    assert [record.getMessage()[:9] for record in caplog.records] == ["no memory"] * failures


def test_a_capture_that_memory_was_too_small_for_is_tried_again_later() -> None:
    tape = Tape()
    tape.failures = [torch.OutOfMemoryError("the device is full")]
    graphs, ran = Graphs({"steps": tape}), [0]
    for _ in range(300):
        graphs.find("steps", 8, lambda: ran.append(1), lambda: None)()
    assert (tape.captures, graphs.captured["steps"].graphs) == (2, 1)
    assert len(ran) - 1 == 300 + 2


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
    assert (tape.captures, tape.replays) == (2, 0)
    told = [record.getMessage() for record in caplog.records]
    assert told == [f"no CUDA graphs of {kind}: they run without" for kind in ("prompts", "steps")]


def test_the_codec_may_go_without(network: Network) -> None:
    tape = Tape()
    runner = taped(network, tape, Plan(3, SMALL.longest, graphs=True, codec_graphs=False))
    speak_alone(runner, OURS)
    assert "codec" not in runner.captured
    assert tape.replays == 1 + OURS.frames


def test_graphs_are_few_however_long_the_rows_are(network: Network) -> None:
    runner = taped(network, Tape(), Plan(1, SMALL.longest, graphs=True))
    long = Request(some_text(120, 1), frames=20, sampling=GREEDY)
    expected = speak_alone(small_runner(network), long)
    np.testing.assert_array_equal(speak_alone(runner, long), expected)
    assert runner.captured["steps"].graphs == 2


def test_kernels_that_read_lengths_need_one_graph_for_any_length(network: Network) -> None:
    reading = replace(network, kernels=replace(TORCH, reads_lengths=True))
    runner = taped(reading, Tape(), Plan(1, SMALL.longest, graphs=True))
    speak_alone(runner, Request(some_text(120, 1), frames=20, sampling=GREEDY))
    assert runner.captured["steps"].graphs == 1


def test_what_is_captured_at_start_need_not_be_later_and_is_no_other(network: Network) -> None:
    reading = replace(network, kernels=replace(TORCH, reads_lengths=True))
    expected = speak_alone(small_runner(network), OURS)
    tape, told = Tape(), []
    runner = taped(reading, tape, Plan(5, SMALL.longest, graphs=True))
    runner.warm(60, lambda done, total: told.append((done, total)))
    assert told == [(n, tape.captures) for n in range(tape.captures)]
    assert tape.captures == 4 + 4 + 16
    np.testing.assert_array_equal(speak_alone(runner, OURS), expected)
    assert tape.captures == 4 + 4 + 16


def test_captures_at_start_end_with_their_time(network: Network) -> None:
    tape = Tape()
    runner = taped(network, tape, Plan(5, SMALL.longest, graphs=True))
    runner.warm(0, lambda *_: None)
    assert tape.captures == 0


def test_nothing_is_captured_unless_asked_for(network: Network) -> None:
    runner = small_runner(network)
    runner.warm(60, lambda *_: pytest.fail("there is nothing to tell of"))
    speak_alone(runner, OURS)
    assert runner.captured == {}
    assert isinstance(recorder_for(torch.device("cpu")), EagerRecorder)


def test_a_graph_is_captured_once() -> None:
    graphs, ran = Graphs({"steps": EagerRecorder()}), [0]
    work: Callable[[], None] = lambda: ran.append(ran[-1] + 1)  # noqa: E731 - the smallest work
    for _ in range(3):
        graphs.find("steps", 1, work, lambda: None)()
    assert ran == [0, 1, 2, 3, 4]
    assert graphs.captured["steps"].graphs == 1


class Traced(TorchDispatchMode):
    """What a graph could not hold: who looks at a value, or takes one from the host."""

    def __init__(self) -> None:
        super().__init__()
        self.foreign: list[str] = []
        self.calls = 0

    def __torch_dispatch__(
        self,
        function: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        made = function(*args, **(kwargs or {}))
        self.calls += 1
        devices = {
            one.device.type
            for one in tree_leaves((args, kwargs, made))
            if isinstance(one, torch.Tensor)
        }
        if devices != {"meta"}:
            self.foreign.append(f"{function} on {devices}")
        return made


def on_meta(held: object) -> object:
    """The same, with tensors that have no values."""
    if isinstance(held, torch.Tensor):
        return held.to("meta")
    if is_dataclass(held) and not isinstance(held, type):
        moved = {one.name: on_meta(getattr(held, one.name)) for one in fields(held)}
        return replace(held, **moved)
    if isinstance(held, tuple):
        return tuple(map(on_meta, held))
    return {key: on_meta(one) for key, one in held.items()} if isinstance(held, dict) else held


def test_no_captured_work_looks_at_a_value_or_takes_one_from_the_host(network: Network) -> None:
    moved = on_meta(network)
    shape, like = moved.shape, moved.weights.audio_table
    slots, out = empty_slots(shape, 4, 256, like), new_buffers(shape, 4, like)
    memory = new_tile_memory(shape, 8, 256, like)
    decoder = MimiDecoder(shape.codec, moved.weights.codec, slots=4, device="meta", apart=False)
    with torch.inference_mode(), Traced() as traced:
        for ranks in (64, shape.codes):
            compute_frame(moved, slots, out, Bounds(128, ranks))
        compute_tile(moved, slots, memory.shaped(4, 64, shape), 256)
        decoder.decode(out.rows, out.codes)
        commit_frame(slots, out)
    assert traced.foreign == []
    assert traced.calls > 1000


def test_the_trace_finds_what_a_graph_could_not_hold() -> None:
    with Traced() as traced:
        torch.empty(3, device="meta")[[0, 2]]
        torch.empty(3, device="meta") + torch.zeros(())
        torch.zeros(3).to("meta")
    assert len(traced.foreign) >= 3
    with pytest.raises((RuntimeError, NotImplementedError)), Traced():
        torch.empty(3, device="meta")[torch.ones(3, dtype=torch.bool, device="meta")]
