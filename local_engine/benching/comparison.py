"""What transformers does beside the engine, asked of a process that is ended when time is over."""

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.json import Decoder, encode
from msgspec.structs import replace

from local_engine.benching.record import Baseline, Parity, Run, StepPoint
from local_engine.benching.times import Budget
from local_engine.benching.words import Begun, Failed, Told

_ALL = "transformers beside it"
_LEAST_SECONDS = 3.0
"""transformers alone takes so long to import."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Whether the codes are equal, and how fast transformers makes them."""

    parity: Parity | None = None
    baseline: tuple[Baseline, ...] = ()


def compare(run: Run, budget: Budget, share: float, steps: Sequence[StepPoint]) -> Comparison:
    """Run transformers, and hold the engine's steps against it."""
    told = _ask(run, budget, share)
    if run.device != "cuda":
        why = "transformers compiles by itself on CUDA only"
        budget.drop("generate, static cache, compiled", why)
    return Comparison(
        parity=next((one for one in told if isinstance(one, Parity)), None),
        baseline=tuple(_held(one, steps) for one in told if isinstance(one, Baseline)),
    )


def _held(baseline: Baseline, steps: Sequence[StepPoint]) -> Baseline:
    """Compare with the best that the engine does with as many rows at that context."""
    place = (baseline.batch, baseline.positions)
    ours = [
        point.audio_seconds_per_second for point in steps if (point.batch, point.context) == place
    ]
    if not ours:
        return baseline
    ratio = max(ours) / baseline.audio_seconds_per_second
    return replace(baseline, ratio=ratio)


def _ask(run: Run, budget: Budget, share: float) -> list[Told]:
    left = budget.until(share)
    if importlib.util.find_spec("transformers") is None:
        budget.drop(_ALL, "transformers is not installed")
        return []
    if left < _LEAST_SECONDS:
        budget.drop(_ALL, f"{max(left, 0):.1f} s are left for it")
        return []
    told, complaint = _listen(run, left)
    _note(told, complaint, budget)
    return told


def _listen(run: Run, seconds: float) -> tuple[list[Told], str]:
    """Give all that the process told, and the last line of what it complained of."""
    program = (sys.executable, "-m", "local_engine.benching.beside", encode(run).decode())
    try:
        done = subprocess.run(  # noqa: S603  # our own program, our own words
            program, capture_output=True, timeout=seconds, check=False
        )
        heard, complaint = done.stdout, done.stderr if done.returncode else b""
    except subprocess.TimeoutExpired as late:
        heard, complaint = late.stdout or b"", b"cut off: the time is over"
    lines = [line for line in heard.splitlines(keepends=True) if line.endswith(b"\n")]
    decoder = Decoder(Told)
    words = complaint.decode(errors="replace").strip().splitlines()
    return [decoder.decode(line) for line in lines], words[-1] if words else ""


def _note(told: Sequence[Told], complaint: str, budget: Budget) -> None:
    """Say what failed; what had begun when the process ended is what was cut off."""
    for one in told:
        if isinstance(one, Failed):
            budget.drop(one.what, one.why)
    if complaint:
        last = told[-1] if told else None
        budget.drop(last.what if isinstance(last, Begun) else _ALL, complaint)
