"""The benchmark: its arithmetic, its clocks and its clients, and the command as it is run."""

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import torch
from rich.console import Console
from transformers import CsmConfig

from local_engine.bench import shares
from local_engine.benching.arithmetic import (
    PEAKS,
    backbone_work,
    codec_kv_bytes,
    codec_work,
    depth_work,
    floor_ms,
    kv_bytes,
    parameters,
    peak_of,
    prefill_work,
    stack_parameters,
)
from local_engine.benching.options import read_options
from local_engine.benching.record import SCHEMA, Result, Run, Spread
from local_engine.benching.stage import (
    captured_runner,
    captures_of,
    eager_runner,
    fill,
    some_prompt,
    staged,
)
from local_engine.benching.steps import measure_steps
from local_engine.benching.tell import tell
from local_engine.benching.times import Budget, percentile, spread, timed
from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.random import REAL_CONFIG, random_checkpoint
from local_engine.csm.loading.tiny import CONFIG
from local_engine.csm.plan import Plan
from local_engine.csm.running import OutOfMemory

REAL = read_shape(REAL_CONFIG)
CPU = torch.device("cpu")
BFLOAT16 = 2
SMALLEST = Run(
    model="tiny-random",
    device="cpu",
    dtype="float32",
    codec="own",
    batches=(1, 2),
    contexts=(16,),
    frames=3,
    threads=1,
    seconds=60,
    baseline=False,
    clients=(),
    load_seconds=0,
)


# What it costs by arithmetic; literals are those of section 5 of the engine's reference.


def test_the_real_shape_is_that_of_transformers_config_but_for_its_frequencies() -> None:
    found = read_shape(CsmConfig().to_dict())
    assert found.codec == REAL.codec
    assert replace(found.backbone, rope=REAL.backbone.rope) == REAL.backbone
    assert replace(found.depth, rope=REAL.depth.rope) == REAL.depth
    assert replace(found, backbone=REAL.backbone, depth=REAL.depth) == REAL


def test_parameters_and_bytes_are_those_of_the_real_model() -> None:
    assert parameters(REAL) == pytest.approx(1.553e9, rel=1e-3)
    assert stack_parameters(REAL.backbone) == pytest.approx(973.1e6, rel=1e-4)
    assert stack_parameters(REAL.depth) == pytest.approx(111.1e6, rel=1e-3)
    assert kv_bytes(REAL.backbone, BFLOAT16) == 32_768
    assert codec_kv_bytes(REAL.codec, 4) == pytest.approx(8.2e6, rel=5e-3)
    assert codec_kv_bytes(REAL.codec, 2) == pytest.approx(4.1e6, rel=5e-3)


def test_a_frame_costs_what_the_reference_says() -> None:
    bare, deep = (backbone_work(REAL, BFLOAT16, 1, context) for context in (0, 1000))
    assert bare.flop == pytest.approx(1.95e9, rel=3e-3)
    assert bare.bytes == pytest.approx(1.95e9, rel=3e-3)
    assert deep.flop - bare.flop == pytest.approx(0.13e9, rel=0.01)
    assert deep.bytes - bare.bytes == pytest.approx(32.8e6, rel=1e-3)
    depth = depth_work(REAL, BFLOAT16, 1)
    assert depth.flop == pytest.approx(7.38e9, rel=2e-3)
    assert depth.bytes == pytest.approx(7.15e9, rel=2e-3)
    assert codec_work(REAL.codec, 4, 1).flop == pytest.approx(0.44e9, rel=5e-3)
    assert prefill_work(REAL, BFLOAT16, 1000).flop == pytest.approx(1.95e12 + 66e9, rel=3e-3)


def test_fp8_spares_half_of_the_depth_decoders_layers_and_of_keys_and_values() -> None:
    depth = depth_work(REAL, BFLOAT16, 1, fp8=True)
    assert depth.bytes == pytest.approx(7.15e9 - 31 * 111.1e6, rel=4e-3)
    narrow = replace(REAL, fp8_kv=True)
    bare, deep = (backbone_work(narrow, BFLOAT16, 1, context).bytes for context in (0, 1000))
    assert deep - bare == 17_408_000


@pytest.mark.parametrize(
    ("batch", "backbone", "depth"),
    [
        (1, 0.66, 2.39),
        (16, 0.83, 2.40),
        (64, 1.35, 2.43),
        (128, 2.05, 2.48),
        (256, 3.45, 2.57),
        (512, 6.24, 4.78),
        (1024, 11.8, 9.56),
    ],
)
def test_the_floor_of_an_h100_is_that_of_the_table(
    batch: int, backbone: float, depth: float
) -> None:
    peak = peak_of("NVIDIA H100 80GB HBM3")
    assert peak == PEAKS["H100"]
    assert peak is not None
    assert floor_ms(backbone_work(REAL, BFLOAT16, batch, 1000), peak) == pytest.approx(
        backbone, abs=0.01, rel=4e-3
    )
    assert floor_ms(depth_work(REAL, BFLOAT16, batch), peak) == pytest.approx(
        depth, abs=0.01, rel=4e-3
    )


