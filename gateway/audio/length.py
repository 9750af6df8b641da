"""How many seconds of audio have passed, counted on their way without decoding them."""

from gateway.audio.containers import frames_of
from gateway.audio.formats import Sound


class Meter:
    """Walks the frames of a passing stream; never raises, whatever the bytes are."""

    def __init__(self, sound: Sound) -> None:
        self._frames = frames_of(sound)

    def feed(self, chunk: bytes) -> None:
        """Count what is in the next bytes."""
        self._frames.feed(chunk)

    @property
    def seconds(self) -> float:
        """Seconds that have passed; of a frame still under way none, save with FLAC the whole."""
        return self._frames.samples / self._frames.sample_rate

    @property
    def complete(self) -> bool:
        """Whether the stream, had it ended here, would be whole: false inside a frame."""
        return self._frames.complete
