"""Timings: a request's measured steps, as its generation's record keeps them.

JSON, in milliseconds from the request's beginning: `plan`, `queue`, `hold` and each of `attempts`
as start and end, an attempt's first audio between them; `first_audio`, `last_byte` and `settle` as
moments. How long the settle took is known only after it was written down, and stands in the trace.
"""

import msgspec

from gateway.dispatch.attempts import Attempts
from gateway.dispatch.job import Job
from gateway.dispatch.start import Start


def of_refused(job: Job) -> str:
    """Of a request that nothing was held for."""
    return _encoded({"plan": [0.0, _ms(job, job.planned)]})


def of_spoken(
    start: Start, attempts: Attempts, held_at: float, ended_at: float, settling_at: float
) -> str:
    """Of a request that was held; times are monotonic seconds."""
    job = start.job
    told: dict[str, object] = {"plan": [0.0, _ms(job, job.planned)]}
    told |= {step.name: [_ms(job, step.start), _ms(job, step.end)] for step in start.steps(held_at)}
    told["attempts"] = [
        [_ms(job, each.started), _ms(job, each.opened_at), _ms(job, each.ended)]
        for each in attempts.made
    ]
    told["first_audio"] = _ms(job, attempts.delivery.opened_at)
    told |= {"last_byte": _ms(job, ended_at), "settle": _ms(job, settling_at)}
    return _encoded(told)


def _ms(job: Job, at: float | None) -> float | None:
    return None if at is None else max(0.0, round((at - job.began) * 1000, 2))


def _encoded(told: dict[str, object]) -> str:
    return msgspec.json.encode(told).decode()
