"""Traces of a running gateway, as a collector receives them; and collectors that do not."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.conftest import NewDatabase
from tests.doubles.catalogue import catalogue
from tests.doubles.collector import Collector, Manner, attributes
from tests.doubles.running import Running, free_port, running
from tests.doubles.upstream import Upstream

TEXT = "Seventeen zebras whispered"
CALLERS = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
QUICKLY = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


@dataclass(frozen=True)
class Traced:
    """A gateway and the collector that it exports to."""

    gateway: Running
    collector: Collector

    def speak(
        self, model: str, text: str = TEXT, provider: object = None, **headers: str
    ) -> httpx.Response:
        body = {"model": model, "input": text, "voice": "alloy", "provider": provider}
        with self.gateway.client() as client:
            return client.post("/v1/audio/speech", json=body, headers=headers)

    def spans(self, response: httpx.Response) -> list[Span]:
        return self.collector.trace(response.headers["traceparent"].split("-")[1])


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, new_database: NewDatabase
) -> Iterator[Traced]:
    data = tmp_path_factory.mktemp("traced")
    extra = data / "test-providers.toml"
    extra.write_text(catalogue(upstream))
    with (
        Collector() as collector,
        running(
            data,
            new_database("sqlite"),
            GATEWAY_CATALOG=str(extra),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            **QUICKLY,
        ) as gateway,
    ):
        yield Traced(gateway, collector)


def named(spans: list[Span], name: str) -> Span:
    [span] = [each for each in spans if each.name == name]
    return span


def test_one_request_is_one_trace_with_a_span_for_every_step(traced: Traced) -> None:
    spans = traced.spans(traced.speak("test/fine"))
    names = {"POST /audio/speech", "plan", "hold", "attempt", "first audio", "settle"}
    assert sorted(span.name for span in spans) == sorted(names)
    root = named(spans, "POST /audio/speech")
    assert root.kind == Span.SPAN_KIND_SERVER
    assert not root.parent_span_id
    assert named(spans, "attempt").kind == Span.SPAN_KIND_CLIENT
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}


def test_the_times_of_the_steps_lie_within_the_request_and_follow_one_another(
    traced: Traced,
) -> None:
    spans = traced.spans(traced.speak("test/fine"))
    root = named(spans, "POST /audio/speech")
    for span in spans:
        assert span.start_time_unix_nano <= span.end_time_unix_nano
        assert root.start_time_unix_nano <= span.start_time_unix_nano
        assert span.end_time_unix_nano <= root.end_time_unix_nano
    steps = [named(spans, name) for name in ("plan", "hold", "attempt", "settle")]
    for before, after in pairwise(steps):
        assert before.end_time_unix_nano <= after.start_time_unix_nano
    first, attempt = named(spans, "first audio"), named(spans, "attempt")
    assert first.start_time_unix_nano == attempt.start_time_unix_nano
    assert first.end_time_unix_nano <= attempt.end_time_unix_nano


def test_the_request_says_what_was_asked_who_spoke_and_what_it_cost(traced: Traced) -> None:
    response = traced.speak("test/fine")
    spans = traced.spans(response)
    told = attributes(named(spans, "POST /audio/speech"))
    assert told.pop("voxroute.audio_ms")
    assert told == {
        "gen_ai.operation.name": "text_to_speech",
        "gen_ai.output.type": "speech",
        "gen_ai.request.model": "test/fine",
        "gen_ai.response.model": "test/fine",
        "gen_ai.response.id": response.headers["x-generation-id"],
        "gen_ai.provider.name": "fine",
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "voxroute.voice": "alloy",
        "voxroute.format": "mp3",
        "voxroute.characters": len(TEXT),
        "voxroute.cost_nano_usd": len(TEXT) * 15_000,
        "voxroute.attempts": 1,
        "voxroute.outcome": "settled",
    }
    attempt = attributes(named(spans, "attempt"))
    assert attempt["gen_ai.provider.name"] == "fine"
    assert attempt["gen_ai.response.id"] == "up-1"
    assert attempt["voxroute.outcome"] == "done"
    assert attributes(named(spans, "settle"))["voxroute.cost_nano_usd"] == len(TEXT) * 15_000


def test_a_providers_rate_limits_are_told_and_nothing_else_of_its_headers(traced: Traced) -> None:
    headers = ["x-ratelimit-remaining-requests: 4", "RateLimit: 9", "x-account: them"]
    odd = [f"x-ratelimit-{'a' * 60}: 1", f"x-ratelimit-b: {'1' * 65}"]
    response = traced.speak(
        "test/billing", provider={"options": {"billing": {"bill": headers + odd}}}
    )
    attempt = attributes(named(traced.spans(response), "attempt"))
    upstream = {name: told for name, told in attempt.items() if "upstream" in name}
    assert upstream == {
        "voxroute.upstream.x-ratelimit-remaining-requests": "4",
        "voxroute.upstream.ratelimit": "9",
    }
    assert "them" not in str(attempt)


def test_a_fallback_is_two_attempts_and_the_failed_one_says_why(traced: Traced) -> None:
    spans = traced.spans(traced.speak("pair/failing"))
    first, second = [span for span in spans if span.name == "attempt"]
    assert attributes(first)["gen_ai.provider.name"] == "failing"
    assert attributes(first)["error.type"] == "provider_overloaded"
    assert attributes(first)["http.response.status_code"] == 500
    assert first.status.code == Status.STATUS_CODE_ERROR
    assert attributes(second)["gen_ai.provider.name"] == "second"
    assert "error.type" not in attributes(second)
    assert second.status.code == Status.STATUS_CODE_UNSET
    root = named(spans, "POST /audio/speech")
    assert attributes(root)["voxroute.attempts"] == 2
    assert root.status.code == Status.STATUS_CODE_UNSET


@pytest.mark.parametrize(
    ("model", "error", "status", "names"),
    [
        ("test/failing", "provider_unavailable", 502, ["attempt", "attempt"]),
        ("off/model", "no_provider", 503, []),
        ("no/model", "model_not_found", 404, []),
    ],
)
def test_a_request_without_speech_is_a_trace_with_its_error(
    traced: Traced, model: str, error: str, status: int, names: list[str]
) -> None:
    response = traced.speak(model)
    assert response.status_code == status
    spans = traced.spans(response)
    root = named(spans, "POST /audio/speech")
    assert root.status.code == Status.STATUS_CODE_ERROR
    assert attributes(root)["error.type"] == error
    assert attributes(root)["http.response.status_code"] == status
    assert [span.name for span in spans if span.name == "attempt"] == names


def test_the_callers_own_trace_is_continued_and_handed_on(
    traced: Traced, upstream: Upstream
) -> None:
    response = traced.speak("test/fine", "continued", traceparent=CALLERS)
    root = named(traced.spans(response), "POST /audio/speech")
    assert root.trace_id.hex() == CALLERS.split("-")[1]
    assert root.parent_span_id.hex() == CALLERS.split("-")[2]
    [heard] = upstream.said("continued")
    assert heard.headers["traceparent"].split("-")[1:3] == [
        root.trace_id.hex(),
        root.span_id.hex(),
    ]


@pytest.mark.parametrize("header", ["garbage", "00-" + "0" * 32 + "-b7ad6b7169203331-01", ""])
def test_a_callers_broken_trace_is_replaced_by_a_new_one(traced: Traced, header: str) -> None:
    response = traced.speak("test/fine", traceparent=header)
    assert response.status_code == 200
    assert not named(traced.spans(response), "POST /audio/speech").parent_span_id


def test_the_record_of_a_generation_names_its_trace(traced: Traced) -> None:
    response = traced.speak("test/fine")
    spans = traced.spans(response)
    query = {"id": response.headers["x-generation-id"]}
    with traced.gateway.client() as client:
        record = client.get("/api/v1/generation", params=query).json()["data"]
    assert record["trace_id"] == spans[0].trace_id.hex()


def test_nothing_of_what_was_said_or_of_the_key_is_exported(traced: Traced) -> None:
    for model in ("test/fine", "pair/failing", "test/failing", "off/model"):
        traced.spans(traced.speak(model))
    exported = b"".join(traced.collector.bodies)
    assert b"voxroute" in exported
    for word in (*TEXT.split(), traced.gateway.key, traced.gateway.key[4:20]):
        assert word.encode() not in exported


@pytest.mark.parametrize("manner", ["hang", "fail", "refuse"])
def test_a_collector_in_trouble_costs_no_request_and_delays_no_end(
    data: Path, new_database: NewDatabase, manner: Manner
) -> None:
    with Collector(manner) as collector:
        address = f"http://127.0.0.1:{free_port()}" if manner == "refuse" else collector.address
        with running(
            data, new_database("sqlite"), OTEL_EXPORTER_OTLP_ENDPOINT=address, **QUICKLY
        ) as gateway:
            with gateway.client() as client:
                took = [timed(client) for _ in range(5)]
            assert max(took) < 3
            assert manner == "refuse" or collector.asked.wait(5)
            ending = time.monotonic()
        assert time.monotonic() - ending < 7
        assert gateway.process.returncode == 0
        assert "Traceback" not in gateway.said()


def timed(client: httpx.Client) -> float:
    begun = time.monotonic()
    response = client.post("/v1/audio/speech", json={"model": "auto", "input": "Hello."})
    assert response.status_code == 200
    return time.monotonic() - begun
