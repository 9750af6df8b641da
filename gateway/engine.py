"""The engines' keeper: starts an engine as a process of its own, watches it, ends it.

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
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from gateway.settings import Settings, SettingsError

log = logging.getLogger(__name__)
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 30.0
STEADY_SECONDS = 10.0
"""An engine that ran so long starts again without a pause."""
MOST_MISSES = 5
END_SECONDS = 5.0
CSM = "sesame/csm-1b"
"""The public name of the model that the CSM engine serves, whatever it is loaded from."""
LOADING = "it is loading"
SOMEWHERE = "http://127.0.0.1"
"""Stands for the address of an engine that a running gateway has started."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What is to be kept running."""

    name: str
    """In messages."""
    provider: str
    """The catalogue's row that it answers for."""
    words: tuple[str, ...]
    """Of its command line, but for where it listens."""
    ready_seconds: float = 20.0
    """How long its start may take before it is told that something may be wrong."""
    is_slow: bool = False
    """Whether its start takes so long that the gateway serves meanwhile."""


def engines(settings: Settings) -> list[Engine]:
    """Those that `gateway serve` starts; SettingsError where one lacks what it needs."""
    wanted = [_embedded_voice(settings), _csm(settings)]
    return [each for each in wanted if each is not None]


def expected_addresses(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Where providers are that a gateway starts, for those who only look at the catalogue."""
    voice, engine = settings.embedded_voice, settings.engine
    started = {voice.provider: voice.enabled, engine.provider: bool(engine.model)}
    return {name: (SOMEWHERE,) for name, is_on in started.items() if is_on}


def _embedded_voice(settings: Settings) -> Engine | None:
    voice = settings.embedded_voice
    if not voice.enabled:
        return None
    if find_spec("espeakng_loader") is None:
        log.warning("no embedded voice: install voxroute[espeak] to have it")
        return None
    words = ("--model", voice.model, "--workers", str(voice.workers))
    return Engine("the embedded voice", voice.provider, words)


def _csm(settings: Settings) -> Engine | None:
    csm = settings.engine
    if not csm.model:
        return None
    if find_spec("torch") is None or find_spec("transformers") is None:
        lacks = "the CSM engine needs torch and transformers, which are not installed"
        install = "run `make engine`, or pip install 'voxroute[engine]'"
        raise SettingsError(f"GATEWAY_ENGINE_MODEL={csm.model}: {lacks}; {install}")
    options = {
        "--device": csm.device,
        "--slots": csm.slots,
        "--waiting": csm.waiting,
        "--voices": csm.voices,
        "--config": csm.config,
    }
    words = ["--model", f"{CSM}={csm.model}"]
    for option, value in options.items():
        words += [option, str(value)] if value else []
    return Engine("the CSM engine", csm.provider, tuple(words), csm.ready_seconds, is_slow=True)


@dataclass(slots=True)
class EngineKeeper:
    """One engine process on a port of its own, kept running."""

    engine: Engine
    port: int = 0
    program: tuple[str, ...] = (sys.executable, "-m", "local_engine")
    check_seconds: float = 2.0
    """How often it is looked after, and how long it may take to answer."""
    is_loading: bool = True
    """Whether its present process has not been ready yet."""
    _tell: Callable[[str | None], None] | None = None
    _task: asyncio.Task[None] | None = None
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def telling(self, tell: Callable[[str | None], None]) -> None:
        """From now on `tell` is called with why it cannot speak yet, and with None once it can."""
        self._tell = tell
        tell(LOADING if self.is_loading else None)

    def start(self) -> None:
        self.port = self.port or _free_port()
        self._task = asyncio.create_task(self._keep())

    async def ready(self) -> bool:
        """Wait until the engine answers; False when it does not in time."""
        deadline = time.monotonic() + self.engine.ready_seconds
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
            self._is_now(loading=True)
            self._process = self._launch()
            loading = asyncio.create_task(self._watch_loading(self._process))
            try:
                await self._until_dead(self._process)
            finally:
                loading.cancel()
            await self._end()
            if time.monotonic() - started > STEADY_SECONDS:
                pause = FIRST_PAUSE
            self._is_now(loading=True)
            log.warning("%s ended; it starts again in %.1f s", self.engine.name, pause)
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))  # noqa: S311  # jitter
            pause = min(pause * 2, LONGEST_PAUSE)

    def _launch(self) -> "subprocess.Popen[bytes]":
        # Not asyncio's: uvloop forks, and runs in the child what libraries want done after a fork,
        # where the tracing SDK starts threads and can hang for ever, this process with it.
        place = ("--host", "127.0.0.1", "--port", str(self.port), "--exit-with-stdin")
        return subprocess.Popen(  # noqa: S603  # our own program, our own words
            [*self.program, *self.engine.words, *place], stdin=subprocess.PIPE
        )

    def _is_now(self, *, loading: bool) -> None:
        self.is_loading = loading
        if self._tell is not None:
            self._tell(LOADING if loading else None)

    async def _watch_loading(self, process: "subprocess.Popen[bytes]") -> None:
        """Until the process is ready for the first time; a busy one later is not looked at here."""
        started, name = time.monotonic(), self.engine.name
        late_at = started + self.engine.ready_seconds
        while not await self._answers("/health/ready"):
            if time.monotonic() > late_at:
                took = self.engine.ready_seconds
                log.warning("%s is not ready after %.0f s; see the messages above", name, took)
                late_at = float("inf")
            await asyncio.sleep(min(0.2, self.check_seconds))
        if process.poll() is not None:  # it was another's answer on its port
            return
        self._is_now(loading=False)
        if self.engine.is_slow:
            log.warning("%s is ready after %.1f s", name, time.monotonic() - started)

    async def _until_dead(self, process: "subprocess.Popen[bytes]") -> None:
        """Return when the process has ended, or no longer answers."""
        misses = 0
        while misses < MOST_MISSES:
            if await _has_ended(process, self.check_seconds):
                return
            # Not "ready": with a full queue it is busy, not dead.
            misses = 0 if await self._answers("/health/live") else misses + 1
        log.warning("%s does not answer and is ended", self.engine.name)

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
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        if process.poll() is not None:
            return
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
