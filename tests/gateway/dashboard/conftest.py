"""What the tests of the dashboard share: somebody who manages, and somebody who speaks."""

from collections.abc import Iterator

import httpx
import pytest

from tests.doubles.books import Key, new_key
from tests.doubles.browsing import visitor
from tests.doubles.running import Running


@pytest.fixture
def manager(gateway: Running) -> Iterator[httpx.Client]:
    with visitor(gateway, gateway.key) as signed_in:
        yield signed_in


@pytest.fixture
def key(client: httpx.Client) -> Key:
    return new_key(client)


@pytest.fixture
def speaker(gateway: Running, key: Key) -> Iterator[httpx.Client]:
    with visitor(gateway, key.plain) as signed_in:
        yield signed_in
