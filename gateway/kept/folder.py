"""The folder of kept clips: one file a generation, named by its id once it is whole.

Everything here blocks, and raises OSError where the disk refuses; `clips` keeps both away from the
event loop. Several gateways may share a folder. A clip's modification time is when it ends.
"""

import asyncio
import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.audio.formats import Sound
from gateway.settings import Kept

DRAFT = ".draft"
MEGABYTE = 1_000_000
PIECE = 256 * 1024
"""Bytes that are written or read at once."""
LONGEST_LABEL = 4096
ROOM = 0.95
"""How much of the cap is used after a sweep that had to make room: one sweep for many clips."""
_ID = re.compile(r"gen-[a-z]+-[0-9]{1,20}-[0-9a-f]{1,40}")
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Why:
    """Why a clip is kept, and so for how long."""

    began_ms: int
    """Epoch ms of its first audio."""
    project: str | None
    project_ms: int
    """How long its project wanted it kept, once it was whole."""
    replay_ms: int
    """How long its Idempotency-Key does; 0: it has none."""

    def ends_ms(self, project_ms: int) -> int | None:
        """Epoch ms at which it ends where its project wants this now; None: no earlier."""
        lifetime_ms = max(min(project_ms, self.project_ms), self.replay_ms)
        is_as_it_was = lifetime_ms == max(self.project_ms, self.replay_ms)
        return None if is_as_it_was else self.began_ms + lifetime_ms


@dataclass(frozen=True, slots=True)
class Label:
    """What is kept with a clip: who spoke, and how its bytes are to be read."""

    provider: str
    model: str
    voice: str
    attempts: int
    sound: Sound
    why: Why | None = None
    """None: a clip of an earlier version, which did not say."""


_read_label = msgspec.json.Decoder(Label).decode


@dataclass(frozen=True, slots=True)
class Clip:
    """A whole clip, opened; `chunks` reads it once and closes it."""

    label: Label
    file: BinaryIO
    size: int
    """Bytes of audio."""
    ends: float
    """Epoch seconds until which it is kept."""

    async def chunks(self, start: int = 0, most: int | None = None) -> AsyncGenerator[bytes]:
        """The audio from a byte on, and no more of it than that."""
        left = self.size - start if most is None else most
        with self.file:
            self.file.seek(start, os.SEEK_CUR)
            while chunk := await asyncio.to_thread(self.file.read, min(left, PIECE)):
                left -= len(chunk)
                yield chunk

    def close(self) -> None:
        self.file.close()


class Folder:
    """Where the clips lie, each for its time, and all of them under a cap of bytes."""

    def __init__(self, path: Path, limits: Kept) -> None:
        self._path = path
        self._most_bytes = limits.megabytes * MEGABYTE
        self._bytes = 0
        self._ours: set[str] = set()
        self._lock = threading.Lock()

    def new_draft(self, id_: str) -> BinaryIO:
        """Locked as long as its process lives, which tells others not to clear it away."""
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = self._named(id_ + DRAFT)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        self._ours.add(draft.name)  # first, or a sweep of ours finds a draft that is nobody's
        while True:
            file = os.fdopen(os.open(draft, flags, 0o600), "wb")
            with suppress(OSError):  # not every shared folder has locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:
                return file
            file.close()  # a replica's sweep found it between its making and its lock

    def finish(self, id_: str, file: BinaryIO, seconds: float) -> None:
        """Give the draft its name once the disk has all of it, for so long; make room for it."""
        file.flush()
        ends = time.time() + seconds
        os.utime(file.fileno(), (ends, ends))
        os.fsync(file.fileno())
        self._named(id_ + DRAFT).rename(self._named(id_))
        with self._lock:
            self._bytes += file.tell()
            full = self._bytes > self._most_bytes
        self._ours.discard(id_ + DRAFT)
        file.close()
        if full:
            self.sweep()

    def discard(self, id_: str, file: BinaryIO) -> None:
        draft = self._named(id_ + DRAFT)
        try:
            with suppress(OSError):  # what a full disk has not taken
                file.close()
            draft.unlink(missing_ok=True)
        finally:
            self._ours.discard(draft.name)

    def read(self, id_: str) -> Clip | None:
        """None where there is none, or none any more."""
        if not _ID.fullmatch(id_):
            return None
        try:
            file = self._named(id_).open("rb")
        except FileNotFoundError:
            return None
        try:
            label = _read_label(file.readline(LONGEST_LABEL))
            stat = os.fstat(file.fileno())
            if stat.st_mtime > time.time():
                return Clip(label, file, stat.st_size - file.tell(), stat.st_mtime)
        except msgspec.DecodeError:
            log.warning("the kept clip %s has no label that can be read", id_)
        file.close()
        return None

    def remove(self, id_: str) -> bool:
        """Remove a clip before its time; whether there was one."""
        if not _ID.fullmatch(id_):
            return False
        try:
            self._named(id_).unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def shorten(self, project_ms: Mapping[str, int]) -> None:
        """Have clips end earlier whose projects keep audio for less time than they did."""
        with suppress(FileNotFoundError), os.scandir(self._path) as found:
            for each in found:
                clip = self.read(each.name)
                if clip is not None:
                    _shorten(clip, project_ms)

    def sweep(self) -> None:
        """Remove whose time is over, whose is next where it is too much, and nobody's drafts."""
        with self._lock:
            clips: list[tuple[float, int, str]] = []
            with suppress(FileNotFoundError), os.scandir(self._path) as found:
                for each in found:
                    if each.name.endswith(DRAFT):
                        self._clear(each.name)
                    elif _ID.fullmatch(each.name):
                        with suppress(FileNotFoundError):  # another replica sweeps, too
                            stat = each.stat()
                            clips.append((stat.st_mtime, stat.st_size, each.name))
            self._bytes = self._remove(sorted(clips))

    def _remove(self, clips: list[tuple[float, int, str]]) -> int:
        """Remove from the first to end on; the bytes that are left."""
        left = sum(size for _, size, _ in clips)
        most = self._most_bytes if left <= self._most_bytes else self._most_bytes * ROOM
        now = time.time()
        for ends, size, name in clips:
            if ends > now and left <= most:
                break
            self._named(name).unlink(missing_ok=True)
            left -= size
        return left

    def _clear(self, name: str) -> None:
        """Remove a draft whose process is dead: nobody holds its lock."""
        if name in self._ours or not _ID.fullmatch(name.removesuffix(DRAFT)):
            return
        with suppress(OSError), self._named(name).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._named(name).unlink()

    def _named(self, name: str) -> Path:
        if not _ID.fullmatch(name.removesuffix(DRAFT)):
            raise ValueError("a kept clip has a generation's id for its name")
        return self._path / name


def _shorten(clip: Clip, project_ms: Mapping[str, int]) -> None:
    with clip.file:
        why = clip.label.why
        if why is None or why.project is None or why.project not in project_ms:
            return
        ends_ms = why.ends_ms(project_ms[why.project])
        if ends_ms is not None and ends_ms / 1000 < clip.ends:
            os.utime(clip.file.fileno(), (ends_ms / 1000, ends_ms / 1000))
