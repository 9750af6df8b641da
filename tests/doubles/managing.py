"""Managing a gateway over HTTP, as its operator's scripts do."""

import httpx

from tests.doubles.books import Key
from tests.doubles.running import Running

TEXT = "Seventeen letters"
COST = 255_000
"""Nano-USD that it costs at the first provider; twice as much at the second."""


def make(client: httpx.Client, **body: object) -> Key:
    answer = client.post("/v1/keys", json={"name": "a test's"} | body)
    assert answer.status_code == 201, answer.text
    return Key(answer.json()["key"], answer.json()["data"]["hash"])


def told(client: httpx.Client, key: Key) -> dict[str, object]:
    answer = client.get(f"/v1/keys/{key.hash}")
    assert answer.status_code == 200, answer.text
    data: dict[str, object] = answer.json()["data"]
    return data


def change(client: httpx.Client, key: Key, **body: object) -> httpx.Response:
    return client.patch(f"/v1/keys/{key.hash}", json=body)


def speak(gateway: Running, key: Key | str, **body: object) -> httpx.Response:
    plain = key.plain if isinstance(key, Key) else key
    with gateway.client(plain) as client:
        return client.post("/v1/audio/speech", json={"model": "test/fine", "input": TEXT} | body)


def budget(client: httpx.Client, scope: str, period: str, **limits: object) -> httpx.Response:
    return client.put("/v1/budgets", json={"scope": scope, "period": period} | limits)


def changes(client: httpx.Client, subject: str) -> list[dict[str, object]]:
    """What was changed about it, oldest first."""
    answer = client.get("/v1/audit", params={"subject": subject})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, object]] = answer.json()["data"]
    return rows[::-1]
