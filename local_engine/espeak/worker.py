"""The worker program: reads utterances from stdin, one by one, and writes their samples to stdout.

Nothing here is asynchronous: a server that does not read holds the library at its next frame, and
any byte on stdin while it speaks, or stdin's end, stops it there.
"""

import json
import os
import select
import signal

from local_engine.espeak import frames
from local_engine.espeak.library import Library
from local_engine.espeak.utterance import Utterance

_STDIN, _STDOUT, _STDERR = range(3)


def main() -> None:
    """Say hello, then whatever is asked."""
    # Only stdin ends it: a signal to the whole group must not cut what the server still drains.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = _claim_stdout()
    library = Library()
    voices = json.dumps([library.voices(), library.variants()])
    _write(out, frames.frame(frames.HELLO, voices.encode()))
    while command := _read_command():
        kind, payload = command
        if kind == frames.SPEAK:  # a STOP here came after its utterance had ended
            _speak(library, Utterance(*json.loads(payload)), out)


class _Mouth:
    """Passes on an utterance's samples from its first sound on, until the server wants no more."""

    def __init__(self, out: int) -> None:
        self._out = out
        self.sounding = False
        self.stopped = False

    def utter(self, samples: bytes) -> bool:
        self.sounding = self.sounding or any(samples)
        if self.sounding:
            self._pass_on(samples)
        self.stopped = self.stopped or bool(select.select([_STDIN], [], [], 0)[0])
        return not self.stopped

    def _pass_on(self, samples: bytes) -> None:
        try:
            _write(self._out, frames.frame(frames.AUDIO, samples))
        except OSError:  # the server is gone; an exception would be lost inside the library
            self.stopped = True


def _speak(library: Library, utterance: Utterance, out: int) -> None:
    mouth = _Mouth(out)
    library.speak(utterance, mouth.utter)
    said = mouth.sounding or mouth.stopped
    _write(out, frames.frame(frames.END if said else frames.SILENT))


def _claim_stdout() -> int:
    """Keep stdout for frames; whatever the library prints goes to stderr."""
    out = os.dup(_STDOUT)
    os.dup2(_STDERR, _STDOUT)
    return out


def _read_command() -> tuple[bytes, bytes] | None:
    header = _read(frames.HEADER.size)
    if len(header) < frames.HEADER.size:
        return None
    kind, length = frames.HEADER.unpack(header)
    payload = _read(length)
    return (kind, payload) if len(payload) == length else None


def _read(length: int) -> bytes:
    """Read so many bytes, fewer only at the end; unbuffered, so that select sees what is left."""
    parts = bytearray()
    while len(parts) < length and (part := os.read(_STDIN, length - len(parts))):
        parts += part
    return bytes(parts)


def _write(out: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(out, rest) :]


if __name__ == "__main__":
    main()
