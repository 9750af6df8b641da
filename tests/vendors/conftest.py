"""What the tests of wires share: a client, and the vendors' SDKs in an environment of their own."""

import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers import Client, open_client

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv-vendors" / "bin" / "python"


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    opened = open_client(read_seconds=2.0)
    yield opened
    await opened.aclose()


def sdk(name: str, url: str, text: str) -> bytes:
    """The audio that the vendor's SDK fetches from the fake."""
    if not PYTHON.exists():
        pytest.skip("the vendors' SDKs are not installed: make test installs them")
    program = Path(__file__).parent / "sdks" / f"say_{name}.py"
    done = subprocess.run(
        [PYTHON, program, url, text], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout
