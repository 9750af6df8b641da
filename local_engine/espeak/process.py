"""The server's side of one worker: starts it, writes utterances to it, and hears what it says."""

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE, Process
from typing import Self

from local_engine.errors import StartError, Unspeakable, WorkerLost
from local_engine.espeak import frames
from local_engine.espeak.utterance import LibraryVoice, Utterance

_COMMAND = ("-m", "local_engine.espeak.worker")
_HELLO_SECONDS = 10
_STOP_SECONDS = 1


class WorkerProcess:
    """A worker that has said hello. One request at a time speaks through it."""

    def __init__(self, process: Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise TypeError("a worker needs both of its pipes")
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self.voices: list[LibraryVoice] = []
        self.variants: list[LibraryVoice] = []
        self.speaking = False
        self._lost = False
        self._due: tuple[bytes, int] | None = None
        """The header of a frame whose payload is still to come: a listener may leave in between."""

    @classmethod
    async def start(cls) -> Self:
        """Start a worker and wait until its library is loaded."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, *_COMMAND, stdin=PIPE, stdout=PIPE
        )
        worker = cls(process)
        with contextlib.ExitStack() as undo:
            undo.callback(worker.kill)
            voices, variants = json.loads(await _hello(worker._stdout))
            undo.pop_all()
        worker.voices = [LibraryVoice(*voice) for voice in voices]
        worker.variants = [LibraryVoice(*variant) for variant in variants]
        return worker

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can still be written to."""
        return not self._lost and self._process.returncode is None

    async def ended(self) -> int:
        """Wait for its death and tell its exit status."""
        return await self._process.wait()

    async def begin(self, utterance: Utterance) -> None:
        """Have it speak; `listen` hears it."""
        self.speaking = True
        await self._write(frames.SPEAK, json.dumps(utterance).encode())

    async def listen(self) -> bytes:
        """Hear the next samples, or nothing when the utterance is over."""
        try:
            kind, payload = await self._next_frame()
        except (OSError, asyncio.IncompleteReadError) as error:
            self._lost = True
            raise WorkerLost from error
        if kind == frames.AUDIO:
            return payload
        self.speaking = False
        if kind == frames.SILENT:
            raise Unspeakable
        return b""

    async def hush(self) -> None:
        """Break off the running utterance; kill a worker that will not stop."""
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._write(frames.STOP)
                while self.speaking:
                    await self.listen()
        except Unspeakable:
            pass
        except (WorkerLost, TimeoutError):
            self.kill()

    async def close(self) -> None:
        """Let it end by itself, as it does when its stdin ends; kill it if it does not."""
        self._stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self.ended()
        except TimeoutError:
            self.kill()
            await self.ended()

    def kill(self) -> None:
        """End it now."""
        self._lost = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _next_frame(self) -> tuple[bytes, bytes]:
        if self._due is None:
            self._due = await _read_header(self._stdout)
        kind, length = self._due
        payload = await self._stdout.readexactly(length)
        self._due = None
        return kind, payload

    async def _write(self, kind: bytes, payload: bytes = b"") -> None:
        try:
            self._stdin.write(frames.frame(kind, payload))
            await self._stdin.drain()
        except OSError as error:
            self._lost = True
            raise WorkerLost from error


async def _hello(stdout: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(_HELLO_SECONDS):
            _, length = await _read_header(stdout)
            return await stdout.readexactly(length)
    except (EOFError, TimeoutError) as error:
        raise StartError("a worker of eSpeak NG did not start; stderr says why") from error


async def _read_header(stdout: asyncio.StreamReader) -> tuple[bytes, int]:
    kind, length = frames.HEADER.unpack(await stdout.readexactly(frames.HEADER.size))
    return kind, length
