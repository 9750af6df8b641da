"""The command `python -m local_engine.bench`: the CSM engine measured on this machine."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import perf_counter

import msgspec
import torch
from rich.console import Console

from local_engine.benching.arithmetic import parameters
from local_engine.benching.comparison import Comparison, compare
from local_engine.benching.machine import forget_memory, look, memory_bytes
from local_engine.benching.options import read_options
from local_engine.benching.prefill import measure_prefill
from local_engine.benching.record import SCHEMA, Machine, ModelFigures, Result, Run
from local_engine.benching.serving.server import measure_server
from local_engine.benching.stage import SEED, Stage, new_stage
from local_engine.benching.steps import measure_steps
from local_engine.benching.tell import tell
from local_engine.benching.times import Budget, synchronise

_WIDTH = 110
"""Of what is printed into a file."""


@dataclass(frozen=True, slots=True)
class Shares:
    """By when each part must be done, of the whole time; what is quick leaves more to the next."""

    load: float
    steps: float
    prefill: float
    server: float
    comparison: float = 1.0


def shares(run: Run) -> Shares:
    """Leave time for what comes after the steps, where it was asked for."""
    if run.clients:
        return Shares(0.3, 0.45, 0.5, 0.8)
    return Shares(0.4, 0.65, 0.72, 0.72) if run.baseline else Shares(0.5, 0.9, 1.0, 1.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the JSON if a file is named."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    asked = read_options(words)
    result = measure(asked.run, words, Budget(asked.run.seconds))
    tell(result, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if asked.json is not None:
        written = msgspec.json.format(msgspec.json.encode(result), indent=2)
        asked.json.write_bytes(written + b"\n")


def measure(run: Run, arguments: list[str], budget: Budget) -> Result:
    """Run everything that was asked for, as far as the time goes."""
    torch.set_num_threads(run.threads)
    began, machine, until = datetime.now(UTC), look(), shares(run)
    engine = _engine(run, budget, until, machine)
    server = measure_server(run, budget, until.server) if run.clients else None
    beside = Comparison()
    if run.baseline:
        beside = compare(run, budget, until.comparison, engine.steps)
    return msgspec.structs.replace(
        engine,
        began=began.isoformat(timespec="seconds"),
        seconds=budget.spent,
        arguments=arguments,
        parity=beside.parity,
        baseline=list(beside.baseline),
        server=server,
        dropped=budget.dropped,
    )


def _engine(run: Run, budget: Budget, until: Shares, machine: Machine) -> Result:
    """Measure the engine itself; its memory is free again when others are measured."""
    began = perf_counter()
    stage = budget.attempt("the model", until.load, lambda: _loaded(run))
    result = Result(
        schema=SCHEMA,
        began="",
        seconds=0,
        budget_seconds=budget.seconds,
        arguments=[],
        machine=machine,
        model=None,
        steps=[],
        prefill=[],
        parity=None,
        baseline=[],
        server=None,
        dropped=[],
    )
    if stage is None:
        return result
    model = _figures(run, stage, perf_counter() - began)
    measured = msgspec.structs.replace(
        result,
        model=model,
        steps=measure_steps(stage, run, budget, until.steps),
        prefill=measure_prefill(stage, run, budget, until.prefill),
    )
    del stage
    forget_memory(torch.device(run.device))
    return measured


def _loaded(run: Run) -> Stage:
    stage = new_stage(run)
    synchronise(stage.device)
    return stage


def _figures(run: Run, stage: Stage, seconds: float) -> ModelFigures:
    return ModelFigures(
        name=run.model,
        weights=f"random weights (seed {SEED}): it never stops by itself, frame counts are fixed",
        device=run.device,
        dtype=run.dtype,
        threads=run.threads,
        codec=run.codec,
        parameters=parameters(stage.shape),
        draw_seconds=seconds,
        memory_bytes=memory_bytes(stage.device),
    )


if __name__ == "__main__":
    main()
