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
from local_engine.csm.model.attention import Places
from local_engine.csm.model.backbone import embed_frames, step
from local_engine.csm.model.depth import sample_frame
from local_engine.csm.model.frame import new_buffers
from local_engine.csm.model.sampler import FAST_RANKS
from local_engine.csm.model.slots import empty_slots
from local_engine.csm.plan import REACH, Plan
from local_engine.csm.running import Runner, Sampling

_WARM = 3


def measure_steps(stage: Stage, run: Run, budget: Budget, share: float) -> list[StepPoint]:
    """Measure batch by batch and context by context, as long as time and memory allow."""
    points = []
    for context in run.contexts:
        if context + run.frames + _WARM > stage.shape.longest:
            why = f"{context} and {run.frames + _WARM} frames are more than {stage.shape.longest}"
            budget.drop(f"steps at {context} positions", why)
            continue
        points += [
            (f"{form} steps, batch {batch} at {context}", partial(_point, stage, run, place))
            for batch in run.batches
            for form in forms_on(stage.device)
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
    parts = _parts(stage, batch, context, run.frames)
    frame_ms = 1000 * stage.shape.frame_samples / stage.shape.codec.sample_rate
    return StepPoint(
        form=form,
        batch=batch,
        context=context,
        frames=run.frames,
        step=whole,
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
def _parts(stage: Stage, batch: int, context: int, times: int) -> list[PartFigures]:
    size, shape = stage.like.itemsize, stage.shape
    works = {
        "backbone": backbone_work(shape, size, batch, context + 1),
        "depth": depth_work(shape, size, batch),
        "codec": codec_work(shape.codec, torch.float32.itemsize, batch),
    }
    calls = _calls(stage, batch, context)
    return [
        _figures(name, timed(calls[name], times, stage.device), work, stage.device)
        for name, work in works.items()
    ]


def _calls(stage: Stage, batch: int, context: int) -> dict[str, Callable[[], object]]:
    """Give the functions that a step is made of, over rows that stand still."""
    network, shape, like = stage.network, stage.shape, stage.like
    slots = empty_slots(shape, batch, min(shape.longest, -(-(context + 1) // REACH) * REACH), like)
    for slot in range(batch):
        slots.begin(slot, Sampling(seed=slot))
    slots.hidden.normal_()
    slots.k.normal_()
    slots.v.normal_()
    rows = torch.arange(batch, device=like.device)
    positions = torch.full_like(rows, context)
    scratch, ranks = new_buffers(shape, batch, like).scratch, min(FAST_RANKS, shape.codes)
    hidden, decoder = slots.hidden[rows], stage.decoder(batch)
    codes = sample_frame(network, hidden, slots.choice(rows), scratch, ranks)
    heard = codes.clamp(max=shape.codec.codebook_size - 1)
    reach, places = slots.k.shape[3], Places(rows, positions)
    return {
        "backbone": lambda: step(network, embed_frames(network, codes), slots, places, reach),
        "depth": lambda: sample_frame(network, hidden, slots.choice(rows), scratch, ranks),
        "codec": lambda: decoder.decode(rows, heard),
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
