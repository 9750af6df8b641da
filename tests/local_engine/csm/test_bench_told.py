"""What a run comes to: targets met and missed, the plot, and memory that does not grow."""

import xml.etree.ElementTree as ET
from dataclasses import replace

import msgspec
import pytest
import torch
from test_bench import CPU, SMALLEST

from local_engine.bench import measure
from local_engine.benching.hour import measure_hour
from local_engine.benching.plot import draw, first_audio, frame_times
from local_engine.benching.record import (
    SCHEMA,
    Baseline,
    Hour,
    Level,
    Machine,
    ModelFigures,
    Result,
    ServerFigures,
    Spread,
    StepPoint,
)
from local_engine.benching.stage import staged
from local_engine.benching.targets import held_against
from local_engine.benching.times import Budget
from local_engine.csm.loading.random import random_checkpoint
from local_engine.csm.loading.tiny import CONFIG


def flat(ms: float) -> Spread:
    return Spread(samples=9, mean=ms, p50=ms, p95=ms, p99=ms)


def point(form: str, batch: int, context: int, ms: float, floor: float | None = 5.0) -> StepPoint:
    speed = batch * 80 / ms
    return StepPoint(form, batch, context, 30, flat(ms), floor, speed, ms / 80, [], 0)


def level(clients: int, first: float, under_runs: int = 0) -> Level:
    return Level(clients, 2 * clients, 0, flat(first), flat(9), under_runs, 1.0, 100.0, 90.0)


FOUND = Result(
    schema=SCHEMA,
    began="2026-11-23T00:00:00+00:00",
    seconds=1,
    budget_seconds=540,
    arguments=[],
    machine=Machine("a processor", 16, 1, {"name": "NVIDIA <H100> & co"}, {"torch": "2"}, "abc"),
    model=ModelFigures("real", "random weights", "cuda", "bfloat16", "own", 1, 1, 1.0, 1),
    steps=[
        point("graphs", 1, 1000, 6.4),
        point("eager", 1, 1000, 40.0),
        point("graphs", 1, 200, 6.0),
        point("graphs", 8, 1000, 99.0),
        point("graphs", 16, 1000, 7.0),
        point("graphs", 512, 1000, 24.0, floor=12.0),
        point("eager", 512, 1000, 60.0, floor=12.0),
    ],
    prefill=[],
    parity=None,
    baseline=[
        Baseline("generate", 1, 200, flat(400), 0.2),
        Baseline("generate", 128, 200, flat(500), 20.5),
        Baseline("generate, static cache, compiled", 32, 200, flat(100), 25.6),
    ],
    server=ServerFigures(
        61.0, 120, [level(64, 55.0), level(512, 210.0, under_runs=1)], flat(30), 256
    ),
    hour=None,
    targets=[],
    dropped=[],
    finished=True,
)


def verdicts(result: Result) -> dict[str, tuple[float | None, str]]:
    return {one.what: (one.found, one.verdict) for one in held_against(result)}


def test_each_target_is_held_against_the_figure_that_it_is_about() -> None:
    assert verdicts(FOUND) == {
        "one stream: RTF at its longest context": (0.08, "met"),
        "512 streams: under-runs and failed clips": (1.0, "missed"),
        "first audio at 64 streams: p95, ms": (55.0, "met"),
        "first audio at 512 streams: p95, ms": (210.0, "missed"),
        "from batch 16 up: step to its floor, at worst": (2.0, "met"),
        "audio per second to transformers' batched generate": (
            pytest.approx(512 * 80 / 24 / 25.6),
            "met",
        ),
        "cancel at 256 streams: p95, ms": (30.0, "met"),
        "start to ready, s": (61.0, "missed"),
    }


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    bare = msgspec.structs.replace(FOUND, steps=[], baseline=[], server=None)
    assert set(verdicts(bare).values()) == {(None, "not measured")}


def test_a_refused_clip_is_as_bad_as_a_broken_one_and_fewer_streams_do_not_count() -> None:
    assert FOUND.server is not None
    refused = msgspec.structs.replace(level(512, 100.0), failed=3)
    server = msgspec.structs.replace(FOUND.server, levels=[refused], cancel_streams=64)
    told = verdicts(msgspec.structs.replace(FOUND, server=server))
    assert told["512 streams: under-runs and failed clips"] == (3.0, "missed")
    assert told["cancel at 256 streams: p95, ms"] == (None, "not measured")


