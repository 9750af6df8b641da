"""Attempts: tries the plan's offers in turn until one's audio is through to the client.

This is the only layer that retries (tenacity). An attempt that has let audio out is never repeated.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from gateway.audio.formats import BrokenAudio, Format, Sound
from gateway.audio.length import Meter
from gateway.audio.transcode import passes_untouched, transcode
from gateway.dispatch.costs import NOTHING, cost_of
from gateway.dispatch.first_audio import Heard, first_audio
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.outlet import Abandoned, Head, Outlet
from gateway.dispatch.reports import attempt_step, intent_of, told
from gateway.errors import GatewayError, OfferRefused
from gateway.kept.clips import Draft
from gateway.kept.folder import Label
from gateway.metering.operations import AttemptResult, Extend, Outcome
from gateway.metering.prices import Cost
from gateway.routing.plan import Choice
from gateway.tracing import Step
from providers import BrokenOff, NotAudio, ProviderError, Speech, TimedOut

REPEATS = 1
"""How often the same offer is tried again when there is no other."""
EARLY_SECONDS = 0.005
"""How much before its time a timeout may fire: uvloop's clock counts whole milliseconds."""
LONGEST_PAUSE = 2.0
"""A provider that wants a longer rest is not asked again for the same request."""
_pause = wait_random_exponential(multiplier=0.05, max=LONGEST_PAUSE)


def following(choices: int, at: int, repeated: int, error: ProviderError) -> int | None:
    """Which choice to try after `error` at choice `at`; None when nobody can do better."""
    if error.elsewhere and at + 1 < choices:
        return at + 1
    if error.retryable and repeated < REPEATS and (error.wait or 0.0) <= LONGEST_PAUSE:
        return at
    return None


