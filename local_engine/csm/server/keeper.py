"""Keeps one model's engine process running: starts it, hears it, kills it when it hangs.

A process that ends is started again, sooner at first and then later. It ends with the server, whose
end of the socket closes.
"""

import asyncio
import contextlib
import logging
import random
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from local_engine.csm.link import LinkClosed, decode_from_engine, read_frame
from local_engine.csm.messages import Failed, FromEngine, Loading, Ready, Report
from local_engine.csm.server.client import Client
from local_engine.csm.server.metrics import ModelMetrics
from local_engine.csm.server.progress import StartProgress
from local_engine.csm.server.settings import Settings
from local_engine.csm.settings import EngineSettings
from local_engine.errors import StartError

log = logging.getLogger(__name__)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 30.0
_STEADY_SECONDS = 10.0
"""An engine that was ready and ran so long starts again without a pause."""
_END_SECONDS = 1.0
_KILL_SECONDS = 5.0
_READ_AHEAD = 1 << 22
"""Bytes: a Report of five hundred clips has two million."""

Process = subprocess.Popen[bytes]


@dataclass(slots=True)
class Keeper:
    """One model and its engine process."""

    model: EngineSettings
    settings: Settings
    client: Client
    metrics: ModelMetrics
    progress: StartProgress
    fail: Callable[[StartError], None]
    """Told when the very first start cannot succeed."""
    loading: Loading = field(default_factory=lambda: Loading("starting"))
    """How far the start is, while the client is not ready."""
    _has_been_ready: bool = False
    _draining: bool = False
    _process: Process | None = None
    _task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep())

    def drain(self) -> None:
        """Have the engine end after its last clip, and start no other."""
        self._draining = True
        self.client.drain()

    async def close(self) -> None:
        """End the engine; one that has been drained may be about to end by itself."""
        if self._task is None:
            return
        if self._draining and self.client.ready:
            await asyncio.wait((self._task,), timeout=_END_SECONDS)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self._process is not None and self._process.poll() is None:  # its end was cancelled, too
            self._process.kill()
            await _has_ended(self._process, _KILL_SECONDS)

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            steady = await self._lives()
            if self._draining:
                return
            pause = _FIRST_PAUSE if steady else pause
            log.warning("%s: the engine starts again in %.1f s", self.model.name, pause)
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter
            pause = min(pause * 2, _LONGEST_PAUSE)
            self.metrics.restarted()

    async def _lives(self) -> bool:
        """Live, whatever comes: a keeper that ended with an error would leave nobody to speak."""
        try:
            return await self._live()
        except Exception:
            # The task's edge: nobody waits for it who could say what went wrong.
            log.exception("%s: the engine could not be kept", self.model.name)
            return False

    async def _live(self) -> bool:
        """Run one process until it is over; say whether it was a steady one."""
        self.loading = Loading("starting")
        started = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            reader, writer = await asyncio.open_unix_connection(sock=ours, limit=_READ_AHEAD)
            with contextlib.closing(writer):
                try:
                    self._process = self._launch(theirs)
                except OSError as error:
                    log.error("%s: the engine does not start: %s", self.model.name, error)  # noqa: TRY400  # the reason is all there is
                    return False
                theirs.close()
                return await self._attend(self._process, reader, writer) > started + _STEADY_SECONDS

    async def _attend(
        self, process: Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> float:
        """Hear the process to its end; tell when that was, or 0 when it never was ready."""
        self.client.connect(writer)
        try:
            await self._listen(reader)
        finally:
            was_ready = self.client.ready is not None
            if was_ready:
                self.loading = Loading("restarting")
            self.client.lose()
            self.progress.stopped(self.model.name)
            writer.close()
            await self._bury(process)
        return time.monotonic() if was_ready else 0.0

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """Hand on what the engine says, until it ends or is too long silent."""
        try:
            while True:
                async with asyncio.timeout(self._patience()):
                    frame = await read_frame(reader)
                self._hear(decode_from_engine(frame))
        except LinkClosed as error:
            if not self._draining:
                log.warning("%s: the engine is gone: %s", self.model.name, error)
        except TimeoutError:
            log.warning("%s: the engine hangs and is killed", self.model.name)
            if self._process is not None:
                self._process.kill()

    def _patience(self) -> float | None:
        """While it loads it may be still: what is slow there, a hub or a disk, cannot be known."""
        ready = self.client.ready
        return None if ready is None else self.settings.patience_seconds(ready.device)

    def _hear(self, message: FromEngine) -> None:
        match message:
            case Report():
                self.client.hear(message)
            case Loading():
                self.loading = message
                self.progress.loading(self.model.name, message)
            case Ready():
                self._has_been_ready = True
                self.client.greet(message)
                self.progress.ready(self.model.name, message)
            case Failed():
                self._cannot_start(message.message)

    def _cannot_start(self, reason: str) -> None:
        self.loading = Loading("failed")  # callers read this, and the reason names our files
        if self._has_been_ready:
            log.error("%s: the engine cannot start: %s", self.model.name, reason)
        else:
            self.fail(StartError(f"{self.model.name}: {reason}"))

    def _launch(self, theirs: socket.socket) -> Process:
        # Not asyncio's: uvloop forks, and runs in the child what libraries want done after a fork.
        # A session of its own: Ctrl-C is for the server, which drains first.
        number = theirs.fileno()
        settings = msgspec.json.encode(self.model).decode()
        return subprocess.Popen(  # noqa: S603  # our own program, our own words
            [*self.settings.program, "--fd", str(number), "--settings", settings],
            stdin=subprocess.DEVNULL,
            pass_fds=(number,),
            start_new_session=True,
        )

    async def _bury(self, process: Process) -> None:
        """Let it end by itself, now that its socket is closed; kill it if it does not."""
        if not await _has_ended(process, _END_SECONDS):
            process.kill()
            await _has_ended(process, _KILL_SECONDS)
        self._process = None
        if process.returncode and not self._draining:
            log.warning("%s: the engine ended with %s", self.model.name, process.returncode)


async def _has_ended(process: Process, seconds: float) -> bool:
    """Whether the process ends within so many seconds."""
    try:
        await asyncio.to_thread(process.wait, seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
