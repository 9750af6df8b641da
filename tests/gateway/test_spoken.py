"""Spoken: no text takes longer to say than the bound by which it is paid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.metering.spoken import longest_ms

texts = st.text(max_size=200)
speeds = st.none() | st.floats(0.25, 4.0)


@given(texts, texts, speeds)
def test_more_text_never_takes_less_time(text: str, more: str, speed: float | None) -> None:
    assert longest_ms(text + more, speed) >= longest_ms(text, speed)


@given(texts, st.floats(0.25, 4.0))
def test_slowly_takes_longer_and_fast_no_shorter(text: str, speed: float) -> None:
    assert longest_ms(text, speed) >= longest_ms(text) / min(speed, 1.0) - 1
    assert longest_ms(text, 4.0) == longest_ms(text, 1.0) == longest_ms(text)


@given(texts)
def test_every_character_takes_some_time(text: str) -> None:
    assert longest_ms(text) >= 1000 + 200 * len(text)


@pytest.mark.parametrize(
    ("text", "syllables"),
    [
        ("WWWWWW", 18),  # double-u, six times
        ("777777", 20),  # seven hundred and seventy-seven thousand seven hundred ...
        ("1234567890", 27),  # one billion two hundred and thirty-four million ...
        ("１２３", 10),  # noqa: RUF001  # full-width digits are digits
        ("Ⅷ", 1),
        ("½", 2),
        ("志", 5),  # kokorozashi
        ("東京都知事", 8),
        ("ありがとう", 5),
        ("안녕하세요", 5),
        ("({[", 14),  # open parenthesis, left curly bracket, ...
        ("https://a.b/c_d", 25),
        ("🤣", 8),  # rolling on the floor laughing
        ("😄😄", 22),  # smiling face with open mouth and smiling eyes
        ("㍿", 8),  # kabushiki-gaisha
        ("ﷺ", 14),  # sallallahu alayhi wa-sallam
        ("€", 2),
        ("\u0378", 7),  # no character at all, read by its number
        ("The quick brown fox jumps over the lazy dog.", 11),
    ],
)
def test_a_slow_voice_reads_it_within_the_bound(text: str, syllables: int) -> None:
    assert longest_ms(text) >= syllables * 1000 / 3


def test_a_page_of_prose_is_bound_at_about_four_times_what_it_takes() -> None:
    page = "The quick brown fox jumps over the lazy dog, and then it sleeps. " * 30
    assert 15 * len(page) / 1000 < longest_ms(page) / 1000 < 5 * len(page) / 15
