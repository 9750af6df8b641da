"""The engine on a fake runner, beat by beat, by a clock that the test moves."""

import numpy as np
import pytest
from engine_stage import STEP, Stage, submit
from fake_runner import FRAME_SAMPLES, FakeRunner

from local_engine.csm.messages import Cancel, Drain, Sampling, Submit, Taken, Turn
from local_engine.csm.running import Captured


def alone(asked: Submit, **settings: object) -> bytes:
    """What it sounds like when nobody else speaks."""
    stage = Stage(**settings)
    stage.order(asked)
    stage.play()
    return stage.heard[asked.number]


def test_an_utterance_is_spoken_to_its_stop_frame() -> None:
    stage = Stage()
    stage.order(submit(1, "stop=5"))
    stage.play()
    ended = stage.ended[1]
    assert (ended.finish, ended.frames) == ("stop", 5)
    assert len(stage.heard[1]) == 5 * FRAME_SAMPLES * 2
    assert ended.prompt_positions == len("[0]stop=5")
    assert ended.reused_positions == 0


def test_times_are_those_of_the_clock() -> None:
    stage = Stage(FakeRunner(slots=1), prefill_positions=5)
    stage.order(submit(1, "stop=5"), submit(2, "stop=5"))
    stage.play()
    first, second = stage.ended[1], stage.ended[2]
    assert first.queue_seconds == 0
    assert first.prefill_seconds == pytest.approx(STEP)
    assert first.first_audio_seconds == pytest.approx(STEP)
    assert first.seconds == pytest.approx(6 * STEP)
    assert second.queue_seconds == pytest.approx(7 * STEP)
    assert second.first_audio_seconds == pytest.approx(second.queue_seconds + STEP)


def test_everybody_sounds_as_if_alone() -> None:
    stage = Stage(FakeRunner(slots=3, depth=2), prefill_positions=7)
    asked = [submit(n, f"I am number {n} stop={5 + 3 * n % 7}") for n in range(1, 10)]
    stage.order(*asked)
    stage.play()
    for one in asked:
        assert stage.ended[one.number].finish == "stop"
        assert stage.heard[one.number] == alone(one)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_step_has_one_report_with_the_sound_of_all(depth: int) -> None:
    stage = Stage(FakeRunner(depth=depth))
    stage.order(*(submit(n) for n in range(4)))
    stage.beat(10)
    assert len(stage.reports) == 11 - depth
    assert all(len(report.spoken) == 4 for report in stage.reports)
    # A step that is collected in the beat after its launch takes as long as that beat.
    assert stage.reports[-1].step_seconds == pytest.approx((depth - 1) * STEP)
    assert stage.reports[-1].gauges.running == 4
    assert stage.reports[-1].gauges.memory_bytes == 12_345


def test_what_captures_have_cost_is_told() -> None:
    stage = Stage()
    assert stage.engine.report().gauges.graphs == 0
    stage.runner.captured = {"steps": Captured(2, 0.5, 300), "prompts": Captured(1, 0.25, 40)}
    gauges = stage.engine.report().gauges
    assert (gauges.graphs, gauges.graph_seconds, gauges.graph_bytes) == (3, 0.75, 340)


@pytest.mark.parametrize("depth", [1, 2])
def test_max_tokens_are_kept_to_without_a_step_too_many(depth: int) -> None:
    stage = Stage(FakeRunner(depth=depth))
    stage.order(submit(1, most_frames=5))
    stage.play()
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("length", 5)
    assert len(stage.runner.launches) == 5


def test_a_clip_without_a_stop_frame_ends_by_its_text() -> None:
    stage = Stage()
    stage.order(submit(1, "a" * 5))
    stage.play()
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("text", 38)


def test_a_clip_ends_where_its_slot_has_no_position_left() -> None:
    stage = Stage(FakeRunner(longest=40, depth=2))
    stage.order(submit(1, "a" * 27))
    stage.play()
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("context", 10)


