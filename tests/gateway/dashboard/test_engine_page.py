"""Engine: what engines say of themselves, as figures; and what is told where there is none."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path

import httpx
import pytest

from gateway.dashboard.engines import Quantiles, Sample, engine_state, quantiles
from local_engine.csm.messages import Gauges, Report
from local_engine.csm.server.metrics import Metrics, ModelMetrics
from providers import EngineHealth
from tests.conftest import NewDatabase
from tests.doubles.books import Key
from tests.doubles.running import Running, free_port, running
from tests.doubles.visiting import Visit, visiting, words_of

MODEL = "sesame/csm-1b"
READY = {
    "status": "ready",
    "models": [
        {"model": MODEL, "status": "ready", "pid": 7, "stage": None, "done": 0, "total": 0}
        | {"device": "cuda:0", "slots": 8, "waiting_limit": 64}
    ],
}
LOADING = {
    "status": "loading",
    "models": [{"model": MODEL, "status": "loading", "stage": "weights", "done": 3, "total": 4}],
}


class Figures:
    """A CSM engine's own metrics, which tests move by hand."""

    def __init__(self) -> None:
        self._all = Metrics()
        self.model = ModelMetrics(self._all, MODEL)
        self.model.started()

    def step(self, frames: int, seconds: float = 0.02, **gauges: int) -> None:
        told = dict.fromkeys(Gauges.__struct_fields__, 0) | {"slots": 8, "frames": frames} | gauges
        self.model.reported(Report(Gauges(**told), step_seconds=seconds))

    def health(self, ready: object = READY) -> EngineHealth:
        return EngineHealth(200, json.dumps(ready).encode(), self._all.text())


@contextmanager
def serving(figures: Figures) -> Iterator[str]:
    """An engine at an address of its own."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            health = figures.health()
            body = health.metrics if self.path == "/metrics" else health.ready
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def figures() -> Figures:
    return Figures()


@pytest.fixture(scope="module")
def looked_at(
    figures: Figures, new_database: NewDatabase, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A gateway with two engines elsewhere, the second of which is not there."""
    with serving(figures) as address:
        addresses = f"{address},http://127.0.0.1:{free_port()}/v1"
        more = {"GATEWAY_EMBEDDED_VOICE_ENABLED": "false", "GATEWAY_ENGINE_ADDRESS": addresses}
        data: Path = tmp_path_factory.mktemp("engines")
        with running(data, new_database("sqlite"), **more) as gateway:
            yield gateway


def part(visit: Visit, before: str = "") -> str:
    return visit.page("/dashboard/engine/part", before=before)


def test_an_engines_figures_are_shown_and_one_that_is_gone_is_told(
    looked_at: Running, figures: Figures
) -> None:
    figures.step(50, running=3, waiting=2, row_limit=8, out_of_memory=1, memory_bytes=3 << 20)
    figures.model.restarted()
    with visiting(looked_at) as visit:
        told = words_of(visit.page("/dashboard/engine"))
    assert "local-csm ready" in told
    assert "local-csm-2 does not answer" in told
    for figure in (
        "sesame/csm-1b on cuda:0",
        "Running, of 8 slots 3",
        "Waiting, of 64 2",
        "Steps without memory 1",
        "Started again 1",
        "Memory of the device 3 MiB",
    ):
        assert figure in told
    assert "No CSM engine is configured" not in told


def test_frames_a_second_are_those_between_two_looks(looked_at: Running, figures: Figures) -> None:
    with visiting(looked_at) as visit:
        first = visit.field("/dashboard/engine", "before")
        samples: dict[str, list[int]] = json.loads(first)
        figures.step(100_000)
        at_ms, frames = samples[f"local-csm {MODEL}"]
        earlier = json.dumps(samples | {f"local-csm {MODEL}": [at_ms - 10_000, frames]})
        later = words_of(part(visit, earlier))
        never = words_of(part(visit, "{'no': json"))
    rate = float(later.partition("Frames a second, now ")[2].split()[0])
    assert 0 < rate < (100_000 - frames) / 10
    assert "Frames a second, now - " in never


def test_where_no_engine_is_configured_the_page_tells_how_to_start_one(gateway: Running) -> None:
    with visiting(gateway) as visit:
        told = words_of(visit.page("/dashboard/engine"))
    assert "local ready" in told
    assert "Model espeak-ng Workers 2" in told
    assert "No CSM engine is configured" in told
    assert "GATEWAY_ENGINE_MODEL=sesame/csm-1b" in told


@pytest.mark.parametrize("path", ["/dashboard/engine", "/dashboard/engine/part"])
def test_only_who_manages_looks_at_engines(gateway: Running, key: Key, path: str) -> None:
    with visiting(gateway, key.plain) as visit:
        assert visit.client.get(path).status_code == 403
    with httpx.Client(base_url=gateway.url) as stranger:
        assert stranger.get(path).status_code == 303


def test_who_is_signed_out_while_looking_comes_back_to_the_page(gateway: Running) -> None:
    headers = {"hx-request": "true", "hx-current-url": f"{gateway.url}/dashboard/engine"}
    with httpx.Client(base_url=gateway.url, headers=headers) as stranger:
        answer = stranger.get("/dashboard/engine/part", params={"before": "{}"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"] == "/dashboard/sign-in?next=%2Fdashboard%2Fengine"


def test_one_that_loads_tells_how_far_it_is() -> None:
    health = EngineHealth(503, json.dumps(LOADING).encode(), b"")
    state = engine_state("e", "http://e", health, {}, 0)
    [model] = state.models
    assert (state.status, state.mood) == ("loading", "warn")
    assert (model.stage, model.done, model.total, model.step) == ("weights", 3, 4, None)


def test_an_engine_that_began_anew_has_no_rate() -> None:
    figures = Figures()
    figures.step(10)
    before = {f"e {MODEL}": Sample(1000, 500)}
    [model] = engine_state("e", "http://e", figures.health(), before, 2000).models
    assert model.frames_per_second is None
    [model] = engine_state(
        "e", "http://e", figures.health(), {f"e {MODEL}": Sample(0, 0)}, 2000
    ).models
    assert model.frames_per_second == 5


@pytest.mark.parametrize(
    ("ready", "metrics"),
    [(b"<html>", b""), (b"{}\xff", b""), (b"{}", b"csm_x{model= 1"), (b'{"models": 3}', b"")],
)
def test_what_is_no_engine_is_told_as_such(ready: bytes, metrics: bytes) -> None:
    state = engine_state("e", "http://e", EngineHealth(200, ready, metrics), {}, 0)
    assert (state.status, state.mood) == ("answers something else", "bad")


@pytest.mark.parametrize(
    ("buckets", "found"),
    [
        ([], None),
        ([(1.0, 0.0), (inf, 0.0)], None),
        ([(1.0, 10.0), (2.0, 10.0), (inf, 10.0)], Quantiles(0.5, 0.95, 10)),
        ([(1.0, 0.0), (2.0, 100.0), (inf, 100.0)], Quantiles(1.5, 1.95, 100)),
        ([(1.0, 5.0), (2.0, 5.0), (inf, 10.0)], Quantiles(1.0, 2.0, 10)),
    ],
)
def test_percentiles_come_from_cumulative_buckets(
    buckets: list[tuple[float, float]], found: Quantiles | None
) -> None:
    assert quantiles(buckets) == found
