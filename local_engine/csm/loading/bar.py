"""The hub client's progress bar, drawn for nobody: it tells a Progress how many bytes came."""

from collections.abc import Iterable, Iterator
from threading import Lock
from types import TracebackType
from typing import ClassVar, Self

from local_engine.csm.loading.entries import Progress

_SPARED = "Downloading bytes"
"""The second bar of recent clients: bytes on the wire, with a total that is only guessed."""


class Bar:
    """As much of tqdm as the hub's client asks for."""

    lock: ClassVar[Lock]

    def __init__(
        self,
        iterable: Iterable[object] = (),
        *,
        desc: str = "",
        total: float | None = None,
        initial: float = 0,
        unit: str = "it",
        **_: object,
    ) -> None:
        self._iterable = iterable
        self._heard = unit == "B" and desc != _SPARED
        self.total = total or 0
        self.n = initial

    def update(self, n: float | None = 1) -> None:
        with self.lock:
            self.n += n or 0
            if self._heard:
                done = int(self.n)
                self.tell(done, max(done, int(self.total)))

    def tell(self, done: int, total: int) -> None:
        """Hear how far all files together are."""

    def refresh(self, *_: object, **__: object) -> None:
        """Take no notice: a bar would be drawn again."""

    reset = close = clear = display = refresh
    set_description = set_description_str = refresh
    set_postfix = set_postfix_str = set_transfer_postfix_str = refresh

    def __iter__(self) -> Iterator[object]:
        for item in self._iterable:
            yield item
            self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @classmethod
    def get_lock(cls) -> Lock:
        return cls.lock

    @classmethod
    def set_lock(cls, lock: Lock) -> None:
        cls.lock = lock


def bar_class(progress: Progress, guard: Lock) -> type[Bar]:
    """Make a class of bars that tell this Progress, whichever thread moves them."""

    class Told(Bar):
        lock = guard

        def tell(self, done: int, total: int) -> None:
            progress("download", done, total)

    return Told
