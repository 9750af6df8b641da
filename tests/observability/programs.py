"""Programs of others beside a gateway: started, awaited, and ended with their proof."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.doubles.running import ROOT

START_SECONDS = 120


@contextmanager
def program(
    words: Sequence[str], log: Path, answers: str, environ: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Runs from when the address `answers` does, until the proof is over."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environ, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        _await(process, log, answers)
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], log: Path, address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(address, timeout=5).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"{process.args!r} does not answer: {log.read_text()}")
