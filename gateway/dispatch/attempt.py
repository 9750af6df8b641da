"""An attempt: one offer is asked once, and what comes of it is given to the delivery."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cached_property

from gateway.audio.formats import BrokenAudio, Format, Sound
from gateway.audio.length import Meter
from gateway.audio.transcode import passes_untouched, transcode
from gateway.dispatch.costs import cost_of, together
from gateway.dispatch.course import Try
from gateway.dispatch.delivery import Delivery
from gateway.dispatch.first_audio import Heard, first_audio
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.outlet import Abandoned
from gateway.dispatch.pace import Pace, late_after, most_bytes, most_seconds
from gateway.metering.operations import AttemptResult, Outcome
from gateway.metering.prices import Cost
from gateway.routing.standings import Ending
from providers import BrokenOff, NotAudio, ProviderError, Speech, TimedOut


@dataclass(slots=True)
class Call:
    """One part on its way: a request to the provider, and what was heard of it."""

    text: str
    heard: Heard
    seconds: float = 0.0
    whole: bool = False


class Attempt:
    """One try. Its parts are said one after the other; most requests have one, the whole text."""

    def __init__(  # noqa: PLR0913, PLR0917  # what it says, through whom, to whom
        self,
        job: Job,
        tools: Tools,
        delivery: Delivery,
        found: Try,
        seq: int,
        parts: tuple[str, ...],
    ) -> None:
        self._job = job
        self._tools = tools
        self._delivery = delivery
        self.found = found
        self.seq = seq
        self._parts = parts
        self._begun = 0
        """Parts whose audio has begun to go out."""
        # What goes out as it is, is measured once for both.
        self._meter = Meter(delivery.sound) if delivery.encodes else delivery.meter
        self._pace = Pace()
        self._bytes = 0
        self._is_fair = True
        """Whether it had as much time as its offer may take; a shorter deadline is our doing."""
        self._taken_at = 0.0
        """When the client had last taken all there was."""
        self._waited = 0.0
        """Seconds spent on a client that was slow to take its audio."""
        self._calls: list[Call] = []
        self._most_seconds = most_seconds("".join(parts), job.speech.speed)
        self.started = self.ended = time.monotonic()
        self.opened_at: float | None = None
        self.error: ProviderError | None = None
        self.whole = False
        """Whether all of the audio came."""

    @property
    def rest(self) -> tuple[str, ...]:
        """The parts that nothing was heard of."""
        return self._parts[self._begun :]

    @property
    def asked(self) -> int:
        """For how many of the parts the provider was asked."""
        return len(self._calls)

    async def run(self, by: float) -> None:
        """Speak; raises a ProviderError, Abandoned when the client leaves, or Outrun.

        by: monotonic seconds until which there must be audio.
        """
        standing = self._tools.standings.of(self.found.choice.offer.name, self.started)
        self._is_fair = by - self.started >= late_after(standing, self._tools.deadlines)
        try:
            await self._in_time(by)
            self.whole = True
        except ProviderError as error:
            self.error = error
            self._delivery.fall_silent(self.found)
            raise
        finally:
            self.ended = time.monotonic()
            self._tools.standings.ended(self.found.grant, self._ending(), self.ended)

    async def _in_time(self, by: float) -> None:
        try:
            async with asyncio.timeout_at(by) as limit:
                with self._delivery.breaking(limit):
                    for part in self._parts:
                        self._await_audio(limit)
                        await self._say(part, limit)
        except TimeoutError:
            if self._delivery.deserted:
                raise Abandoned from None
            is_silent = self._begun < len(self._calls)
            late = "no audio in time" if is_silent else "never ended"
            raise TimedOut(late) from None
        except BrokenAudio as broken:
            error = NotAudio if self.opened_at is None else BrokenOff
            raise error(str(broken)) from None

    async def _say(self, part: str, limit: asyncio.Timeout) -> None:
        """One call to the provider."""
        choice = self.found.choice
        heard = Heard(Sound(Format(choice.native_format), choice.offer.sample_rate))
        call, before = Call(part, heard), self._meter.seconds
        self._calls.append(call)
        pieces = self._tools.speak(
            self._tools.client,
            self._job.catalog.providers[choice.offer.provider].using(self.found.grant.credential),
            choice.offer,
            self._speech(part),
        )
        is_silent = True
        async with (
            aclosing(pieces),
            aclosing(first_audio(pieces, heard)) as audio,
            aclosing(await self._as_wanted(audio, heard)) as shaped,
        ):
            async for chunk in shaped:
                if is_silent:
                    is_silent = False
                    self._begin(limit)
                await self._give(chunk)
                call.seconds = self._meter.seconds - before
        if is_silent:
            raise NotAudio("no sound in it")
        untouched = passes_untouched(heard.sound, self._delivery.sound)
        if untouched and not self._meter.complete and not heard.may_be_ragged:
            raise BrokenOff("it ended inside a frame")
        call.whole = True

    def _await_audio(self, limit: asyncio.Timeout) -> None:
        """A later part has as long as any attempt until it is heard; the first has its own time."""
        if self.opened_at is not None and not self._delivery.deserted:
            by = time.monotonic() + self._tools.deadlines.attempt_seconds
            limit.reschedule(min(by, self._job.ends_by))

    def _begin(self, limit: asyncio.Timeout) -> None:
        """A part has audio: from now on it is the whole clip's time that counts."""
        if self.opened_at is None:
            self._delivery.claim(self.found, self.seq)
            self.opened_at = self._taken_at = time.monotonic()
        limit.reschedule(self._job.ends_by)
        self._begun += 1

    async def _give(self, chunk: bytes) -> None:
        came, before = time.monotonic(), self._meter.seconds
        self._meter.feed(chunk)
        self._bytes += len(chunk)
        if self._meter.seconds > self._most_seconds or self._bytes > most_bytes(self._most_seconds):
            raise BrokenOff("more audio than the text can take")
        if self._pace.fed(came - self._taken_at, self._meter.seconds - before):
            raise TimedOut("slower than half of real time")
        await self._delivery.put(chunk)
        self._taken_at = time.monotonic()
        self._waited += self._taken_at - came

    async def _as_wanted(self, audio: AsyncGenerator[bytes], heard: Heard) -> AsyncGenerator[bytes]:
        """The audio as the delivery wants it: untouched where it is that already."""
        whole = _joined(await anext(audio), audio)
        target = self._delivery.sound
        if passes_untouched(heard.sound, target):
            return whole
        ragged = heard.may_be_ragged
        return transcode(whole, heard.sound, target, self._tools.codecs, ragged=ragged)

    def _speech(self, part: str) -> Speech:
        choice, speech = self.found.choice, self._job.speech
        return replace(
            speech,
            text=part,
            voice=choice.voice,
            format=choice.native_format,
            context=speech.context if "context" in choice.offer.capabilities else (),
            options=self._job.options.get(choice.offer.provider, {}),
            traceparent=self._job.trace.traceparent,
        )

    # Afterwards.

    @property
    def cost(self) -> Cost:
        """What it came to: each call that was made, in full where it was not heard to its end."""
        choice, speech = self.found.choice, self._job.speech
        return together(
            cost_of(choice, replace(speech, text=each.text), each.heard, each.seconds, each.whole)
            for each in self._calls
        )

    @property
    def owed_nano(self) -> int:
        """The most that the provider may bill for it, as far as is known by now."""
        is_free = self.error is not None and self.error.owed == "nothing"
        return 0 if is_free else self.cost.nano or 0

    @cached_property
    def result(self) -> AttemptResult:
        """For the ledger and the trace; asked for once it has ended."""
        outcome: Outcome = "failed" if self.error else "done" if self.whole else "abandoned"
        answered = 200 if self.opened_at is not None else None
        return AttemptResult(
            seq=self.seq,
            outcome=outcome,
            liability_nano=self.owed_nano,
            latency_ms=_ms(self.started, self.ended),
            first_audio_ms=self._first_audio_ms,
            http_status=self.error.status if self.error else answered,
            error_type=self.error.kind if self.error else None,
            audio_ms=round(self._meter.seconds * 1000) if self.opened_at is not None else 0,
            upstream_id=self.upstream_id,
            billed_units=_billed_units(self._calls),
        )

    @property
    def upstream_id(self) -> str | None:
        """What the provider calls the last of its calls."""
        return self._calls[-1].heard.upstream_id if self._calls else None

    @property
    def limits(self) -> tuple[tuple[str, str], ...]:
        """What the provider said last of its rate limits."""
        return self._calls[-1].heard.limits if self._calls else ()

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of work for a second of audio, once all of it came."""
        seconds = self._meter.seconds
        work = self.ended - self.started - self._waited
        return work / seconds if self.whole and seconds else None

    @property
    def _first_audio_ms(self) -> int | None:
        return None if self.opened_at is None else _ms(self.started, self.opened_at)

    def _ending(self) -> Ending:
        first = None if self.opened_at is None else (self.opened_at - self.started) * 1000
        is_ours = first is None and isinstance(self.error, TimedOut) and not self._is_fair
        return Ending(
            error=None if is_ours else self.error,
            first_audio_ms=first,
            real_time_factor=self.real_time_factor,
        )


def _billed_units(calls: list[Call]) -> int | None:
    """What the provider says that it bills, where it says so of every call."""
    units = [each.heard.billed_units for each in calls]
    known = [each for each in units if each is not None]
    return sum(known) if known and len(known) == len(units) else None


async def _joined(first: bytes, rest: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


def _ms(start: float, end: float) -> int:
    return max(0, round((end - start) * 1000))
