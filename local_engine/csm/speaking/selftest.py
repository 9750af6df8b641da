"""The first utterance of an engine, before anybody is let in: sound has to come out."""

import numpy as np

from local_engine.csm.messages import Refused, Sampling, Submit
from local_engine.csm.prompting.preparing import Prepared
from local_engine.csm.running import OutOfMemory, Prefill, StepOutput
from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking.engine import Parts

_FRAMES = 4
_SEEDS = 3
"""Tried one after another: a clip may be silent by chance."""


class SelfTestFailed(Exception):
    """The model is loaded and does not speak, and what is wrong with it."""


def self_test(parts: Parts, settings: EngineSettings) -> None:
    """Speak a few frames in slot 0; SelfTestFailed where that is not sound."""
    try:
        for seed in range(_SEEDS):
            steps = _speak(parts, settings, seed)
            if any(np.any(step.pcm) for step in steps):
                return
    except OutOfMemory as error:
        raise SelfTestFailed("the device has no memory for one utterance") from error
    raise SelfTestFailed("the model gives nothing but silence")


def _speak(parts: Parts, settings: EngineSettings, seed: int) -> list[StepOutput]:
    prepared = _prepare(parts, seed)
    positions = len(prepared.prompt)
    for start in range(0, positions, settings.prefill_positions):
        stretch = prepared.prompt[start : start + settings.prefill_positions]
        parts.runner.prefill([Prefill(0, start, stretch)])
    parts.runner.begin(0, prepared.sampling)
    frames = min(_FRAMES, parts.runner.longest - positions)
    return [_step(parts) for _ in range(frames)]


def _prepare(parts: Parts, seed: int) -> Prepared:
    submit = Submit(
        number=0,
        utterance="self-test",
        key="self-test",
        text="One, two, three.",
        voice=parts.ready.voices[0],
        sampling=Sampling(seed=seed),
        most_frames=_FRAMES,
    )
    prepared = parts.preparer.prepare(submit, {})
    if isinstance(prepared, Refused):
        raise SelfTestFailed(f"the self-test was refused: {prepared.message}")
    return prepared


def _step(parts: Parts) -> StepOutput:
    parts.runner.launch([0])
    step = parts.runner.collect()
    expected = (1, parts.ready.frame_samples)
    if step.pcm.shape != expected or step.pcm.dtype != np.int16:
        raise SelfTestFailed(f"a frame has {step.pcm.shape} samples instead of {expected}")
    if np.any(step.codes < 0):
        raise SelfTestFailed("a frame has codes below 0")
    return step
