"""The delivery: what one request's client has been given so far, and by whom.

Whoever has audio first speaks; whoever comes second finds the place taken.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gateway.audio.encoder import Encoder
from gateway.audio.formats import Format, Sound
from gateway.audio.length import Meter
from gateway.dispatch.course import Try
from gateway.dispatch.job import Job, Tools
from gateway.dispatch.outlet import Head, Outlet, expire
from gateway.kept.clips import Draft
from gateway.kept.folder import Label, Why


class Outrun(Exception):
    """Another offer had audio first."""


class Delivery:
    """The way from attempts to the client's outlet."""

    def __init__(
        self, job: Job, outlet: Outlet, tools: Tools, admitted_at: float, held_at: float
    ) -> None:
        self._job = job
        self._outlet = outlet
        self._tools = tools
        self._admitted_at = admitted_at
        self._held_at = held_at
        self.meter = Meter(job.target)
        self._limits: list[asyncio.Timeout] = []
        self._encoder: Encoder | None = None
        self.sound = job.target
        """What attempts give: the client's own format, or bare samples that are encoded here."""
        if job.in_sentences:
            self.sound = Sound(Format.PCM, job.target.sample_rate)
            self._encoder = Encoder(job.target.sample_rate, job.target)
        self.on_open: Callable[[], None] | None = None
        """Called when somebody has audio."""
        self.speaker: Try | None = None
        """Who has audio now."""
        self.opener: Try | None = None
        """Who had it first."""
        self.opened_at: float | None = None

    @property
    def encodes(self) -> bool:
        """Whether what is handed on is encoded here."""
        return self._job.in_sentences

    @property
    def seconds(self) -> float:
        """Seconds of audio that were handed over."""
        return self.meter.seconds

    @property
    def first_audio_ms(self) -> int | None:
        """From the request to the first audio."""
        if self.opened_at is None:
            return None
        return max(0, round((self.opened_at - self._job.began) * 1000))

    @property
    def deserted(self) -> bool:
        return self._outlet.deserted

    def claim(self, found: Try, seq: int) -> None:
        """The first audio is here; raises Outrun where somebody else speaks already."""
        if self.speaker is not None or (self.opener is not None and found.kind != "resume"):
            raise Outrun
        self.speaker = found
        if self.opener is None:
            self.opener, self.opened_at = found, time.monotonic()
            self._open(found, seq)
        if self.on_open is not None:
            self.on_open()

    def fall_silent(self, found: Try) -> None:
        """Whoever spoke has failed; another may go on."""
        if self.speaker is found:
            self.speaker = None
            if self._encoder is not None:
                self._encoder.drop_half()

    async def put(self, chunk: bytes) -> None:
        """Hand a chunk on; what is not encoded here was measured by who gives it."""
        if self._encoder is not None:
            loop = asyncio.get_running_loop()
            chunk = await loop.run_in_executor(self._tools.codecs, self._encoder.feed, chunk)
            self.meter.feed(chunk)
        if chunk:
            await self._outlet.put(chunk, self._tools.deadlines.stall_seconds)

    async def finish(self) -> None:
        """All was said: what the encoder still holds goes out, too."""
        encoder, self._encoder = self._encoder, None
        if encoder is not None and (rest := encoder.finish()):
            self.meter.feed(rest)
            await self._outlet.put(rest, self._tools.deadlines.stall_seconds)

    @contextmanager
    def breaking(self, limit: asyncio.Timeout) -> Iterator[None]:
        """While it lasts, `limit` expires as soon as nobody listens any more."""
        self._limits.append(limit)
        self._outlet.on_abandon = self._expire
        try:
            yield
        finally:
            self._limits.remove(limit)

    def _expire(self) -> None:
        for limit in self._limits:
            expire(limit)

    def _open(self, found: Try, seq: int) -> None:
        job, choice = self._job, found.choice
        opened = time.monotonic()
        head = Head(
            provider=choice.offer.provider,
            model=choice.offer.model,
            voice=choice.voice,
            attempts=seq,
            sound=job.target,
            timings=(
                ("plan", (job.planned - job.began) * 1000),
                ("hold", (self._held_at - self._admitted_at) * 1000),
                ("first-audio", (opened - self._held_at) * 1000),
            ),
        )
        self._outlet.open(head, self._draft(head), carries_on=job.claim is not None)

    def _draft(self, head: Head) -> Draft | None:
        """The kept clip, for as long as its Idempotency-Key or its project wants it."""
        job, kept = self._job, self._tools.kept
        replay_ms = kept.lifetime_ms if job.claim is not None else 0
        lifetime_ms = max(job.keep_audio_ms, replay_ms)
        if not lifetime_ms:
            return None
        why = Why(round(time.time() * 1000), job.project, job.keep_audio_ms, replay_ms)
        label = Label(head.provider, head.model, head.voice, head.attempts, head.sound, why)
        return kept.draft(job.opening.id, label, lifetime_ms)
