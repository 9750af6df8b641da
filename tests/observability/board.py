"""The board: a real Prometheus scrapes a gateway and its engine; every query must find something.

The shipped prometheus.yml is what it runs by, with other ports and a scrape each second.
"""

import math
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from rich.console import Console
from rich.table import Table

from tests.doubles.catalogue import STEADY, catalogue
from tests.doubles.running import ROOT, Running, free_port, running
from tests.doubles.scraping import queries
from tests.doubles.upstream import Upstream
from tests.observability.programs import program

TRAFFIC_SECONDS = 25
CSM = "sesame/csm-1b"
SHIPPED = ROOT / "config" / "deploy" / "prometheus.yml"
BODIES: tuple[dict[str, object], ...] = (
    {"model": "test/fine"},
    {"model": "pair/failing"},
    {"model": "test/failing"},
    {"model": "no/model"},
    {"model": CSM, "response_format": "pcm"},
)


def run(folder: Path) -> list[str]:
    """What is wrong with the board or with `/metrics`."""
    for name in ("prometheus", "promtool"):
        if shutil.which(name) is None:
            return [f"{name} is not here: apt-get install prometheus"]
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream())
        engine = stack.enter_context(_engine(folder))
        gateway = stack.enter_context(_gateway(folder, upstream, engine))
        prometheus = stack.enter_context(_prometheus(folder, gateway, engine))
        stack.enter_context(_traffic(gateway))
        time.sleep(TRAFFIC_SECONDS)
        wrong = [*_unanswered(prometheus)]
        for address in (gateway.url, engine):
            wrong += _malformed(httpx.get(f"{address}/metrics").content, address)
    return wrong


@contextmanager
def _engine(folder: Path) -> Iterator[str]:
    port = str(free_port())
    words = ["-m", "local_engine", "--model", f"{CSM}=tiny-random", "--device", "cpu", "--port"]
    address = f"http://127.0.0.1:{port}"
    with program([sys.executable, *words, port], folder / "engine.log", f"{address}/health/ready"):
        yield address


@contextmanager
def _gateway(folder: Path, upstream: Upstream, engine: str) -> Iterator[Running]:
    extra = folder / "test-providers.toml"
    extra.write_text(catalogue(upstream))
    with running(
        folder / "gateway",
        f"sqlite+aiosqlite:///{folder}/gateway.db",
        GATEWAY_CATALOG=str(extra),
        GATEWAY_ENGINE_ADDRESS=f"{engine}/v1",
        **STEADY,
    ) as gateway:
        yield gateway


@contextmanager
def _prometheus(folder: Path, gateway: Running, engine: str) -> Iterator[str]:
    config, port = folder / "prometheus.yml", free_port()
    told = SHIPPED.read_text().replace("127.0.0.1:8000", gateway.url.removeprefix("http://"))
    told = told.replace("127.0.0.1:8801", engine.removeprefix("http://"))
    config.write_text(re.sub(r"scrape_interval: \w+", "scrape_interval: 1s", told))
    subprocess.run(["promtool", "check", "config", config], check=True, capture_output=True)
    words = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    address = f"http://127.0.0.1:{port}"
    with program(words, folder / "prometheus.log", f"{address}/-/ready", dict(os.environ)):
        yield address


@contextmanager
def _traffic(gateway: Running) -> Iterator[None]:
    """Requests of every kind, until the proof is over."""
    ending = threading.Event()
    talking = threading.Thread(target=_talk, args=(gateway, ending))
    talking.start()
    try:
        yield
    finally:
        ending.set()
        talking.join()


def _talk(gateway: Running, ending: threading.Event) -> None:
    with gateway.client() as client:
        while not ending.wait(0.05):
            for body in BODIES:
                client.post("/v1/audio/speech", json={"input": "Hi.", "voice": "alloy", **body})


def _unanswered(prometheus: str) -> Iterator[str]:
    """Queries of the board that Prometheus refuses, or finds nothing for."""
    table = Table("panel", "series", "query", show_lines=False)
    for title, expression in queries():
        answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": expression}).json()
        found = answer.get("data", {}).get("result", [])
        numbers = [float(each["value"][1]) for each in found]
        table.add_row(title, str(len(found)), expression)
        if answer["status"] != "success":
            yield f"{title}: {expression}: {answer.get('error')}"
        elif all(math.isnan(each) for each in numbers):
            yield f"{title}: {expression}: found nothing in {len(numbers)} series"
    Console(width=180).print(table)


def _malformed(text: bytes, address: str) -> list[str]:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, check=False
    )
    told = checked.stderr.decode() + checked.stdout.decode()
    print(f"promtool check metrics, {address}: exit status {checked.returncode} {told}")
    return [f"{address}: {told}"] if checked.returncode else []
