"""From a Submit to what a Runner can be given, on a thread of its own so that no step waits."""

import logging
import queue
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from local_engine.csm.messages import Refused, Submit
from local_engine.csm.running import Codes, OutOfMemory, Prompt, Sampling
from local_engine.csm.speaking.guard import Cap
from local_engine.csm.speaking.snapshots import Boundary

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An utterance that could be spoken at once."""

    prompt: Prompt
    boundaries: tuple[Boundary, ...]
    """Where other prompts may begin alike, the nearest to the beginning first."""
    sampling: Sampling
    cap: Cap
    voice_positions: int = 0
    """Of the prompt: the voice, at the beginning. Its snapshot is pinned."""
    dropped_turns: int = 0
    forgotten_turns: int = 0


class Preparer(Protocol):
    """Knows the tokenizer, the voices and how to encode audio. Called by one thread."""

    def prepare(self, submit: Submit, kept: Mapping[str, Codes]) -> Prepared | Refused:
        """Make the prompt; `kept` has the codes, still there, of utterances that it names.

        OutOfMemory where its audio could not be encoded.
        """

    def digest(self, prompt: Prompt) -> bytes:
        """Digest the beginning of a prompt as boundaries do. May be called by any thread."""


class Prepares(Protocol):
    """What the engine sees of preparing: in order, and later."""

    def hand_in(self, submit: Submit, kept: Mapping[str, Codes]) -> None: ...

    def forget(self, number: int) -> None:
        """It need not be prepared any more; whatever becomes of it is ignored."""

    def finished(self) -> list[tuple[int, Prepared | Refused]]:
        """Give what is done since the last call, in the order in which it was handed in."""


def prepare(
    preparer: Preparer, submit: Submit, kept: Mapping[str, Codes]
) -> tuple[int, Prepared | Refused]:
    """Prepare one; whatever goes wrong ends this one only."""
    try:
        return submit.number, preparer.prepare(submit, kept)
    except OutOfMemory:
        message = "the engine has no memory for this context now"
        return submit.number, Refused(submit.number, 503, message, "context", retry_after=1)
    except Exception:
        # The edge of a thread: an utterance that breaks the preparer must not end the others.
        log.exception("utterance %s could not be prepared", submit.utterance)
        return submit.number, Refused(submit.number, 500, "the prompt could not be prepared")


class PreparingThread:
    """Prepares one after another beside the steps, and rings when one is done."""

    def __init__(self, preparer: Preparer, ring: Callable[[], None]) -> None:
        self._preparer = preparer
        self._ring = ring
        self._coming: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._done: deque[tuple[int, Prepared | Refused]] = deque()
        self._wanted: dict[int, tuple[Submit, Mapping[str, Codes]]] = {}
        """By number; what is forgotten goes at once, though its number stays in the queue."""
        # A daemon: the process ends without waiting for a prompt that nobody will speak.
        threading.Thread(target=self._run, name="preparing", daemon=True).start()

    def hand_in(self, submit: Submit, kept: Mapping[str, Codes]) -> None:
        self._wanted[submit.number] = submit, kept
        self._coming.put(submit.number)

    def forget(self, number: int) -> None:
        self._wanted.pop(number, None)

    def finished(self) -> list[tuple[int, Prepared | Refused]]:
        return [self._done.popleft() for _ in range(len(self._done))]

    def _run(self) -> None:
        while True:
            asked = self._wanted.pop(self._coming.get(), None)
            if asked is not None:
                self._done.append(prepare(self._preparer, *asked))
                self._ring()
            del asked  # its sound may be many megabytes, and the next may be long in coming
