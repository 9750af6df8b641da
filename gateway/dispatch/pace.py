"""Pace and caps: when an attempt's audio comes late or too slowly, or is more than it can be."""

from collections import deque

from gateway.metering.spoken import longest_ms
from gateway.routing.standings import Standing
from gateway.settings import Deadlines

FLOOR = 0.5
"""Seconds of audio per second. A listener of less has a pause for each second of speech."""
WINDOW_SECONDS = 10.0
"""Providers pause between sentences; a pause as long as this is one that a listener hears."""
STEP_SECONDS = 0.1
"""How finely the past is remembered: a hundred marks, however small the pieces are."""

SHORTEST_DELAY = 0.3
"""Below it, nobody is late."""
UNKNOWN_SHARE = 0.25
"""How much of an attempt's time an offer has of which no p95 is known."""

LEAST_ALLOWED_SECONDS = 60.0
"""A short text may be a song, or be said with the pauses that its instructions ask for."""
SECONDS_PER_CHARACTER = 1.0
BYTES_PER_SECOND = 200_000
"""Above what any format needs: 48 kHz, 16 bit, two channels are 192,000."""
LEAST_BYTES = 1_000_000
MOST_BYTES = 100_000_000


def late_after(standing: Standing, deadlines: Deadlines) -> float:
    """Seconds after which an offer counts as late: its p95 to first audio (The Tail at Scale)."""
    if standing.first_audio_ms is None:
        return deadlines.attempt_seconds * UNKNOWN_SHARE
    return max(SHORTEST_DELAY, standing.first_audio_ms.p95 / 1000)


class Pace:
    """The progress floor, against bodies that drip: half of real time over any ten seconds.

    A read timeout does not see them, for it begins anew with each byte. Only time spent on waiting
    for the provider counts; while our own client is the slow one, nobody is to blame. Audio counts
    for the wait before it, in which it was made.
    """

    def __init__(self) -> None:
        self._seconds = 0.0
        self._audio = 0.0
        self._marks = deque([(0.0, 0.0)])
        """What the two came to, at moments of the window; the first is where it begins."""

    def fed(self, provider_seconds: float, audio_seconds: float) -> bool:
        """After such a wait so much audio came; whether that is too slow by now."""
        self._seconds += provider_seconds
        self._audio += audio_seconds
        if self._seconds - self._marks[-1][0] >= STEP_SECONDS:
            self._marks.append((self._seconds, self._audio))
        while len(self._marks) > 1 and self._seconds - self._marks[1][0] >= WINDOW_SECONDS:
            self._marks.popleft()
        began, had = self._marks[0]
        passed = self._seconds - began
        return passed >= WINDOW_SECONDS and self._audio - had < FLOOR * passed


def most_seconds(text: str, speed: float | None = None) -> float:
    """The most audio that `text` may come to; more is a voice that does not find its end.

    Models repeat themselves for ever now and then, and a client pays for what it was sent. It is
    far above what people take, and never below what is held for a text that is paid by time.
    """
    by_length = LEAST_ALLOWED_SECONDS + len(text) * SECONDS_PER_CHARACTER
    return max(by_length, longest_ms(text, speed) / 1000)


def most_bytes(seconds: float) -> int:
    """The most bytes that so much audio may come in, whatever its format.

    It bounds what is read before the audio's length is known; heads and pictures in front of a
    short clip are why it is never below a megabyte.
    """
    return int(min(max(seconds * BYTES_PER_SECOND, LEAST_BYTES), MOST_BYTES))
