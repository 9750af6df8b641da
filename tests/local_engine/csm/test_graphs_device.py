"""On a device: a replay is what is called, bit for bit; Triton's kernels speak as torch's.

Called is the same work, on the same buffers and of the same sizes, by the recorder of a CPU.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import Request, some_text, start, step_of
from numpy.typing import NDArray

from local_engine.benching.stage import SEED, NoEncoder, Stage, staged
from local_engine.csm.graphs import CudaRecorder, EagerRecorder, Recorder
from local_engine.csm.kernels import triton_kernels
from local_engine.csm.loading.random import random_checkpoint
from local_engine.csm.loading.tiny import CONFIG
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, Prefill, Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device"),
]
DEVICE = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
SAMPLINGS = [Sampling(temperature=0), Sampling(seed=5), Sampling(seed=6, top_k=0, top_p=0.9)]
SLOTS = 5


@pytest.fixture(scope="module")
def stage() -> Stage:
    torch.backends.cudnn.allow_tf32 = False
    checkpoint = random_checkpoint(CONFIG, str(DEVICE), torch.float32, SEED)
    return staged(checkpoint, torch.float32, DEVICE, "own")


def runner_of(
    stage: Stage, kernels: str, new_recorder: Callable[[torch.device], Recorder] | None
) -> TorchRunner:
    """A runner that captures by this recorder; without one it lays out no tiles either."""
    made = triton_kernels() if kernels == "triton" else TORCH
    network, decoder = replace(stage.network, kernels=made), stage.decoder(SLOTS)
    plan = Plan(SLOTS, stage.shape.longest, graphs=new_recorder is not None)
    return TorchRunner(network, decoder, NoEncoder(), plan, new_recorder or CudaRecorder)


def called(_device: torch.device) -> EagerRecorder:
    return EagerRecorder()


def spoken(runner: TorchRunner) -> tuple[Codes, NDArray[np.int16]]:
    """Six frames of three rows, the last of which joins later."""
    made = []
    for slot, sampling in enumerate(SAMPLINGS):
        start(runner, slot, Request(some_text(20 * slot + 3, slot, 8), sampling=sampling))
    for frame in range(6):
        output = step_of(runner, [0, 1] if frame < 2 else [0, 1, 2])
        made.append((output.codes[:2], output.pcm[:2]))
    return np.stack([codes for codes, _ in made]), np.stack([pcm for _, pcm in made])


@pytest.mark.parametrize("kernels", ["torch", "triton"])
def test_a_replay_is_the_called_step_bit_for_bit(stage: Stage, kernels: str) -> None:
    captured = runner_of(stage, kernels, CudaRecorder)
    codes, pcm = spoken(captured)
    expected, sound = spoken(runner_of(stage, kernels, called))
    graphs = {kind: cost.graphs for kind, cost in captured.captured.items()}
    assert graphs.keys() == {"prompts", "steps", "codec"}
    assert all(graphs.values())
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(pcm, sound)


@pytest.mark.parametrize("kernels", ["torch", "triton"])
def test_a_replayed_prompt_is_the_called_one_bit_for_bit(stage: Stage, kernels: str) -> None:
    lengths = [1, 32, 33, 257, 400]
    stretches = [Prefill(slot, 0, some_text(n, slot, 8)) for slot, n in enumerate(lengths)]
    kept = []
    for recorder in (CudaRecorder, called):
        runner = runner_of(stage, kernels, recorder)
        for _ in range(2):  # captured, then only replayed
            runner.prefill(stretches)
        kept.append([runner.keep(one.slot, len(one.prompt)) for one in stretches])
    for replayed, expected in zip(*kept, strict=True):
        assert torch.equal(replayed.k, expected.k)
        assert torch.equal(replayed.v, expected.v)


def test_prompts_in_tiles_speak_as_unpadded_ones(stage: Stage) -> None:
    codes, _ = spoken(runner_of(stage, "torch", CudaRecorder))
    expected, _ = spoken(runner_of(stage, "torch", None))
    np.testing.assert_array_equal(codes, expected)


def test_the_kernels_of_the_device_speak_as_torchs_do(stage: Stage) -> None:
    codes, _ = spoken(runner_of(stage, "triton", None))
    expected, _ = spoken(runner_of(stage, "torch", None))
    np.testing.assert_array_equal(codes, expected)


def test_a_hundred_captured_steps_take_no_more_memory(stage: Stage) -> None:
    runner = runner_of(stage, "triton", CudaRecorder)
    spoken(runner)
    torch.cuda.synchronize()
    before = torch.cuda.memory_reserved()
    for _ in range(100):
        step_of(runner, [0, 1, 2])
    torch.cuda.synchronize()
    assert torch.cuda.memory_reserved() == before


def test_a_capture_that_breaks_leaves_the_stream_and_the_next_one_alone() -> None:
    recorder, stream = CudaRecorder(DEVICE), torch.cuda.current_stream()
    held, calls = torch.ones(8, device=DEVICE), []

    def looks() -> None:
        calls.append(float(held.sum()) if len(calls) else 0.0)

    with pytest.raises(RuntimeError):
        recorder.capture(looks)
    assert torch.cuda.current_stream() == stream
    assert float(held.sum()) == 8
    if torch.__version__ >= "2.12":  # before, torch takes the broken capture for one that goes on
        recorder.capture(lambda: held.add_(1))()
        assert float(held.sum()) == 8 * 3


def test_a_broken_capture_of_one_kind_leaves_clips_whole(stage: Stage) -> None:
    class Breaking(CudaRecorder):
        def capture(self, work: Callable[[], None]) -> Callable[[], None]:
            def looks() -> None:
                work()
                torch.cuda.synchronize()

            return super().capture(looks)

    codes, _ = spoken(runner_of(stage, "torch", Breaking))
    expected, _ = spoken(runner_of(stage, "torch", called))
    np.testing.assert_array_equal(codes, expected)
