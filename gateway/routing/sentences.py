"""Sentences: where a text may be cut, so that another offer can go on with the rest of it.

A cut too few costs little, and one inside a sentence is heard; so in doubt there is none.
"""
# ruff: noqa: RUF001  # every language's marks are meant as they stand

import re
from collections.abc import Iterator
from itertools import chain

from gateway.metering.spoken import can_be_spoken

LEAST_CHARACTERS = 25
"""A shorter piece is not worth a call of its own."""

_DOUBTFUL = ".!?…"
"""Marks that end a sentence only where white space follows, and not always there."""
_SURE = "。！？｡؟۔।॥։።፧។။"
_CLOSING = "\"'”’»«›‹“)\\]}」』）】〉》〕"
"""Some open elsewhere; right after a mark none does."""
_OPENING = "\"'“‘«»„「『（【〈《〔([{¿¡"
_BETWEEN = f"{_OPENING}-–— \t\n"
"""What may stand before a sentence's first letter."""
# Possessive, and a mark that is found is taken: no text makes it look at a character often.
_MARK = re.compile(
    rf"(?P<mark>[{_DOUBTFUL}{_SURE}]++)"
    rf"(?P<closing>[{_CLOSING}]*+(?:[ \u00a0\u202f]»(?!\w))?+)"  # « Ah ! » has a space before »
    r"(?P<space>\s*+)"
    r"|\n[^\S\n]*+\n\s*+"
)
_DOCUMENT = re.compile(r"\s*+<(?:\?xml|speak)\b")
_LOOK_AHEAD = 6
_LONGEST_WORD = 16
_LAST_WORD = re.compile(r"[^\s(\[{\"'“”‘’«»„/–—-]*\Z")
_LETTERS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")
"""An initial, or letters with dots between them: J, e.g, U.S, z.B."""
_ORDINAL = re.compile(r"\d{1,2}")
"""Half of Europe writes "3. Mai", and everybody numbers points so."""
# What follows each is more often a name, a number or the rest of its sentence than the next one.
_ENGLISH = """
Mr Mrs Ms Mx Dr Prof Rev Hon Gen Col Capt Lt Sgt Maj Cmdr Gov Sen Rep Pres Messrs St Mt Ft Jr Sr
Bros Inc Ltd Corp Co Dept Univ Est No Nos Vol Vols Fig Figs Eq Ch Sec Art Ave Blvd Rd Apt Tel Ext
Jan Feb Mar Apr Jun Jul Aug Sep Sept Oct Nov Dec Mon Tue Tues Wed Thu Thurs Fri Sat Sun
vs etc al cf viz approx est no nos vol vols fig figs eq ch eds pp tel ext max min Ph.D
"""
_OTHERS = """
Nr Str Hr Fr Frl Ing Dipl Mio Mrd Abs Bd bzw usw ca evtl ggf inkl exkl vgl bspw sog zzgl
dhr mevr dr ing bijv enz
Mme Mlle MM Me av bd env
Sra Srta Dra Ud Uds Vd sra pág núm Avda Sig Dott Avv ecc pag
им ул руб тыс млн млрд др пр см стр
"""
_ABBREVIATIONS = frozenset(f"{_ENGLISH} {_OTHERS}".split())


def sentences(text: str) -> list[str]:
    """`text` in pieces that can be said one by one; put together they are `text`.

    What is too short for a call goes with the next piece, the last with the one before.
    """
    if _DOCUMENT.match(text):
        return [text]
    pieces: list[str] = []
    begin = last = size = 0
    spoken = False
    for end in chain(_ends(text), [len(text)]):
        part, last = text[last:end], end
        size += len(part.strip())
        spoken = spoken or can_be_spoken(part)
        if spoken and size >= LEAST_CHARACTERS:
            pieces.append(text[begin:end])
            begin, size, spoken = end, 0, False
    if rest := text[begin:]:
        pieces[-1:] = ["".join(pieces[-1:]) + rest]
    return pieces


def _ends(text: str) -> Iterator[int]:
    """Where sentences end, each with the white space after it."""
    return (found.end() for found in _MARK.finditer(text) if _is_end(text, found))


def _is_end(text: str, found: re.Match[str]) -> bool:
    mark, space = found["mark"], found["space"]
    if not mark or space.count("\n") > 1:
        return True
    after = text[found.end() : found.end() + _LOOK_AHEAD]
    if mark.strip(_DOUBTFUL):
        # After a quote the sentence may go on, as in "Ah!" he said.
        return bool(space) or not found["closing"] or after[:1] in _OPENING
    if not space or after.lstrip(_BETWEEN)[:1].islower():
        return False
    return mark != "." or not _is_abbreviation(text, found.start())


def _is_abbreviation(text: str, end: int) -> bool:
    """Whether the word before the full stop at `end` has it for another reason."""
    found = _LAST_WORD.search(text[max(0, end - _LONGEST_WORD) : end])
    word = found[0] if found else ""
    # Scripts without capitals have no initials, and words of one letter.
    is_initial = bool(_LETTERS.fullmatch(word)) and word.lower() != word.upper()
    return is_initial or word in _ABBREVIATIONS or bool(_ORDINAL.fullmatch(word))