def test_a_prompt_that_leaves_no_room_is_refused() -> None:
    stage = Stage(FakeRunner(longest=40))
    stage.order(submit(1, "a" * 37), submit(2, "a" * 36))
    stage.play()
    assert (stage.refused[1].status, stage.refused[1].param) == (400, "input")
    assert stage.ended[2].frames == 1


def test_silence_ends_a_clip() -> None:
    stage = Stage(silence_seconds=2.0)
    stage.order(submit(1, "a long enough text silent=10"))
    stage.play()
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("silence", 35)


def test_a_loop_ends_a_clip() -> None:
    stage = Stage()
    stage.order(submit(1, "a long enough text loop=10 cycle=3"))
    stage.play()
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("loop", 48)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_cancelled_clip_is_silent_at_once_and_its_slot_is_free_within_a_frame(depth: int) -> None:
    stage = Stage(FakeRunner(slots=1, depth=depth))
    stage.order(submit(1), submit(2, "stop=3"))
    stage.beat(5)
    frames = stage.frames[1]
    stage.order(Cancel(1))
    stage.beat(depth + 1)
    assert stage.frames[1] == frames == stage.ended[1].frames
    assert stage.ended[1].finish == "cancelled"
    assert stage.frames[2] >= 1


def test_one_may_be_cancelled_in_line_and_twice() -> None:
    stage = Stage(FakeRunner(slots=1))
    stage.order(submit(1, "stop=3"), submit(2), Cancel(2), Cancel(2), Cancel(77))
    stage.play()
    assert stage.ended[2].finish == "cancelled"
    assert stage.ended[2].frames == 0
    assert stage.ended[2].first_audio_seconds is None
    assert stage.ended[1].finish == "stop"


def test_a_deadline_ends_a_clip_that_speaks_and_one_that_waits() -> None:
    stage = Stage(FakeRunner(slots=1))
    stage.order(submit(1, deadline_seconds=10 * STEP - 0.01), submit(2, deadline_seconds=3 * STEP))
    assert stage.engine.seconds_to_deadline() == pytest.approx(3 * STEP)
    stage.play()
    assert (stage.ended[1].finish, stage.ended[1].frames) == ("deadline", 10)
    assert (stage.ended[2].finish, stage.ended[2].frames) == ("deadline", 0)
    assert stage.ended[2].queue_seconds == pytest.approx(3 * STEP)
    assert stage.engine.seconds_to_deadline() is None


def test_a_full_line_refuses_with_a_measured_time() -> None:
    stage = Stage(FakeRunner(slots=1), waiting=2)
    stage.order(*(submit(n, "stop=11") for n in range(1, 5)))
    stage.beat()
    assert list(stage.refused) == [4]
    assert (stage.refused[4].status, stage.refused[4].retry_after) == (429, 60)
    stage.beat(12)
    stage.order(submit(5))
    stage.order(submit(6))
    stage.beat()
    # Two have left the line since about a second; so will two others in about another.
    assert (stage.refused[6].status, stage.refused[6].retry_after) == (429, 2)


def test_nobody_waits_in_a_line_of_no_places() -> None:
    stage = Stage(FakeRunner(slots=2), waiting=0)
    stage.order(*(submit(n, "stop=3") for n in range(1, 4)))
    stage.play()
    assert sorted(stage.ended) == [1, 2]
    assert list(stage.refused) == [3]


def test_a_listener_who_does_not_follow_pauses_his_clip_and_loses_nothing() -> None:
    stage = Stage(lead_seconds=1.0)
    slow, fast = submit(1, "x" * 20 + " stop=40"), submit(2, "x" * 20 + " stop=40")
    stage.order(slow, fast)
    for n in range(60):
        stage.beat()
        stage.order(Taken(2, n))
    assert stage.frames[1] == 12
    assert stage.reports[30].gauges.paused == 1
    assert stage.ended[2].frames == 40
    stage.order(Taken(1, 2))
    stage.beat()
    assert stage.frames[1] == 12
    stage.order(Taken(1, 3))
    stage.play()
    assert stage.frames[1] == 15
    stage.order(Taken(1, 15))
    stage.play()
    stage.order(Taken(1, 27))
    stage.play()
    stage.order(Taken(1, 39))
    stage.play()
    assert stage.ended[1].frames == 40
    assert stage.heard[1] == alone(slow)


