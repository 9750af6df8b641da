"""The few functions of libespeak-ng that a worker calls. One per process: its state is global."""

import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path

import espeakng_loader

from local_engine.espeak.utterance import LibraryVoice, Utterance

SAMPLE_RATE = 22_050
"""The rate of all its voices; a worker whose library says otherwise does not start."""

_SYNCHRONOUS = 2
_DONT_EXIT = 0x8000
_BUFFER_MILLISECONDS = 100
_UTF8 = 1  # and neither SSML (0x10) nor [[phonemes]] (0x100): text is only text
_RATE, _PITCH = 1, 3
_GO_ON, _ABORT = 0, 1

_Samples = ctypes.POINTER(ctypes.c_short)
_Callback = ctypes.CFUNCTYPE(ctypes.c_int, _Samples, ctypes.c_int, ctypes.c_void_p)

Sink = Callable[[bytes], bool]


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("unused", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


class Library:
    """eSpeak NG, started."""

    def __init__(self) -> None:
        self._data = Path(espeakng_loader.get_data_path())
        self._native = ctypes.CDLL(espeakng_loader.get_library_path())
        self._native.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
        self._sink: Sink = bool
        self._callback = _Callback(self._heard)
        rate = self._native.espeak_Initialize(
            _SYNCHRONOUS, _BUFFER_MILLISECONDS, bytes(self._data), _DONT_EXIT
        )
        if rate != SAMPLE_RATE:
            raise RuntimeError(f"eSpeak NG did not start at {SAMPLE_RATE} Hz: {rate}")
        self._native.espeak_SetSynthCallback(self._callback)

    def voices(self) -> list[LibraryVoice]:
        """List what can speak; the library also names some that came without a dictionary."""
        return [voice for voice in self._listed(None) if self._has_dictionary(voice)]

    def variants(self) -> list[LibraryVoice]:
        """List the other throats that any voice may have: `f3`, `whisper`, `croak`."""
        return list(self._listed(b"variant"))

    def speak(self, utterance: Utterance, sink: Sink) -> None:
        """Give `sink` the samples as they come, until the text is over or it answers False."""
        # An unknown voice would leave the last one speaking, so its refusal must not go unseen.
        self._checked("voice", self._native.espeak_SetVoiceByName(utterance.voice.encode()))
        self._checked("rate", self._native.espeak_SetParameter(_RATE, utterance.rate, 0))
        self._checked("pitch", self._native.espeak_SetParameter(_PITCH, utterance.pitch, 0))
        self._sink = sink
        text = utterance.text.encode()
        size = ctypes.c_size_t(len(text) + 1)
        self._checked("text", self._native.espeak_Synth(text, size, 0, 1, 0, _UTF8, None, None))

    def _heard(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int | None) -> int:
        if not samples or count <= 0:
            return _GO_ON
        return _GO_ON if self._sink(ctypes.string_at(samples, count * 2)) else _ABORT

    def _checked(self, what: str, status: int) -> None:
        if status:
            raise RuntimeError(f"eSpeak NG refused the {what} with status {status}")

    def _listed(self, language: bytes | None) -> Iterator[LibraryVoice]:
        tag = ctypes.create_string_buffer(language) if language else None
        wanted = _Voice(languages=ctypes.addressof(tag)) if tag else None
        for entry in self._native.espeak_ListVoices(ctypes.byref(wanted) if wanted else None):
            if not entry:
                return
            voice = entry.contents
            yield LibraryVoice(
                voice.name.decode().strip(),
                voice.identifier.decode(),
                list(_ranked_tags(voice.languages)),
                voice.gender,
            )

    def _has_dictionary(self, voice: LibraryVoice) -> bool:
        code = voice.languages[0][1].partition("-")[0]
        if (self._data / f"{code}_dict").exists():
            return True
        return "\ndictionary" in (self._data / "lang" / voice.identifier).read_text()


def _ranked_tags(address: int) -> Iterator[tuple[int, str]]:
    """Read the library's packed list: a byte of rank, a terminated tag, up to a rank of 0."""
    while rank := ctypes.string_at(address, 1)[0]:
        tag = ctypes.string_at(address + 1)
        yield rank, tag.decode().lower()
        address += len(tag) + 2