@pytest.mark.parametrize("other", [{"device": "cpu"}, {"name": "tiny-random"}])
def test_of_another_shape_or_device_nothing_is_claimed(other: dict[str, str]) -> None:
    assert FOUND.model is not None
    model = msgspec.structs.replace(FOUND.model, **other)
    told = verdicts(msgspec.structs.replace(FOUND, model=model))
    assert set(told.values()) == {(None, "not measured")}


# The plot.


def test_the_plot_has_every_point_and_the_floor() -> None:
    lines = {one.name: list(one.points) for one in frame_times(FOUND)}
    assert lines["graphs, context 1000"] == [(1, 6.4), (8, 99.0), (16, 7.0), (512, 24.0)]
    assert lines["floor, context 1000"] == [(1, 5.0), (8, 5.0), (16, 5.0), (512, 12.0)]
    assert [one.name for one in first_audio(FOUND)] == ["p50", "p95", "p99"]


def test_the_plot_is_an_image_that_says_where_it_was_taken() -> None:
    told = draw(FOUND)
    root = ET.fromstring(told)  # noqa: S314 - our own
    assert root.tag.endswith("svg")
    words = "".join(root.itertext())
    assert "NVIDIA <H100> & co" in words
    assert "random weights" in words
    lines = [one for one in root.iter() if one.tag.endswith("polyline")]
    assert len(lines) == len(frame_times(FOUND)) + len(first_audio(FOUND))
    for one in root.iter():
        for name in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy"):
            assert 0 <= float((one.get(name) or "0").removesuffix("%")) <= 1200


def test_a_plot_of_a_cpu_names_no_gpu_and_an_empty_one_says_so() -> None:
    assert FOUND.model is not None
    model = msgspec.structs.replace(FOUND.model, device="cpu")
    told = draw(msgspec.structs.replace(FOUND, model=model, steps=[], server=None))
    assert "H100" not in told
    assert told.count("not measured") == 2


# Sections, and memory.


def test_what_there_is_is_told_after_each_section() -> None:
    told: list[Result] = []
    run = replace(SMALLEST, batches=(1,), hour_frames=20)
    last = measure(run, [], Budget(60), told.append)
    assert last is told[-1]
    assert [one.finished for one in told] == [False] * 4 + [True]
    assert [bool(one.model) for one in told] == [True] * 5
    assert [bool(one.steps) for one in told] == [False] + [True] * 4
    assert [bool(one.hour) for one in told] == [False] * 2 + [True] * 3
    assert [bool(one.prefill) for one in told] == [False] * 3 + [True] * 2


def test_fp8_is_measured_where_it_is_asked_for() -> None:
    run = replace(SMALLEST, batches=(2,), depth_weights="fp8", kv="fp8")
    found = measure(run, [], Budget(60), lambda _: None)
    assert found.model is not None
    assert found.model.dtype == "float32, depth weights in fp8, KV in fp8"
    assert [one.batch for one in found.steps] == [2]
    assert found.dropped == []


def test_a_run_of_many_clips_takes_no_more_memory_than_a_run_of_few() -> None:
    stage = staged(random_checkpoint(CONFIG, CPU, torch.float32, 1), torch.float32, CPU, "own")
    run = replace(SMALLEST, batches=(8,), hour_frames=4000)
    found = measure_hour(stage, run, Budget(90), 1.0)
    assert found is not None
    assert found.frames >= 4000
    assert found.clips > 60
    assert len(found.process_bytes) == 10
    assert found.device_bytes == []
    assert found.growth < 8 * 2**20


def test_an_hour_without_time_ends_by_itself_and_says_so() -> None:
    stage = staged(random_checkpoint(CONFIG, CPU, torch.float32, 1), torch.float32, CPU, "own")
    budget = Budget(2)
    found = measure_hour(stage, replace(SMALLEST, hour_frames=10**9), budget, 1.0)
    assert found is not None
    assert 0 < found.frames < 10**9
    assert f"after {found.frames} of them" in budget.dropped[0].why


def test_growth_is_told_from_the_second_reading_on() -> None:
    hour = Hour("graphs", 4, 100, 9, 1.0, [10, 50, 50, 60], [7, 7, 7, 9])
    assert hour.growth == 12
