"""Attempts: tries the plan's offers in turn until one's audio is through to the client.

This is the only layer that retries (tenacity). Once audio has gone out nothing is said again; at
most the sentences that are still to come are said by another offer, where that was asked for.
"""

import time

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from gateway.dispatch.attempt import Attempt
from gateway.dispatch.course import LONGEST_PAUSE, Course, Try
from gateway.dispatch.delivery import Delivery
from gateway.dispatch.hedging import Race, may_hedge
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.outlet import Abandoned
from gateway.dispatch.pace import late_after
from gateway.dispatch.reports import intent_of, steps_of, told
from gateway.errors import GatewayError, OfferRefused
from gateway.metering.operations import Extend
from gateway.routing.standings import Ending
from gateway.tracing import Step
from providers import Offer, ProviderError, TimedOut

EARLY_SECONDS = 0.005
"""How much before its time a timeout may fire: uvloop's clock counts whole milliseconds."""
_pause = wait_random_exponential(multiplier=0.05, max=LONGEST_PAUSE)


class Attempts:
    """The attempts of one request, and what they left behind."""

    def __init__(self, job: Job, delivery: Delivery, tools: Tools, course: Course) -> None:
        self._job = job
        self._tools = tools
        self._course = course
        self._held_nano = job.plan.hold_nano
        self.delivery = delivery
        self._next: Try | None = None
        self._failed: Attempt | None = None
        """The last one that failed."""
        self.made: list[Attempt] = []

    @property
    def whole(self) -> bool:
        """Whether all of the text was said."""
        return any(each.whole for each in self.made)

    @property
    def upstream_id(self) -> str | None:
        """What the provider calls the request whose audio went out, or that was made last.

        None where several requests made the audio: none of them is the whole.
        """
        given = [each for each in self.made if each.opened_at is not None] or self.made[-1:]
        is_one = sum(each.asked for each in given) == 1
        return given[0].upstream_id if is_one else None

    def steps(self) -> list[Step]:
        """What the trace tells of them."""
        return [step for each in self.made for step in steps_of(each)]

    async def run(self, first: Try) -> None:
        """Speak; raises Abandoned, or what the caller is to be told."""
        try:
            await self._go(first, 1)
        except ProviderError as error:
            await self._try_again(error)
        await self.delivery.finish()

    async def _try_again(self, first: ProviderError) -> None:
        """All further attempts; most requests need none, and are spared what retrying costs."""
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._tools.deadlines.attempts),
            retry=retry_if_exception(self._worth_another),
            wait=self._wait,
            reraise=True,
        )
        try:
            async for retry in retrying:
                with retry:
                    if retry.retry_state.attempt_number == 1:
                        raise first
                    await self._go_on()
        except ProviderError as error:
            raise self._told(error) from None

    async def _go_on(self) -> None:
        found, self._next = self._next, None
        assert found is not None  # noqa: S101  # what made it worth another found it
        seq = len(self.made) + 1
        await self._go(await self._held(found, seq), seq)

    # One attempt, or two beside each other.

    async def _go(self, found: Try, seq: int) -> None:
        if self.delivery.deserted:
            self._course.unused(found, time.monotonic())
            raise Abandoned
        attempt = self._new(found, seq)
        if seq == 1 and may_hedge(self._job, found.choice.offer):
            await self._hedged(attempt)
        else:
            await self._run(attempt)

    def _new(self, found: Try, seq: int) -> Attempt:
        attempt = Attempt(self._job, self._tools, self.delivery, found, seq, self._parts)
        self.made.append(attempt)
        return attempt

    async def _run(self, attempt: Attempt) -> None:
        try:
            await attempt.run(self._by(attempt.found.choice.offer))
        except ProviderError:
            self._failed = attempt
            raise
        finally:
            self._tools.admission.poke()

    async def _hedged(self, attempt: Attempt) -> None:
        """Ask a second offer, too, where the first is late; whoever has audio first speaks."""
        standing = self._tools.standings.of(attempt.found.choice.offer.name, time.monotonic())
        race = Race(self.delivery)
        try:
            race.start(attempt, self._run(attempt))
            if await race.is_late(late_after(standing, self._tools.deadlines)):
                await self._start_rival(race, attempt.found)
            await race.end()
        finally:
            await race.close()

    async def _start_rival(self, race: Race, late: Try) -> None:
        found = await self._rival(late)
        if found is None:
            return
        rival = self._new(found, len(self.made) + 1)
        # While its hold was made, the late one had audio after all, or the client left.
        if race.is_open or self.delivery.deserted:
            self._tools.standings.ended(found.grant, Ending(), time.monotonic())
        else:
            race.start(rival, self._run(rival))

    async def _rival(self, late: Try) -> Try | None:
        """Whom to ask beside the late one, once what it may cost is held, too."""
        now = time.monotonic()
        found = self._course.beside(late, now)
        if found is None or not self._tools.hedges.take(now):
            if found is not None:
                self._course.unused(found, now)
            return None
        try:
            await self._extend(found, len(self.made) + 1)
        except GatewayError:
            self._course.unused(found, time.monotonic())
            return None
        return found

    def _by(self, offer: Offer) -> float:
        """Until when this attempt must have audio: half of what is left, if another may follow."""
        now = time.monotonic()
        left = self._job.first_audio_by - now
        if self.delivery.opener is not None:  # the client has audio to listen to
            left = self._job.ends_by - now
        elif self._course.has_more and len(self.made) < self._tools.deadlines.attempts:
            left /= 2
        most = max(self._tools.deadlines.attempt_seconds, offer.first_audio_seconds)
        return now + min(most, left)

    # Between attempts.

    async def _held(self, found: Try, seq: int) -> Try:
        """The attempt, or the next one that the budgets allow; its intent is written down."""
        while True:
            try:
                await self._extend(found, seq)
            except OfferRefused:
                found = self._after_refusal(found)
            except GatewayError:
                self._course.unused(found, time.monotonic())
                raise self._told(self._last_error) from None
            else:
                return found

    def _after_refusal(self, refused: Try) -> Try:
        """An offer that a budget of its own refuses is passed over for the next."""
        now = time.monotonic()
        self._course.refused(refused, now)
        found = self._successor(now)
        if found is None:
            raise self._told(self._last_error)
        return found

    async def _extend(self, found: Try, seq: int) -> None:
        """Hold what one more attempt may cost beyond the hold."""
        owed = sum(attempt.owed_nano for attempt in self.made)
        more = max(0, owed + found.choice.hold_nano - self._held_nano)
        said = len(self._job.speech.text) - sum(map(len, self._parts))
        intent = intent_of(found, seq, said)
        await self._tools.writer.submit(Extend(self._job.opening.id, more, intent))
        self._held_nano += more

    @property
    def _parts(self) -> tuple[str, ...]:
        """What there is still to say."""
        return self._job.parts if self._failed is None else self._failed.rest

    def _worth_another(self, error: BaseException) -> bool:
        if not isinstance(error, ProviderError) or self._failed is None:
            return False
        if len(self.made) < self._tools.deadlines.attempts:
            self._next = self._successor(time.monotonic())
        return self._next is not None

    def _successor(self, now: float) -> Try | None:
        """Who may follow the attempt that failed."""
        assert self._failed is not None  # noqa: S101  # only asked for once there is one
        if self.delivery.opener is not None:
            return self._rest_of_it(self._failed, now)
        if self._is_late():
            return None
        return self._course.after(self._last_error, self._failed.found, now)

    def _rest_of_it(self, failed: Attempt, now: float) -> Try | None:
        """Who may say the sentences that are still to come: once, and in a voice of the family."""
        resumed = any(each.found.kind == "resume" for each in self.made)
        if not self._job.in_sentences or resumed or not failed.rest or self.delivery.deserted:
            return None
        return self._course.resume(failed.found, self._job.catalog, now)

    def _is_late(self) -> bool:
        return time.monotonic() >= self._job.first_audio_by - EARLY_SECONDS

    def _wait(self, state: RetryCallState) -> float:
        """No pause before another offer; before the same one, jitter or the rest it asked for."""
        if self._next is None or self._next.kind != "repeat":
            return 0.0
        pause = max(_pause(state), self._last_error.wait or 0.0)
        return min(pause, max(0.0, self._job.first_audio_by - time.monotonic()))

    # Afterwards.

    @property
    def _last_error(self) -> ProviderError:
        assert self._failed is not None  # noqa: S101  # only asked for once there is one
        assert self._failed.error is not None  # noqa: S101  # that is why it failed
        return self._failed.error

    def _told(self, error: ProviderError) -> GatewayError:
        had_none = self.delivery.opener is None
        return told(self.made, late=had_none and isinstance(error, TimedOut) and self._is_late())
