"""Audio of any format, pushed in as it arrives, becomes s16le mono samples."""

from av import AudioCodecContext, AudioFrame, CodecContext, FFmpegError, Packet

from gateway.audio.containers import frames_of
from gateway.audio.formats import BrokenAudio, Sound
from gateway.audio.samples import Resampler

_PLAIN = "pcm_s16le"
_LAYOUTS = ("", "mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
"""By the number of channels, for headers that tell no more."""
_SILENT_BYTES = 1 << 20
"""How much of a stream may pass before its first sample."""


class Decoder:
    """Gives the samples of each frame as soon as its last byte is there.

    It has no thread and reads no file: the containers are cut by hand and a codec decodes packets.
    A frame that cannot be decoded is left out; a stream without any that can is BrokenAudio.
    """

    sample_rate: int
    """Hz of the samples given; until the first of them, what was declared."""

    def __init__(self, source: Sound) -> None:
        self.sample_rate = source.sample_rate
        self._format = source.format
        self._frames = frames_of(source)
        self._codec: AudioCodecContext | None = None
        self._resampler: Resampler | None = None
        self._fed = 0  # bytes
        self._decoded = 0  # samples

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes; give the s16le mono samples they complete."""
        self._fed += len(data)
        packets = self._frames.feed(data)
        if self._frames.broken:
            raise BrokenAudio(self._frames.broken)
        pcm = self._decode(packets)
        if not self._decoded and self._fed > _SILENT_BYTES:
            raise BrokenAudio(f"no {self._format} sound in the first {self._fed} bytes")
        return pcm

    @property
    def complete(self) -> bool:
        """Whether the stream could end here, so not inside a frame nor before its own count."""
        return self._frames.complete

    def finish(self) -> bytes:
        """Give what is left; raise BrokenAudio when there never was a sample."""
        pcm = self._decode(self._frames.finish())
        if self._codec is not None:
            pcm += self._keep(self._run(self._codec, None))
        if self._resampler is not None:
            pcm += self._keep(self._resampler.finish())
        self.close()
        if not self._decoded:
            raise BrokenAudio(f"nothing in it could be decoded as {self._format}")
        return pcm

    def close(self) -> None:
        """Let go of the codec."""
        self._codec = None
        self._resampler = None

    def _decode(self, packets: list[bytes]) -> bytes:
        if not packets:
            return b""
        if self._frames.codec == _PLAIN and self._frames.channels == 1:
            self.sample_rate = self._frames.sample_rate
            return self._keep(b"".join(packets))
        codec = self._codec or self._open()
        return self._keep(b"".join(self._run(codec, packet) for packet in packets))

    def _open(self) -> AudioCodecContext:
        codec = CodecContext.create(self._frames.codec, "r")
        if not isinstance(codec, AudioCodecContext):
            raise BrokenAudio(f"{self._frames.codec} is not audio")
        codec.thread_count = 1
        codec.sample_rate = self._frames.sample_rate
        codec.layout = _LAYOUTS[self._frames.channels]
        codec.extradata = self._frames.extradata
        self._codec = codec
        return codec

    def _run(self, codec: AudioCodecContext, packet: bytes | None) -> bytes:
        """Decode one packet, or with None what the codec still holds."""
        try:
            frames = codec.decode(None if packet is None else Packet(packet))
            return b"".join(map(self._convert, frames))
        except FFmpegError:
            return b""

    def _convert(self, frame: AudioFrame) -> bytes:
        if self._resampler is None:
            self.sample_rate = frame.sample_rate
            self._resampler = Resampler(frame.sample_rate)
        return self._resampler.convert(frame)

    def _keep(self, pcm: bytes) -> bytes:
        """Drop what comes after the end the stream has told, if it has."""
        before, total = self._decoded, self._frames.total
        self._decoded += len(pcm) // 2
        return pcm if total is None else pcm[: max(0, total - before) * 2]
