"""What is kept of finished work: computed prompts by what is in them, and codes for later turns.

A snapshot stands under the digest of the very positions that it holds. A prompt that has this
digest at one of its boundaries begins with them, and with nothing else.
"""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from local_engine.csm.running import Codes, Prompt, Snapshot

Boundary = tuple[int, bytes]
"""So many positions from the beginning of a prompt, and their digest."""


def spoken(prompt: Prompt, codes: Codes) -> Prompt:
    """Extend a prompt by the frames that were made after it, as the next turn's will be."""
    frames = np.full((len(codes), prompt.shape[1]), -1, np.int32)
    frames[:, :-1] = codes
    return np.concatenate([prompt, frames])


class Snapshots:
    """Snapshots by digest, the least recently used given up first; pinned ones last."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[bytes, Snapshot] = OrderedDict()
        self._pinned: set[bytes] = set()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, name: bytes) -> bool:
        return name in self._kept

    @property
    def wanted(self) -> bool:
        """Whether anything is kept at all."""
        return self._most > 0

    def keep(self, name: bytes, snapshot: Snapshot, *, pinned: bool = False) -> None:
        """Keep it, unless it does not fit at all."""
        if snapshot.bytes > self._most:
            return
        self._give_up(name)
        self._kept[name] = snapshot
        self.bytes += snapshot.bytes
        if pinned:
            self._pinned.add(name)
        while self.bytes > self._most:
            self._give_up(self._least(name))

    def longest(self, boundaries: Iterable[Boundary], positions: int) -> Snapshot | None:
        """Find the snapshot of the most positions that such a prompt begins with.

        At least one of its `positions` is left to be computed, since a step goes on from that.
        """
        found = [
            (end, name)
            for end, name in boundaries
            if end < positions and name in self._kept and self._kept[name].positions == end
        ]
        if not found:
            return None
        _, name = max(found)
        self._kept.move_to_end(name)
        return self._kept[name]

    def clear(self) -> None:
        """Give up everything: memory is needed elsewhere."""
        self._kept.clear()
        self._pinned.clear()
        self.bytes = 0

    def _least(self, newest: bytes) -> bytes:
        others = [name for name in self._kept if name != newest]
        plain = [name for name in others if name not in self._pinned]
        if plain:
            return plain[0]
        return others[0] if others and newest in self._pinned else newest

    def _give_up(self, name: bytes) -> None:
        snapshot = self._kept.pop(name, None)
        if snapshot is not None:
            self.bytes -= snapshot.bytes
            self._pinned.discard(name)


class KeptCodes:
    """Codes of finished utterances by their id, the least recently used given up first."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, Codes] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, utterance: str, codes: Codes) -> None:
        """Keep them, unless they do not fit at all."""
        if codes.nbytes > self._most:
            return
        self._give_up(utterance)
        self._kept[utterance] = codes
        self.bytes += codes.nbytes
        while self.bytes > self._most:
            self._give_up(next(iter(self._kept)))

    def find(self, utterance: str) -> Codes | None:
        """Give what is still kept of it."""
        codes = self._kept.get(utterance)
        if codes is not None:
            self._kept.move_to_end(utterance)
        return codes

    def _give_up(self, utterance: str) -> None:
        codes = self._kept.pop(utterance, None)
        if codes is not None:
            self.bytes -= codes.nbytes
