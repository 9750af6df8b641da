"""Metrics of a running gateway, as Prometheus scrapes them and as OTLP brings them."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from gateway.dispatch.measuring import outcome_of, overhead
from gateway.metering.operations import Closing
from gateway.metrics.otlp import exporting
from local_engine.csm.server.metrics import Metrics as EngineMetrics
from tests.conftest import NewDatabase
from tests.doubles.books import new_key
from tests.doubles.catalogue import STEADY, catalogue
from tests.doubles.collector import Collector, attributes
from tests.doubles.running import Running, running
from tests.doubles.scraping import Scraped, asked, queries, scrape, scraped
from tests.doubles.upstream import Upstream

TEXT = "Seventeen zebras whispered"
NANO = len(TEXT) * 15_000
LABELS = {"model", "provider", "outcome", "status", "format", "policy", "reason", "error", "kind"}
LABELS |= {"step", "le", "version", "python", "implementation", "major", "minor", "patchlevel"}
LABELS |= {"generation"}


@dataclass(frozen=True)
class Measured:
    """A gateway whose requests nobody else makes, and the collector that it exports to."""

    gateway: Running
    collector: Collector

    def speak(self, model: str, **more: object) -> httpx.Response:
        body = {"model": model, "input": TEXT, "voice": "alloy", **more}
        with self.gateway.client() as client:
            return client.post("/v1/audio/speech", json=body)

    def scrape(self) -> Scraped:
        with self.gateway.client() as client:
            return scrape(client)

    def after(self, before: Scraped, requests: int = 1) -> Scraped:
        """A scrape that knows so many more requests than the one before."""
        wanted = before.value("voxroute_requests_total") + requests
        with self.gateway.client() as client:
            return scraped(client, lambda now: now.value("voxroute_requests_total") >= wanted)


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, upstream: Upstream, new_database: NewDatabase
) -> Iterator[Measured]:
    data = tmp_path_factory.mktemp("measured")
    extra = data / "test-providers.toml"
    extra.write_text(catalogue(upstream))
    with (
        Collector() as collector,
        running(
            data,
            new_database("sqlite"),
            GATEWAY_CATALOG=str(extra),
            GATEWAY_HOST="0.0.0.0",  # noqa: S104  # who may read metrics then is among the tests
            OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=f"{collector.address}/v1/metrics",
            OTEL_METRIC_EXPORT_INTERVAL="100",
            **STEADY,
        ) as gateway,
    ):
        yield Measured(gateway, collector)


def grown(before: Scraped, after: Scraped, sample: str, **labels: str) -> float:
    return after.value(sample, **labels) - before.value(sample, **labels)


def test_a_request_is_counted_with_its_characters_money_and_audio(measured: Measured) -> None:
    before = measured.scrape()
    measured.speak("test/fine")
    after = measured.after(before)
    offer = {"provider": "fine", "model": "test/fine"}
    spoken = {"outcome": "spoken", "status": "2xx", **offer}
    assert grown(before, after, "voxroute_requests_total", **spoken) == 1
    assert grown(before, after, "voxroute_asked_total", format="mp3", policy="price") == 1
    assert grown(before, after, "voxroute_characters_total", **offer) == len(TEXT)
    assert grown(before, after, "voxroute_cost_nano_usd_total", **offer) == NANO
    assert grown(before, after, "voxroute_liability_nano_usd_total", **offer) == NANO
    assert grown(before, after, "voxroute_audio_seconds_total", **offer) > 0
    done = {"provider": "fine", "outcome": "done", "error": "none"}
    assert grown(before, after, "voxroute_attempts_total", **done) == 1
    assert grown(before, after, "voxroute_further_attempts_total") == 0


def test_every_step_of_a_request_is_timed_once(measured: Measured) -> None:
    before = measured.scrape()
    measured.speak("test/fine")
    after = measured.after(before)
    for step in ("plan", "queue", "hold", "settle"):
        assert grown(before, after, "voxroute_step_seconds_count", step=step) == 1
    for name in ("first_audio", "overhead", "request", "provider_first_audio"):
        assert grown(before, after, f"voxroute_{name}_seconds_count") == 1
    assert grown(before, after, "voxroute_real_time_factor_count", provider="fine") == 1
    first = grown(before, after, "voxroute_first_audio_seconds_sum")
    ours = grown(before, after, "voxroute_overhead_seconds_sum")
    theirs = grown(before, after, "voxroute_provider_first_audio_seconds_sum")
    assert 0 < ours < first
    assert theirs < first


def test_a_fallback_is_two_attempts_and_one_of_them_a_further_one(measured: Measured) -> None:
    before = measured.scrape()
    measured.speak("pair/failing")
    after = measured.after(before)
    failed = {"provider": "failing", "outcome": "failed", "error": "provider_overloaded"}
    assert grown(before, after, "voxroute_attempts_total", **failed) == 1
    assert grown(before, after, "voxroute_attempts_total", provider="second", outcome="done") == 1
    fallback = {"provider": "second", "kind": "fallback"}
    assert grown(before, after, "voxroute_further_attempts_total", **fallback) == 1
    assert grown(before, after, "voxroute_requests_total", outcome="spoken", provider="second") == 1


@pytest.mark.parametrize(
    ("label", "outcome", "status", "reason"),
    [
        ("test/failing", "failed", "5xx", "provider_unavailable"),
        ("off/model", "turned_away", "5xx", "no_provider"),
        ("other", "refused", "4xx", "model_not_found"),
    ],
)
def test_a_request_without_speech_is_counted_by_why(
    measured: Measured, label: str, outcome: str, status: str, reason: str
) -> None:
    before = measured.scrape()
    measured.speak("made/up-by-a-caller" if label == "other" else label)
    after = measured.after(before)
    became = {"outcome": outcome, "status": status, "provider": "none", "model": label}
    assert grown(before, after, "voxroute_requests_total", **became) == 1
    assert grown(before, after, "voxroute_errors_total", reason=reason) == 1
    assert grown(before, after, "voxroute_cost_nano_usd_total") == 0


def test_a_request_that_is_refused_before_its_plan_is_counted_too(measured: Measured) -> None:
    before = measured.scrape()
    refused = httpx.post(f"{measured.gateway.url}/v1/audio/speech", json={"input": TEXT})
    assert refused.status_code == 401
    assert measured.speak("test/fine", speed="much").status_code == 400
    after = measured.after(before, 2)
    assert grown(before, after, "voxroute_requests_total", outcome="refused", model="other") == 2
    assert grown(before, after, "voxroute_errors_total", reason="authentication") == 1
    assert grown(before, after, "voxroute_errors_total", reason="invalid_request") == 1


def test_a_replay_is_counted_and_charges_nothing(measured: Measured) -> None:
    before = measured.scrape()
    with measured.gateway.client() as client:
        body = {"model": "test/fine", "input": TEXT, "voice": "alloy"}
        for _ in range(2):
            headers = {"idempotency-key": "metrics-1"}
            assert client.post("/v1/audio/speech", json=body, headers=headers).status_code == 200
            after = measured.after(before)
    after = measured.after(before, 2)
    assert grown(before, after, "voxroute_requests_total", outcome="replayed") == 1
    assert grown(before, after, "voxroute_cost_nano_usd_total") == NANO


def test_the_gauges_tell_of_money_offers_line_ledger_and_process(measured: Measured) -> None:
    before = measured.scrape()
    measured.speak("test/fine")
    now = measured.after(before)
    offer = {"provider": "fine", "model": "test/fine"}
    assert now.value("voxroute_offer_limit", **offer) == 256
    assert now.value("voxroute_most_requests") == 512
    assert now.value("voxroute_retry_budget") > 0
    assert now.value("voxroute_database_up") == 1
    assert now.value("voxroute_remembered_keys") > 0
    assert now.value("voxroute_ledger_operations_total") >= now.value(
        "voxroute_ledger_commits_total"
    )
    assert now.value("voxroute_ledger_batch_size") >= 1
    assert now.value("voxroute_build_info") == 1
    assert now.value("process_resident_memory_bytes") > 10**7
    names = ("held_nano_usd", "unknown_nano_usd", "oldest_hold_seconds", "running_requests")
    names += ("waiting_requests", "ledger_queue", "event_loop_lag_seconds", "journal_waiting")
    assert {f"voxroute_{name}" for name in names} <= now.names


def test_a_running_request_shows_in_the_money_held_and_the_age_of_its_hold(
    measured: Measured, upstream: Upstream
) -> None:
    body = {"model": "test/endless", "input": TEXT, "voice": "alloy", "response_format": "pcm"}
    with (
        measured.gateway.client() as client,
        client.stream("POST", "/v1/audio/speech", json=body) as response,
    ):
        assert response.status_code == 200
        now = measured.scrape()
        assert now.value("voxroute_held_requests") == 1
        assert now.value("voxroute_held_nano_usd") == NANO
        assert 0 <= now.value("voxroute_oldest_hold_seconds") < 30
        assert now.value("voxroute_running_requests") == 1
        assert now.value("voxroute_offer_running", provider="endless") == 1
    with measured.gateway.client() as client:
        after = scraped(client, lambda now: not now.value("voxroute_held_requests"))
    assert after.value("voxroute_requests_total", outcome="left") == 1


def test_no_label_is_of_a_callers_making(measured: Measured) -> None:
    for n in range(30):
        measured.speak(f"made/up-{n}")
    now = measured.scrape()
    labels = {name for each in now.families.values() for s in each.samples for name in s.labels}
    assert labels <= LABELS
    models = now.labels("voxroute_requests", "model")
    assert not {each for each in models if each.startswith("made/")}
    assert measured.gateway.key not in now.text
    assert not set(TEXT.split()) & set(re.findall(r"\w+", now.text))


def test_the_board_asks_only_for_what_is_there(measured: Measured) -> None:
    there = measured.scrape().names | Scraped(EngineMetrics().text().decode()).names
    expressions = [expression for _, expression in queries()]
    assert len(expressions) > 60
    for expression in expressions:
        assert asked(expression)
        assert asked(expression) <= there


def test_otlp_brings_the_same_numbers(measured: Measured) -> None:
    before = measured.scrape()
    measured.speak("test/fine")
    now = measured.after(before)
    spoken = now.value("voxroute_requests_total", outcome="spoken", provider="fine")
    deadline = time.monotonic() + 10
    while exported(measured.collector, "voxroute_requests", "fine") < spoken:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    told = measured.collector.metrics()
    requests = told["voxroute_requests"].sum
    assert requests.is_monotonic
    assert requests.aggregation_temporality == 2
    [whole] = told["voxroute_first_audio_seconds"].histogram.data_points
    assert whole.count == now.value("voxroute_first_audio_seconds_count")
    assert whole.count == sum(whole.bucket_counts)
    assert len(whole.bucket_counts) == len(whole.explicit_bounds) + 1
    assert whole.sum == pytest.approx(now.value("voxroute_first_audio_seconds_sum"))
    assert told["voxroute_first_audio_seconds"].unit == "s"
    [most] = told["voxroute_most_requests"].gauge.data_points
    assert most.as_double == 512


def exported(collector: Collector, name: str, provider: str) -> float:
    """What was exported last of spoken requests."""
    if not collector.measured or name not in collector.metrics():
        return 0
    return sum(
        point.as_double
        for point in collector.metrics()[name].sum.data_points
        if attributes(point)["provider"] == provider and attributes(point)["outcome"] == "spoken"
    )


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_METRICS_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_metrics_leave_where_the_standard_variables_say_so(
    environ: dict[str, str],
    wanted: bool,  # noqa: FBT001  # a row of the table
) -> None:
    assert exporting(environ) is wanted


def test_beyond_loopback_only_a_management_key_reads_metrics(measured: Measured) -> None:
    with measured.gateway.client() as client:
        speaking = new_key(client).plain
    with measured.gateway.client(speaking) as client:
        assert client.get("/metrics").status_code == 403
    assert httpx.get(f"{measured.gateway.url}/metrics").status_code == 401


@pytest.mark.parametrize(
    ("asked_at", "ours"),
    [
        ([(1.0, 2.0)], 1.5),
        ([(1.0, 1.5), (1.5, 2.5)], 1.0),
        ([(1.0, 2.5), (1.5, 2.0)], 1.0),
        ([(1.0, 9.0)], 1.0),
        ([(1.0, 1.2), (1.4, 1.6)], 2.1),
    ],
)
def test_the_overhead_is_what_no_provider_took(
    asked_at: list[tuple[float, float]], ours: float
) -> None:
    assert overhead(0.0, 2.5, asked_at) == pytest.approx(ours)


@pytest.mark.parametrize(
    ("closing", "outcome"),
    [
        (Closing("settled", 200, 1), "spoken"),
        (Closing("settled", 499, 1, "client_left", flags=("cut",)), "left"),
        (Closing("voided", 502, 1, "provider_unavailable", flags=("cut",)), "cut"),
        (Closing("voided", 502, 1, "provider_unavailable"), "failed"),
        (Closing("voided", 504, 1, "timeout"), "failed"),
        (Closing("voided", 503, 1, "overloaded"), "turned_away"),
        (Closing("voided", 402, 1, "payment_required"), "refused"),
    ],
)
def test_what_became_of_a_request_is_one_word(closing: Closing, outcome: str) -> None:
    assert outcome_of(closing) == outcome
