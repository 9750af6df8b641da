"""The supervisor: owns each request from hold to settle, whatever becomes of its client (D5)."""

import asyncio
import logging
import time
from collections.abc import Coroutine
from dataclasses import replace

from gateway.dispatch.attempts import Attempts
from gateway.dispatch.costs import flags_of
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.outlet import Abandoned, Head, Outlet
from gateway.dispatch.replay import read_out
from gateway.dispatch.reports import intent_of
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
from gateway.metering.operations import Closing, Hold, Record, Resolve
from gateway.tracing import Attributes, Step

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
        closing = Closing(
            status="voided",
            http_status=error.status,
            error_type=error.error_type,
            duration_ms=_ms(job),
        )
        try:
            await self._tools.writer.submit(Record(job.opening, closing))
        finally:
            steps = [Step("plan", job.began, job.planned)]
            job.trace.end(steps, _attributes(job, closing), error.error_type)

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
        _, outlet = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request failed in the gateway itself", exc_info=error)
            outlet.close(GatewayError("the gateway itself failed"))

    async def _ended(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def _supervise(self, job: Job, outlet: Outlet) -> None:
        steps = [Step("plan", job.began, job.planned)]
        try:
            job = await self._hold(job)
        except Replay as replay:
            outlet.close(replay)  # what answers it has its record already
            return
        except GatewayError as error:
            await self._refused(job, outlet, error, steps)
            return
        held_at, most = time.monotonic(), job.plan.hold_nano
        steps.append(Step("hold", job.planned, held_at, {"voxroute.hold_nano_usd": most}))
        attempts = Attempts(job, outlet, self._tools, (held_at, most))
        failure = await self._run(attempts, outlet)
        closing = _closing(job, attempts, outlet, failure)
        if outlet.draft is not None:
            await _keep(outlet.draft, whole=attempts.whole and closing.status == "settled")
        settling = time.monotonic()
        await self._settle(job, closing)
        settled = time.monotonic()
        attributes = {
            "voxroute.status": closing.status,
            "voxroute.cost_nano_usd": closing.cost_nano,
        }
        steps += [*attempts.steps, Step("settle", settling, settled, attributes)]
        job.trace.end(steps, _attributes(job, closing), closing.error_type)

    async def _hold(self, job: Job) -> Job:
        """Set aside what the plan may cost; the job as its budgets let it be done."""
        if self._tools.journal.is_full:
            raise MeteringUnavailable("too many requests wait to be settled", retry_after=5)
        while True:
            hold = Hold(
                job.opening,
                job.plan.hold_nano,
                intent_of(job.plan.choices[0], 1),
                job.claim,
                may_downgrade=job.cheaper is not None,
                downgrade_at=job.plan.downgrade_at,
            )
            try:
                await self._tools.writer.submit(hold)
            except SoftLimit:
                assert job.cheaper is not None  # noqa: S101  # only then is it asked for
                job = job.cheaper
            except OfferRefused:
                if len(job.plan.choices) == 1:
                    raise
                job = replace(job, plan=replace(job.plan, choices=job.plan.choices[1:]))
            else:
                return job

    async def _run(self, attempts: Attempts, outlet: Outlet) -> GatewayError | None:
        """Speak, and wait for the client to have it all; how it failed, if it did."""
        try:
            await attempts.run()
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

    async def _refused(
        self, job: Job, outlet: Outlet, error: GatewayError, steps: list[Step]
    ) -> None:
        """Nothing was held: write that down, then tell; a database that is away is told at once."""
        closing = Closing("voided", error.status, _ms(job), error.error_type)
        if isinstance(error, MeteringUnavailable):
            outlet.close(error)
            if isinstance(error, InDoubt):
                await self._settle(job, closing)  # there may be a hold, which nobody will use
        else:
            await self._record(job, closing)
            outlet.close(error)
        job.trace.end(steps, _attributes(job, closing), error.error_type)

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
                await self._tools.writer.submit(Record(job.opening, closing))
            except MeteringUnavailable:
                await asyncio.sleep(RECORD_PAUSE_SECONDS)
            except GatewayError:
                return
            else:
                return


async def _keep(draft: Draft, *, whole: bool) -> None:
    """Before the settle: who finds the request settled finds its clip, too."""
    if whole:
        await draft.keep()
    else:
        draft.drop()


def _closing(job: Job, attempts: Attempts, outlet: Outlet, error: GatewayError | None) -> Closing:
    """Who pays (design.md section 10): in full once audio has left, unless we broke the clip."""
    pays = outlet.delivered and (error is None or isinstance(error, ClientLeft))
    choice, cost = attempts.choice, attempts.cost()
    last = attempts.results[-1] if attempts.results else None
    return Closing(
        status="settled" if pays else "voided",
        http_status=error.status if error else 200,
        error_type=error.error_type if error else None,
        duration_ms=_ms(job),
        model=choice.offer.model if choice else None,
        provider=choice.offer.provider if choice else None,
        voice=choice.voice if choice else None,
        upstream_id=last.upstream_id if last else None,
        cost_nano=(cost.nano or 0) if pays else 0,
        charged_characters=job.opening.characters if pays else 0,
        audio_ms=round(attempts.seconds * 1000),
        first_audio_ms=attempts.first_audio_ms,
        cancelled=isinstance(error, ClientLeft),
        attempts=tuple(attempts.results),
        flags=flags_of(cost) + (("downgraded",) if job.is_downgraded else ()),
    )


def _attributes(job: Job, closing: Closing) -> Attributes:
    """The request span's attributes; GenAI names where the convention has one."""
    return {
        "gen_ai.operation.name": "text_to_speech",
        "gen_ai.output.type": "speech",
        "gen_ai.request.model": job.opening.requested_model,
        "gen_ai.response.model": closing.model,
        "gen_ai.response.id": job.opening.id,
        "gen_ai.provider.name": closing.provider,
        "http.request.method": "POST",
        "http.response.status_code": closing.http_status,
        "voxroute.voice": closing.voice,
        "voxroute.format": job.opening.format,
        "voxroute.characters": job.opening.characters,
        "voxroute.cost_nano_usd": closing.cost_nano,
        "voxroute.audio_ms": closing.audio_ms,
        "voxroute.attempts": len(closing.attempts),
        "voxroute.outcome": closing.status,
        "error.type": closing.error_type,
    }


def _ms(job: Job) -> int:
    """How long the request has taken so far."""
    return round((time.monotonic() - job.began) * 1000)
