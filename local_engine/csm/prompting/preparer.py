"""The real Preparer: a Submit's text, voice and context as the prompt of one loaded model."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import asdict

from local_engine.csm.loading.tokenizer import Tokenizer
from local_engine.csm.messages import Refused, Submit, Turn
from local_engine.csm.prompting.preparing import Prepared
from local_engine.csm.prompting.prompt import (
    PromptPlan,
    PromptTooLong,
    plan,
    prefix_digest,
    speaker_labels,
    turn_prompt,
)
from local_engine.csm.prompting.voices import Voice
from local_engine.csm.running import Codes, Prompt, Samples, Sampling
from local_engine.csm.sound import SoundError, read_pcm
from local_engine.csm.speaking.guard import cap, text_frames

_SEED_BITS = 63


@dataclass(frozen=True, slots=True)
class SpokenVoice:
    """A voice, and its recorded prompt as a turn; None where it has none."""

    voice: Voice
    prompt: Prompt | None


@dataclass(frozen=True, slots=True)
class PromptPreparer:
    """See preparing.Preparer."""

    tokenizer: Tokenizer
    codebooks: int
    longest: int
    """Positions of a slot."""
    frame_rate: float
    clip_seconds: float
    voices: Mapping[str, SpokenVoice]
    encode: Callable[[Samples], Codes]

    def prepare(self, submit: Submit, kept: Mapping[str, Codes]) -> Prepared | Refused:
        voice = self.voices.get(submit.voice)
        if voice is None:
            return Refused(submit.number, 400, f"there is no voice {submit.voice!r}", "voice")
        try:
            return self._prepared(submit, voice, kept)
        except SoundError as error:
            return Refused(submit.number, 400, f"context audio: {error}", "context")
        except PromptTooLong as error:
            return Refused(submit.number, 400, str(error), "input")

    def digest(self, prompt: Prompt) -> bytes:
        return prefix_digest(prompt)

    def _turn(self, speaker: str | int, text: str, codes: Codes | None) -> Prompt:
        """Lay out one turn for this model."""
        return turn_prompt(self.tokenizer, speaker, text, codes, self.codebooks)

    def _prepared(self, submit: Submit, voice: SpokenVoice, kept: Mapping[str, Codes]) -> Prepared:
        frames = text_frames(submit.text, self.frame_rate, self.clip_seconds)
        wanted = frames if submit.most_frames is None else min(frames, submit.most_frames)
        turns = self._turns(submit, voice, kept)
        planned = self._plan(turns, voice.prompt, wanted, _forgotten(submit.context, kept))
        room = self.longest - len(planned.prompt)
        return Prepared(
            planned.prompt,
            tuple((boundary.positions, boundary.digest) for boundary in planned.boundaries),
            _sampling(submit),
            cap(frames, room, submit.most_frames),
            voice_positions=0 if voice.prompt is None else len(voice.prompt),
            dropped_turns=planned.dropped_turns,
            forgotten_turns=planned.forgotten_turns,
        )

    def _turns(
        self, submit: Submit, voice: SpokenVoice, kept: Mapping[str, Codes]
    ) -> Sequence[Prompt]:
        own = str(voice.voice.speaker)
        known = {name: other.voice.speaker for name, other in self.voices.items()}
        labels = speaker_labels((own, *(turn.speaker for turn in submit.context)), known)
        past = [
            self._turn(labels[turn.speaker], turn.text, self._codes(turn, kept))
            for turn in submit.context
        ]
        return (*past, self._turn(own, submit.text, None))

    def _codes(self, turn: Turn, kept: Mapping[str, Codes]) -> Codes | None:
        """Find the sound of an earlier turn: what was made here, else what was sent along."""
        if turn.utterance is not None and turn.utterance in kept:
            return kept[turn.utterance]
        return None if turn.audio is None else self.encode(read_pcm(turn.audio))

    def _plan(
        self, turns: Sequence[Prompt], voice: Prompt | None, frames: int, forgotten: int
    ) -> PromptPlan:
        """Leave room for all frames; where voice and text alone take it, for what can be had."""
        needed = len(turns[-1]) + (0 if voice is None else len(voice))
        if needed >= self.longest:
            raise PromptTooLong(needed, self.longest - 1)
        return plan(turns, max(self.longest - frames, needed), voice, forgotten)


def _forgotten(context: Sequence[Turn], kept: Mapping[str, Codes]) -> int:
    return sum(
        turn.utterance is not None and turn.utterance not in kept and turn.audio is None
        for turn in context
    )


def _sampling(submit: Submit) -> Sampling:
    """Fill in what was not asked for; without a seed, one by chance."""
    asked = {name: value for name, value in asdict(submit.sampling).items() if value is not None}
    return Sampling(**({"seed": secrets.randbits(_SEED_BITS)} | asked))
