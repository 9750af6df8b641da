"""The engine's heart: orders come in, each beat has the Runner make one step, a Report goes out.

It neither waits nor talks; `loop` does that for it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from local_engine.csm.messages import Cancel, Drain, Gauges, Ready, Refused, Report, Submit, Taken
from local_engine.csm.prompting.preparing import Preparer, Prepares
from local_engine.csm.running import Captured, Runner
from local_engine.csm.scheduling.scheduler import Limits, Scheduler
from local_engine.csm.scheduling.utterance import Stage, Utterance
from local_engine.csm.settings import EngineSettings
from local_engine.csm.speaking.clip import Clip
from local_engine.csm.speaking.clips import Clips, Telling
from local_engine.csm.speaking.guard import Guard
from local_engine.csm.speaking.kept import Kept
from local_engine.csm.speaking.steps import Steps
from local_engine.csm.speaking.watermark import NewWatermarker

Order = Submit | Cancel | Taken | Drain


@dataclass(frozen=True, slots=True)
class Parts:
    """A loaded model, as the engine uses it."""

    runner: Runner
    preparer: Preparer
    ready: Ready
    memory: Callable[[], int]
    """Bytes of the device that this process uses."""
    new_watermarker: NewWatermarker | None = None

    @property
    def frame_rate(self) -> float:
        """Frames of a second of sound."""
        return self.ready.sample_rate / self.ready.frame_samples


class Engine:
    """All utterances of one model. `clock` gives seconds that never go back."""

    def __init__(
        self,
        parts: Parts,
        settings: EngineSettings,
        prepares: Prepares,
        clock: Callable[[], float],
    ) -> None:
        self._parts = parts
        self._clock = clock
        self._scheduler = Scheduler(limits(settings, parts.runner.slots, parts.frame_rate))
        self._kept = Kept(parts.runner, parts.preparer.digest, settings)

        def new_clip(submit: Submit, utterance: Utterance) -> Clip:
            guard = Guard(parts.frame_rate, settings.silence_seconds)
            return Clip(submit, utterance, guard, parts.new_watermarker)

        self._clips = Clips(self._scheduler, prepares, self._kept, new_clip, clock)
        self._steps = Steps(parts.runner, self._scheduler, self._clips, self._kept, clock)
        self._draining = False
        self.busy = False
        """Whether the next beat may find something to do although nothing came in."""

    @property
    def drained(self) -> bool:
        """Whether it was told to end and nobody speaks any more."""
        return self._draining and not self._clips and not self._scheduler.in_flight

    def seconds_to_deadline(self) -> float | None:
        """How long until somebody's time is up."""
        deadline = self._scheduler.next_deadline()
        return None if deadline is None else max(0.0, deadline - self._clock())

    def order(self, order: Order) -> None:
        """Do as the server says; what it says of those who have ended is late, and ignored."""
        match order:
            case Submit() if self._draining:
                message = "the engine is about to end"
                self._clips.telling.refused.append(Refused(order.number, 503, message))
            case Submit():
                self._clips.submit(order)
            case Cancel():
                self._clips.cancel(order.number)
            case Taken():
                self._scheduler.take(order.number, order.frames)
            case Drain():
                self._draining = True

    def beat(self) -> Report | None:
        """Move everybody on by a frame at most; give what is to be told, if anything is."""
        self._clips.end_due()
        self._clips.take_prepared(self._parts.runner.longest)
        self._steps.admit()
        prefilled = self._steps.prefill()
        launched = self._steps.launch()
        collected = self._steps.collect(launched=launched)
        self.busy = prefilled or launched or collected
        return self.report() if self._clips.telling.anything else None

    def report(self) -> Report:
        """Tell what there is to be told, be it only the gauges."""
        told, self._clips.telling = self._clips.telling, Telling()
        return Report(
            self._gauges(),
            told.step_seconds,
            tuple(told.spoken),
            b"".join(pcm.data for pcm in told.pcm),
            tuple(told.ended),
            tuple(told.refused),
        )

    def lose_all(self) -> Report:
        """End everybody: the Runner is broken."""
        self._clips.lose_all()
        return self.report()

    def _gauges(self) -> Gauges:
        seated = self._scheduler.seated
        running = [one for one in seated if one.stage is Stage.RUNNING]
        captured = sum(self._parts.runner.captured.values(), Captured())
        return Gauges(
            slots=self._scheduler.limits.slots,
            running=len(running),
            paused=sum(one.paused for one in running),
            prefilling=len(seated) - len(running),
            waiting=len(self._scheduler.line),
            row_limit=self._scheduler.rows_at_once.rows,
            frames=self._steps.frames,
            steps=self._scheduler.steps,
            out_of_memory=self._kept.out_of_memory,
            snapshots=len(self._kept.snapshots),
            snapshot_bytes=self._kept.snapshots.bytes,
            memory_bytes=self._parts.memory(),
            graphs=captured.graphs,
            graph_seconds=captured.seconds,
            graph_bytes=captured.bytes,
        )


def limits(settings: EngineSettings, slots: int, frame_rate: float) -> Limits:
    """Turn settings into what the scheduler keeps to."""
    return Limits(
        slots=slots,
        waiting=settings.waiting,
        per_key=settings.per_key,
        prefill_positions=settings.prefill_positions,
        lead_frames=max(1, int(settings.lead_seconds * frame_rate)),
    )
