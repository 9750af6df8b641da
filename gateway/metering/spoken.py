"""Spoken: whether a text can be said, and the longest that it may take, for offers paid by time."""

import unicodedata
from collections import Counter
from functools import lru_cache
from math import ceil

# What one character may take, in ms, said slowly (three syllables a second, where people and
# machines say four to seven) and read in the longest way that it plausibly is. A bound that is too
# high holds a little more for a few seconds; one that is too low lets a limit be passed.
LEAD = 1000
"""Silence before and after."""
SMALL_LETTER = 200
"""Words run at 12 to 20 letters and spaces a second; five leaves room for pauses, slow voices."""
CAPITAL = 1000
"""It may be spelled out, and W is three syllables."""
LETTER = 400
"""Kana, hangul, and scripts that leave vowels unwritten: one syllable each."""
IDEOGRAPH = 1000
"""A hanzi is one syllable; a kanji is up to five short ones (kokorozashi), seldom over three."""
DIGIT = 1500
""""777777" is nine words, twenty syllables: over three for each digit, four for a price or date."""
MARK = 2000
"""Where marks are read, ")" is "closing parenthesis", six syllables; else they are pauses."""
SYMBOL = 4000
"""An emoji is read by its name, and "smiling face with open mouth and smiling eyes" has eleven
syllables; a sign that a voice does not know is read by its number."""

_BY_CATEGORY = dict.fromkeys(("Ll", "Mc", "Mn", "Zs"), SMALL_LETTER)
_BY_CATEGORY |= {"Lu": CAPITAL, "Lt": CAPITAL, "Lm": LETTER, "Lo": LETTER, "Nd": DIGIT}
_BY_CATEGORY |= dict.fromkeys(("Cc", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps"), MARK)
_IDEOGRAPHS = ("CJK ", "TANGUT ", "NUSHU ")
_WORDS = ("L", "N", "Sc", "Sm")
"""Categories of what is a word by itself: letters, numbers, currencies and operators."""


def can_be_spoken(text: str) -> bool:
    """Whether there is anything in it to say; marks and emoji alone are silence to many voices."""
    return any(unicodedata.category(each).startswith(_WORDS) for each in text)


def longest_ms(text: str, speed: float | None = None) -> int:
    """The longest that `text` may take to say at `speed`, in ms; never less for more text."""
    spoken = LEAD + sum(times * _ms(each) for each, times in Counter(text).items())
    # An offer may pay no heed to a speed, so a fast one makes nothing shorter.
    return ceil(spoken / min(speed or 1.0, 1.0))


@lru_cache(maxsize=4096)
def _ms(character: str) -> int:
    """A sign that stands for several (one half, a company's seal) takes as long as they do."""
    return sum(_plain_ms(each) for each in unicodedata.normalize("NFKC", character))


def _plain_ms(character: str) -> int:
    if character.isascii() and not character.isalnum() and character != " ":
        return MARK
    if unicodedata.name(character, "").startswith(_IDEOGRAPHS):
        return IDEOGRAPH
    return _BY_CATEGORY.get(unicodedata.category(character), SYMBOL)
