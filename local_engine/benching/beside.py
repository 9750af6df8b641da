"""The process beside the benchmark that runs transformers: it may hang or fail, and is then ended.

It is told what to do as JSON on its command line, and tells what it found line by line.
"""

import sys
from collections.abc import Callable, Iterator
from functools import partial

import msgspec
import numpy as np
import torch
from transformers import CsmForConditionalGeneration

from local_engine.benching.options import TINY
from local_engine.benching.record import Baseline, Parity, Run
from local_engine.benching.reference import How, build, generate
from local_engine.benching.stage import SEED, NoEncoder, config_of, drawn, dtype_of, staged
from local_engine.benching.times import spread
from local_engine.benching.words import Begun, Failed, Told
from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.random import random_checkpoint
from local_engine.csm.model.exact import exact_float32
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, Prefill, Sampling

_SIZES = (1, 4, 8, 32, 128, 512)
"""Batches that generate is measured with, where the run has them."""
_WARM = 2
_FRAMES = 16
_PARITY_FRAMES = 24
_PARITY_LENGTHS = (5, 17, 40)

Things = Iterator[tuple[str, Callable[[], Parity | Baseline]]]


def main() -> None:
    """Do what the run asks for, and tell."""
    run = msgspec.json.decode(sys.argv[1], type=Run)
    torch.set_num_threads(run.threads)
    exact_float32()
    for what, do in _things(run):
        _tell(Begun(what))
        try:
            _tell(do())
        # The process's edge: whatever transformers or a compiler raises is what there is to tell.
        except Exception as error:  # noqa: BLE001
            reason = str(error).strip().partition("\n")[0]
            _tell(Failed(what, f"{type(error).__name__}: {reason}"))


def _things(run: Run) -> Things:
    yield "parity", partial(parity, run.device)
    forms = {"generate": How()}
    if run.device == "cuda":
        forms["generate, static cache, compiled"] = How(static=True)
    sizes = [size for size in _SIZES if size in run.batches] or [run.batches[0]]
    generator = Generator(run)
    for form, how in forms.items():
        for batch in sizes:
            yield f"{form}, batch {batch}", partial(generator.measure, form, how, batch)


class Generator:
    """transformers' model with the run's weights, made when it is needed first."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._model: CsmForConditionalGeneration | None = None

    def measure(self, form: str, how: How, batch: int) -> Baseline:
        """Time its frames for so many rows."""
        run, positions = self._run, min(self._run.contexts)
        ids = torch.randint(0, 256, (batch, positions), device=run.device)
        frames = min(run.frames, _FRAMES)
        _, stamps = generate(self._made(), ids, frames + _WARM + 1, how)
        ms = spread(stamps.ms(_WARM))
        shape = read_shape(config_of(run.model))
        second = 1000 * batch * shape.frame_samples / shape.codec.sample_rate / ms.mean
        return Baseline(form, batch, positions, ms, second)

    def _made(self) -> CsmForConditionalGeneration:
        if self._model is None:
            run = self._run
            place = torch.device(run.device)
            self._model = build(config_of(run.model), drawn(run), place, dtype_of(run))
        return self._model


def parity(device_name: str) -> Parity:
    """Hold greedy codes of the tiny model in float32 against transformers', prompt by prompt."""
    device, float32 = torch.device(device_name), torch.float32
    checkpoint = random_checkpoint(config_of(TINY), device, float32, SEED)
    model = build(config_of(TINY), checkpoint, device, float32)
    stage = staged(checkpoint, float32, device, "own")
    prompts = [np.random.default_rng(length).integers(0, 256, length) for length in _PARITY_LENGTHS]
    greedy = How(sampled=False)
    theirs = [
        generate(model, torch.tensor([ids.tolist()], device=device), _PARITY_FRAMES, greedy)[0]
        for ids in prompts
    ]
    plan = Plan(len(prompts), stage.shape.longest)
    runner = TorchRunner(stage.network, stage.decoder(plan.slots), NoEncoder(), plan)
    ours = _speak(runner, [ids.tolist() for ids in prompts], stage.shape.codebooks)
    found = [
        _difference(number, mine, their[0].cpu().numpy())
        for number, (mine, their) in enumerate(zip(ours, theirs, strict=True))
    ]
    first = next((difference for difference in found if difference), None)
    return Parity(device_name, len(prompts), _PARITY_FRAMES, first is None, first)


def _speak(runner: TorchRunner, prompts: list[list[int]], codebooks: int) -> list[Codes]:
    """Speak all of them in one batch; [frames, codebooks] of each."""
    for slot, ids in enumerate(prompts):
        prompt = np.zeros((len(ids), codebooks + 1), np.int32)
        prompt[:, -1] = ids
        runner.prefill([Prefill(slot, 0, prompt)])
        runner.begin(slot, Sampling(temperature=0))
    steps = []
    for _ in range(_PARITY_FRAMES):
        runner.launch(range(len(prompts)))
        steps.append(runner.collect().codes)
    return list(np.stack(steps, axis=1))


def _difference(number: int, ours: Codes, theirs: Codes) -> str | None:
    frames = min(len(ours), len(theirs))
    differing = np.argwhere(ours[:frames] != theirs[:frames])
    if len(differing):
        frame, codebook = differing[0].tolist()
        return f"prompt {number}, frame {frame}, codebook {codebook}"
    if len(ours) != len(theirs):
        return f"prompt {number}: {len(ours)} frames and {len(theirs)}"
    return None


def _tell(told: Told) -> None:
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
