"""Units: how many characters of a text a provider bills, by the rule that its price names.

Only what we owe depends on it; what a key is metered in stays Unicode code points as received.
"""

import re

from providers import Count

# Possessive all through, and `<` ends every part: no text makes it look twice at a character.
_NAME = r"[^\W\d][\w.:-]*+"
_VALUE = r"(?:\"[^\"<]*+\"|'[^'<]*+')"
_TAG = re.compile(rf"</({_NAME})\s*+>|<({_NAME})(?:\s++{_NAME}\s*+=\s*+{_VALUE})*+\s*+/?>")
_ROOT = "speak"
# Every block of the script Han: radicals, the signs for "the same again", "closed" and zero, the
# unified and the compatibility ideographs, and the two planes that further ones are put in.
_HAN = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003fffd]"
)


def billed_characters(text: str, rule: Count) -> int:
    """How many characters of `text` are billed; what is not well-formed markup counts as text."""
    billed = text if rule == "code_points" else _billed_part(text, rule)
    if rule != "han_twice" or billed.isascii():
        return len(billed)
    return len(billed) + len(_HAN.findall(billed))


def _billed_part(text: str, rule: Count) -> str:
    """The text without the tags that the rule leaves out."""
    if not _is_markup(text):
        return text
    return _TAG.sub(lambda tag: "" if _is_free(tag[1] or tag[2], rule) else tag[0], text)


def _is_markup(text: str) -> bool:
    """Whether it is one `<speak>` document; in any other text a tag is read out, and billed."""
    bare = text.strip()
    if not bare.startswith(f"<{_ROOT}") or not bare.endswith(">"):
        return False
    first = _TAG.match(bare)
    last = _TAG.match(bare, bare.rindex("<"))
    return bool(first and last and (first[2], last[1]) == (_ROOT, _ROOT))


def _is_free(tag: str, rule: Count) -> bool:
    if rule == "han_twice":
        return tag in {_ROOT, "voice"}
    return rule == "without_tags" or tag == "mark"
