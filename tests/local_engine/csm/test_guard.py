import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_engine.csm.guard import RUNAWAYS, Cap, Guard, cap, levels, text_frames, text_seconds

RATE = 12.5
LOUD, SILENT = 3000.0, 10.0


def frame(code: int) -> bytes:
    return np.full(32, code, np.int32).tobytes()


def first_finish(frames: list[tuple[int, float]], silence: float = 4.0) -> tuple[int, str] | None:
    """The frame, counted from 1, after which the guard ends the clip, and why."""
    guard = Guard(RATE, silence)
    for number, (code, level) in enumerate(frames, start=1):
        finish = guard.hear(frame(code), level)
        if finish:
            return number, finish
    return None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 2),
        ("a" * 50, 12),
        ("今日は", 3.5),
        ("2026", 4),
        ("안녕하세요", 4.5),
    ],
)
def test_a_text_may_take_as_long_as_the_slowest_reading(text: str, seconds: float) -> None:
    assert text_seconds(text) == pytest.approx(seconds)


def test_frames_of_a_text_are_whole_and_never_beyond_the_longest_clip() -> None:
    assert text_frames("a" * 50, RATE, 90) == 150
    assert text_frames("a" * 51, RATE, 90) == 153
    assert text_frames("a" * 5000, RATE, 90) == 1125
    assert text_frames("", 1, 0.1) == 1


@pytest.mark.parametrize(
    ("text", "room", "asked", "expected"),
    [
        (100, 500, None, Cap(100, "text")),
        (100, 50, None, Cap(50, "context")),
        (100, 500, 7, Cap(7, "length")),
        (100, 500, 100, Cap(100, "length")),
        (100, 500, 900, Cap(100, "text")),
        (100, 50, 50, Cap(50, "length")),
    ],
)
def test_the_least_cap_counts_and_gives_its_name(
    text: int, room: int, asked: int | None, expected: Cap
) -> None:
    assert cap(text, room, asked) == expected


def test_sound_that_changes_is_left_alone() -> None:
    assert first_finish([(n, LOUD) for n in range(2000)]) is None


def test_silence_after_sound_ends_a_clip() -> None:
    frames = [(n, LOUD if n < 20 else SILENT) for n in range(200)]
    assert first_finish(frames) == (70, "silence")


def test_silence_before_any_sound_ends_a_clip() -> None:
    assert first_finish([(n, SILENT) for n in range(200)], silence=2.0) == (25, "silence")


def test_pauses_shorter_than_that_do_not() -> None:
    frames = [(n, LOUD if n % 50 == 0 else SILENT) for n in range(1000)]
    assert first_finish(frames) is None


@pytest.mark.parametrize("cycle", range(1, 9))
def test_the_same_frames_again_and_again_end_a_clip_after_three_seconds(cycle: int) -> None:
    frames = [(n, LOUD) for n in range(100, 120)]
    frames += [(n % cycle, LOUD) for n in range(200)]
    assert first_finish(frames) == (20 + 38, "loop")


def test_a_longer_cycle_or_a_shorter_time_is_no_loop() -> None:
    assert first_finish([(n % 9, LOUD) for n in range(500)]) is None
    stutter = [(0 if n % 38 else n, LOUD) for n in range(1, 500)]
    assert first_finish(stutter) is None


def loops(codes: list[int]) -> bool:
    """Whether the last three seconds are a cycle of at most eight frames."""
    last = codes[-38:]
    return len(last) == 38 and any(last[cycle:] == last[:-cycle] for cycle in range(1, 9))


spells = st.lists(
    st.tuples(st.lists(st.integers(0, 2), min_size=1, max_size=10), st.integers(1, 50)),
    max_size=6,
).map(lambda told: [code for cycle, length in told for code in (cycle * length)[:length]])


@given(spells)
def test_a_loop_is_found_at_the_first_frame_at_which_there_is_one(codes: list[int]) -> None:
    ends = [end for end in range(1, len(codes) + 1) if loops(codes[:end])]
    found = first_finish([(code, LOUD) for code in codes])
    assert found == ((ends[0], "loop") if ends else None)


def test_levels_are_those_of_each_row() -> None:
    pcm = np.array([[0, 0, 0, 0], [3, -4, 3, -4], [-32768] * 4], np.int16)
    assert levels(pcm) == pytest.approx([0, 12.5**0.5, 32768])


def test_sixty_decibels_below_full_is_the_border_of_silence() -> None:
    sound, hiss = np.full((2, 100), 33, np.int16), np.full((2, 100), 32, np.int16)
    assert first_finish([(n, levels(sound)[0]) for n in range(100)]) is None
    assert first_finish([(n, levels(hiss)[0]) for n in range(100)]) == (50, "silence")


def test_what_was_asked_for_is_no_runaway() -> None:
    assert not RUNAWAYS & {"stop", "length", "cancelled", "deadline"}
