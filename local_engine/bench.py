"""The command `python -m local_engine.bench`: the CSM engine measured on this machine."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import msgspec
import torch
from msgspec.structs import replace
from rich.console import Console

from local_engine.benching.arithmetic import parameters
from local_engine.benching.comparison import compare
from local_engine.benching.hour import measure_hour
from local_engine.benching.machine import forget_memory, look, memory_bytes
from local_engine.benching.options import Asked, read_options
from local_engine.benching.plot import draw
from local_engine.benching.prefill import measure_prefill
from local_engine.benching.record import SCHEMA, ModelFigures, Result, Run
from local_engine.benching.serving.server import measure_server
from local_engine.benching.stage import SEED, Stage, new_stage
from local_engine.benching.steps import measure_steps
from local_engine.benching.targets import held_against
from local_engine.benching.tell import tell
from local_engine.benching.times import Budget, synchronise
from local_engine.csm.model.exact import exact_float32

_WIDTH = 110
"""Of what is printed into a file."""

Keep = Callable[[Result], None]
"""Told what there is after each section, so that a run that is cut off leaves its figures."""


@dataclass(frozen=True, slots=True)
class Shares:
    """By when each part must be done, of the whole time; what is quick leaves more to the next."""

    load: float
    steps: float
    hour: float
    prefill: float
    server: float
    comparison: float = 1.0


def shares(run: Run) -> Shares:
    """Leave time for what comes after the steps, where it was asked for."""
    if run.clients:
        return Shares(0.25, 0.42, 0.48, 0.52, 0.8)
    if run.baseline:
        return Shares(0.4, 0.58, 0.65, 0.72, 0.72)
    return Shares(0.5, 0.85, 0.93, 1.0, 1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print; what files are named are written after each section."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    asked = read_options(words)
    result = measure(
        asked.run, words, Budget(asked.run.seconds), lambda found: _write(found, asked)
    )
    tell(result, Console(width=None if sys.stdout.isatty() else _WIDTH))


def _write(result: Result, asked: Asked) -> None:
    if asked.json is not None:
        written = msgspec.json.format(msgspec.json.encode(result), indent=2)
        asked.json.write_bytes(written + b"\n")
    if asked.plot is not None:
        asked.plot.write_text(draw(result), "utf-8")


def measure(run: Run, arguments: list[str], budget: Budget, keep: Keep) -> Result:
    """Run everything that was asked for, what matters most first, as far as the time goes."""
    torch.set_num_threads(run.threads)
    exact_float32()
    until, note = shares(run), _noting(budget, keep)
    result = _engine(run, budget, until, note, _nothing(arguments, budget))
    if run.clients:
        result = note(replace(result, server=measure_server(run, budget, until.server)))
    if run.baseline:
        beside = compare(run, budget, until.comparison, result.steps)
        result = replace(result, parity=beside.parity, baseline=list(beside.baseline))
    return note(replace(result, finished=True))


def _noting(budget: Budget, keep: Keep) -> Callable[[Result], Result]:
    def note(result: Result) -> Result:
        found = replace(
            result,
            seconds=budget.spent,
            targets=held_against(result),
            dropped=list(budget.dropped),
        )
        keep(found)
        return found

    return note


def _nothing(arguments: list[str], budget: Budget) -> Result:
    return Result(
        schema=SCHEMA,
        began=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=0,
        budget_seconds=budget.seconds,
        arguments=arguments,
        machine=look(),
        model=None,
        steps=[],
        prefill=[],
        parity=None,
        baseline=[],
        server=None,
        hour=None,
        targets=[],
        dropped=[],
        finished=False,
    )


def _engine(
    run: Run, budget: Budget, until: Shares, note: Callable[[Result], Result], result: Result
) -> Result:
    """Measure the engine itself; its memory is free again when others are measured."""
    began = perf_counter()
    stage = budget.attempt("the model", until.load, lambda: _loaded(run))
    if stage is None:
        return note(result)
    result = note(replace(result, model=_figures(run, stage, perf_counter() - began)))
    result = note(replace(result, steps=measure_steps(stage, run, budget, until.steps)))
    result = note(replace(result, hour=measure_hour(stage, run, budget, until.hour)))
    result = note(replace(result, prefill=measure_prefill(stage, run, budget, until.prefill)))
    del stage
    forget_memory(torch.device(run.device))
    return result


def _loaded(run: Run) -> Stage:
    stage = new_stage(run)
    synchronise(stage.device)
    return stage


def _figures(run: Run, stage: Stage, seconds: float) -> ModelFigures:
    fp8 = [
        name
        for name, kind in (("depth weights", run.depth_weights), ("KV", run.kv))
        if kind == "fp8"
    ]
    return ModelFigures(
        name=run.model,
        weights=f"random weights (seed {SEED}): it never stops by itself, frame counts are fixed",
        device=run.device,
        dtype=", ".join([run.dtype, *(f"{name} in fp8" for name in fp8)]),
        threads=run.threads,
        codec=run.codec,
        parameters=parameters(stage.shape),
        draw_seconds=seconds,
        memory_bytes=memory_bytes(stage.device),
    )


if __name__ == "__main__":
    main()
