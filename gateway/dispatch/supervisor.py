"""The supervisor: owns each request from hold to settle, whatever becomes of its client (D5)."""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from functools import partial

from gateway import logs
from gateway.dispatch import timings
from gateway.dispatch.attempts import Attempts
from gateway.dispatch.closing import attributes_of, closing_of, elapsed_ms, settled
from gateway.dispatch.course import Try
from gateway.dispatch.delivery import Delivery
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.measuring import Course, about, measure, replayed
from gateway.dispatch.outlet import Abandoned, Head, Outlet, expire
from gateway.dispatch.replay import read_out
from gateway.dispatch.start import Start
from gateway.errors import (
    ClientLeft,
    Draining,
    GatewayError,
    InDoubt,
    MeteringUnavailable,
    OfferRefused,
    Replay,
    SoftLimit,
)
from gateway.kept.clips import Draft
from gateway.kept.folder import Clip
from gateway.metering.operations import Closing, Record, Resolve
from gateway.tracing import Step

RECORD_TRIES = 20
RECORD_PAUSE_SECONDS = 0.5
SETTLE_SECONDS = 10.0
"""How long a stop waits for what it broke off to be settled."""
log = logging.getLogger(__name__)


class Supervisor:
    """Runs jobs in tasks of its own; a response only reads the job's outlet."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._running: dict[asyncio.Task[None], tuple[Job | None, Outlet]] = {}
        self._stopped = False

    def start(self, job: Job) -> Outlet:
        outlet = Outlet()
        self._own(self._supervise(job, outlet), job, outlet)
        return outlet

    def replay(self, clip: Clip, head: Head) -> Outlet:
        """Say again what was kept; nothing is held, and nobody is asked."""
        outlet = Outlet()
        replayed(self._tools.metrics, head)
        reading = read_out(clip, head, outlet, self._tools.deadlines.stall_seconds)
        self._own(reading, None, outlet)
        return outlet

    def _own(self, work: Coroutine[None, None, None], job: Job | None, outlet: Outlet) -> None:
        task = asyncio.create_task(work)
        self._running[task] = (job, outlet)
        task.add_done_callback(self._forget)

    def running(self) -> list[str]:
        """The generations that are not yet ended."""
        return [job.opening.id for job, _ in self._running.values() if job is not None]

    async def refuse(self, job: Job, error: GatewayError) -> None:
        """Write down a request whose plan has no choice; nothing was held."""
        closing = _refusal(job, error)
        try:
            await self._tools.writer.submit(Record(job.opening, closing, job.kept_text))
        finally:
            self._traced(job, closing)
            measure(self._tools.metrics, job, closing)

    async def drain(self, seconds: float) -> None:
        """Let what runs come to its end, for `seconds` at most; then break off and settle it."""
        await self._ended(seconds)
        self._stopped = True
        for _, outlet in list(self._running.values()):
            outlet.break_off()
        await self._ended(SETTLE_SECONDS)
        if self._running:
            log.error("%d requests could not be settled; their holds stay", len(self._running))

    def _forget(self, task: asyncio.Task[None]) -> None:
        """Whatever ended a task early, its client is not left waiting."""
        job, outlet = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            ids = {"about": about(job)} if job is not None else {}
            log.error("a request failed in the gateway itself", exc_info=error, extra=ids)
            outlet.close(GatewayError("the gateway itself failed"))

    async def _ended(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def _supervise(self, job: Job, outlet: Outlet) -> None:
        logs.about.set(about(job))
        try:
            start = await self._admitted(job, outlet)
        except GatewayError as error:
            outlet.close(error)  # at once, and not after it is written down: many may be shed
            await self._refused(job, outlet, error)
            return
        try:
            await self._speak(start, outlet)
        finally:
            self._tools.admission.leave()

    async def _admitted(self, job: Job, outlet: Outlet) -> Start:
        """Wait for a place, and for an offer that may be asked."""
        now = time.monotonic()
        self._tools.retries.asked(now, job.opening.key_hash)
        self._tools.hedges.asked(now)
        start = Start(job, self._tools)
        wait = (job.first_audio_by - job.began) * self._tools.load.wait_share
        try:
            async with asyncio.timeout(None) as limit:
                outlet.on_abandon = partial(expire, limit)
                key = job.opening.key_hash
                await self._tools.admission.enter(key, now + wait, start.first, start.take_back)
        except TimeoutError:
            raise self._left() from None
        finally:
            outlet.on_abandon = None
        start.admitted_at = time.monotonic()
        return start

    async def _speak(self, start: Start, outlet: Outlet) -> None:
        """Hold, speak, settle."""
        try:
            await self._hold(start)
        except Replay as replay:
            start.give_up()
            outlet.close(replay)  # what answers it has its record already
            return
        except GatewayError as error:
            start.give_up()
            await self._refused(start.job, outlet, error)
            return
        job, held_at = start.job, time.monotonic()
        delivery = Delivery(job, outlet, self._tools, start.admitted_at, held_at)
        attempts = Attempts(job, delivery, self._tools, start.course)
        failure = await self._run(attempts, start.attempt, outlet)
        closing, ended = closing_of(job, attempts, outlet, failure), time.monotonic()
        if outlet.draft is not None:
            await _keep(outlet.draft, whole=attempts.whole and closing.status == "settled")
        settling = time.monotonic()
        told = timings.of_spoken(start, attempts, held_at, ended, settling)
        closing = replace(closing, timings=told)
        await self._settle(job, closing)
        self._traced(job, closing, [*start.steps(held_at), *attempts.steps()], settling)
        course = Course(start.admitted_at, held_at, settling, delivery, attempts.made)
        measure(self._tools.metrics, job, closing, course)

    def _traced(
        self, job: Job, closing: Closing, steps: Sequence[Step] = (), settling: float | None = None
    ) -> None:
        told = [Step("plan", job.began, job.planned), *steps]
        if settling is not None:
            told.append(Step("settle", settling, time.monotonic(), settled(closing)))
        job.trace.end(told, attributes_of(job, closing), closing.error_type)

    async def _hold(self, start: Start) -> None:
        """Set aside what the plan may cost, as its budgets let it be done."""
        if self._tools.journal.is_full:
            raise MeteringUnavailable("too many requests wait to be settled", retry_after=5)
        while True:
            try:
                await self._tools.writer.submit(start.hold())
            except SoftLimit:
                start.downgrade()
            except OfferRefused as error:
                start.pass_over(error)
            else:
                return

    async def _run(self, attempts: Attempts, first: Try, outlet: Outlet) -> GatewayError | None:
        """Speak, and wait for the client to have it all; how it failed, if it did."""
        try:
            await attempts.run(first)
        except Abandoned:
            failure = self._left()
        except GatewayError as error:
            failure = error
        except Exception:
            log.exception("a request failed in the gateway itself")
            failure = GatewayError("the gateway itself failed; the request is not charged")
        else:
            outlet.close()
            await outlet.ended(self._tools.deadlines.stall_seconds)
            return self._left() if outlet.abandoned else None
        outlet.close(failure)
        return failure

    def _left(self) -> GatewayError:
        """Who broke off: the client, unless the gateway is stopping."""
        if self._stopped:
            return Draining("the gateway stopped in the middle of this request", retry_after=5)
        return ClientLeft("the client left")

    async def _refused(self, job: Job, outlet: Outlet, error: GatewayError) -> None:
        """Nothing was held: write that down, then tell; a database that is away is told at once."""
        closing = _refusal(job, error)
        if isinstance(error, MeteringUnavailable):
            outlet.close(error)
            if isinstance(error, InDoubt):
                await self._settle(job, closing)  # there may be a hold, which nobody will use
        else:
            await self._record(job, closing)
            outlet.close(error)
        self._traced(job, closing)
        measure(self._tools.metrics, job, closing)

    async def _settle(self, job: Job, closing: Closing) -> None:
        """Write the end down; where the database is away, in the journal, which is replayed."""
        resolve = Resolve(job.opening.id, closing)
        try:
            await self._tools.writer.submit(resolve)
        except MeteringUnavailable:
            await asyncio.to_thread(self._tools.journal.append, resolve)
        except GatewayError as error:
            log.error("generation %s cannot be ended: %s", job.opening.id, error.message)  # noqa: TRY400

    async def _record(self, job: Job, closing: Closing) -> None:
        """Write a refusal down; there is no money in it, so it is given up after a while."""
        for _ in range(RECORD_TRIES):
            try:
                await self._tools.writer.submit(Record(job.opening, closing, job.kept_text))
            except MeteringUnavailable:
                await asyncio.sleep(RECORD_PAUSE_SECONDS)
            except GatewayError:
                return
            else:
                return


def _refusal(job: Job, error: GatewayError) -> Closing:
    told, took = timings.of_refused(job), elapsed_ms(job)
    return Closing("voided", error.status, took, error.error_type, timings=told)


async def _keep(draft: Draft, *, whole: bool) -> None:
    """Before the settle: who finds the request settled finds its clip, too."""
    if whole:
        await draft.keep()
    else:
        draft.drop()