def test_a_listener_cannot_take_what_was_not_made() -> None:
    stage = Stage(lead_seconds=1.0)
    stage.order(submit(1))
    stage.beat()
    stage.order(Taken(1, 1000))
    stage.play()
    assert stage.frames[1] == 13


def test_out_of_memory_halves_the_rows_and_they_grow_back() -> None:
    stage = Stage(FakeRunner(slots=8))
    asked = [submit(n, f"{n} of eight stop=60") for n in range(8)]
    stage.order(*asked)
    stage.beat(3)
    stage.runner.memory_rows = 3
    stage.beat()
    assert [len(rows) for rows in stage.runner.launches] == [8, 8, 8, 2]
    assert stage.reports[-1].gauges.row_limit == 2
    assert stage.reports[-1].gauges.out_of_memory == 2
    stage.runner.memory_rows = 8
    stage.play()
    assert {ended.finish for ended in stage.ended.values()} == {"stop"}
    assert stage.reports[-1].gauges.row_limit > 4
    assert all(stage.heard[one.number] == alone(one) for one in asked)


def test_no_memory_for_a_single_row_loses_that_one_only() -> None:
    stage = Stage(FakeRunner(slots=2))
    stage.order(submit(1, "stop=9"), submit(2, "stop=9"))
    stage.beat(2)
    stage.runner.memory_rows = 0
    stage.beat()
    stage.runner.memory_rows = 2
    stage.play()
    assert sorted(ended.finish for ended in stage.ended.values()) == ["lost", "stop"]


def test_no_memory_for_a_prompt_refuses_that_one_only() -> None:
    stage = Stage()
    stage.runner.memory_positions = 30
    stage.order(submit(1, "stop=4"), submit(2, "x" * 40), submit(3, "stop=4"))
    stage.play()
    assert (stage.refused[2].status, stage.refused[2].retry_after is not None) == (503, True)
    assert stage.ended[1].finish == stage.ended[3].finish == "stop"
    assert stage.heard[3] == alone(submit(3, "stop=4"))


def test_a_prompt_that_cannot_be_prepared_refuses_that_one_only() -> None:
    stage = Stage()
    nobody = Submit(2, "utterance-2", "key", "Hello", "nobody")
    stage.order(submit(1, "stop=4"), nobody, submit(3, "broken=1"))
    stage.play()
    assert (stage.refused[2].status, stage.refused[2].param) == (400, "voice")
    assert stage.refused[3].status == 500
    assert stage.ended[1].finish == "stop"


def test_those_who_speak_wait_for_no_more_than_the_budget_of_prefill() -> None:
    stage = Stage(prefill_positions=16)
    stage.order(submit(1, "stop=30"))
    stage.beat(2)
    stage.order(submit(2, "x" * 157))
    stage.beat(12)
    assert stage.runner.most_prefilled == 16
    assert stage.frames[1] == 14
    assert stage.frames[2] == 3


def test_draining_speaks_to_the_end_and_takes_no_more() -> None:
    stage = Stage(FakeRunner(slots=1, depth=2))
    stage.order(submit(1, "stop=4"), submit(2, "stop=4"), Drain(), submit(3))
    assert not stage.engine.drained
    stage.play()
    assert stage.engine.drained
    assert stage.refused[3].status == 503
    assert sorted(stage.ended) == [1, 2]


def test_losing_all_tells_everybody() -> None:
    stage = Stage(FakeRunner(slots=2))
    stage.order(*(submit(n) for n in range(1, 4)))
    stage.beat(2)
    stage.note(stage.engine.lose_all())
    assert [stage.ended[n].finish for n in (1, 2, 3)] == ["lost"] * 3


def says(number: int, text: str, *context: Turn, voice: str = "narrator") -> Submit:
    sampling = Sampling(seed=number)
    return Submit(
        number, f"utterance-{number}", "key", text, voice, context=context, sampling=sampling
    )


VOICE = len("[voice]") + 4


