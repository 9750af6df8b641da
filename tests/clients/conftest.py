"""A key that may spend nothing, made anew for each test, and what became of its requests."""

import time
from collections.abc import Callable

import httpx
import pytest

from tests.doubles.running import Running


@pytest.fixture
def penniless_key(client: httpx.Client) -> str:
    made = client.post("/v1/keys", json={"name": "penniless", "limit": 0})
    assert made.status_code == 201, made.text
    key: str = made.json()["key"]
    return key


@pytest.fixture
def statuses(gateway: Running) -> Callable[[str], list[int]]:
    """The HTTP statuses of all requests of one key, newest first, once each has come to its end."""

    def of(key: str) -> list[int]:
        deadline = time.monotonic() + 5
        with gateway.client(key) as own:
            while time.monotonic() < deadline:
                records = own.get("/v1/generations").json()["data"]
                if records and all(each["status"] != "held" for each in records):
                    return [each["http_status"] for each in records]
                time.sleep(0.02)
        raise AssertionError(f"not at their end: {records}")

    return of
