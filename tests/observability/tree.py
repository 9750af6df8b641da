"""The tree: a real OTLP backend (arize-phoenix) is sent a fallback request's trace and shows it."""

import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.doubles.catalogue import STEADY, catalogue
from tests.doubles.running import Running, free_port, running
from tests.doubles.upstream import Upstream
from tests.observability.programs import program

ROOT_SPAN = "POST /audio/speech"
STEPS = Counter(["plan", "hold", "attempt", "attempt", "first audio", "settle"])
PATIENCE_SECONDS = 30


@dataclass(frozen=True)
class Shown:
    """A span as Phoenix shows it."""

    id: str
    parent: str | None
    name: str
    start: str
    status: str
    attributes: Mapping[str, object]


def run(folder: Path, phoenix: Path) -> list[str]:
    """What is wrong with the trace that it shows."""
    if not phoenix.exists():
        return [f"{phoenix} is not here: `make observe` installs it"]
    with (
        Upstream() as upstream,
        _phoenix(folder, phoenix) as backend,
        _gateway(folder, upstream, backend) as gateway,
    ):
        body = {"model": "pair/failing", "input": "Hello.", "voice": "alloy"}
        with gateway.client() as client:
            response = client.post("/v1/audio/speech", json=body)
        assert response.status_code == 200, response.text
        spans = _spans(backend, response.headers["traceparent"].split("-")[1])
    _print(spans)
    return _wrong(spans)


@contextmanager
def _phoenix(folder: Path, phoenix: Path) -> Iterator[str]:
    port = str(free_port())
    environ = dict(os.environ) | {
        "PHOENIX_HOST": "127.0.0.1",
        "PHOENIX_PORT": port,
        "PHOENIX_GRPC_PORT": str(free_port()),
        "PHOENIX_WORKING_DIR": str(folder / "phoenix"),
        "PHOENIX_TELEMETRY_ENABLED": "false",
    }
    (folder / "phoenix").mkdir()
    address = f"http://127.0.0.1:{port}"
    ready = f"{address}/v1/projects"
    with program([str(phoenix), "serve"], folder / "phoenix.log", ready, environ):
        yield address


@contextmanager
def _gateway(folder: Path, upstream: Upstream, backend: str) -> Iterator[Running]:
    extra = folder / "tree-providers.toml"
    extra.write_text(catalogue(upstream))
    with running(
        folder / "tree",
        f"sqlite+aiosqlite:///{folder}/tree.db",
        GATEWAY_CATALOG=str(extra),
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{backend}/v1/traces",
        OTEL_BSP_SCHEDULE_DELAY="100",
        **STEADY,
    ) as gateway:
        yield gateway


def _spans(backend: str, trace_id: str) -> list[Shown]:
    """The trace's spans, once all of them are there; by their start."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    spans: list[Shown] = []
    while len(spans) <= STEPS.total() and time.monotonic() < deadline:
        answer = httpx.get(f"{backend}/v1/projects/default/spans", params={"limit": 100})
        told = answer.json().get("data", []) if answer.is_success else []
        spans = [_shown(each) for each in told if each["context"]["trace_id"] == trace_id]
        if len(spans) <= STEPS.total():
            time.sleep(0.3)
    return sorted(spans, key=lambda each: each.start)


def _shown(span: Any) -> Shown:  # noqa: ANN401  # JSON
    return Shown(
        span["context"]["span_id"],
        span["parent_id"],
        span["name"],
        span["start_time"],
        span["status_code"],
        span["attributes"],
    )


def _print(spans: Sequence[Shown], parent: str | None = None, depth: int = 0) -> None:
    for each in spans:
        if each.parent == parent:
            told = ", ".join(f"{name}={value}" for name, value in sorted(each.attributes.items()))
            print(f"{'  ' * depth}{each.name} [{each.status}] {told}")
            _print(spans, each.id, depth + 1)


def _wrong(spans: Sequence[Shown]) -> list[str]:
    roots = [each for each in spans if each.parent is None]
    if [each.name for each in roots] != [ROOT_SPAN]:
        return [f"the tree's roots are {[each.name for each in roots]}"]
    steps = [each for each in spans if each is not roots[0]]
    wrong = []
    if Counter(each.name for each in steps) != STEPS:
        wrong.append(f"its steps are {[each.name for each in steps]}")
    wrong += [f"{each.name} hangs elsewhere" for each in steps if each.parent != roots[0].id]
    failed, spoke = (each for each in steps if each.name == "attempt")
    if (failed.status, spoke.status) != ("ERROR", "UNSET"):
        wrong.append(f"the attempts ended in {failed.status} and {spoke.status}")
    return wrong
