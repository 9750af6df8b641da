"""SSML: a text put into it safely, and a document of it told from what only looks like one."""

import re
from html import escape
from xml.parsers import expat

from providers.catalog import Offer
from providers.speech import Speech

# XML 1.0, section 2.2: what no document may hold, not even by number.
_UNSAYABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BEGINS = re.compile(r"[ \t\r\n]*<speak[ \t\r\n/>]")


def plain(text: str) -> str:
    """As character data that a parser reads back as it was, less what XML cannot say."""
    # A bare carriage return would be read back as a line feed.
    return escape(_UNSAYABLE.sub("", text)).replace("\r", "&#13;")


def is_document(offer: Offer, text: str) -> bool:
    """Whether the offer takes SSML, and the text is a well-formed `<speak>` without a DTD."""
    return "ssml" in offer.capabilities and _is_speak(text)


def is_paced(offer: Offer, speech: Speech) -> bool:
    """Whether a speed is asked for that the offer can go at."""
    return speech.speed not in {None, 1.0} and "speed" in offer.capabilities


def _is_speak(text: str) -> bool:
    # It begins with its root, and a DTD could stand only before that: no entity can be declared.
    if not _BEGINS.match(text):
        return False
    try:
        expat.ParserCreate().Parse(text, True)
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return True
