"""On a device: replayed steps are eager ones bit for bit, and Triton's kernels speak as torch's."""

import numpy as np
import pytest
import torch
from driving import Request, some_text, start, step_of
from numpy.typing import NDArray

from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, Sampling

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device"),
]
SAMPLINGS = [Sampling(temperature=0), Sampling(seed=5), Sampling(seed=6, top_k=0, top_p=0.9)]


def runner_of(*, kernels: str, graphs: bool) -> TorchRunner:
    """The runner of an engine whose model is drawn at random."""
    # It brings in what a device's machine need not have for the other tests.
    from local_engine.csm.building import build  # noqa: PLC0415
    from local_engine.csm.settings import EngineSettings  # noqa: PLC0415

    settings = EngineSettings(
        name="tiny-random", device="cuda", dtype="float32", slots=5, kernels=kernels, graphs=graphs
    )
    runner = build(settings, lambda *_: None).runner
    assert isinstance(runner, TorchRunner)
    return runner


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
def test_a_replay_is_the_eager_step_bit_for_bit(kernels: str) -> None:
    captured = runner_of(kernels=kernels, graphs=True)
    codes, pcm = spoken(captured)
    expected, sound = spoken(runner_of(kernels=kernels, graphs=False))
    assert [spent.graphs > 0 for spent in captured.captured] == [True, True]
    np.testing.assert_array_equal(codes, expected)
    np.testing.assert_array_equal(pcm, sound)


def test_the_kernels_of_the_device_speak_as_torchs_do() -> None:
    codes, _ = spoken(runner_of(kernels="triton", graphs=False))
    expected, _ = spoken(runner_of(kernels="torch", graphs=False))
    np.testing.assert_array_equal(codes, expected)


def test_a_hundred_captured_steps_take_no_more_memory() -> None:
    runner = runner_of(kernels="triton", graphs=True)
    spoken(runner)
    torch.cuda.synchronize()
    before = torch.cuda.memory_reserved()
    for _ in range(100):
        step_of(runner, [0, 1, 2])
    torch.cuda.synchronize()
    assert torch.cuda.memory_reserved() == before
