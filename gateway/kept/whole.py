"""A kept clip as one WAV file, for a conversation that goes on from it."""

from contextlib import aclosing

from gateway.audio.containers import wav
from gateway.audio.formats import BrokenAudio, Format, Sound
from gateway.audio.transcode import transcode
from gateway.kept.clips import Clips


async def as_wav(clips: Clips, id_: str, most_bytes: int) -> bytes | None:
    """The generation's audio; None where it is not kept, cannot be read or is longer than that."""
    clip = await clips.find(id_)
    if clip is None:
        return None
    rate = clip.label.sound.sample_rate
    plain, pcm = Sound(Format.PCM, rate), bytearray()
    try:
        async with aclosing(
            transcode(clip.chunks(), clip.label.sound, plain, clips.threads)
        ) as pieces:
            async for piece in pieces:
                pcm += piece
                if len(pcm) > most_bytes:
                    return None
    except (BrokenAudio, OSError):
        return None
    return wav.file_of(bytes(pcm), rate)
