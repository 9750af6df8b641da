"""How utterances come and go: each that is submitted is told of once, as Refused or as Ended."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from local_engine.csm.messages import Ended, Finish, Refused, Spoken, Submit
from local_engine.csm.prompting.preparing import Prepared, Prepares
from local_engine.csm.scheduling.scheduler import Scheduler
from local_engine.csm.scheduling.utterance import Utterance
from local_engine.csm.speaking.clip import Clip
from local_engine.csm.speaking.kept import Kept
from local_engine.csm.speaking.watermark import Pcm, WatermarkError

log = logging.getLogger(__name__)

_AS_ASKED: frozenset[Finish] = frozenset({"stop", "length"})
_CUT_OFF: frozenset[Finish] = frozenset({"cancelled", "lost"})


@dataclass(slots=True)
class Telling:
    """Everything to be told since the last Report."""

    step_seconds: float = 0.0
    spoken: list[Spoken] = field(default_factory=list)
    pcm: list[Pcm] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def anything(self) -> bool:
        return bool(self.step_seconds or self.spoken or self.ended or self.refused)

    def speak(self, number: int, pcm: Pcm) -> None:
        """Say the next samples of a clip."""
        self.spoken.append(Spoken(number, len(pcm)))
        self.pcm.append(pcm)


class Clips:
    """All clips that have not ended. `clock` gives seconds that never go back."""

    def __init__(
        self,
        scheduler: Scheduler,
        prepares: Prepares,
        kept: Kept,
        new_clip: Callable[[Submit, Utterance], Clip],
        clock: Callable[[], float],
    ) -> None:
        self._scheduler = scheduler
        self._prepares = prepares
        self._kept = kept
        self._new_clip = new_clip
        self._clock = clock
        self._clips: dict[int, Clip] = {}
        self.telling = Telling()

    def __len__(self) -> int:
        return len(self._clips)

    def of(self, utterance: Utterance) -> Clip:
        """Give the clip of a living utterance."""
        return self._clips[utterance.number]

    def submit(self, submit: Submit) -> None:
        """Stand in line and be prepared meanwhile, or be refused because the line is full."""
        now = self._clock()
        deadline = None if submit.deadline_seconds is None else now + submit.deadline_seconds
        utterance = Utterance(submit.number, submit.key, now, deadline)
        if not self._scheduler.submit(utterance):
            self.telling.refused.append(self._full(submit.number, now))
            return
        self._clips[submit.number] = self._new_clip(submit, utterance)
        self._prepares.hand_in(submit, self._kept.codes_for(submit))

    def take_prepared(self, longest: int) -> None:
        """Take what is prepared by now; `longest` are the positions of a slot."""
        for number, prepared in self._prepares.finished():
            clip = self._clips.get(number)
            if clip is None:
                continue
            if isinstance(prepared, Refused):
                self._refuse(clip, prepared)
            else:
                self._ready(clip, prepared, longest)

    def cancel(self, number: int) -> None:
        """Nobody listens; whoever has ended already is past it."""
        if number in self._clips:
            self.end(self._clips[number], "cancelled")

    def end_due(self) -> None:
        """End those whose time is up."""
        for utterance in self._scheduler.due(self._clock()):
            self.end(self.of(utterance), "deadline")

    def lose_all(self) -> None:
        """End everybody; the Runner is not asked for anything."""
        for clip in list(self._clips.values()):
            self.end(clip, "lost")

    def end(self, clip: Clip, finish: Finish) -> None:
        """It is over: keep what a later turn needs, and tell."""
        told = finish if finish in _CUT_OFF else self._let_out(clip, finish)
        if told in _AS_ASKED and clip.frames:
            self._kept.keep_spoken(clip)
        self._leave(clip)
        self.telling.ended.append(clip.ended(told))

    def no_memory(self, clip: Clip) -> None:
        """Refuse it: the device has no room for its prompt."""
        seconds = self._scheduler.line.retry_after(self._clock())
        message = "the device has no memory for this prompt now"
        self._refuse(clip, Refused(clip.submit.number, 503, message, retry_after=seconds))

    def _ready(self, clip: Clip, prepared: Prepared, longest: int) -> None:
        clip.prepared = prepared
        positions, frames = len(prepared.prompt), clip.cap(longest).frames
        if positions > 0 and frames > 0:
            self._scheduler.ready(clip.utterance, positions, frames)
        else:
            message = f"a prompt of {positions} positions leaves no room to speak"
            self._refuse(clip, Refused(clip.submit.number, 400, message, "input"))

    def _full(self, number: int, now: float) -> Refused:
        seconds = self._scheduler.line.retry_after(now)
        message = f"{len(self._scheduler.line)} requests already wait for a slot"
        return Refused(number, 429, f"{message}; try again in {seconds} s", retry_after=seconds)

    def _let_out(self, clip: Clip, finish: Finish) -> Finish:
        """Let what the watermarker still holds be heard."""
        try:
            rest = clip.rest()
        except WatermarkError:
            log.exception("utterance %s ends", clip.submit.utterance)
            return "lost"
        if len(rest):
            self.telling.speak(clip.submit.number, rest)
        return finish

    def _refuse(self, clip: Clip, refused: Refused) -> None:
        self._leave(clip)
        self.telling.refused.append(refused)

    def _leave(self, clip: Clip) -> None:
        number = clip.submit.number
        self._prepares.forget(number)
        self._scheduler.end(clip.utterance, self._clock())
        del self._clips[number]
