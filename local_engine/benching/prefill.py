"""Prompts computed, alone and beside others, against the same prompt copied from a snapshot."""

import time
from collections.abc import Callable
from functools import partial
from itertools import product

import torch

from local_engine.benching.record import PrefillPoint, Run, Spread
from local_engine.benching.stage import (
    FORMS,
    PREFILL_POSITIONS,
    Stage,
    captures_of,
    compute,
    forms_on,
    some_prompt,
)
from local_engine.benching.times import Budget, spread, synchronise
from local_engine.csm.plan import Plan
from local_engine.csm.running import Prefill

_TIMES = 5
_MOST_AT_ONCE = 8


def measure_prefill(stage: Stage, run: Run, budget: Budget, share: float) -> list[PrefillPoint]:
    """Measure each context's positions, alone and as many prompts at once as the engine would."""
    points = []
    for form, positions in product(forms_on(stage.device), run.contexts):
        name = f"{form} prefill of {positions}"
        if positions > stage.shape.longest:
            budget.drop(name, f"more than {stage.shape.longest} positions")
            continue
        points.append((name, partial(_alone, stage, form, positions)))
        many = min(_MOST_AT_ONCE, PREFILL_POSITIONS // positions)
        if many > 1:
            points.append(
                (f"{name}, {many} times", partial(_together, stage, form, positions, many))
            )
    return list(budget.each(points, share))


def _alone(stage: Stage, form: str, positions: int) -> PrefillPoint:
    runner = FORMS[form](stage, Plan(2, positions))
    prompt = some_prompt(stage.shape, positions)
    prefill = _waited(lambda: compute(runner, 0, prompt), stage.device)
    kept = runner.keep(0, positions)
    restore = _waited(lambda: runner.restore(1, kept), stage.device)
    return PrefillPoint(
        positions=positions,
        at_once=1,
        prefill=prefill,
        restore=restore,
        form=form,
        captures=captures_of(runner),
    )


def _together(stage: Stage, form: str, positions: int, many: int) -> PrefillPoint:
    runner = FORMS[form](stage, Plan(many, positions))
    stretches = [Prefill(n, 0, some_prompt(stage.shape, positions, n)) for n in range(many)]
    prefill = _waited(lambda: runner.prefill(stretches), stage.device)
    return PrefillPoint(
        positions=positions,
        at_once=many,
        prefill=prefill,
        restore=None,
        form=form,
        captures=captures_of(runner),
    )


def _waited(call: Callable[[], None], device: torch.device) -> Spread:
    """Time from the call until the device has done it: what somebody who waits would see."""
    took = []
    for _ in range(_TIMES + 1):
        synchronise(device)
        began = time.perf_counter()
        call()
        synchronise(device)
        took.append(1000 * (time.perf_counter() - began))
    return spread(took[1:])
