"""The ledger's books, read from its database beside the gateway, and the waiting that tests do."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import httpx
from sqlalchemy import NullPool, create_engine, text

from gateway.metering.database import database_url, open_writing
from gateway.metering.rollups import rebuild
from tests.doubles.running import Running

Met = TypeVar("Met")


def until(met: Callable[[], Met], seconds: float = 10) -> Met:
    """Poll until it is so, and give it; fail when the time is over."""
    deadline = time.monotonic() + seconds
    while not (found := met()):
        assert time.monotonic() < deadline, "it did not come to pass in time"
        time.sleep(0.02)
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    """Living children of a process; every thread has a list of its own."""
    tasks = Path(f"/proc/{pid}/task")
    try:
        told = " ".join((task / "children").read_text() for task in tasks.iterdir())
    except FileNotFoundError:
        return []
    return [child for child in map(int, told.split()) if is_running(child)]


@dataclass(frozen=True)
class Key:
    """A key made for one test."""

    plain: str
    hash: str


def new_key(client: httpx.Client, limit: str | None = None) -> Key:
    answer = client.post("/v1/keys", json={"name": "a test's", "limit": limit})
    assert answer.is_success, answer.text
    return Key(answer.json()["key"], answer.json()["data"]["hash"])


def settled(client: httpx.Client, generation: str) -> dict[str, object]:
    """The record once it is final; settling may take 250 ms after the last byte."""

    def final() -> dict[str, object] | None:
        response = client.get("/api/v1/generation", params={"id": generation})
        if response.status_code != 200 or response.json()["data"]["status"] == "held":
            return None
        record: dict[str, object] = response.json()["data"]
        return record

    return until(final, 5)


def move_to_yesterday(gateway: Running, key_hash: str) -> str:
    """Make everything of a key a day older, and count it anew; gives yesterday's date."""
    url = database_url(gateway.environ["GATEWAY_DATABASE_URL"])
    engine = open_writing(url, checkpoints=False)
    with engine.begin() as connection:
        a_day_ago = "UPDATE generation SET at_ms = at_ms - 86400000 WHERE key_hash = :hash"
        connection.execute(text(a_day_ago), {"hash": key_hash})
        assert rebuild(connection).differed > 0
    engine.dispose()
    return (datetime.now(UTC) - timedelta(days=1)).date().isoformat()


class Books:
    """What a gateway's database says, asked without the gateway."""

    def __init__(self, running: Running) -> None:
        url = running.environ["GATEWAY_DATABASE_URL"].replace("+aiosqlite", "")
        self._engine = create_engine(url, poolclass=NullPool)

    def ask(self, sql: str, **values: object) -> list[Mapping[str, object]]:
        with self._engine.connect() as connection:
            return [dict(row) for row in connection.execute(text(sql), values).mappings()]

    def tell(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Change something beside the gateway's back."""
        with self._engine.begin() as connection:
            connection.execute(text(sql), rows)

    def balance(self, key_hash: str) -> Mapping[str, object]:
        [row] = self.ask("SELECT * FROM balance WHERE id = :id", id=f"key:{key_hash}|total|0")
        return row

    def charged(self, key_hash: str) -> tuple[int, int]:
        """Nano-USD and characters that the key's entries add up to."""
        [row] = self.ask(
            "SELECT coalesce(sum(e.nano), 0) AS nano, coalesce(sum(e.characters), 0) AS characters "
            "FROM entry e JOIN generation g ON g.id = e.generation_id "
            "WHERE g.key_hash = :hash AND e.ledger = 'charge' AND e.kind <> 'hold'",
            hash=key_hash,
        )
        return int(str(row["nano"])), int(str(row["characters"]))

    def assert_balanced(self, key_hash: str) -> None:
        """At rest nothing is held, and the entries add up to the balance."""
        until(lambda: self.balance(key_hash)["held_nano"] == 0)
        balance = self.balance(key_hash)
        assert balance["held_characters"] == 0
        posted = (balance["posted_nano"], balance["posted_characters"])
        assert posted == self.charged(key_hash)
        held = "SELECT id FROM generation WHERE key_hash = :hash AND status = 'held'"
        assert self.ask(held, hash=key_hash) == []
