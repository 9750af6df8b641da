"""What the tests of the gateway share: a key of their own, its client and its books."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.books import Books, Key, new_key
from tests.doubles.running import Running


@pytest.fixture
def books(gateway: Running) -> Books:
    return Books(gateway)


@pytest.fixture
def key(client: httpx.Client) -> Key:
    return new_key(client)


@pytest.fixture
def mine(gateway: Running, key: Key) -> Iterator[httpx.Client]:
    with gateway.client(key.plain) as client:
        yield client