def test_of_other_devices_no_peak_is_claimed() -> None:
    assert peak_of("NVIDIA GeForce RTX 4090") is None


# Weights that nobody trained.


def test_a_tensor_is_drawn_alike_in_any_order_and_differs_by_name_and_seed() -> None:
    first, again, other = (
        random_checkpoint(CONFIG, "cpu", torch.bfloat16, seed).entries for seed in (1, 1, 2)
    )
    gate, up = (f"backbone_model.layers.0.mlp.{name}_proj.weight" for name in ("gate", "up"))
    drawn = {name: first[name].read() for name in (gate, up)}
    assert torch.equal(drawn[gate], first[gate].read())
    assert all(torch.equal(drawn[name], again[name].read()) for name in (up, gate))
    assert not torch.equal(drawn[gate], drawn[up])
    assert not torch.equal(drawn[gate], other[gate].read())


def test_the_language_model_is_drawn_in_its_type_and_the_codec_in_float32() -> None:
    checkpoint = random_checkpoint(CONFIG, "cpu", torch.bfloat16, 1)
    weights = staged(checkpoint, torch.bfloat16, CPU, "own").network.weights
    assert weights.heads.dtype == weights.backbone.norm.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in weights.codec.values()} == {torch.float32}
    assert not weights.first_head[-3:].any()
    assert not weights.heads[..., -3:].any()
    assert weights.first_head[:-3].any(1).all()


def test_slots_are_filled_as_if_each_prompt_had_been_computed() -> None:
    checkpoint = random_checkpoint(CONFIG, "cpu", torch.float32, 1)
    stage = staged(checkpoint, torch.float32, CPU, "own")
    runner = eager_runner(stage, Plan(3, 40))
    fill(runner, some_prompt(stage.shape, 20))
    runner.launch([0, 1, 2])
    made = runner.collect()
    assert made.codes.shape == (3, stage.shape.codebooks)
    assert len({tuple(codes) for codes in made.codes.tolist()}) == 3


# Clocks.


def test_a_percentile_is_a_value_that_was_there() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.5) == percentile([7.0], 0.99) == 7


def test_times_are_milliseconds() -> None:
    found = timed(lambda: time.sleep(0.002), 3, CPU, warm=0)
    assert found.samples == 3
    assert 2 <= found.p50 <= found.p99 < 1000


def test_a_point_that_would_take_too_long_is_dropped_and_named() -> None:
    now = 0.0

    def take(seconds: float) -> float:
        nonlocal now
        now += seconds
        return seconds

    budget = Budget(20, clock=lambda: now)
    points = [(f"point {n}", lambda n=n: take(4.0 * n)) for n in (1, 2, 3)]
    assert list(budget.each(points, 1.0)) == [4, 8]
    assert [one.what for one in budget.dropped] == ["point 3"]
    assert "8.0 s are left" in budget.dropped[0].why
    assert budget.attempt("a share that is over", 0.5, lambda: take(1)) is None


def test_what_does_not_end_is_cut_off() -> None:
    def forever() -> None:
        while True:
            time.sleep(0.01)

    budget = Budget(0.1)
    assert budget.attempt("the endless", 1.0, forever) is None
    assert "cut off" in budget.dropped[0].why


def test_what_does_not_fit_is_dropped_and_the_next_is_tried() -> None:
    def full() -> int:
        raise OutOfMemory("full")

    budget = Budget(60)
    assert list(budget.each([("large", full), ("small", lambda: 1)], 1.0)) == [1]
    assert [one.what for one in budget.dropped] == ["large"]
    assert "memory" in budget.dropped[0].why


def test_what_fails_is_told_and_the_next_is_tried() -> None:
    def fail() -> int:
        raise RuntimeError("operation not permitted when stream is capturing\nand much more")

    budget = Budget(60)
    assert list(budget.each([("capture", fail), ("next", lambda: 1)], 1.0)) == [1]
    (dropped,) = budget.dropped
    assert dropped.why == "RuntimeError: operation not permitted when stream is capturing"


def test_a_context_beyond_the_model_is_dropped() -> None:
    checkpoint = random_checkpoint(CONFIG, "cpu", torch.float32, 1)
    stage, budget = staged(checkpoint, torch.float32, CPU, "own"), Budget(60)
    run = replace(SMALLEST, contexts=(4000,))
    assert measure_steps(stage, run, budget, 1.0) == []
    assert [one.what for one in budget.dropped] == ["steps at 4000 positions"]


