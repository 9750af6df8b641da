"""The command line of the benchmark, and what it means on this device."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from local_engine.benching.record import Run
from local_engine.csm.kernels import has_triton

REAL, TINY = "real", "tiny-random"

_DESCRIPTION = """Measure the CSM engine on this machine, with random weights.

Nothing is downloaded. The stop frame never comes from random weights: every clip has the frames
that were asked for. What the time does not allow is left out, and said."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A run, and where its JSON and its plot go."""

    run: Run
    json: Path | None
    plot: Path | None


def read_options(arguments: Sequence[str]) -> Asked:
    """Read the command line; what is not said depends on whether there is a CUDA device."""
    given = _parser().parse_args(arguments)
    device: str = given.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    fast = device == "cuda"
    clients: tuple[int, ...] = given.clients or ((1, 8, 64, 256, 512) if fast else (1, 4))
    run = Run(
        model=given.model or (REAL if fast else TINY),
        device=device,
        dtype=("bfloat16" if fast else "float32") if given.dtype == "auto" else given.dtype,
        codec=given.codec,
        batches=given.batches or ((1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if fast else (1, 4, 8)),
        contexts=given.contexts or ((1000, 200, 2000) if fast else (64, 200)),
        frames=given.frames or (30 if fast else 12),
        threads=given.threads,
        seconds=given.seconds or (540.0 if fast else 18.0),
        baseline=given.baseline,
        clients=clients if (fast if given.server is None else given.server) else (),
        load_seconds=given.load_seconds,
        kernels=given.kernels or ("triton" if fast and has_triton() else "torch"),
        depth_weights=given.depth_weights,
        kv=given.kv,
        hour_frames=(45_000 if fast else 600) if given.hour_frames is None else given.hour_frames,
    )
    beside = given.json.with_suffix(".svg") if given.json else None
    return Asked(run, given.json, given.plot or beside)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_engine.bench",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", choices=(TINY, REAL), help="by default real on CUDA only")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--batches", type=_numbers, metavar="1,8,64", help="rows of a step")
    parser.add_argument("--contexts", type=_numbers, metavar="200,1000", help="positions before it")
    parser.add_argument("--frames", type=_positive, help="steps of each point")
    parser.add_argument("--codec", choices=("own", "moshi"), default="own")
    parser.add_argument("--kernels", choices=("torch", "triton"), help="by default triton on CUDA")
    parser.add_argument("--depth-weights", choices=("auto", "fp8"), default="auto")
    parser.add_argument("--kv", choices=("auto", "fp8"), default="auto")
    parser.add_argument("--threads", type=_positive, default=1, help="of torch on a CPU")
    parser.add_argument("--seconds", type=float, help="for all of it (540 on CUDA, 18 on a CPU)")
    parser.add_argument(
        "--server",
        action=argparse.BooleanOptionalAction,
        help="measure the HTTP server, too (by default on CUDA)",
    )
    parser.add_argument("--clients", type=_numbers, metavar="1,8,64", help="of the server")
    parser.add_argument("--load-seconds", type=float, default=0, help="of each number of clients")
    parser.add_argument(
        "--no-baseline", action="store_false", dest="baseline", help="without transformers"
    )
    parser.add_argument(
        "--hour-frames", type=int, metavar="N", help="frames while memory is watched (45000; 600)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there")
    parser.add_argument(
        "--plot", type=Path, metavar="FILE", help="an SVG of it; by default beside the JSON"
    )
    return parser


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("it must be 1 or more")
    return number
