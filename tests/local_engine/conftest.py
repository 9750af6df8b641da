"""Engines to speak to: one for all tests, and one for each test that hurts it."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from embedded_engine import RunningEngine, running


@pytest.fixture(scope="session")
def engine() -> Iterator[RunningEngine]:
    with running("--workers", "2") as engine:
        yield engine


@pytest.fixture
def own_engine() -> Iterator[RunningEngine]:
    """Give an engine that the test may hurt."""
    with running("--workers", "1", "--waiting", "2") as engine:
        yield engine


@pytest.fixture
async def client(engine: RunningEngine) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=engine.address, timeout=20) as client:
        yield client
