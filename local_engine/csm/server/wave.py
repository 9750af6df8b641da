"""A WAV file of a caller's, read and turned into what the engine hears: s16le mono at its rate."""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

from av import AudioFrame, AudioResampler

MOST_SECONDS = 60
_LOWEST_RATE, _HIGHEST_RATE = 4_000, 192_000
_PCM, _EXTENSIBLE = 1, 0xFFFE
_BITS = 16
_LAYOUTS = {1: "mono", 2: "stereo"}
_RIFF = Struct("<4sI4s")
_CHUNK = Struct("<4sI")
_FMT = Struct("<HHIIHH")
_SUBFORMAT = 24
"""Where an extensible `fmt ` says what it really is."""


_ENDLESS = 0x7FFF_0000
"""Sizes from here on are those of files that were streamed."""


class NotAudio(Exception):
    """The bytes are no sound that can be taken, and why not."""


@dataclass(frozen=True, slots=True)
class Wave:
    """PCM of 16 bits; with two channels their samples alternate."""

    rate: int
    channels: int
    pcm: memoryview

    @classmethod
    def read(cls, file: bytes) -> "Wave":
        """Find rate, channels and samples, all within bounds; NotAudio says what is wrong."""
        if len(file) < _RIFF.size or _RIFF.unpack_from(file)[::2] != (b"RIFF", b"WAVE"):
            raise NotAudio("it is not a WAV file")
        chunks = dict(_chunks(memoryview(file)))
        if b"fmt " not in chunks or b"data" not in chunks:
            raise NotAudio("the WAV file has no format or no samples in it")
        rate, channels = _described(chunks[b"fmt "])
        pcm = chunks[b"data"]
        block = channels * _BITS // 8
        seconds = len(pcm) // block / rate
        if seconds > MOST_SECONDS:
            raise NotAudio(f"it lasts {seconds:.0f} s; {MOST_SECONDS} s are taken")
        if len(pcm) < block:
            raise NotAudio("the WAV file has no samples in it")
        return cls(rate, channels, pcm[: len(pcm) // block * block])

    def mono_at(self, rate: int) -> bytes:
        """Give the samples as mono at this rate."""
        if (self.rate, self.channels) == (rate, 1):
            return bytes(self.pcm)
        resampler = AudioResampler("s16", "mono", rate)
        frames = [*resampler.resample(self._frame()), *resampler.resample(None)]
        return b"".join(bytes(each.planes[0])[: each.samples * 2] for each in frames)

    def _frame(self) -> AudioFrame:
        samples = len(self.pcm) // (self.channels * 2)
        frame = AudioFrame(format="s16", layout=_LAYOUTS[self.channels], samples=samples)
        frame.sample_rate = self.rate
        frame.planes[0].update(bytes(self.pcm))
        return frame


def _chunks(file: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Give name and content of each chunk, `data` last: what follows it does not matter."""
    place = _RIFF.size
    while place + _CHUNK.size <= len(file):
        name, size = _CHUNK.unpack_from(file, place)
        place += _CHUNK.size
        content = file[place : place + size]
        if name == b"data":
            yield name, _whole(content, size)
            return
        yield name, content
        place += size + size % 2


def _whole(content: memoryview, size: int) -> memoryview:
    """Let a streamed file's samples go on to its end: their number was not known before."""
    unknown = size >= _ENDLESS
    if len(content) < size and not unknown:
        raise NotAudio("the WAV file ends before its samples do")
    return content


def _described(fmt: memoryview) -> tuple[int, int]:
    if len(fmt) < _FMT.size:
        raise NotAudio("the WAV file does not say what its samples are")
    tag, channels, rate, _, _, bits = _FMT.unpack_from(fmt)
    if tag == _EXTENSIBLE and len(fmt) >= _SUBFORMAT + 2:
        tag = int.from_bytes(fmt[_SUBFORMAT : _SUBFORMAT + 2], "little")
    if (tag, bits) != (_PCM, _BITS):
        raise NotAudio("its samples are not PCM of 16 bits")
    if channels not in _LAYOUTS:
        raise NotAudio(f"it has {channels} channels; 1 or 2 are taken")
    if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
        raise NotAudio(f"its rate is {rate} Hz; it can be {_LOWEST_RATE} to {_HIGHEST_RATE}")
    return rate, channels
