"""Which of those who speak are in the next step, and how many rows memory allows."""

from collections.abc import Iterable
from dataclasses import dataclass

from local_engine.csm.scheduling.utterance import Stage, Utterance


@dataclass(slots=True)
class RowLimit:
    """Rows of a step: halved when memory runs out, then growing back by a quarter at a time."""

    slots: int
    good_steps: int
    """In a row, before the limit grows."""
    rows: int = 0
    good: int = 0

    def __post_init__(self) -> None:
        self.rows = self.slots

    def halve(self, asked: int) -> None:
        """So many rows were too many."""
        self.rows = max(1, min(self.rows, asked) // 2)
        self.good = 0

    def went_well(self) -> None:
        """Count a step that was launched."""
        self.good += 1
        if self.rows < self.slots and self.good >= self.good_steps:
            self.rows = min(self.slots, self.rows + max(1, self.rows // 4))
            self.good = 0


def pause_or_resume(utterance: Utterance, lead_frames: int) -> bool:
    """Tell whether it is so far ahead that it rests; once resting, until a quarter is taken."""
    resume = min(lead_frames - 1, lead_frames * 3 // 4)
    utterance.paused = (
        utterance.lead > resume if utterance.paused else utterance.lead >= lead_frames
    )
    return utterance.paused


def choose(running: Iterable[Utterance], limit: int, lead_frames: int) -> list[Utterance]:
    """Pick the rows of a step.

    Where there are more than the limit, each has a deadline: its last step, and as many steps more
    as it is frames ahead of its listener. The earliest deadlines win, so that the least lead comes
    first and nobody waits for ever.
    """
    able = [
        utterance
        for utterance in running
        if utterance.stage is Stage.RUNNING
        and utterance.launched < utterance.most
        and not pause_or_resume(utterance, lead_frames)
    ]
    if len(able) <= limit:
        return able
    return sorted(able, key=lambda one: (one.served + one.lead, one.number))[:limit]