class Attempts:
    """The attempts of one request, and what they left behind."""

    def __init__(self, job: Job, outlet: Outlet, tools: Tools, held: tuple[float, int]) -> None:
        self._job = job
        self._outlet = outlet
        self._tools = tools
        self._held_at, self._held_nano = held
        self._at: int | None = 0
        self._repeated = 0
        self._errors: list[tuple[Choice, ProviderError]] = []
        self._meter = Meter(job.target)
        self._opened_at: float | None = None
        self._heard: Heard | None = None
        self.results: list[AttemptResult] = []
        self.steps: list[Step] = []
        self.choice: Choice | None = None
        """Whose audio went out."""
        self.whole = False
        """Whether all of the audio came."""

    @property
    def seconds(self) -> float:
        return self._meter.seconds

    @property
    def first_audio_ms(self) -> int | None:
        return None if self._opened_at is None else _ms(self._job.began, self._opened_at)

    def cost(self) -> Cost:
        """What the client's own clip came to."""
        if self.choice is None or self._heard is None:
            return NOTHING
        return self._cost(self.choice, self._heard)

    async def run(self) -> None:
        """Speak; raises Abandoned, or what the caller is to be told."""
        try:
            await self._attempt(1)
        except ProviderError as error:
            await self._try_again(error)

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
                    await self._attempt(retry.retry_state.attempt_number)
        except ProviderError as error:
            raise self._told(error) from None

    # One attempt.

    async def _attempt(self, seq: int) -> None:
        if seq > 1 and not self._outlet.deserted:
            await self._extend(seq)
        choice = self._job.plan.choices[self._at or 0]
        if self._outlet.deserted:
            raise Abandoned
        started = time.monotonic()
        heard = self._heard = Heard(Sound(Format(choice.native_format), choice.offer.sample_rate))
        failed: ProviderError | None = None
        try:
            await self._speak(choice, heard, started)
            self.whole = True
        except ProviderError as error:
            failed = error
            raise
        finally:
            self._write_down(seq, choice, heard, started, failed)

    async def _speak(self, choice: Choice, heard: Heard, started: float) -> None:
        job, outlet = self._job, self._outlet
        attempt_by = min(started + self._tools.deadlines.attempt_seconds, job.first_audio_by)
        provider = job.providers[choice.offer.provider]
        try:
            async with asyncio.timeout_at(attempt_by) as limit:
                outlet.on_abandon = partial(_expire, limit)
                speech = self._speech(choice)
                pieces = self._tools.speak(self._tools.client, provider, choice.offer, speech)
                async with (
                    aclosing(pieces),
                    aclosing(first_audio(pieces, heard)) as audio,
                    aclosing(await self._as_wanted(audio, heard)) as shaped,
                ):
                    async for chunk in shaped:
                        if self._opened_at is None:
                            limit.reschedule(job.ends_by)
                            self._open(choice)
                        self._meter.feed(chunk)
                        await outlet.put(chunk, self._tools.deadlines.stall_seconds)
            if self._opened_at is None:
                raise NotAudio("no sound in it")
        except TimeoutError:
            if outlet.deserted:
                raise Abandoned from None
            raise TimedOut(
                "no audio in time" if self._opened_at is None else "never ended"
            ) from None
        except BrokenAudio as broken:
            error = NotAudio if self._opened_at is None else BrokenOff
            raise error(str(broken)) from None
        finally:
            outlet.on_abandon = None

    async def _as_wanted(self, audio: AsyncGenerator[bytes], heard: Heard) -> AsyncGenerator[bytes]:
        """The audio in the client's format: untouched where it is that already."""
        whole = _joined(await anext(audio), audio)
        target = self._job.target
        if passes_untouched(heard.sound, target):
            return whole
        return transcode(whole, heard.sound, target, self._tools.codecs)

    def _speech(self, choice: Choice) -> Speech:
        return replace(
            self._job.speech,
            voice=choice.voice,
            format=choice.native_format,
            options=self._job.options.get(choice.offer.provider, {}),
            traceparent=self._job.trace.traceparent,
        )

    def _open(self, choice: Choice) -> None:
        self._opened_at = time.monotonic()
        self.choice = choice
        job = self._job
        head = Head(
            provider=choice.offer.provider,
            model=choice.offer.model,
            voice=choice.voice,
            attempts=len(self._errors) + 1,
            sound=job.target,
            timings=(
                ("plan", (job.planned - job.began) * 1000),
                ("hold", (self._held_at - job.planned) * 1000),
                ("first-audio", (self._opened_at - self._held_at) * 1000),
            ),
        )
        self._outlet.open(head, self._draft(head) if job.claim is not None else None)

    def _draft(self, head: Head) -> Draft:
        label = Label(head.provider, head.model, head.voice, head.attempts, head.sound)
        return self._tools.kept.draft(self._job.opening.id, label)

    # Between attempts.

    async def _extend(self, seq: int) -> None:
        """Hold what one more attempt may cost beyond the hold; a refusal ends the trying.

        An offer that a budget of its own refuses is passed over for the next.
        """
        at, choices = self._at or 0, self._job.plan.choices
        owed = sum(result.liability_nano for result in self.results)
        more = max(0, owed + choices[at].hold_nano - self._held_nano)
        intent = intent_of(choices[at], seq)
        try:
            await self._tools.writer.submit(Extend(self._job.opening.id, more, intent))
        except OfferRefused:
            if at + 1 == len(choices):
                raise self._told(self._errors[-1][1]) from None
            self._at, self._repeated = at + 1, 0
            await self._extend(seq)
        except GatewayError:
            raise self._told(self._errors[-1][1]) from None
        else:
            self._held_nano += more

    def _worth_another(self, error: BaseException) -> bool:
        if not isinstance(error, ProviderError) or self._opened_at is not None:
            return False
        if self._is_late():
            return False
        at = self._at or 0
        self._at = following(len(self._job.plan.choices), at, self._repeated, error)
        self._repeated = self._repeated + 1 if self._at == at else 0
        return self._at is not None

    def _is_late(self) -> bool:
        return time.monotonic() >= self._job.first_audio_by - EARLY_SECONDS

    def _wait(self, state: RetryCallState) -> float:
        """No pause before another offer; before the same one, jitter or the rest it asked for."""
        if not self._repeated:
            return 0.0
        pause = max(_pause(state), self._errors[-1][1].wait or 0.0)
        return min(pause, max(0.0, self._job.first_audio_by - time.monotonic()))

    def _told(self, error: ProviderError) -> GatewayError:
        return told(self._errors, late=isinstance(error, TimedOut) and self._is_late())

    # Afterwards.

    def _write_down(
        self,
        seq: int,
        choice: Choice,
        heard: Heard,
        started: float,
        failed: ProviderError | None,
    ) -> None:
        now = time.monotonic()
        offer = choice.offer
        opened = self._opened_at
        if failed is not None:
            self._errors.append((choice, failed))
            self._tools.standings.failed(offer.name, now)
        elif opened is not None:
            factor = (now - started) / self.seconds if self.whole and self.seconds else None
            first = (opened - started) * 1000
            self._tools.standings.heard(offer.name, now, first, factor)
        outcome: Outcome = "failed" if failed else "done" if self.whole else "abandoned"
        nothing = failed is not None and failed.owed == "nothing"
        result = AttemptResult(
            seq=seq,
            outcome=outcome,
            liability_nano=0 if nothing else self._liability(choice, heard),
            latency_ms=_ms(started, now),
            first_audio_ms=None if opened is None else _ms(started, opened),
            http_status=failed.status if failed else 200 if opened is not None else None,
            error_type=failed.kind if failed else None,
            upstream_id=heard.upstream_id,
            billed_units=heard.billed_units,
        )
        self.results.append(result)
        self.steps.append(attempt_step(choice, result, started, now))
        if opened is not None:
            self.steps.append(Step("first audio", started, opened))

    def _liability(self, choice: Choice, heard: Heard) -> int:
        return self._cost(choice, heard).nano or 0

    def _cost(self, choice: Choice, heard: Heard) -> Cost:
        return cost_of(choice, self._job.speech, heard, self.seconds, whole=self.whole)


def _expire(limit: asyncio.Timeout) -> None:
    if not limit.expired():  # it may have, with its task yet to hear of it
        limit.reschedule(asyncio.get_running_loop().time())


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _ms(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))