def test_a_voice_is_computed_once() -> None:
    stage = Stage()
    for number in (1, 2):
        stage.order(says(number, "hello stop=4"))
        stage.play()
    assert stage.ended[1].reused_positions == 0
    assert stage.ended[2].reused_positions == VOICE
    assert stage.heard[2] == alone(says(2, "hello stop=4"))


def test_the_next_turn_goes_on_from_the_codes_of_the_last() -> None:
    stage = Stage()
    stage.order(says(1, "hello stop=4"))
    stage.play()
    earlier = Turn("0", "hello stop=4", utterance="utterance-1")
    stage.order(says(2, "and on stop=6", earlier))
    stage.play()
    first, second = stage.ended[1], stage.ended[2]
    assert second.reused_positions == first.prompt_positions + first.frames
    zero_frame_and_words = 1 + len("[0]and on stop=6")
    assert second.prompt_positions == second.reused_positions + zero_frame_and_words
    assert second.forgotten_turns == 0

    without = Stage(snapshot_megabytes=0)
    without.order(says(1, "hello stop=4"))
    without.play()
    without.order(says(2, "and on stop=6", earlier))
    without.play()
    assert without.ended[2].reused_positions == 0
    assert without.heard[2] == stage.heard[2]


@pytest.mark.parametrize(
    ("seed", "turn"),
    [
        (1, Turn("0", "hello there", utterance="utterance-1")),
        (1, Turn("1", "hello stop=4", utterance="utterance-1")),
        (1, Turn("0", "hello stop=4")),
        (9, Turn("0", "hello stop=4", audio=np.full(64, 999, "<i2").tobytes())),
    ],
)
def test_a_turn_that_differs_restores_no_more_than_the_voice(seed: int, turn: Turn) -> None:
    stage = Stage()
    stage.order(says(seed, "hello stop=4"))
    stage.play()
    stage.order(says(2, "and on stop=6", turn))
    stage.play()
    assert stage.ended[2].reused_positions == VOICE
    assert stage.heard[2] == fresh(says(2, "and on stop=6", turn), seed)


def fresh(asked: Submit, seed: int) -> bytes:
    stage = Stage(snapshot_megabytes=0)
    stage.order(says(seed, "hello stop=4"))
    stage.play()
    stage.order(asked)
    stage.play()
    assert stage.ended[asked.number].reused_positions == 0
    return stage.heard[asked.number]


def test_turns_with_audio_are_computed_once_too() -> None:
    stage = Stage()
    sounds = [Turn("1", f"turn {n}", audio=np.full(64, n, "<i2").tobytes()) for n in (5, 6)]
    stage.order(says(1, "stop=4", sounds[0]))
    stage.play()
    stage.order(says(2, "stop=4", *sounds))
    stage.play()
    assert stage.ended[2].reused_positions == VOICE + len("[1]turn 5") + 4 + 1


@pytest.mark.parametrize("how", ["cancel", "loop"])
def test_a_clip_that_went_wrong_is_no_context(how: str) -> None:
    stage = Stage()
    stage.order(says(1, "a long enough text loop=3"))
    stage.beat(5)
    if how == "cancel":
        stage.order(Cancel(1))
    stage.play()
    stage.order(says(2, "stop=6", Turn("0", "a long enough text", utterance="utterance-1")))
    stage.play()
    assert stage.ended[2].forgotten_turns == 1


def test_codes_that_are_not_kept_are_told() -> None:
    stage = Stage(codes_megabytes=0)
    stage.order(says(1, "hello stop=4"))
    stage.play()
    stage.order(says(2, "stop=6", Turn("0", "hello stop=4", utterance="utterance-1")))
    stage.play()
    assert stage.ended[2].forgotten_turns == 1


def test_out_of_memory_gives_up_what_is_kept() -> None:
    stage = Stage(FakeRunner(slots=2))
    stage.order(says(1, "stop=4"), says(2, "stop=4"))
    stage.beat(2)
    assert stage.reports[-1].gauges.snapshots == 1
    stage.runner.memory_rows = 1
    stage.beat()
    assert stage.reports[-1].gauges.snapshots == 0
    assert stage.reports[-1].gauges.snapshot_bytes == 0
