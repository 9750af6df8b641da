"""A real engine, started as its users start it, and what tests need to watch and hurt it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

SAMPLE_RATE = 22_050
START_SECONDS = 15


def until(met: Callable[[], object], seconds: float = 10) -> None:
    """Poll until it is so; fail when the time is over."""
    deadline = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class RunningEngine:
    process: subprocess.Popen[bytes]
    address: str
    http: httpx.Client = field(repr=False)

    def ready(self) -> dict[str, object]:
        return self.http.get("/health/ready").json()

    def workers(self) -> list[int]:
        return self.ready()["workers"]

    def is_at_rest(self) -> bool:
        ready = self.ready()
        return ready["busy"] == 0 and ready["waiting"] == 0

    def speak(self, text: str = "Good morning.", **body: object) -> httpx.Response:
        return self.http.post("/v1/audio/speech", json=speech(text, **body))

    def seconds(self, text: str, **body: object) -> float:
        answer = self.speak(text, response_format="pcm", **body)
        assert answer.status_code == 200, answer.text
        return len(answer.content) / 2 / SAMPLE_RATE


def speech(text: str, **body: object) -> dict[str, object]:
    return {"model": "espeak-ng", "input": text} | body


@contextmanager
def running(*arguments: str) -> Iterator[RunningEngine]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "local_engine", "--model", "espeak-ng", "--port", str(port)]
    process = subprocess.Popen([*command, "--exit-with-stdin", *arguments], stdin=subprocess.PIPE)
    address = f"http://127.0.0.1:{port}"
    with process, httpx.Client(base_url=address, timeout=20) as http:
        engine = RunningEngine(process, address, http)
        try:
            until(lambda: answers(engine), START_SECONDS)
            yield engine
        finally:
            process.stdin.close()
            process.wait(15)


def answers(engine: RunningEngine) -> bool:
    assert engine.process.poll() is None, "the engine ended while it started"
    try:
        return engine.http.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
