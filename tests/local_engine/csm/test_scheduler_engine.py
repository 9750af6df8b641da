"""The whole engine under whatever orders come: what holds of it at every beat and at the end."""

from dataclasses import dataclass

from engine_stage import Stage
from engine_stage import submit as asked
from fake_runner import FakeRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from local_engine.csm.messages import Cancel, Submit, Taken

LEAD_FRAMES = 12


@dataclass(frozen=True)
class Speak:
    key: str
    length: int
    stop: int
    most: int | None
    deadline: float | None
    voice: str


@dataclass(frozen=True)
class Leave:
    which: int


@dataclass(frozen=True)
class Follow:
    which: int
    share: float


@dataclass(frozen=True)
class Memory:
    rows: int
    positions: int


@dataclass(frozen=True)
class Beat:
    times: int


SPEAK = st.builds(
    Speak,
    key=st.sampled_from("ab"),
    length=st.integers(0, 60),
    stop=st.integers(0, 30),
    most=st.none() | st.integers(1, 20),
    deadline=st.none() | st.floats(0, 3),
    voice=st.sampled_from(["plain", "narrator"]),
)
ACTS = st.lists(
    st.one_of(
        SPEAK,
        SPEAK,
        st.builds(Leave, st.integers(0, 40)),
        st.builds(Follow, st.integers(0, 40), st.floats(0, 1)),
        st.builds(Memory, st.integers(0, 4), st.sampled_from([0, 20, 1000])),
        st.builds(Beat, st.integers(1, 8)),
        st.builds(Beat, st.integers(1, 8)),
    ),
    max_size=40,
)


class Listener:
    """Does as the acts say, and counts what was submitted."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.submitted: dict[int, Submit] = {}
        self.taken: dict[int, int] = {}

    def do(self, act: Speak | Leave | Follow | Memory | Beat) -> None:
        match act:
            case Speak():
                self.speak(act)
            case Leave(which):
                self.stage.order(Cancel(which))
            case Follow(which, share):
                self.follow(which, share)
            case Memory(rows, positions):
                self.stage.runner.memory_rows = rows
                self.stage.runner.memory_positions = positions
            case Beat(times):
                self.beat(times)

    def speak(self, act: Speak) -> None:
        number = len(self.submitted) + 1
        text = f"{number} {'x' * act.length} stop={act.stop}"
        submit = asked(number, text, most_frames=act.most, deadline_seconds=act.deadline)
        self.submitted[number] = replace(submit, key=act.key, voice=act.voice)
        self.stage.order(self.submitted[number])

    def follow(self, which: int, share: float) -> None:
        self.taken[which] = max(
            self.taken.get(which, 0), int(self.stage.frames.get(which, 0) * share)
        )
        self.stage.order(Taken(which, self.taken[which]))

    def beat(self, times: int) -> None:
        for _ in range(times):
            self.stage.beat()
            for number, frames in self.stage.frames.items():
                assert frames - self.taken.get(number, 0) <= LEAD_FRAMES
            if self.stage.reports:
                gauges = self.stage.reports[-1].gauges
                assert gauges.waiting <= self.stage.settings.waiting + gauges.slots
                assert gauges.running + gauges.prefilling <= gauges.slots

    def finish(self) -> None:
        """Everything is well again, and everybody follows."""
        self.stage.runner.memory_rows, self.stage.runner.memory_positions = 4, 1000
        for _ in range(1000):
            if len(self.stage.ended) + len(self.stage.refused) == len(self.submitted):
                return
            self.stage.beat()
            for number in self.submitted:
                self.follow(number, 1.0)


def solo(submit: Submit) -> bytes:
    """What is heard of it where nothing ever goes wrong."""
    stage = Stage(FakeRunner())
    stage.order(replace(submit, deadline_seconds=None))
    stage.play()
    return stage.heard[submit.number]


@given(ACTS, st.integers(1, 4), st.integers(1, 2), st.integers(0, 2))
@settings(deadline=None, max_examples=60)
def test_whatever_comes_everybody_is_told_once_and_nobody_hears_anything_else(
    acts: list[Speak | Leave | Follow | Memory | Beat], slots: int, depth: int, per_key: int
) -> None:
    runner = FakeRunner(slots=slots, depth=depth)
    stage = Stage(
        runner,
        waiting=3,
        per_key=per_key,
        prefill_positions=16,
        lead_seconds=LEAD_FRAMES / 12.5,
    )
    listener = Listener(stage)
    for act in acts:
        listener.do(act)
    listener.finish()

    assert sorted([*stage.ended, *stage.refused]) == sorted(listener.submitted)
    assert runner.most_prefilled <= 16
    for number, submit in listener.submitted.items():
        heard, whole = stage.heard[number], solo(submit)
        assert whole.startswith(heard)
        if number in stage.ended and stage.ended[number].finish in {"stop", "length", "text"}:
            assert heard == whole
    every_slot_can_be_had_again(stage, slots)


def every_slot_can_be_had_again(stage: Stage, slots: int) -> None:
    stage.order(*(asked(1000 + n, "stop=1", deadline_seconds=9) for n in range(slots)))
    stage.play()
    gauges = stage.engine.report().gauges
    assert (gauges.waiting, gauges.running, gauges.prefilling) == (0, 0, 0)
    assert all(stage.ended[1000 + n].finish == "stop" for n in range(slots))
