"""One streamed format turned into another, off the event loop, piece by piece."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Executor

from gateway.audio.decoder import Decoder
from gateway.audio.encoder import Encoder
from gateway.audio.formats import BrokenAudio, Format, Sound

PIECE_BYTES = 4096
"""How much is converted at a time: a large chunk's first sound must not wait for its last."""

_BARE = (Format.PCM, Format.WAV)


def passes_untouched(source: Sound, target: Sound) -> bool:
    """Whether the bytes may leave as they came.

    Never so with wav: whatever header it has gives way to ours, which costs next to nothing.
    """
    if source.format is Format.PCM:
        return source == target
    return source.format is target.format and source.format is not Format.WAV


async def transcode(
    chunks: AsyncIterator[bytes],
    source: Sound,
    target: Sound,
    executor: Executor,
    *,
    ragged: bool = False,
) -> AsyncGenerator[bytes, None]:
    """Give the audio in the wanted format as soon as any of it exists; close the source at the end.

    Takes the whole stream with its headers. Raises BrokenAudio where it cannot be decoded, and,
    once all of it was given, where it ended inside a frame; ragged: which it may.
    """
    try:
        if passes_untouched(source, target):
            async for chunk in chunks:
                if chunk:
                    yield chunk
            return
        conversion = _Conversion(source, target)
        within = None if conversion.is_light else executor
        async for chunk in chunks:
            for piece in conversion.pieces(chunk):
                if converted := await _run(within, conversion.feed, piece):
                    yield converted
        is_whole = conversion.is_whole
        if converted := await _run(within, conversion.finish, b""):
            yield converted
        if not (is_whole or ragged):
            raise BrokenAudio("it ended inside a frame")
    finally:
        if isinstance(chunks, AsyncGenerator):
            await chunks.aclose()


async def _run(executor: Executor | None, step: Callable[[bytes], bytes], piece: bytes) -> bytes:
    """Do one step in the executor; at once where there is none."""
    if executor is None:
        return step(piece)
    return await asyncio.get_running_loop().run_in_executor(executor, step, piece)


class _Conversion:
    """A decoder with an encoder behind it, which exists once the decoder knows its rate.

    When the caller leaves during a step, the step ends in its thread and frees both.
    """

    def __init__(self, source: Sound, target: Sound) -> None:
        bare = source.format in _BARE and target.format in _BARE
        self.is_light = bare and source.sample_rate == target.sample_rate
        self._decoder = Decoder(source)
        self._target = target
        self._encoder: Encoder | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the source could end here."""
        return self._decoder.complete

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """Cut a chunk into what is converted at a time."""
        size = len(chunk) if self.is_light else PIECE_BYTES
        return (chunk[start : start + size] for start in range(0, len(chunk), size or 1))

    def feed(self, piece: bytes) -> bytes:
        """Convert the next bytes of the source."""
        return self._encode(self._decoder.feed(piece))

    def finish(self, piece: bytes) -> bytes:
        """Convert the last bytes of the source and give all that is left."""
        converted = self._encode(self._decoder.feed(piece) + self._decoder.finish())
        return converted + (self._encoder.finish() if self._encoder else b"")

    def _encode(self, pcm: bytes) -> bytes:
        if not pcm:
            return b""
        if self._encoder is None:
            self._encoder = Encoder(self._decoder.sample_rate, self._target)
        return self._encoder.feed(pcm)
