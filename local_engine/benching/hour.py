"""An hour's worth of frames as fast as they are made, while memory is watched."""

from dataclasses import dataclass, field
from time import perf_counter

from local_engine.benching.machine import forget_memory, held_bytes
from local_engine.benching.record import Hour, Run
from local_engine.benching.stage import FORMS, Stage, forms_on, some_prompt
from local_engine.benching.times import Budget
from local_engine.csm.plan import Plan
from local_engine.csm.running import Prefill, Runner, Sampling, Snapshot

_MOST_ROWS = 64
_LONGEST = 256
_LENGTHS = (16, 48, 23, 80, 31)
_FRAMES = (25, 60, 41, 12, 90)
"""Of clips, one after the other: whoever comes finds others at other places."""
_GOES_ON = 8
"""Positions behind what is kept."""
_READINGS = 10
_END = 0.95
"""Of the time that is left: then it ends by itself with the frames it has."""


def measure_hour(stage: Stage, run: Run, budget: Budget, share: float) -> Hour | None:
    """Let clips come and go, and read memory ten times."""
    if not run.hour_frames:
        return None
    what = f"memory over {run.hour_frames} frames"
    found = budget.attempt(
        what, share, lambda: _hour(stage, run, perf_counter() + _END * budget.until(share))
    )
    if found is not None and found.frames < run.hour_frames:
        budget.drop(what, f"the time was over after {found.frames} of them")
    return found


def _hour(stage: Stage, run: Run, until: float) -> Hour:
    forget_memory(stage.device)
    rows, form = min(_MOST_ROWS, max(run.batches)), forms_on(stage.device)[0]
    runner = FORMS[form](stage, Plan(rows, min(_LONGEST, stage.shape.longest)))
    turns, held = _Turns(runner, stage), []
    began = perf_counter()
    for reading in range(1, _READINGS + 1):
        while turns.frames < run.hour_frames * reading / _READINGS and perf_counter() < until:
            turns.step()
        held.append(held_bytes(stage.device))
    return Hour(
        form=form,
        rows=rows,
        frames=turns.frames,
        clips=turns.clips,
        seconds=perf_counter() - began,
        process_bytes=[process for process, _ in held],
        device_bytes=[device for _, device in held] if stage.device.type == "cuda" else [],
    )


@dataclass(slots=True)
class _Turns:
    """Who speaks, and how much is left of it; a clip that is over makes way for the next."""

    runner: Runner
    stage: Stage
    left: dict[int, int] = field(default_factory=dict)
    kept: Snapshot | None = None
    clips: int = 0
    frames: int = 0

    def step(self) -> None:
        """Let who is not there come, and make a frame of everybody."""
        for slot in range(self.runner.slots):
            if not self.left.get(slot):
                self._begin(slot)
        self.runner.launch(range(self.runner.slots))
        self.runner.collect()
        self.frames += self.runner.slots
        self.left = {slot: left - 1 for slot, left in self.left.items()}

    def _begin(self, slot: int) -> None:
        """Compute a prompt; every third clip goes on from what is kept of another."""
        number, self.clips = self.clips, self.clips + 1
        prompt = some_prompt(self.stage.shape, _LENGTHS[number % len(_LENGTHS)], seed=number)
        start, turn = 0, number % 3
        if turn == 0 and self.kept is not None:
            self.runner.restore(slot, self.kept)
            start = self.kept.positions
            prompt = some_prompt(self.stage.shape, start + _GOES_ON, seed=number)
        self.runner.prefill([Prefill(slot, start, prompt[start:])])
        if turn == 1:
            self.kept = self.runner.keep(slot, len(prompt) - 1)
        self.runner.begin(slot, Sampling(seed=number))
        self.left[slot] = _FRAMES[number % len(_FRAMES)]
