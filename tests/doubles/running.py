"""A gateway as a person runs it: `gateway serve` in a process of its own, on a free port."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = 60


@dataclass(frozen=True)
class Running:
    """Where it is, how to enter, and what it wrote."""

    url: str
    key: str
    data: Path
    log: Path
    process: subprocess.Popen[bytes]
    environ: Mapping[str, str]

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"authorization": f"Bearer {key or self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def said(self) -> str:
        return self.log.read_text()

    def wait(self) -> None:
        """Until it has welcomed its operator, which it does once the embedded voice answers."""
        _await_ready(self.process, self.log)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(data: Path, database_url: str, **more: str) -> dict[str, str]:
    """The variables of a gateway with a home of its own, and none of the tester's secrets."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    coverage = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE")}
    ours = {
        "GATEWAY_DATA": str(data),
        "GATEWAY_CONFIG": str(ROOT / "config"),
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_PORT": str(free_port()),
        # Most tests name offers by their price; who goes first must not depend on luck.
        "GATEWAY_DEFAULTS_POLICY": "price",
        "PYTHONUNBUFFERED": "1",
    }
    return plain | coverage | ours | more


@contextmanager
def running(data: Path, database_url: str, *, wait: bool = True, **more: str) -> Iterator[Running]:
    """Start, wait until it is ready, and end it by SIGTERM as an operator does."""
    data.mkdir(parents=True, exist_ok=True)
    environ = environment(data, database_url, **more)
    log = data / "serve.log"
    url = f"http://127.0.0.1:{environ['GATEWAY_PORT']}"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "serve"],
            cwd=ROOT,
            env=environ,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        if wait:
            _await_ready(process, log)
        file = data / "admin.key"
        key = more.get("GATEWAY_ADMIN_KEY") or (file.read_text().strip() if file.exists() else "")
        yield Running(url, key, data, log, process, environ)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    """The welcome is printed once the embedded voice answers, too."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the gateway ended with {process.returncode}: {log.read_text()}")
        if "voxroute is ready" in log.read_text():
            return
        time.sleep(0.05)
    raise AssertionError(f"the gateway was not ready in time: {log.read_text()}")
