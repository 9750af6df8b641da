"""Measures start, memory, first audio and relaying, and prints a table for the README."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import httpx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tests.doubles.catalogue import offer, provider
from tests.doubles.running import Running, free_port, running
from tests.doubles.sound import clip

CLIP_BYTES = 32 * 1024
TEN_WORDS = "The quick brown fox jumps over the lazy dog today."
SECONDS = 5
STARTS = 5
PACKAGES = (
    "litestar",
    "granian",
    "httpx",
    "httpx-aiohttp",
    "SQLAlchemy",
    "opentelemetry-sdk",
    "av",
)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    measured: str
    asked: str = ""


def main() -> None:
    console = Console()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, Progress(console=console, transient=True) as bar:
        task = bar.add_task("starting and ending the gateway", total=5)
        rows += starts(Path(folder))
        bar.update(task, advance=1, description="first audio of the embedded voice")
        rows += embedded(Path(folder))
        bar.update(task, advance=1, description="relaying a 32 KB clip")
        for pinned in (False, True):
            rows += relayed(Path(folder), pinned=pinned)
            bar.advance(task)
    table = Table(
        title=f"{platform.machine()}, {os.cpu_count()} cores, Python {sys.version.split()[0]}"
    )
    for name in ("what", "measured", "asked for"):
        table.add_column(name)
    for row in rows:
        table.add_row(row.what, row.measured, row.asked)
    console.print(table)
    console.print(", ".join(f"{name} {version(name)}" for name in PACKAGES))


def starts(folder: Path) -> list[Row]:
    """Time from launch until /health/ready answers, on an empty and on a migrated database."""
    first: list[float] = []
    again: list[float] = []
    memory: dict[str, float] = {}
    for number in range(STARTS):
        data = folder / f"start-{number}"
        url = f"sqlite+aiosqlite:///{data}/gateway.db"
        for into in (first, again):
            begun = time.perf_counter()
            with running(data, url, wait=False) as gateway:
                until_ready(gateway)
                into.append(time.perf_counter() - begun)
                gateway.wait()
                memory = resident(gateway.process.pid)
    return [
        Row("ready, empty database (median of 5)", f"{median(first):.2f} s", "2 s"),
        Row("ready, database at its newest schema", f"{median(again):.2f} s", "2 s"),
        Row("resident: gateway", f"{memory['gateway']:.0f} MB", "150 MB"),
        Row("resident: embedded voice and its workers", f"{memory['others']:.0f} MB"),
    ]


def embedded(folder: Path) -> list[Row]:
    """First audio byte of ten words, one request after another."""
    data = folder / "embedded"
    rows = []
    with running(data, f"sqlite+aiosqlite:///{data}/gateway.db") as gateway:
        for form in ("pcm", "wav", "mp3", "opus"):
            body = {"model": "local/espeak-ng", "input": TEN_WORDS, "response_format": form}
            told = load(gateway, body, clients=1, seconds=3)
            measured = f"p50 {told['first_p50_ms']:.1f} ms, p99 {told['first_p99_ms']:.1f} ms"
            rows.append(Row(f"embedded voice, first audio byte, {form}", measured, "p50 40 ms"))
    return rows


def relayed(folder: Path, *, pinned: bool) -> list[Row]:
    """A 32 KB clip from a loopback upstream, with auth, ledger and traces that are exported."""
    data = folder / f"relay-{pinned}"
    data.mkdir()
    file = data / "clip.mp3"
    file.write_bytes(clip("mp3", 10.0)[:CLIP_BYTES])
    port = free_port()
    catalogue = data / "bench.toml"
    catalogue.write_text(provider("loop", f"http://127.0.0.1:{port}/v1", offer("loop/clip", "15")))
    body = {"model": "loop/clip", "input": TEN_WORDS, "response_format": "mp3"}
    with ExitStack() as stack:
        stack.enter_context(upstream(port, file))
        if pinned:
            os.sched_setaffinity(0, {0})
        gateway = stack.enter_context(
            running(
                data,
                f"sqlite+aiosqlite:///{data}/gateway.db",
                GATEWAY_CATALOG=str(catalogue),
                GATEWAY_EMBEDDED_VOICE_ENABLED="false",
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}",
            )
        )
        os.sched_setaffinity(0, {0, 1})
        direct = load(gateway, body, clients=1, url=f"http://127.0.0.1:{port}/v1/audio/speech")
        where = "one core" if pinned else "two cores"
        rows = []
        for clients in (16, 64) if pinned else (1,):
            told = load(gateway, body, clients=clients)
            if told["failed"]:
                rows.append(Row("failed requests", str(told["failed"]), "0"))
            if clients == 1:
                added = told["p50_ms"] - direct["p50_ms"]
                measured = f"p50 +{added:.1f} ms ({told['per_second']:.0f}/s)"
                rows.append(Row(f"relaying 32 KB, 1 client, {where}: added", measured, "3 ms"))
            else:
                measured = f"{told['per_second']:.0f}/s, p50 {told['p50_ms']:.0f} ms"
                rows.append(Row(f"relaying 32 KB, {clients} clients, {where}", measured, "500/s"))
    return rows


def load(
    gateway: Running,
    body: dict[str, str],
    *,
    clients: int,
    seconds: float = SECONDS,
    url: str | None = None,
) -> dict[str, float]:
    words = [url or f"{gateway.url}/v1/audio/speech", str(clients), str(seconds), json.dumps(body)]
    done = subprocess.run(
        ["taskset", "-c", "1", sys.executable, "-m", "tests.bench.load", *words],
        env=os.environ | {"BENCH_KEY": gateway.key},
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    )
    told: dict[str, float] = json.loads(done.stdout)
    return told


@contextmanager
def upstream(port: int, file: Path) -> Iterator[None]:
    words = [
        "taskset",
        "-c",
        "1",
        sys.executable,
        "-m",
        "tests.bench.loopback",
        str(port),
        str(file),
    ]
    process = subprocess.Popen(words)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                httpx.post(f"http://127.0.0.1:{port}/")
                break
            except httpx.ConnectError:
                time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def until_ready(gateway: Running) -> None:
    while True:
        try:
            if httpx.get(f"{gateway.url}/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.005)


def resident(pid: int) -> dict[str, float]:
    """Resident megabytes of a gateway, and of every process below it."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(
                folder.joinpath("stat").read_text().split(") ")[1].split()[1]
            )
        except (OSError, IndexError):
            continue
    below = {pid}
    for _ in range(4):
        below |= {child for child, parent in parents.items() if parent in below}
    return {"gateway": _megabytes(pid), "others": sum(_megabytes(each) for each in below - {pid})}


def _megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()
