"""What the Runner is asked in one beat: restore and prefill, begin, launch, collect."""

import logging
from collections.abc import Callable, Sequence

from local_engine.csm.messages import Finish
from local_engine.csm.running import OutOfMemory, Prefill, Runner, StepOutput
from local_engine.csm.scheduling.scheduler import Scheduler, Stretch
from local_engine.csm.scheduling.utterance import Stage, Utterance
from local_engine.csm.speaking.clip import Clip
from local_engine.csm.speaking.clips import Clips
from local_engine.csm.speaking.guard import levels
from local_engine.csm.speaking.kept import Kept
from local_engine.csm.speaking.watermark import Pcm, WatermarkError

log = logging.getLogger(__name__)


class Steps:
    """Asks the Runner for what the scheduler plans, and gives the clips what it made."""

    def __init__(
        self,
        runner: Runner,
        scheduler: Scheduler,
        clips: Clips,
        kept: Kept,
        clock: Callable[[], float],
    ) -> None:
        self._runner = runner
        self._scheduler = scheduler
        self._clips = clips
        self._kept = kept
        self._clock = clock
        self._began = 0.0
        """When the oldest step in flight began, or the one before it was there."""
        self.frames = 0

    def admit(self) -> None:
        """Give free slots to those who are next, with what is kept of their prompts."""
        for utterance in self._scheduler.admit(self._clock()):
            self._scheduler.reuse(utterance, self._kept.restore(self._clips.of(utterance)))

    def prefill(self) -> bool:
        """Compute the next stretches; tell whether there were any."""
        stretches = self._scheduler.stretches()
        if not stretches:
            return False
        if self._prefilled(stretches):
            done = stretches
        else:
            # One of them may be too much; the others shall not suffer for it.
            done = [stretch for stretch in stretches if self._prefilled([stretch])]
        for stretch in stretches:
            clip = self._clips.of(stretch.utterance)
            if stretch not in done:
                self._clips.no_memory(clip)
            elif self._scheduler.computed(stretch):
                self._begin(clip)
        return True

    def launch(self) -> bool:
        """Start a step, of fewer rows where memory runs out; tell whether anything was done."""
        while rows := self._scheduler.rows():
            if self._launched(rows):
                return True
            self._kept.ran_out(f"a step of {len(rows)} rows")
            self._scheduler.rows_at_once.halve(len(rows))
            if len(rows) == 1:
                self._clips.end(self._clips.of(rows[0]), "lost")
                return True
        return False

    def collect(self, *, launched: bool) -> bool:
        """Take the oldest step in, unless another may be launched first."""
        in_flight = self._scheduler.in_flight
        if not in_flight or (launched and in_flight < self._runner.depth):
            return False
        output = self._runner.collect()
        now = self._clock()
        self._clips.telling.step_seconds = now - self._began
        self._began = now
        rows = self._scheduler.collected()
        if tuple(utterance.slot for utterance in rows) != output.rows:
            raise RuntimeError("a step gave other rows than it was asked for")
        self._hear(rows, output, now)
        return True

    def _prefilled(self, stretches: Sequence[Stretch]) -> bool:
        try:
            self._runner.prefill([self._asked(stretch) for stretch in stretches])
        except OutOfMemory:
            self._kept.ran_out("computing prompts")
            return False
        return True

    def _asked(self, stretch: Stretch) -> Prefill:
        prompt = self._clips.of(stretch.utterance).ready.prompt
        return Prefill(stretch.utterance.slot, stretch.start, prompt[stretch.start : stretch.stop])

    def _begin(self, clip: Clip) -> None:
        try:
            self._runner.begin(clip.utterance.slot, clip.ready.sampling)
        except OutOfMemory:
            self._kept.ran_out("beginning an utterance")
            self._clips.no_memory(clip)
            return
        self._scheduler.begin(clip.utterance, self._clock())
        self._kept.keep_prompt(clip)

    def _launched(self, rows: Sequence[Utterance]) -> bool:
        now = self._clock()
        try:
            self._runner.launch([utterance.slot for utterance in rows])
        except OutOfMemory:
            return False
        if not self._scheduler.in_flight:
            self._began = now
        self._scheduler.launched(rows)
        return True

    def _hear(self, rows: Sequence[Utterance], output: StepOutput, now: float) -> None:
        # Python's own numbers and bytes: with hundreds of rows each look into an array tells.
        loud, stopped = levels(output.pcm).tolist(), output.stopped.tolist()
        codes, size = output.codes.tobytes(), output.codes[:1].nbytes
        for row, utterance in enumerate(rows):
            if utterance.stage is Stage.ENDED:
                continue  # it was in one more step than it needed
            clip = self._clips.of(utterance)
            finish: Finish | None = "stop"
            if not stopped[row]:
                frame = codes[row * size : (row + 1) * size]
                finish = self._frame(clip, frame, output.pcm[row], loud[row])
                if utterance.first is None and utterance.made:
                    utterance.first = now
            if finish:
                self._clips.end(clip, finish)

    def _frame(self, clip: Clip, codes: bytes, samples: Pcm, level: float) -> Finish | None:
        try:
            pcm, finish = clip.hear(codes, samples, level)
        except WatermarkError:
            log.exception("utterance %s ends", clip.submit.utterance)
            return "lost"
        self.frames += 1
        clip.utterance.made += 1
        if len(pcm):
            clip.utterance.told += 1
            self._clips.telling.speak(clip.submit.number, pcm)
        if clip.utterance.made == clip.utterance.most:
            return clip.cap(self._runner.longest).finish
        return finish
