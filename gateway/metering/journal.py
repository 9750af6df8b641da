"""The journal: ends of requests that the database could not take, on disk until it can.

One file a gateway, a JSON line an end, fsynced before anybody relies on it. Replaying is harmless
however often it happens: an end that was carried out changes nothing when it comes again.
"""

import fcntl
import logging
import os
from pathlib import Path
from typing import BinaryIO

import msgspec

from gateway.errors import GatewayError, MeteringUnavailable
from gateway.metering.operations import Resolve
from gateway.metering.writer import Writer

MOST_LINES = 10_000
"""With so many ends waiting, nothing more is begun."""
_decoder = msgspec.json.Decoder(Resolve)
log = logging.getLogger(__name__)


class Journal:
    """This gateway's file, and those that dead gateways left beside it."""

    def __init__(self, folder: Path, instance: str) -> None:
        self._folder = folder
        self._path = folder / f"{instance}.jsonl"
        self._file: BinaryIO | None = None
        self.waiting: list[Resolve] = []
        """What is in the file and not yet in the database."""

    @property
    def is_full(self) -> bool:
        return len(self.waiting) >= MOST_LINES

    def append(self, operation: Resolve) -> None:
        """Write an end down durably; one that the disk does not take is kept in memory alone."""
        self.waiting.append(operation)
        try:
            self._write(msgspec.json.encode(operation) + b"\n")
        except OSError as error:
            log.error("the journal cannot be written: %s", error.strerror)  # noqa: TRY400

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("ab")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(line)
        self._file.flush()
        os.fsync(self._file.fileno())

    async def replay(self, writer: Writer) -> None:
        """Hand everything to the database, oldest first; stops where that is still away."""
        if not self.waiting:
            return
        while self.waiting:
            if not await _carried_out(writer, self.waiting[0]):
                return
            self.waiting.pop(0)
        if self._file is not None:
            self._file.truncate(0)
            os.fsync(self._file.fileno())

    async def adopt(self, writer: Writer) -> int:
        """Carry out what dead gateways left; gives how many ends that were."""
        adopted = 0
        for path in sorted(self._folder.glob("*.jsonl")):
            if path == self._path:
                continue
            with path.open("rb") as file:
                if not _is_free(file):
                    continue
                operations = read_lines(file.read())
                done = [await _carried_out(writer, each) for each in operations]
                adopted += sum(done)
                if all(done):
                    path.unlink()
        return adopted

    def close(self) -> None:
        """Let the file go; an empty one goes with it."""
        if self._file is not None:
            self._file.close()
            if not self.waiting:
                self._path.unlink(missing_ok=True)


def read_lines(text: bytes) -> list[Resolve]:
    """The ends in a journal; a last line that was cut short was never relied on."""
    operations = []
    for line in text.splitlines():
        try:
            operations.append(_decoder.decode(line))
        except msgspec.DecodeError:
            log.warning("a line of the journal cannot be read, and was never acknowledged")
    return operations


async def _carried_out(writer: Writer, operation: Resolve) -> bool:
    try:
        await writer.submit(operation)
    except MeteringUnavailable:
        return False
    except GatewayError as error:
        log.error("generation %s cannot be ended: %s", operation.generation_id, error.message)  # noqa: TRY400
    return True


def _is_free(file: BinaryIO) -> bool:
    """Whether its gateway is dead: a living one has locked it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
