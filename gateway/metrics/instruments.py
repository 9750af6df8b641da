"""The instruments: what is counted and timed of requests, each observed once, at its end.

Every label comes from the operator's own configuration or from a closed list of ours: a request
cannot make a new series. A child is looked up once and remembered, for that is half its cost.
"""

from functools import cache

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

OTHER = "other"
"""The label of a model that the operator does not have."""
NOBODY = "none"
"""The label of a provider where none spoke, and of an error where there was none."""
_STEPS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
_WAITS = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 8, 12, 20)
_FACTORS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.5, 2, 4)
_CLIPS = (0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600)


class Metrics:
    """The numbers of this process, in a registry of their own."""

    def __init__(self) -> None:
        # When a series began is a series more for each of them, and nobody asks for it.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]  # not annotated
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._count_requests()
        self._count_attempts()
        self._time()

    def _count_requests(self) -> None:
        self._requests = cache(
            self._counter(
                "requests",
                "Speech requests that ended, by what became of them.",
                "model provider outcome status",
            ).labels
        )
        self._asked = cache(
            self._counter(
                "asked", "Speech requests, by audio format and routing policy.", "format policy"
            ).labels
        )
        self._errors = cache(
            self._counter("errors", "Speech requests that ended in an error.", "reason").labels
        )
        offer = "provider model"
        self._characters = cache(
            self._counter("characters", "Characters charged to keys.", offer).labels
        )
        self._cost = cache(
            self._counter("cost_nano_usd", "Money charged to keys, in nano-USD.", offer).labels
        )
        self._audio = cache(
            self._counter("audio_seconds", "Audio handed to clients.", offer).labels
        )

    def _count_attempts(self) -> None:
        self._attempts = cache(
            self._counter(
                "attempts", "Attempts at providers, by how they ended.", "provider outcome error"
            ).labels
        )
        self._further = cache(
            self._counter(
                "further_attempts",
                "Attempts beyond a request's first, by why: repeat, credential, fallback, hedge, "
                "resume.",
                "provider kind",
            ).labels
        )
        self._liability = cache(
            self._counter(
                "liability_nano_usd",
                "What providers may bill for attempts, in nano-USD.",
                "provider model",
            ).labels
        )

    def _time(self) -> None:
        self._request = cache(
            self._histogram("request_seconds", "From request to end.", _CLIPS, "outcome").labels
        )
        self._first_audio = self._histogram(
            "first_audio_seconds", "From request to first audio.", _WAITS
        )
        self._overhead = self._histogram(
            "overhead_seconds",
            "Of the time to first audio, what neither a provider nor the line took.",
            _STEPS,
        )
        self._step = cache(
            self._histogram(
                "step_seconds", "Of a request's steps: plan, queue, hold, settle.", _STEPS, "step"
            ).labels
        )
        self._provider_first_audio = cache(
            self._histogram(
                "provider_first_audio_seconds",
                "From asking a provider to its first audio.",
                _WAITS,
                "provider model",
            ).labels
        )
        self._factor = cache(
            self._histogram(
                "real_time_factor",
                "Seconds of work for a second of audio, of whole clips.",
                _FACTORS,
                "provider model",
            ).labels
        )

    def request(
        self, model: str, provider: str | None, outcome: str, status: int, reason: str | None
    ) -> None:
        """A speech request has ended; reason: the error's type, where it ended in one."""
        self._requests(model, provider or NOBODY, outcome, f"{status // 100}xx").inc()
        if reason is not None:
            self._errors(reason).inc()

    def asked(self, form: str, policy: str) -> None:
        self._asked(form, policy).inc()

    def charged(
        self, provider: str, model: str, characters: int, nano: int, seconds: float
    ) -> None:
        """What a key paid, and the seconds of audio that it was given for it."""
        self._audio(provider, model).inc(seconds)
        if characters:
            self._characters(provider, model).inc(characters)
        if nano:
            self._cost(provider, model).inc(nano)

    def lasted(self, outcome: str, seconds: float) -> None:
        self._request(outcome).observe(seconds)

    def began(self, seconds: float, overhead: float) -> None:
        """First audio left after so many seconds, so many of which were ours."""
        self._first_audio.observe(seconds)
        self._overhead.observe(overhead)

    def step(self, name: str, seconds: float) -> None:
        self._step(name).observe(seconds)

    def attempt(
        self, provider: str, model: str, outcome: str, error: str | None, liability_nano: int
    ) -> None:
        self._attempts(provider, outcome, error or NOBODY).inc()
        if liability_nano:
            self._liability(provider, model).inc(liability_nano)

    def further(self, provider: str, kind: str) -> None:
        self._further(provider, kind).inc()

    def spoke(
        self, provider: str, model: str, first_audio: float, real_time_factor: float | None
    ) -> None:
        """A provider gave audio; the factor of a clip that came whole."""
        self._provider_first_audio(provider, model).observe(first_audio)
        if real_time_factor is not None:
            self._factor(provider, model).observe(real_time_factor)

    def _counter(self, name: str, told: str, labels: str) -> Counter:
        return Counter(f"voxroute_{name}", told, labels.split(), registry=self.registry)

    def _histogram(
        self, name: str, told: str, buckets: tuple[float, ...], labels: str = ""
    ) -> Histogram:
        name = f"voxroute_{name}"
        return Histogram(name, told, labels.split(), registry=self.registry, buckets=buckets)
