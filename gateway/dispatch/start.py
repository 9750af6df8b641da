"""The start: how a job comes from its plan to its first attempt, past rests and budgets."""

import time
from dataclasses import replace

from gateway.dispatch.course import Course, Try
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.reports import intent_of
from gateway.errors import OfferRefused, Resting
from gateway.metering.operations import Hold
from gateway.routing.standings import Rest
from gateway.routing.telling import told
from gateway.tracing import Step

AT_ONCE_SECONDS = 0.001
"""Who had its place within this time has not waited."""


class Start:
    """A job that is about to be held, with the attempt that it will begin with."""

    def __init__(self, job: Job, tools: Tools) -> None:
        self._tools = tools
        self.job = job
        self.course = self._course(job)
        self.admitted_at = job.planned
        self.found: Try | None = None

    def first(self) -> Try | Rest:
        """Whom to ask first, if anybody may be asked now."""
        found = self.course.first(time.monotonic())
        self.found = found if isinstance(found, Try) else None
        return found

    def hold(self) -> Hold:
        job = self.job
        return Hold(
            job.opening,
            job.plan.hold_nano,
            intent_of(self.attempt, 1),
            job.claim,
            may_downgrade=job.cheaper is not None,
            downgrade_at=job.plan.downgrade_at,
            text=job.kept_text,
        )

    @property
    def attempt(self) -> Try:
        assert self.found is not None  # noqa: S101  # admission let nobody in without one
        return self.found

    def downgrade(self) -> None:
        """A soft threshold would be passed: go on with the cheaper plan."""
        assert self.job.cheaper is not None  # noqa: S101  # only then is it asked for
        self.give_up()
        self.job = self.job.cheaper
        self.course = self._course(self.job)
        rest = self.first()
        if isinstance(rest, Rest):
            raise Resting(
                f"no offer of the cheaper models can be asked now ({rest.reason})",
                retry_after=rest.seconds,
            )

    def pass_over(self, refusal: OfferRefused) -> None:
        """A budget does not let the offer be asked: go on with the next one of the plan."""
        refused, self.found = self.attempt, None
        self.course.refused(refused, time.monotonic())
        plan = self.job.plan.without(refused.choice, refusal.message)
        opening = replace(self.job.opening, plan=told(plan))
        self.job = replace(self.job, plan=plan, opening=opening)
        if not plan.choices or isinstance(self.first(), Rest):
            raise refusal

    def take_back(self, _: Try) -> None:
        """Nobody waits for it any more."""
        self.give_up()

    def give_up(self) -> None:
        """Nobody is asked after all."""
        if self.found is not None:
            self.course.unused(self.found, time.monotonic())
            self.found = None

    def steps(self, held_at: float) -> list[Step]:
        """What the trace tells of it."""
        planned, admitted = self.job.planned, self.admitted_at
        attributes = {"voxroute.hold_nano_usd": self.job.plan.hold_nano}
        hold = Step("hold", admitted, held_at, attributes)
        waited = admitted - planned > AT_ONCE_SECONDS
        return [Step("queue", planned, admitted), hold] if waited else [hold]

    def _course(self, job: Job) -> Course:
        tools = self._tools
        key = job.opening.key_hash
        return Course(job.plan.choices, job.catalog.providers, tools.standings, tools.retries, key)
