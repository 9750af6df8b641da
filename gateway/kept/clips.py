"""Clips for the event loop, which never waits for the disk: threads carry audio there and back.

All of it is best effort. A disk that is full, slow or read-only costs the kept clip, never the
speech.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.kept.folder import MEGABYTE, PIECE, Clip, Folder, Label
from gateway.settings import Kept

MOST_WAITING = 16 * MEGABYTE
"""Bytes of one clip that wait for a slow disk before the clip is given up."""
KEEP_SECONDS = 5.0
"""How long a clip's last write may take; the ledger waits for it."""
SWEEP_SECONDS = 300.0
QUIET_SECONDS = 3600.0
"""A folder that cannot be used is told of once in so long a time."""
_THREADS = 4
log = logging.getLogger(__name__)


class Clips:
    """What is kept: made of drafts, found by generation id, swept in the background."""

    def __init__(self, path: Path, limits: Kept) -> None:
        self.folder = Folder(path, limits)
        self.most_bytes = min(limits.clip_megabytes, limits.megabytes) * MEGABYTE
        self.lifetime_ms = round(limits.hours * 3_600_000)
        self.threads = ThreadPoolExecutor(_THREADS, "kept")
        self._told_at: float | None = None
        self._sweeping = asyncio.create_task(self._sweep())

    def draft(self, id_: str, label: Label, lifetime_ms: int | None = None) -> "Draft":
        """A clip in the making, for as long as it is to be kept; None: as any replay."""
        return Draft(self, id_, label, lifetime_ms or self.lifetime_ms)

    async def forget(self, id_: str) -> bool:
        """Remove a clip before its time; whether there was one. Raises OSError."""
        return await asyncio.to_thread(self.folder.remove, id_)

    async def find(self, id_: str) -> Clip | None:
        try:
            return await asyncio.to_thread(self.folder.read, id_)
        except OSError as error:
            self.tell(error)
            return None

    async def shorten(self, project_ms: Mapping[str, int]) -> None:
        """Keep clips no longer than their projects want now; how long that is, by project."""
        try:
            await asyncio.to_thread(self.folder.shorten, project_ms)
            await asyncio.to_thread(self.folder.sweep)
        except OSError as error:
            self.tell(error)

    def tell(self, error: OSError) -> None:
        """Once is enough: a full disk fails with every clip."""
        now = time.monotonic()
        if self._told_at is None or now - self._told_at > QUIET_SECONDS:
            self._told_at = now
            log.error("finished audio cannot be kept or read: %s", error)

    async def close(self) -> None:
        self._sweeping.cancel()
        await asyncio.gather(self._sweeping, return_exceptions=True)
        self.threads.shutdown(wait=False)

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.run_in_executor(self.threads, self.folder.sweep)
            except OSError as error:
                self.tell(error)
            await asyncio.sleep(SWEEP_SECONDS)


class Draft:
    """A clip that is being spoken. The loop writes to it; threads carry that to the disk."""

    def __init__(self, clips: Clips, id_: str, label: Label, lifetime_ms: int) -> None:
        self._clips = clips
        self._id = id_
        self._seconds = lifetime_ms / 1000
        self._waiting = bytearray(msgspec.json.encode(label) + b"\n")
        self._bytes = 0
        self._writing: asyncio.Future[None] | None = None
        self._file: BinaryIO | None = None
        self._lock = threading.Lock()
        self.lost = False
        """Whether it will not be kept, whatever comes."""

    def write(self, chunk: bytes) -> None:
        if self.lost:
            return
        self._bytes += len(chunk)
        self._waiting += chunk
        if self._bytes > self._clips.most_bytes or len(self._waiting) > MOST_WAITING:
            self.drop()
        elif len(self._waiting) >= PIECE and (self._writing is None or self._writing.done()):
            self._writing = self._in_thread(finish=False)

    async def keep(self) -> bool:
        """The clip is whole; whether it is kept now."""
        try:
            async with asyncio.timeout(KEEP_SECONDS):
                if self._writing is not None:
                    await self._writing
                if not self.lost:
                    await self._in_thread(finish=True)
        except TimeoutError:
            self._clips.tell(TimeoutError("the disk takes too long"))
            self.drop()
        return not self.lost

    def drop(self) -> None:
        """It will not be kept."""
        self.lost = True
        self._waiting.clear()
        self._clips.threads.submit(self._discard)

    def _in_thread(self, *, finish: bool) -> asyncio.Future[None]:
        piece = bytes(self._waiting)
        self._waiting.clear()
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._clips.threads, self._write, piece, finish)

    # In threads.

    def _write(self, piece: bytes, finish: bool) -> None:  # noqa: FBT001  # executors name nothing
        folder = self._clips.folder
        with self._lock:
            if self.lost:
                return
            try:
                self._file = self._file or folder.new_draft(self._id)
                self._file.write(piece)
                if finish:
                    folder.finish(self._id, self._file, self._seconds)
            except OSError as error:
                self.lost = True
                self._clips.tell(error)
        if self.lost:
            self._discard()

    def _discard(self) -> None:
        with self._lock, suppress(OSError):
            if self._file is not None:
                self._clips.folder.discard(self._id, self._file)
