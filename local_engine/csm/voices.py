"""Voices: a speaker's number and, where there is one, a recorded prompt with its words.

Three places, the later over the earlier: what is built in, a model folder's `prompts/NAME.wav` and
`prompts/NAME.txt`, and a voices.toml of `[[voice]]` tables.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from local_engine.csm.codes_cache import CodesCache
from local_engine.csm.loading.errors import VoiceError
from local_engine.csm.running import Codes, Samples
from local_engine.csm.sound import SoundError, read_wav

_MOST_BYTES = 64 * 2**20
_FIRST_OF_FOLDER = 10


@dataclass(frozen=True, slots=True)
class Voice:
    """One that clients can name; without a recorded prompt it is a speaker's number alone."""

    name: str
    speaker: int
    text: str = ""
    """What is said in the recording."""
    audio: Path | None = None
    description: str = ""
    language: str = ""


_RECORDED = {"conversational_a": 0, "conversational_b": 1} | {
    f"read_speech_{letter}": speaker for speaker, letter in enumerate("abcd", start=2)
}
BUILT_IN = tuple(
    Voice(name, speaker)
    for name, speaker in (_RECORDED | {str(digit): digit for digit in range(10)}).items()
)
"""Speakers by number, and Sesame's recorded prompts, which come with its folder (2 to 5: ours)."""


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    speaker: int
    text: str = ""
    audio: str | None = None
    description: str = ""
    language: str = ""


def read_voices(folder: Path | None, file: Path | None) -> Mapping[str, Voice]:
    """Give every voice of a model by its name; VoiceError names the file, voice and field."""
    voices = {voice.name: voice for voice in BUILT_IN}
    if folder is not None:
        voices |= {voice.name: voice for voice in _of_folder(folder / "prompts")}
    if file is not None:
        voices |= {voice.name: voice for voice in _of_file(file)}
    return voices


def voice_codes(
    voice: Voice, rate: int, encode: Callable[[Samples], Codes], cache: CodesCache
) -> Codes | None:
    """Encode a voice's recording, or take its codes from the cache; None where it has none."""
    if voice.audio is None:
        return None
    try:
        if voice.audio.stat().st_size > _MOST_BYTES:
            raise VoiceError(f"{voice.audio}: voice {voice.name}: audio is more than 64 MiB")
        data = voice.audio.read_bytes()
        kept = cache.find(data)
        if kept is None:
            kept = encode(read_wav(data, rate))
            cache.keep(data, kept)
    except OSError as error:
        message = f"{voice.audio}: voice {voice.name}: audio: {error.strerror}"
        raise VoiceError(message) from None
    except SoundError as error:
        raise VoiceError(f"{voice.audio}: voice {voice.name}: audio: {error}") from None
    return kept


def _of_folder(prompts: Path) -> tuple[Voice, ...]:
    """Pair recordings and their words; a recording whose words nobody knows is no prompt."""
    recordings = sorted(path for path in prompts.glob("*.wav") if path.with_suffix(".txt").exists())
    others = [path.stem for path in recordings if path.stem not in _RECORDED]
    numbers = _RECORDED | {name: n for n, name in enumerate(others, start=_FIRST_OF_FOLDER)}
    return tuple(
        Voice(path.stem, numbers[path.stem], _words(path.with_suffix(".txt")), path)
        for path in recordings
    )


def _words(path: Path) -> str:
    try:
        words = " ".join(path.read_text("utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise VoiceError(f"{path}: voice {path.stem}: text: {error}") from None
    if not words:
        raise VoiceError(f"{path}: voice {path.stem}: text is empty")
    return words


def _of_file(file: Path) -> tuple[Voice, ...]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise VoiceError(f"{file} cannot be read: {error}") from None
    rows = tables.pop("voice", [])
    if tables or not isinstance(rows, list):
        raise VoiceError(f"{file} may hold [[voice]] tables only")
    voices = tuple(_of_row(file, number, row) for number, row in enumerate(rows, start=1))
    names = [voice.name for voice in voices]
    if again := sorted({name for name in names if names.count(name) > 1}):
        raise VoiceError(f"{file}: voice {again[0]}: name is there twice")
    return voices


def _of_row(file: Path, number: int, table: object) -> Voice:
    name = table.get("name", f"number {number}") if isinstance(table, dict) else f"number {number}"
    where = f"{file}: voice {name}:"
    try:
        row = msgspec.convert(table, _Row)
    except msgspec.ValidationError as error:
        raise VoiceError(f"{where} {error}") from None
    _refuse(where, row)
    audio = None if row.audio is None else file.parent / row.audio
    if audio is not None and not audio.is_file():
        raise VoiceError(f"{where} audio: there is no file {audio}")
    return Voice(row.name, row.speaker, row.text, audio, row.description, row.language)


def _refuse(where: str, row: _Row) -> None:
    if not row.name.strip():
        raise VoiceError(f"{where} name is empty")
    if not 0 <= row.speaker < 10_000:  # noqa: PLR2004 - a number that a prompt takes as it is
        raise VoiceError(f"{where} speaker must be from 0 to 9999")
    if bool(row.text.strip()) != (row.audio is not None):
        missing = "text" if row.audio is not None else "audio"
        raise VoiceError(f"{where} {missing} is missing: a recorded prompt is both")
