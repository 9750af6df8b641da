"""The engine's keeper: starts the embedded voice as a process of its own, watches it, ends it.

A process that dies is started again, sooner at first and then later; it cannot outlive the gateway,
because it ends when its standard input does.
"""

import asyncio
import contextlib
import logging
import random
import socket
import subprocess
import sys
import time
from dataclasses import dataclass

from gateway.settings import EmbeddedVoice

log = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
STEADY_SECONDS = 10.0
"""An engine that ran so long starts again without a pause."""
READY_SECONDS = 20.0
MOST_MISSES = 5
END_SECONDS = 5.0


@dataclass(slots=True)
class EngineKeeper:
    """One engine process on a port of its own, kept running."""

    voice: EmbeddedVoice
    port: int = 0
    program: tuple[str, ...] = (sys.executable, "-m", "local_engine")
    check_seconds: float = 2.0
    """How often it is looked after, and how long it may take to answer."""
    _task: asyncio.Task[None] | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self.port = self.port or _free_port()
        self._task = asyncio.create_task(self._keep())

    async def ready(self) -> bool:
        """Wait until the engine answers; False when it does not in time."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if await self._answers("/health/ready"):
                return True
            await asyncio.sleep(0.02)
        return False

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._end()

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            started = time.monotonic()
            self._process = self._launch()
            await self._until_dead(self._process)
            if time.monotonic() - started > STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.warning("the embedded voice ended; it starts again in %.1f s", pause)
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    def _launch(self) -> "subprocess.Popen[bytes]":
        # Not asyncio's: uvloop forks, and runs in the child what libraries want done after a fork,
        # where the tracing SDK starts threads and can hang for ever, this process with it.
        words = ("--model", self.voice.model, "--host", "127.0.0.1", "--port", str(self.port))
        more = ("--workers", str(self.voice.workers), "--exit-with-stdin")
        return subprocess.Popen(  # noqa: S603  # our own program, our own words
            [*self.program, *words, *more], stdin=subprocess.PIPE
        )

    async def _until_dead(self, process: "subprocess.Popen[bytes]") -> None:
        """Return when the process has ended, by itself or because it no longer answered."""
        misses = 0
        while misses < MOST_MISSES:
            if await _has_ended(process, self.check_seconds):
                return
            # Not "ready": with a full queue it is busy, not dead.
            misses = 0 if await self._answers("/health/live") else misses + 1
        log.warning("the embedded voice does not answer and is ended")
        await self._end()

    async def _answers(self, path: str) -> bool:
        """Whether the engine says yes at `path`: one line of HTTP, no client needed."""
        try:
            async with asyncio.timeout(self.check_seconds):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                with contextlib.closing(writer):
                    writer.write(f"GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n".encode())
                    status = await reader.readline()
        except (OSError, TimeoutError):
            return False
        return b" 200 " in status

    async def _end(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        if not await _has_ended(process, END_SECONDS):
            process.kill()
            await _has_ended(process, END_SECONDS)


async def _has_ended(process: "subprocess.Popen[bytes]", seconds: float) -> bool:
    """Whether the process ends within so many seconds."""
    try:
        await asyncio.to_thread(process.wait, seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