def test_every_part_leaves_time_for_the_next() -> None:
    for words in (["--server"], [], ["--no-baseline"]):
        found = shares(read_options(["--device", "cpu", *words]).run)
        first, last = (found.load, found.steps, found.hour), (found.server, found.comparison)
        every = (*first, found.prefill, *last)
        assert every[0] > 0
        assert list(every) == sorted(every)


# The command.


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Result]:
    path = tmp_path_factory.mktemp("bench") / "result.json"
    words = ["--device", "cpu", "--seconds", "90", "--frames", "3"]
    words += ["--batches", "1,2", "--contexts", "16", "--hour-frames", "40", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "local_engine.bench", *words, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    assert path.with_suffix(".svg").read_text("utf-8").startswith("<svg")
    return done.stdout, read(path)


def read(path: Path) -> Result:
    return msgspec.json.decode(path.read_bytes(), type=Result)


def times(result: Result) -> Iterator[Spread]:
    for point in result.steps:
        yield point.step
        yield from (part.ms for part in point.parts)
    for prompt in result.prefill:
        yield prompt.prefill
    yield from (one.ms for one in result.baseline)


def test_the_command_measures_all_that_was_asked_for(run: tuple[str, Result]) -> None:
    _, result = run
    assert (result.schema, result.budget_seconds) == (SCHEMA, 90)
    assert 0 < result.seconds < 90
    assert [(point.form, point.batch, point.context) for point in result.steps] == [
        ("eager", 1, 16),
        ("eager", 2, 16),
    ]
    for point in result.steps:
        parts = ["backbone", "depth", "codec", "sampler"]
        assert [part.part for part in point.parts] == parts
        assert point.floor_ms is None
        assert point.step.samples == 3
        assert point.audio_seconds_per_second == pytest.approx(80 * point.batch / point.step.mean)
        assert point.real_time_factor > 0
        assert point.memory_bytes > 0
        for part in point.parts:
            assert part.teraflop_per_second > 0
            assert part.gigabytes_per_second == pytest.approx(part.gigabytes / part.ms.mean * 1000)
            assert part.floor_ms is None
    assert [(one.positions, one.at_once) for one in result.prefill] == [(16, 1), (16, 8)]
    assert result.prefill[0].restore is not None
    assert all(0 < one.p50 <= one.p95 <= one.p99 for one in times(result))


def test_what_captures_cost_is_recorded_and_told(run: tuple[str, Result]) -> None:
    told, result = run
    assert all(point.captures is None for point in (*result.steps, *result.prefill))
    assert "CUDA graphs" not in told
    checkpoint = random_checkpoint(CONFIG, "cpu", torch.float32, 1)
    stage = staged(checkpoint, torch.float32, CPU, "own")
    runner = captured_runner(stage, Plan(3, 40))
    fill(runner, some_prompt(stage.shape, 20))
    runner.launch([0, 1, 2])
    captures = captures_of(runner)
    assert captures is not None
    assert {kind: cost.graphs for kind, cost in captures.items()} == {
        "prompts": 2,
        "steps": 1,
        "codec": 1,
    }
    point = msgspec.structs.replace(result.steps[0], captures=captures)
    page = io.StringIO()
    tell(msgspec.structs.replace(result, steps=[point]), Console(file=page, width=120))
    (line,) = (line for line in page.getvalue().splitlines() if "prompts │" in line)
    assert "steps, batch 1 at 16" in line
    assert "2" in line


def test_it_tells_where_it_ran_and_that_weights_are_random(run: tuple[str, Result]) -> None:
    told, result = run
    assert result.model is not None
    assert result.machine.packages["torch"] == torch.__version__
    assert result.machine.cores > 0
    assert "random" in result.model.weights
    assert "random weights" in told
    assert result.model.draw_seconds > 0


def test_greedy_codes_equal_those_of_transformers(run: tuple[str, Result]) -> None:
    told, result = run
    assert result.parity is not None
    assert (result.parity.equal, result.parity.first_difference) == (True, None)
    assert "transformers: equal" in told


def test_transformers_is_measured_beside_it(run: tuple[str, Result]) -> None:
    _, result = run
    (baseline,) = result.baseline
    assert (baseline.form, baseline.batch, baseline.positions) == ("generate", 1, 16)
    assert baseline.ms.samples == 3
    ours = result.steps[0].audio_seconds_per_second
    assert baseline.ratio == pytest.approx(ours / baseline.audio_seconds_per_second)


def test_what_it_did_not_measure_is_said(run: tuple[str, Result]) -> None:
    told, result = run
    assert [one.what for one in result.dropped] == ["generate, static cache, compiled"]
    assert "CUDA only" in told


def test_spreads_sum_up_times() -> None:
    found = spread([3.0, 1.0, 2.0])
    assert (found.samples, found.mean, found.p50, found.p99) == (3, 2, 2, 3)
