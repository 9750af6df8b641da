"""The names a caller may give as `voice`: language tags, some with a variant, as in `en-us+f3`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from local_engine.errors import Refusal
from local_engine.espeak.utterance import LibraryVoice

DEFAULT_VOICE = "en-us"
_GENDERS = {1: "male", 2: "female"}


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice or a variant as the catalogue shows it."""

    id: str
    name: str
    language: str | None
    gender: str | None


@dataclass(frozen=True, slots=True)
class Voices:
    """The catalogue, and what each accepted name loads from."""

    listed: list[Voice]
    variants: list[Voice]
    _files: dict[str, str]
    _variant_files: dict[str, str]

    @classmethod
    def of(cls, voices: Iterable[LibraryVoice], variants: Iterable[LibraryVoice]) -> Self:
        """Name what the library lists."""
        named = _named(voices)
        throats = {_leaf(variant): variant for variant in variants}
        return cls(
            [_shown(id_, voice, voice.languages[0][1]) for id_, voice in named.items()],
            [_shown(f"+{id_}", variant, None) for id_, variant in throats.items()],
            _shared_tags(named.values()) | {id_: v.identifier for id_, v in named.items()},
            {id_: v.identifier.rpartition("/")[2] for id_, v in throats.items()},
        )

    def file(self, voice: str) -> str:
        """Find what the library loads for this name; nothing but its own lists ever reaches it."""
        tag, plus, variant = voice.lower().partition("+")
        if tag not in self._files:
            raise Refusal(_unknown(voice, ("en-us", "en-gb", "fr-fr", "de", "en-us+f3")), "voice")
        if not plus:
            return self._files[tag]
        if variant not in self._variant_files:
            raise Refusal(_unknown(voice, (f"{tag}+f3", f"{tag}+m1", f"{tag}+whisper")), "voice")
        return f"{self._files[tag]}+{self._variant_files[variant]}"


def _named(voices: Iterable[LibraryVoice]) -> dict[str, LibraryVoice]:
    """Call each voice by its first tag, or by its file's name where another has that tag."""
    named: dict[str, LibraryVoice] = {}
    for voice in voices:
        tag = voice.languages[0][1]
        named[tag if tag not in named else _leaf(voice)] = voice
    return named


def _shared_tags(voices: Iterable[LibraryVoice]) -> dict[str, str]:
    """Give each tag that several voices share, such as `en`, to the one of the lowest rank."""
    claims = ((rank, tag, v.identifier) for v in voices for rank, tag in v.languages)
    return {tag: file for _, tag, file in sorted(claims, reverse=True)}


def _leaf(voice: LibraryVoice) -> str:
    return voice.identifier.rpartition("/")[2].lower()


def _shown(id_: str, voice: LibraryVoice, language: str | None) -> Voice:
    return Voice(id_, voice.name, language, _GENDERS.get(voice.gender))


def _unknown(voice: str, examples: Iterable[str]) -> str:
    some = ", ".join(examples)
    return f"voice {voice!r} is not known; there are {some} and more: GET /v1/audio/voices"
