"""Logs: JSON lines with the ids of their request, and never a word of what was said."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from gateway.logs import About, JsonLines, TextLines, about
from tests.conftest import NewDatabase
from tests.doubles.books import new_key
from tests.doubles.catalogue import STEADY, catalogue
from tests.doubles.collector import Collector
from tests.doubles.running import Running, running
from tests.doubles.upstream import Upstream

SECRET = "Marzipan Xylophon Quarkstrudel"
RECORD = logging.LogRecord("gateway.some.room", logging.WARNING, __file__, 1, "two %d", (2,), None)


@dataclass(frozen=True)
class Debugged:
    """A gateway that logs all it has in JSON, and sends traces and metrics off."""

    gateway: Running
    collector: Collector
    key: str

    def speak(self, model: str, text: str = SECRET) -> httpx.Response:
        body = {"model": model, "input": text, "voice": "alloy"}
        with self.gateway.client(self.key) as client:
            return client.post("/v1/audio/speech", json=body)

    def lines(self) -> list[dict[str, object]]:
        return [
            json.loads(line) for line in self.gateway.said().splitlines() if line.startswith("{")
        ]

    def line(self, response: httpx.Response) -> dict[str, object]:
        """The access line of a request; it is written a moment after the last byte."""
        deadline = time.monotonic() + 10
        wanted = response.headers["x-request-id"]
        while time.monotonic() < deadline:
            found = [each for each in self.lines() if each.get("request_id") == wanted]
            if found:
                [one] = found
                return one
            time.sleep(0.02)
        raise AssertionError(self.gateway.said())


@pytest.fixture(scope="module")
def debugged(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, new_database: NewDatabase
) -> Iterator[Debugged]:
    data = tmp_path_factory.mktemp("debugged")
    extra = data / "test-providers.toml"
    extra.write_text(catalogue(upstream))
    with (
        Collector() as collector,
        running(
            data,
            new_database("sqlite"),
            GATEWAY_CATALOG=str(extra),
            GATEWAY_TELEMETRY_LOG_FORMAT="json",
            GATEWAY_TELEMETRY_LOG_LEVEL="debug",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            OTEL_BSP_SCHEDULE_DELAY="100",
            OTEL_METRIC_EXPORT_INTERVAL="100",
            **STEADY,
        ) as gateway,
    ):
        with gateway.client() as client:
            key = new_key(client).plain
        yield Debugged(gateway, collector, key)


def test_every_speech_request_has_one_line_that_says_what_became_of_it(debugged: Debugged) -> None:
    response = debugged.speak("test/fine")
    line = debugged.line(response)
    assert line["level"] == "info"
    assert line["message"] == "speech"
    assert line["trace_id"] == response.headers["traceparent"].split("-")[1]
    assert line["span_id"] == response.headers["traceparent"].split("-")[2]
    assert line["generation_id"] == response.headers["x-generation-id"]
    assert (line["outcome"], line["status"], line["error_type"]) == ("spoken", 200, None)
    assert (line["model"], line["provider"]) == ("test/fine", "fine")
    assert line["characters"] == line["charged_characters"] == len(SECRET)
    assert line["cost_nano_usd"] == len(SECRET) * 15_000
    assert isinstance(line["ms"], int)
    assert isinstance(line["first_audio_ms"], int)
    assert str(line["time"]).endswith("Z")


@pytest.mark.parametrize(
    ("model", "outcome", "status"),
    [("test/failing", "failed", 502), ("no/model", "refused", 404), ("", "refused", 400)],
)
def test_a_request_that_failed_has_its_line_too(
    debugged: Debugged, model: str, outcome: str, status: int
) -> None:
    line = debugged.line(debugged.speak(model))
    assert (line["outcome"], line["status"]) == (outcome, status)


def test_no_log_trace_or_metric_has_a_word_of_what_was_said_or_the_key(
    debugged: Debugged, upstream: Upstream
) -> None:
    models = ("test/fine", "pair/failing", "test/failing", "off/model", "local/espeak-ng", "x")
    for model in models:
        response = debugged.speak(model, f"{SECRET} {model}")
        debugged.line(response)
    refused = httpx.post(
        f"{debugged.gateway.url}/v1/audio/speech",
        json={"input": SECRET},
        headers={"authorization": f"Bearer {debugged.key}x"},
    )
    assert refused.status_code == 401
    debugged.collector.trace(response.headers["traceparent"].split("-")[1])
    metrics = httpx.get(f"{debugged.gateway.url}/metrics").text
    assert "voxroute_requests_total" in metrics
    told = b"".join([*debugged.collector.bodies, *debugged.collector.measured])
    assert b"voxroute" in told
    assert "speech" in debugged.gateway.said()
    assert upstream.said(f"{SECRET} test/fine")
    for word in (*SECRET.split(), debugged.key, debugged.key[6:24]):
        assert word not in debugged.gateway.said()
        assert word not in metrics
        assert word.encode() not in told


def test_a_line_is_one_object_with_the_ids_of_the_running_request() -> None:
    token = about.set(About("req-1", "t", "s", "gen-1"))
    try:
        line = json.loads(JsonLines().format(RECORD))
    finally:
        about.reset(token)
    assert (line["level"], line["logger"]) == ("warning", "gateway.some.room")
    assert line["message"] == "two 2"
    ids = {name: line[name] for name in ("request_id", "trace_id", "span_id", "generation_id")}
    assert ids == {
        "request_id": "req-1",
        "trace_id": "t",
        "span_id": "s",
        "generation_id": "gen-1",
    }
    assert "request_id" not in json.loads(JsonLines().format(RECORD))


def failed(message: str) -> logging.LogRecord:
    """A record of an error that quotes what was said, and so does its cause."""
    try:
        _fail(message)
    except ValueError:
        info = sys.exc_info()
    return logging.LogRecord("gateway", logging.ERROR, __file__, 1, "it failed", (), info)


def _fail(message: str) -> None:
    try:
        {}[message]
    except KeyError as cause:
        raise ValueError(message) from cause


@pytest.mark.parametrize("formatter", [JsonLines(), TextLines()], ids=["json", "text"])
def test_an_exception_is_told_by_type_and_place_and_without_its_message(
    formatter: logging.Formatter,
) -> None:
    said = "Marzipan" + "!"
    line = formatter.format(failed(said))
    assert "builtins.ValueError" in line
    assert "builtins.KeyError" in line
    assert "test_logs.py" in line
    assert said not in line


def test_a_line_break_in_a_message_makes_no_second_line() -> None:
    record = logging.LogRecord("gateway", logging.ERROR, __file__, 1, "a\nb", (), None)
    assert "\n" not in JsonLines().format(record)
