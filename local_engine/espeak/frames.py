"""What server and worker write to each other: a byte of kind, four of length, then the payload."""

from struct import Struct

HEADER = Struct("<cI")

HELLO = b"H"
"""Worker, once: the lists of voices and variants. It is ready."""
SPEAK = b"S"
"""Server: an Utterance."""
STOP = b"X"
"""Server: say no more of the running utterance. Anything written to a speaking worker stops it."""
AUDIO = b"A"
"""Worker: samples."""
END = b"E"
"""Worker: the utterance is over, said or stopped."""
SILENT = b"N"
"""Worker, in place of END: there was nothing speakable in it."""


def frame(kind: bytes, payload: bytes = b"") -> bytes:
    """One frame, ready to be written."""
    return HEADER.pack(kind, len(payload)) + payload
