"""What bytes are that are not the audio they were declared to be, in words for a person."""

import codecs
import re

from gateway.audio.formats import Format

TELLING_BYTES = 64
"""How many bytes are enough to tell."""

_MARKUP = re.compile(rb'\s*(<!doctype|<html|<\?xml|\{\s*"|\[\s*\{)', re.IGNORECASE)


def is_markup(head: bytes) -> bool:
    """Whether it plainly begins as HTML, XML or JSON, and reads as text."""
    return _MARKUP.match(head) is not None and is_text(head)


def may_be_markup(head: bytes) -> bool:
    """Whether so few bytes may still turn out to begin as HTML, XML or JSON."""
    return head.lstrip()[:1] in (b"", b"<", b"{", b"[") and is_text(head)


_NAMES = {Format.OPUS: "Ogg Opus"}
_SIGNS = (
    (re.compile(rb"\s*<(!doctype html|html)", re.IGNORECASE), "HTML"),
    (re.compile(rb"\s*<"), "XML"),
    (re.compile(rb"\s*[{\[]"), "JSON"),
)
_OTHERS = (
    (re.compile(rb"RIFF....WAVE", re.DOTALL), "a WAV file", Format.WAV),
    (re.compile(rb"OggS"), "an Ogg stream", Format.OPUS),
    (re.compile(rb"fLaC"), "a FLAC stream", Format.FLAC),
    (re.compile(rb"ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]"), "an MP3 stream", Format.MP3),
    (re.compile(rb"\xff[\xf0\xf1\xf8\xf9]"), "an AAC stream", Format.AAC),
    (re.compile(rb"....ftyp", re.DOTALL), "an MP4 file", None),
    (re.compile(rb"\x1a\x45\xdf\xa3"), "a WebM file", None),
    (re.compile(rb"\x1f\x8b"), "compressed bytes", None),
)


def tell(declared: Format, head: bytes) -> str:
    """Say what the bytes are instead."""
    name = _NAMES.get(declared, declared.upper())
    if is_text(head[:TELLING_BYTES]):
        text = head.removeprefix(codecs.BOM_UTF8)
        kind = next((kind for sign, kind in _SIGNS if sign.match(text)), "text")
        return f"{kind} instead of audio"
    for sign, other, its_format in _OTHERS:
        if sign.match(head) and its_format is not declared:
            return f"{other} where {name} was declared"
    return f"not {name}"


def is_text(head: bytes) -> bool:
    """Whether it all reads as text; a character cut at the end does not count against it."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return all(character.isprintable() or character.isspace() for character in text)
