"""The six ways audio bytes are wrapped, read and written by hand while they stream.

Each file knows one of them: how to cut it into the packets of its codec, how long they sound, and
how to wrap packets in it. None decodes anything, and none holds more than one frame or page.
"""

from gateway.audio.containers.adts import AdtsFrames
from gateway.audio.containers.flac import FlacFrames
from gateway.audio.containers.frames import Frames
from gateway.audio.containers.mpeg import MpegFrames
from gateway.audio.containers.ogg import OpusFrames
from gateway.audio.containers.wav import PcmFrames, WavFrames
from gateway.audio.formats import Format, Sound

_FRAMES: dict[Format, type[MpegFrames | OpusFrames | AdtsFrames | FlacFrames | PcmFrames]] = {
    Format.MP3: MpegFrames,
    Format.OPUS: OpusFrames,
    Format.AAC: AdtsFrames,
    Format.FLAC: FlacFrames,
    Format.WAV: WavFrames,
    Format.PCM: PcmFrames,
}


def frames_of(sound: Sound) -> Frames:
    """Give a reader for a stream of this sound."""
    return _FRAMES[sound.format](sound.sample_rate)
