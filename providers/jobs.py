"""Work that a provider takes on and is asked after: how often, how long, how it is cancelled."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from providers.errors import TimedOut, begun
from providers.http import Client, exchange

FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 0.1, 1.0, 1.5

Told = TypeVar("Told")


async def finished(
    client: Client, ask: Callable[[], Awaitable[Told | None]], patience: float = 0.0
) -> Told:
    """What `ask` tells once it tells anything; TimedOut after as long as a read may take.

    A provider that only says that it is still at work is silent.
    patience: seconds, where it may take longer than that.
    """
    pause = FIRST_PAUSE
    try:
        with begun("its work"):
            async with asyncio.timeout(max(client.read_seconds, patience)):
                while True:
                    await asyncio.sleep(pause)
                    if (told := await ask()) is not None:
                        return told
                    pause = min(pause * GROWTH, LONGEST_PAUSE)
    except TimeoutError:
        raise TimedOut("still at work when the time was up") from None


@contextmanager
def cancelled_unless_heard(
    client: Client, method: str, url: str, headers: Mapping[str, str]
) -> Iterator[None]:
    """Have the work cancelled where the block is left before its end: closed, cancelled, failed.

    Nothing is awaited on the way out, so that no second cancellation can come between.
    """
    try:
        yield
    except BaseException:
        client.last_word(_cancel(client, method, url, headers))
        raise


async def _cancel(client: Client, method: str, url: str, headers: Mapping[str, str]) -> None:
    async with exchange(client, url, method=method, headers=headers):
        pass
