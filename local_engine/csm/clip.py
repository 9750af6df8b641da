"""One utterance in the engine process: what was asked, its frames, and what they go through."""

from dataclasses import dataclass, field

import numpy as np

from local_engine.csm.guard import Cap, Guard
from local_engine.csm.messages import Ended, Finish, Submit
from local_engine.csm.preparing import Prepared
from local_engine.csm.running import Codes
from local_engine.csm.scheduling.utterance import Utterance
from local_engine.csm.watermark import NewWatermarker, Pcm, Watermarker, made, marked


@dataclass(slots=True, eq=False)
class Clip:
    """The scheduler's `utterance`, and all that is no business of the scheduler's."""

    submit: Submit
    utterance: Utterance
    guard: Guard
    new_watermarker: NewWatermarker | None = None
    prepared: Prepared | None = None
    """None until its prompt is made."""
    frames: list[bytes] = field(default_factory=list)
    """Codes of what was heard, each int32 [codebooks]."""
    _watermarker: Watermarker | None = None

    @property
    def ready(self) -> Prepared:
        """What it was prepared to be; there for all that have been in a slot."""
        if self.prepared is None:
            raise RuntimeError(f"utterance {self.submit.number} was never prepared")
        return self.prepared

    @property
    def codes(self) -> Codes:
        """All frames so far, [frames, codebooks]."""
        whole = np.frombuffer(b"".join(self.frames), np.int32)
        return whole.reshape(len(self.frames), -1)

    def cap(self, longest: int) -> Cap:
        """Give the most frames for which a slot of so many positions has room."""
        room = longest - len(self.ready.prompt)
        return self.ready.cap if self.ready.cap.frames <= room else Cap(room, "context")

    def hear(self, codes: bytes, pcm: Pcm, level: float) -> tuple[Pcm, Finish | None]:
        """Take a frame, its codes as int32; give what is to be heard and why it should be the last.

        WatermarkError: it must end, and nothing more be heard.
        """
        if self.new_watermarker is not None:
            watermarker = self._watermarker or made(self.new_watermarker)
            self._watermarker = watermarker
            pcm = marked(lambda: watermarker.push(pcm))
        self.frames.append(codes)
        return pcm, self.guard.hear(codes, level)

    def rest(self) -> Pcm:
        """Give the samples that the watermarker still held. WatermarkError as above."""
        watermarker = self._watermarker
        return np.empty(0, np.int16) if watermarker is None else marked(watermarker.flush)

    def ended(self, finish: Finish) -> Ended:
        """Tell how it went, once it is over."""
        utterance, prepared = self.utterance, self.prepared
        admitted = utterance.ended if utterance.admitted is None else utterance.admitted
        began = utterance.ended if utterance.began is None else utterance.began
        first = utterance.first
        return Ended(
            number=utterance.number,
            finish=finish,
            frames=utterance.made,
            prompt_positions=utterance.positions,
            reused_positions=utterance.reused,
            dropped_turns=prepared.dropped_turns if prepared else 0,
            forgotten_turns=prepared.forgotten_turns if prepared else 0,
            queue_seconds=admitted - utterance.submitted,
            prefill_seconds=began - admitted,
            first_audio_seconds=None if first is None else first - utterance.submitted,
            seconds=utterance.ended - utterance.submitted,
        )
