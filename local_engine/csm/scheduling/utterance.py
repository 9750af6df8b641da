"""One utterance as the scheduler sees it: where it stands, and how far it has come."""

from dataclasses import dataclass
from enum import Enum, auto


class Stage(Enum):
    """An utterance goes down this list, and may end from anywhere."""

    PREPARING = auto()
    """In line; its prompt is not made yet."""
    READY = auto()
    """In line, with a prompt."""
    PREFILLING = auto()
    """In a slot; its prompt is not computed to the end."""
    RUNNING = auto()
    ENDED = auto()


@dataclass(slots=True, eq=False)
class Utterance:
    """Times are seconds of the caller's clock."""

    number: int
    key: str
    submitted: float
    deadline: float | None = None
    stage: Stage = Stage.PREPARING
    positions: int = 0
    """Of its prompt."""
    most: int = 0
    """Frames that it may have."""
    slot: int = -1
    """None of them below PREFILLING."""
    reused: int = 0
    """Positions that were restored from a snapshot."""
    computed: int = 0
    """Positions that the slot holds, the restored ones included."""
    launched: int = 0
    """Frames asked for, made or not."""
    made: int = 0
    told: int = 0
    """Frames made that its listener could hear: fewer, while a watermarker holds sound back."""
    taken: int = 0
    """Of the told: how many its listener has taken."""
    paused: bool = False
    served: int = 0
    """The step that it was last in."""
    admitted: float | None = None
    began: float | None = None
    """When its prompt was complete."""
    first: float | None = None
    """When its first frame was there."""
    ended: float = 0.0

    @property
    def lead(self) -> int:
        """Frames ahead of its listener, those in the making included."""
        return self.launched - self.made + self.told - self.taken

    @property
    def in_line(self) -> bool:
        return self.stage in {Stage.PREPARING, Stage.READY}
