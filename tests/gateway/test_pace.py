"""Pace: a drip is seen within ten seconds, and nobody else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dispatch.pace import Pace, most_bytes, most_seconds
from gateway.metering.spoken import longest_ms


def test_a_drip_is_seen_after_ten_seconds_and_not_before() -> None:
    pace = Pace()
    assert [pace.fed(0.25, 0.01) for _ in range(40)] == [False] * 39 + [True]


def test_half_of_real_time_is_enough() -> None:
    pace = Pace()
    assert not any(pace.fed(0.25, 0.125) for _ in range(1000))
    assert not any(pace.fed(0.0, 0.5) for _ in range(1000))


def test_a_little_less_than_half_is_not() -> None:
    pace = Pace()
    assert any(pace.fed(0.25, 0.12) for _ in range(41))


@pytest.mark.parametrize("wait", [0.001, 0.07, 0.25, 3.0])
def test_a_good_beginning_does_not_excuse_a_drip(wait: float) -> None:
    pace = Pace()
    assert not pace.fed(1.0, 600.0)
    waited = 0.0
    while not pace.fed(wait, wait / 10):
        waited += wait
    assert 6 <= waited <= 10 + 2 * wait + 0.1


def test_a_pause_between_sentences_is_no_drip() -> None:
    pace = Pace()
    for _ in range(20):
        assert not pace.fed(4.0, 0.1)
        assert not pace.fed(0.5, 8.0)


def test_a_long_sentence_that_comes_at_once_counts_for_the_time_it_was_made_in() -> None:
    pace = Pace()
    assert not any(pace.fed(12.0, 6.5) for _ in range(20))
    assert pace.fed(12.0, 5.9)


def test_it_recovers_when_the_audio_does() -> None:
    pace = Pace()
    assert pace.fed(10.0, 1.0)
    assert not pace.fed(0.0, 20.0)


def test_it_remembers_no_more_however_small_the_pieces_are() -> None:
    pace = Pace()
    for _ in range(100_000):
        assert not pace.fed(0.001, 0.001)
    assert len(pace._marks) <= 102  # noqa: SLF001  # nothing else shows it


pieces = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=200)


@given(pieces)
def test_it_agrees_with_a_plain_count(eighths: list[tuple[int, int]]) -> None:
    """In eighths of a second, which a float holds exactly."""
    pace, past, now, had = Pace(), [(0.0, 0.0)], 0.0, 0.0
    for wait, audio in eighths:
        now, had = now + wait / 8, had + audio / 8
        if wait:
            past.append((now, had))
        windows = [(now - then, had - before) for then, before in past if now - then >= 10]
        too_slow = bool(windows) and windows[-1][1] < windows[-1][0] / 2
        assert pace.fed(wait / 8, audio / 8) == too_slow


def test_a_text_may_take_a_second_for_each_character_and_a_minute_more() -> None:
    assert most_seconds("") == 60
    assert most_seconds("a" * 90) == 150


@given(st.text(max_size=200), st.none() | st.floats(0.25, 4.0))
def test_the_cap_is_never_below_what_a_clip_is_held_for(text: str, speed: float | None) -> None:
    assert most_seconds(text, speed) >= longest_ms(text, speed) / 1000
    assert most_seconds(text, speed) >= 60 + len(text)


@pytest.mark.parametrize(
    ("seconds", "most"),
    [(0, 1_000_000), (5, 1_000_000), (6, 1_200_000), (500, 100_000_000), (9e9, 100_000_000)],
)
def test_bytes_follow_the_seconds_within_their_bounds(seconds: float, most: int) -> None:
    assert most_bytes(seconds) == most
