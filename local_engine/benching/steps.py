"""Steps of a full batch at a context: as the engine drives them, and their parts one by one."""

import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch

from local_engine.benching.arithmetic import (
    Work,
    backbone_work,
    codec_work,
    depth_work,
    floor_ms,
    peak_of,
    sampler_work,
)
from local_engine.benching.machine import forget_memory, memory_bytes
from local_engine.benching.record import PartFigures, Run, Spread, StepPoint
from local_engine.benching.stage import (
    FORMS,
    Stage,
    captures_of,
    fill,
    forms_on,
    some_prompt,
)
from local_engine.benching.times import Budget, spread, timed
from local_engine.csm.graphs import recorder_for
from local_engine.csm.model.attention import Places
from local_engine.csm.model.backbone import embed_frames, step
from local_engine.csm.model.depth import sample_frame
from local_engine.csm.model.frame import new_buffers
from local_engine.csm.model.sampler import FAST_RANKS
from local_engine.csm.model.slots import empty_slots
from local_engine.csm.plan import REACH, Plan
from local_engine.csm.running import Runner, Sampling

_WARM = 3
_WHOLE = {"backbone", "depth", "codec"}
"""Parts that make a step up; the sampler is in the depth decoder."""


def measure_steps(stage: Stage, run: Run, budget: Budget, share: float) -> list[StepPoint]:
    """Measure form by form, context by context and batch by batch: what matters most comes first.

    It ends where time does; what memory does not hold is left out.
    """
    fitting = []
    for context in run.contexts:
        if context + run.frames + _WARM > stage.shape.longest:
            why = f"{context} and {run.frames + _WARM} frames are more than {stage.shape.longest}"
            budget.drop(f"steps at {context} positions", why)
            continue
        fitting.append(context)
    points = [
        (f"{form} steps, batch {batch} at {context}", partial(_point, stage, run, place))
        for form in forms_on(stage.device)
        for context in fitting
        for batch in run.batches
        for place in [(form, batch, context)]
    ]
    return list(budget.each(points, share))


def _point(stage: Stage, run: Run, place: tuple[str, int, int]) -> StepPoint:
    form, batch, context = place
    forget_memory(stage.device)
    runner = FORMS[form](stage, Plan(batch, context + run.frames + _WARM))
    whole, captures = _whole(stage, runner, run.frames), captures_of(runner)
    del runner
    forget = memory_bytes(stage.device)
    parts = _parts(stage, run, place)
    floors = [part.floor_ms for part in parts if part.part in _WHOLE]
    frame_ms = 1000 * stage.shape.frame_samples / stage.shape.codec.sample_rate
    return StepPoint(
        form=form,
        batch=batch,
        context=context,
        frames=run.frames,
        step=whole,
        floor_ms=None if None in floors else sum(floor or 0.0 for floor in floors),
        audio_seconds_per_second=batch * frame_ms / whole.mean,
        real_time_factor=whole.mean / frame_ms,
        parts=parts,
        memory_bytes=forget,
        captures=captures,
    )


def _whole(stage: Stage, runner: Runner, frames: int) -> Spread:
    """Time from one collected step to the next, so many in flight as the engine has."""
    fill(runner, some_prompt(stage.shape, runner.longest - frames - _WARM))
    arrived = _arrivals(runner, frames + _WARM)
    gaps = [later - sooner for sooner, later in pairwise(arrived)]
    return spread([1000 * gap for gap in gaps[_WARM - 1 :]])


def _arrivals(runner: Runner, frames: int) -> list[float]:
    everyone, arrived = range(runner.slots), []
    flying = 0
    for _ in range(frames):
        runner.launch(everyone)
        flying += 1
        if flying == runner.depth:
            runner.collect()
            arrived.append(time.perf_counter())
            flying -= 1
    for _ in range(flying):
        runner.collect()
        arrived.append(time.perf_counter())
    return arrived


@torch.inference_mode()
def _parts(stage: Stage, run: Run, place: tuple[str, int, int]) -> list[PartFigures]:
    form, batch, context = place
    size, shape, fp8 = stage.like.itemsize, stage.shape, run.depth_weights == "fp8"
    works = {
        "backbone": backbone_work(shape, size, batch, context + 1),
        "depth": depth_work(shape, size, batch, fp8=fp8),
        "codec": codec_work(shape.codec, torch.float32.itemsize, batch),
        "sampler": sampler_work(shape, size, batch),
    }
    calls = _calls(stage, batch, context)
    captured = recorder_for(stage.device) if form == "graphs" else None
    found = []
    for name, work in works.items():
        call = calls[name]
        # moshi's codec makes graphs of its own.
        if captured and not (name == "codec" and stage.codec == "moshi"):
            call = captured.capture(partial(_done, call))
        ms = timed(call, run.frames, stage.device)
        found.append(_figures(name, ms, work, stage.device))
    return found


def _done(call: Callable[[], object]) -> None:
    call()


def _calls(stage: Stage, batch: int, context: int) -> dict[str, Callable[[], object]]:
    """Give the functions that a step is made of, over rows that stand still."""
    network, shape, like = stage.network, stage.shape, stage.like
    slots = empty_slots(shape, batch, min(shape.longest, -(-(context + 1) // REACH) * REACH), like)
    for slot in range(batch):
        slots.begin(slot, Sampling(seed=slot))
    slots.hidden.normal_()
    for kept in (slots.k, slots.v):
        like_kept = kept if kept.is_floating_point() else kept.view(torch.float32)[..., -1]
        like_kept.normal_()
    rows = torch.arange(batch, device=like.device)
    positions = torch.full_like(rows, context)
    scratch, ranks = new_buffers(shape, batch, like).scratch, min(FAST_RANKS, shape.codes)
    hidden, decoder = slots.hidden[rows], stage.decoder(batch)
    codes = sample_frame(network, hidden, slots.choice(rows), scratch, ranks)
    heard = codes.clamp(max=shape.codec.codebook_size - 1)
    reach, places = slots.k.shape[3], Places(rows, positions)
    scores = like.new_empty(shape.codebooks, batch, shape.codes).normal_()
    choice = slots.choice(rows)
    draw = network.kernels.sample
    return {
        "backbone": lambda: step(network, embed_frames(network, codes), slots, places, reach),
        "depth": lambda: sample_frame(network, hidden, slots.choice(rows), scratch, ranks),
        "codec": lambda: decoder.decode(rows, heard),
        "sampler": lambda: [draw(each, choice, n, ranks) for n, each in enumerate(scores)],
    }


def _figures(name: str, ms: Spread, work: Work, device: torch.device) -> PartFigures:
    known = peak_of(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return PartFigures(
        part=name,
        ms=ms,
        gflop=work.flop / 1e9,
        gigabytes=work.bytes / 1e9,
        teraflop_per_second=work.flop / ms.mean / 1e9,
        gigabytes_per_second=work.bytes / ms.mean / 1e6,
        floor_ms=floor_ms(work, known) if known else None,
    )
