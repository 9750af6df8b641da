"""A real server around fake engines, started as its users start it, and what they ask of it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from embedded_engine import until

MODEL = "tiny"
START_SECONDS = 20
_FAKE = Path(__file__).parent / "fake_engine.py"
_START = (
    "import sys; from local_engine.__main__ import main;"
    f"main(sys.argv[1:], (sys.executable, {str(_FAKE)!r}))"
)


@dataclass
class Served:
    process: subprocess.Popen[bytes]
    http: httpx.Client = field(repr=False)
    notes: Path

    def speak(self, text: str = "Good morning.", **body: object) -> httpx.Response:
        return self.http.post("/v1/audio/speech", json=speech(text, **body))

    def listening(self, text: str, **body: object):  # noqa: ANN201  # httpx's own
        return self.http.stream("POST", "/v1/audio/speech", json=speech(text, **body))

    def result(self, answer: httpx.Response) -> dict[str, object]:
        told = self.http.get(f"/v1/utterances/{answer.headers['x-utterance-id']}")
        assert told.status_code == 200, told.text
        return told.json()

    def ready(self) -> dict[str, object]:
        return self.http.get("/health/ready").json()

    def model(self) -> dict[str, object]:
        return self.ready()["models"][0]

    def noted(self, chosen: Callable[[dict[str, object]], bool]) -> list[dict[str, object]]:
        """Orders that the engine got, and ends that it told."""
        if not self.notes.exists():
            return []
        lines = self.notes.read_text().splitlines()
        return [note for note in map(json.loads, lines) if chosen(note)]

    def orders(self, kind: str) -> list[dict[str, object]]:
        return self.noted(lambda note: note.get("type") == kind)

    def answers(self, status: int = 200) -> bool:
        assert self.process.poll() is None, "the server ended while it started"
        try:
            return self.http.get("/health/ready").status_code == status
        except httpx.TransportError:
            return False


def speech(text: str, **body: object) -> dict[str, object]:
    return {"model": MODEL, "input": text} | body


@contextmanager
def launched(
    folder: Path, *arguments: str, stderr: int = subprocess.PIPE, **environ: str
) -> Iterator[Served]:
    """Start a server; it may not answer yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-c", _START, "--port", str(port), "--model", MODEL, *arguments]
    notes = folder / "notes.jsonl"
    more = {"FAKE_NOTES": str(notes)} | environ
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr, env=os.environ | more)
    with process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:
        try:
            yield Served(process, http, notes)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(20)


@contextmanager
def served(folder: Path, *arguments: str, **environ: str) -> Iterator[Served]:
    """Start a server and wait until it is ready."""
    with launched(folder, *arguments, **environ) as server:
        until(server.answers, START_SECONDS)
        yield server
