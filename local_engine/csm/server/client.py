"""The server's side of one engine: numbers the clips, hands on their frames, gathers orders."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from local_engine.csm.link import encode
from local_engine.csm.messages import (
    Cancel,
    Drain,
    Ended,
    Gauges,
    Orders,
    Ready,
    Refused,
    Report,
    Submit,
    Taken,
)
from local_engine.csm.server.clip import Clip
from local_engine.csm.server.metrics import ModelMetrics
from local_engine.csm.server.results import Result, Results
from local_engine.errors import EngineLost, Overloaded, Refusal, Unavailable
from local_engine.reply import Listen

_TAKEN_SECONDS = 0.25
"""How often the engine hears what listeners have taken: all of them in one message."""
_FULL = 429
_MOST_UNSENT = 128 * 2**20
"""Bytes of orders that the engine has not read: a few requests with ten minutes of sound each."""


class Client:
    """Clips of one model. It outlives engine processes; clips do not."""

    def __init__(self, model: str, results: Results, metrics: ModelMetrics) -> None:
        self.model = model
        self.ready: Ready | None = None
        """What the engine said when it could speak; None while it cannot."""
        self.gauges: Gauges | None = None
        self._results = results
        self._metrics = metrics
        self._writer: asyncio.StreamWriter | None = None
        self._numbers = itertools.count(1)
        self._clips: dict[int, Clip] = {}
        self._orders: list[Submit | Cancel | Taken | Drain] = []
        self._taken: dict[int, int] = {}

    def connect(self, writer: asyncio.StreamWriter) -> None:
        """Write to this engine from now on."""
        self._writer = writer

    def greet(self, ready: Ready) -> None:
        """Note that the engine can speak."""
        self.ready = ready
        self._metrics.started()

    def lose(self) -> None:
        """End every clip: their engine is gone."""
        clips, self._clips = self._clips, {}
        for number, clip in clips.items():
            self._close(clip, _lost(number, clip), EngineLost())
        self._writer = self.ready = self.gauges = None
        self._orders.clear()
        self._taken.clear()
        self._metrics.stopped()

    def drain(self) -> None:
        """Have the engine end once its last clip has."""
        self._order(Drain())

    @asynccontextmanager
    async def speaking(self, submit: Submit) -> AsyncIterator[Listen]:
        """Have it spoken under a number of its own; leaving before the end cancels it."""
        if self.ready is None:
            raise Unavailable(f"the engine of {self.model!r} is not ready")
        if self._unsent() > _MOST_UNSENT:
            raise Overloaded(f"the engine of {self.model!r} has yet to read earlier requests")
        number = next(self._numbers)
        clip = Clip(submit.utterance, lambda frames: self._took(number, frames))
        self._clips[number] = clip
        self._order(replace(submit, number=number))
        try:
            yield clip.listen
        finally:
            self._taken.pop(number, None)
            if not clip.over:
                self._order(Cancel(number))

    def hear(self, report: Report) -> None:
        """Hand on what one step brought."""
        self.gauges = report.gauges
        self._metrics.reported(report)
        pcm, start = memoryview(report.pcm), 0
        for spoken in report.spoken:
            end = start + spoken.samples * 2
            self._hand_on(spoken.number, pcm[start:end])
            start = end
        for refused in report.refused:
            self._refuse(refused)
        for ended in report.ended:
            self._end(ended)

    def _hand_on(self, number: int, frame: memoryview) -> None:
        clip = self._clips.get(number)
        if clip is None:
            return
        if not clip.heard:
            self._metrics.first_audio(time.monotonic() - clip.born)
        clip.hear(frame)

    def _refuse(self, refused: Refused) -> None:
        clip = self._clips.pop(refused.number, None)
        if clip is not None:
            self._metrics.refused()
            clip.end(_refusal(refused))

    def _end(self, ended: Ended) -> None:
        clip = self._clips.pop(ended.number, None)
        if clip is not None:
            self._close(clip, ended, _cut(ended))

    def _close(self, clip: Clip, ended: Ended, refusal: Refusal | None) -> None:
        self._metrics.ended(ended.finish, ended.queue_seconds)
        ready = self.ready
        frame_seconds = ready.frame_samples / ready.sample_rate if ready else 0.0
        self._results.keep(Result.of(clip.utterance, self.model, ended, frame_seconds))
        clip.end(refusal)

    def _took(self, number: int, frames: int) -> None:
        if not self._taken:
            asyncio.get_running_loop().call_later(_TAKEN_SECONDS, self._tell_taken)
        self._taken[number] = frames

    def _tell_taken(self) -> None:
        taken, self._taken = self._taken, {}
        for number, frames in taken.items():
            if number in self._clips:
                self._order(Taken(number, frames))

    def _unsent(self) -> int:
        return self._writer.transport.get_write_buffer_size() if self._writer else 0

    def _order(self, order: Submit | Cancel | Taken | Drain) -> None:
        """Send it with all others of this turn of the event loop, as one message."""
        if self._writer is None:
            return
        if not self._orders:
            asyncio.get_running_loop().call_soon(self._send)
        self._orders.append(order)

    def _send(self) -> None:
        orders, self._orders = tuple(self._orders), []
        if orders and self._writer is not None and not self._writer.is_closing():
            self._writer.write(encode(Orders(orders)))


def _refusal(refused: Refused) -> Refusal:
    """Turn the engine's refusal into the answer that the client gets."""
    if refused.status < _FULL:
        return Refusal(refused.message, refused.param)
    kind = Overloaded if refused.status == _FULL else Unavailable
    refusal = kind(refused.message, refused.param)
    refusal.retry_after = refused.retry_after or kind.retry_after
    return refusal


def _cut(ended: Ended) -> Refusal | None:
    """Say why the listener is to be told of a failure; a clip that was stopped just ends."""
    if ended.finish in ("lost", "cancelled"):
        return EngineLost()
    if ended.frames:
        return None
    if ended.finish == "deadline":
        return Unavailable("the deadline passed before the first audio", "deadline_ms")
    return Unavailable("the model ended the clip before any audio; another seed may speak")


def _lost(number: int, clip: Clip) -> Ended:
    """Tell what the server knows of a clip whose engine cannot tell any more."""
    return Ended(
        number=number,
        finish="lost",
        frames=clip.heard,
        prompt_positions=0,
        reused_positions=0,
        dropped_turns=0,
        forgotten_turns=0,
        queue_seconds=0.0,
        prefill_seconds=0.0,
        first_audio_seconds=None,
        seconds=time.monotonic() - clip.born,
    )
