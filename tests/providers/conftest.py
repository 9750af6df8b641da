"""What the tests of providers share: a client as the gateway opens it."""

from collections.abc import AsyncIterator

import pytest

from providers import Client, open_client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as opened:
        yield opened
