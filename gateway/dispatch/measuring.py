"""Measuring: a request that has ended, for the metrics and for the access log, all at once."""

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway import logs
from gateway.dispatch.attempt import Attempt
from gateway.dispatch.delivery import Delivery
from gateway.dispatch.job import Job
from gateway.dispatch.outlet import Head
from gateway.logs import About
from gateway.metering.operations import Closing
from gateway.metrics.instruments import OTHER, Metrics
from gateway.routing.tasks import TASK_PREFIX

REFUSED, UNAVAILABLE, LEFT = 400, 503, 499


@dataclass(frozen=True, slots=True)
class Course:
    """How a request that was held went. Times are monotonic seconds."""

    admitted_at: float
    held_at: float
    settling: float
    delivery: Delivery
    made: Sequence[Attempt]


def about(job: Job) -> About:
    """The ids that its log lines carry."""
    opening = job.opening
    return About(opening.request_id, opening.trace_id, job.trace.span_id, opening.id)


def measure(metrics: Metrics, job: Job, closing: Closing, course: Course | None = None) -> None:
    """Count and time it; course: None where nothing was held."""
    now = time.monotonic()
    outcome, model = outcome_of(closing), _model(job, closing)
    metrics.request(model, closing.provider, outcome, closing.http_status, closing.error_type)
    metrics.asked(job.opening.format, job.plan.policy)
    metrics.lasted(outcome, now - job.began)
    metrics.step("plan", job.planned - job.began)
    if course is not None:
        _measure_course(metrics, job, course, now)
    if closing.provider is not None:
        seconds = closing.audio_ms / 1000
        paid = (closing.charged_characters, closing.cost_nano)
        metrics.charged(closing.provider, model, *paid, seconds)
    if logs.access.isEnabledFor(logging.INFO):
        _write_line(job, closing, outcome, model)


def replayed(metrics: Metrics, head: Head) -> None:
    """A clip was said again from what was kept; nobody was asked, nothing is charged."""
    metrics.request(head.model, head.provider, "replayed", 200, None)


def outcome_of(closing: Closing) -> str:
    """What became of it, in one word of a few."""
    status = closing.http_status
    if closing.error_type is None:
        return "spoken"
    if status == LEFT:
        return "left"
    if "cut" in closing.flags:
        return "cut"
    if status < 500:  # noqa: PLR2004  # the caller's own doing
        return "refused"
    return "turned_away" if status == UNAVAILABLE else "failed"


def overhead(began: float, opened: float, asked: Iterable[tuple[float, float]]) -> float:
    """Of the time to first audio, what no provider took; `asked`: when each was, from and until.

    Two that were asked beside each other count once.
    """
    known = began
    taken = 0.0
    for start, end in asked:
        begin, until = max(start, known), min(end, opened)
        if until > begin:
            taken += until - begin
            known = until
    return max(0.0, opened - began - taken)


def _measure_course(metrics: Metrics, job: Job, course: Course, now: float) -> None:
    waited = course.admitted_at - job.planned
    metrics.step("queue", waited)
    metrics.step("hold", course.held_at - course.admitted_at)
    metrics.step("settle", now - course.settling)
    for attempt in course.made:
        _measure_attempt(metrics, attempt)
    opened = course.delivery.opened_at
    if opened is not None:
        asked = ((each.started, each.opened_at or each.ended) for each in course.made)
        metrics.began(opened - job.began, overhead(job.began, opened, asked) - waited)


def _measure_attempt(metrics: Metrics, attempt: Attempt) -> None:
    result, offer = attempt.result, attempt.found.choice.offer
    provider, model = offer.provider, offer.model
    metrics.attempt(provider, model, result.outcome, result.error_type, result.liability_nano)
    if attempt.found.kind != "first":
        metrics.further(provider, attempt.found.kind)
    if attempt.opened_at is not None:
        first_audio = attempt.opened_at - attempt.started
        metrics.spoke(provider, model, first_audio, attempt.real_time_factor)


def _model(job: Job, closing: Closing) -> str:
    """A name out of the operator's own files, whatever the caller wrote."""
    if closing.model is not None:
        return closing.model
    if job.opening.requested_model in job.catalog.models:
        return job.opening.requested_model
    return OTHER if job.opening.task is None else f"{TASK_PREFIX}{job.opening.task}"


def _write_line(job: Job, closing: Closing, outcome: str, model: str) -> None:
    told = {
        "outcome": outcome,
        "status": closing.http_status,
        "error_type": closing.error_type,
        "model": model,
        "provider": closing.provider,
        "ms": closing.duration_ms,
        "first_audio_ms": closing.first_audio_ms,
        "characters": job.opening.characters,
        "charged_characters": closing.charged_characters,
        "cost_nano_usd": closing.cost_nano,
        "audio_ms": closing.audio_ms,
        "attempts": len(closing.attempts),
        "format": job.opening.format,
    }
    logs.access.info("speech", extra={"told": told, "about": about(job)})
