"""Samples become audio of the wanted format, and every packet leaves the moment it exists."""

from av import AudioCodecContext, CodecContext

from gateway.audio.containers.adts import AdtsWriter
from gateway.audio.containers.flac import FlacWriter
from gateway.audio.containers.frames import Writer
from gateway.audio.containers.ogg import RATE, OpusWriter
from gateway.audio.containers.wav import PcmWriter, WavWriter
from gateway.audio.formats import Format, Sound
from gateway.audio.samples import Resampler, frame_of

_CODECS: dict[Format, tuple[str, str, dict[str, str]]] = {  # encoder, its sample format, options
    # Without the bit reservoir no frame waits for the next one, nor needs the one before it.
    Format.MP3: ("libmp3lame", "s16p", {"compression_level": "5", "reservoir": "0"}),
    Format.OPUS: ("libopus", "s16", {"compression_level": "5"}),
    Format.AAC: ("aac", "fltp", {"aac_coder": "fast"}),  # a seventh of the default's time
    Format.FLAC: ("flac", "s16", {"compression_level": "2"}),  # blocks of 27 ms, not of 105
}
_MOST_BITS = {Format.MP3: 128_000, Format.OPUS: 48_000, Format.AAC: 128_000}  # per second
_BITS_PER_SAMPLE = 4  # mp3 at 24 kHz: 96 kb/s


class Encoder:
    """Takes s16le mono samples in pieces of any size, and gives encoded bytes.

    Fed nothing, it gives nothing, not even a header.
    """

    def __init__(self, source_rate: int, target: Sound) -> None:
        self._source_rate = source_rate
        self._codec = _open(target) if target.format in _CODECS else None
        resampled = self._codec is None and source_rate != target.sample_rate
        self._resampler = Resampler(target.sample_rate) if resampled else None
        self._writer = _writer(target, self._codec)
        self._half = b""  # the first byte of a sample whose second is still to come
        self._samples = 0  # fed, at the source's rate
        self._begun = False

    def feed(self, pcm: bytes) -> bytes:
        """Take more samples; give the bytes that are ready to leave."""
        pcm = self._half + pcm
        whole = len(pcm) & ~1
        pcm, self._half = pcm[:whole], pcm[whole:]
        self._samples += whole // 2
        return self._wrap(self._encode(pcm)) if pcm else b""

    def drop_half(self) -> None:
        """Whoever fed it broke off, maybe inside a sample; what comes next begins a new one."""
        self._half = b""

    def finish(self) -> bytes:
        """Give all that is left."""
        packets = self._flush() if self._samples else []
        self._codec = self._resampler = None
        end = round(self._samples * RATE / self._source_rate)
        return self._wrap(packets, end)

    def _encode(self, pcm: bytes) -> list[bytes]:
        if self._codec is not None:
            packets = self._codec.encode(frame_of(pcm, self._source_rate))
            return [bytes(packet) for packet in packets if packet.size]
        if self._resampler is not None:
            pcm = self._resampler.convert(frame_of(pcm, self._source_rate))
        return [pcm] if pcm else []

    def _flush(self) -> list[bytes]:
        if self._codec is not None:
            return [bytes(packet) for packet in self._codec.encode(None) if packet.size]
        pcm = self._resampler.finish() if self._resampler is not None else b""
        return [pcm] if pcm else []

    def _wrap(self, packets: list[bytes], end: int | None = None) -> bytes:
        """Put the packets into their container; ``end`` goes with the last one there will be."""
        if not packets:
            return b""
        head = b"" if self._begun else self._writer.head()
        self._begun = True
        *others, last = packets
        wrapped = [self._writer.wrap(packet) for packet in others]
        return b"".join((head, *wrapped, self._writer.wrap(last, end)))


def _open(target: Sound) -> AudioCodecContext:
    name, sample_format, options = _CODECS[target.format]
    codec = CodecContext.create(name, "w")
    if not isinstance(codec, AudioCodecContext):
        raise TypeError(f"{name} does not encode audio")
    codec.sample_rate = target.sample_rate
    codec.layout = "mono"
    codec.format = sample_format
    codec.options = options
    codec.thread_count = 1
    if target.format in _MOST_BITS:
        codec.bit_rate = min(_MOST_BITS[target.format], _BITS_PER_SAMPLE * target.sample_rate)
    codec.open()
    return codec


def _writer(target: Sound, codec: AudioCodecContext | None) -> Writer:
    extradata = (codec.extradata if codec else None) or b""
    match target.format:
        case Format.OPUS:
            return OpusWriter(extradata)
        case Format.FLAC:
            return FlacWriter(extradata)
        case Format.AAC:
            return AdtsWriter(target.sample_rate)
        case Format.WAV:
            return WavWriter(target.sample_rate)
        case Format.MP3 | Format.PCM:
            return PcmWriter()
