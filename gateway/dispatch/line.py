"""The line before admission: whose turn is next, and who has to go when too many wait.

First in, first out within a key, and the keys take turns. Decisions only; it wakes nobody.
"""

from collections import deque
from itertools import chain, islice, zip_longest
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Line(Generic[Item]):
    """Who waits, at most `length` in all."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._queues: dict[str, deque[Item]] = {}
        """By key, in the order of their turns; none is empty."""
        self._keys: dict[Item, str] = {}
        """Of everyone who waits; who was asked longest ago comes first."""

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, item: Item) -> bool:
        return item in self._keys

    def join(self, item: Item, key: str) -> Item | None:
        """Take it in; where there is no room, whoever has to go instead, perhaps itself.

        That is the newest of the key that has the most waiting: others do not suffer for it.
        """
        crowded = None
        if len(self) >= self._length:
            longest = max(self._queues.values(), key=len, default=deque[Item]())
            if len(self._queues.get(key, ())) >= len(longest):
                return item
            crowded = longest[-1]
            self.remove(crowded)
        self._queues.setdefault(key, deque()).append(item)
        self._keys[item] = key
        return crowded

    def few(self, number: int) -> list[Item]:
        """Whom to ask now: the next few in turn, then the few who were asked longest ago.

        Those whose turn it is may wait for what is still taken, so by turns alone nobody behind
        them would ever be asked.
        """
        layers = zip_longest(*self._queues.values())
        in_turn = (item for layer in layers for item in layer if item is not None)
        return list(dict.fromkeys(chain(islice(in_turn, number), islice(self._keys, number))))

    def asked(self, item: Item) -> None:
        """It was asked, and waits on; its turn stays."""
        self._keys[item] = self._keys.pop(item)

    def served(self, item: Item) -> None:
        """It has what it waited for; the other keys have their turns first."""
        key = self._keys[item]
        self.remove(item)
        if key in self._queues:
            self._queues[key] = self._queues.pop(key)

    def remove(self, item: Item) -> None:
        """It waits no longer; its key keeps its turn."""
        key = self._keys.pop(item)
        queue = self._queues[key]
        queue.remove(item)
        if not queue:
            del self._queues[key]
