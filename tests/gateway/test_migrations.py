"""Migrations, on real SQLite and PostgreSQL: they make exactly the tables of the code."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from gateway.access.callers import Callers
from gateway.access.keys import new_key
from gateway.access.pepper import read_pepper
from gateway.configuration import shipped
from gateway.metering import records, register
from gateway.metering.database import DatabaseError, database_url, open_reading, open_writing
from gateway.metering.rollups import rebuild
from gateway.migrating import ADVISORY_LOCK, migrate
from gateway.settings import Database, Settings
from gateway.tables import metadata
from tests.conftest import NewDatabase

LONG_SECONDS = 6
"""Longer than the writer may wait for a lock, or for a statement."""


def config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations").resolve()))
    return config


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path, database=Database(new_database(request.param)))


def test_migrations_make_the_tables_of_the_code(settings: Settings) -> None:
    migrate(settings)
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []


def test_migrations_can_be_taken_back(settings: Settings) -> None:
    migrate(settings)
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        down = config()
        down.attributes["connection"] = connection
        command.downgrade(down, "base")
        assert inspect(connection).get_table_names() == ["alembic_version"]


def test_a_replica_waits_for_as_long_as_another_migrates(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    settings = Settings(tmp_path, tmp_path, database=Database(new_database("postgresql")))
    engine = create_engine(database_url(settings.database.url))
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
        " AND datname = current_database() AND query_start < now() - :long * interval '1 s'"
    ).bindparams(long=LONG_SECONDS)
    with ThreadPoolExecutor() as pool:
        with engine.begin() as other:
            other.execute(text(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})"))
            waits = pool.submit(migrate, settings)
            with engine.connect() as watching:
                while not waits.done() and not watching.execute(waiting).scalar():
                    watching.rollback()  # now() is the transaction's
        assert waits.result() == (None, migrate(settings)[1])
    engine.dispose()


def test_the_newest_file_is_the_head(settings: Settings) -> None:
    assert migrate(settings)[1] == ScriptDirectory.from_config(config()).get_current_head()


def test_an_empty_database_is_refused_where_migrating_is_not_wanted(settings: Settings) -> None:
    with pytest.raises(DatabaseError, match="gateway migrate"):
        migrate(settings, check_only=True)
    migrate(settings)
    before, after = migrate(settings, check_only=True)
    assert before == after


def test_attempts_from_before_0003_tell_whether_somebody_else_was_asked(
    settings: Settings,
) -> None:
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        former = config()
        former.attributes["connection"] = connection
        command.upgrade(former, "0002")
        _insert(connection, [row for row in _of_0001("h") if row[0] != "balance"])
        asked = enumerate(("p", "p", "q", "q"), 1)
        _insert(connection, [("attempt", _ATTEMPT | {"seq": n, "provider": p}) for n, p in asked])
    migrate(settings)
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        told = connection.execute(text("SELECT kind, audio_ms FROM attempt ORDER BY seq")).all()
    assert [tuple(row) for row in told] == [
        ("first", 0),
        ("repeat", 0),
        ("fallback", 0),
        ("repeat", 0),
    ]


def test_use_from_before_0005_is_told_by_task_and_summed_again_on_the_way_back(
    settings: Settings,
) -> None:
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        former = config()
        former.attributes["connection"] = connection
        command.upgrade(former, "0004")
        _insert(connection, [row for row in _of_0001("h") if row[0] == "api_key"])
        _insert(connection, [("generation", _generation(*made)) for made in _OF_0004])
        _insert(connection, [("rollup", _use(*whose)) for whose in _USED_IN_0004])
    migrate(settings)
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        assert _used(connection) == [
            ("day", "", "", 1, 0),
            ("day", "m", "", 1, 1),
            ("day", "m", "calm", 3, 14),
            ("day", "m", "narration", 1, 16),
            ("hour", "", "", 1, 0),
            ("hour", "m", "", 1, 1),
            ("hour", "m", "calm", 2, 6),
            ("hour", "m", "calm", 1, 8),
            ("hour", "m", "narration", 1, 16),
        ]
        assert rebuild(connection).differed == 0
        back = config()
        back.attributes["connection"] = connection
        command.downgrade(back, "0004")
        rows = connection.execute(text("SELECT * FROM rollup")).mappings().all()
        wanted = [_use(*whose) for whose in _USED_IN_0004]
        assert sorted(map(dict, rows), key=str) == sorted(wanted, key=str)


def test_tables_are_made_anew_on_sqlite_with_all_that_was_in_them(settings: Settings) -> None:
    is_sqlite = settings.database.url.startswith("sqlite")
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        former = config()
        former.attributes["connection"] = connection
        command.upgrade(former, "0008")
        _insert(connection, [row for row in _of_0001("h") if row[0] != "balance"])
        _insert(
            connection, [("attempt", _ATTEMPT | {"seq": seq, "provider": "p"}) for seq in (2, 1)]
        )
        entry = {"generation_id": "gen-tts-1-a", "created_ms": 5, "nano": 7, "characters": 10}
        kinds = ("settle", 1), ("hold", 1), ("hold", 2)
        told = [{"ledger": "charge", "kind": kind, "seq": seq} for kind, seq in kinds]
        _insert(connection, [("entry", entry | each) for each in told])
        used = [_use(*whose) | {"task": "calm"} for whose in _USED_IN_0004]
        _insert(connection, [("rollup", row) for row in used])
        before = _anew(connection)
    migrate(settings)
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        assert _anew(connection) == before
        assert _in_one_tree(connection) == (set(before) if is_sqlite else set())
        back = config()
        back.attributes["connection"] = connection
        command.downgrade(back, "0008")
        assert _anew(connection) == before
        assert _in_one_tree(connection) == set()


def _anew(connection: Connection) -> dict[str, tuple[list[str], object]]:
    """The tables' rows, and what there is beside the columns."""
    looking = inspect(connection)
    tables = {}
    for name in ("attempt", "entry", "rollup"):
        rows = connection.execute(text(f"SELECT * FROM {name}")).mappings().all()  # noqa: S608  # our own names
        assert rows
        indexes = sorted(str(each["name"]) for each in looking.get_indexes(name))
        beside = (indexes, looking.get_pk_constraint(name), looking.get_foreign_keys(name))
        tables[name] = (sorted(str(dict(row)) for row in rows), beside)
    return tables


def _in_one_tree(connection: Connection) -> set[str]:
    if connection.dialect.name != "sqlite":
        return set()
    made = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '% WITHOUT ROWID'"
    return set(connection.execute(text(made)).scalars())


def test_what_the_operators_rule_had_ended_is_unknown_no_more(settings: Settings) -> None:
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        former = config()
        former.attributes["connection"] = connection
        command.upgrade(former, "0007")
        _insert(connection, [row for row in _of_0001("h") if row[0] == "api_key"])
        for at, (status, owed) in enumerate((("settled", 5), ("settled", 0), ("unknown", 5))):
            _insert(connection, [("generation", _generation(status, at, "m", None, owed))])
            lost = {"generation_id": f"gen-tts-{at}", "seq": 1, "provider": "p"}
            told = {"outcome": "unknown", "liability_nano": owed}
            _insert(connection, [("attempt", _ATTEMPT | lost | told)])
    migrate(settings)
    with open_writing(database_url(settings.database.url), checkpoints=True).begin() as connection:
        told_now = connection.execute(text("SELECT outcome FROM attempt ORDER BY generation_id"))
        assert list(told_now.scalars()) == ["abandoned", "unknown", "unknown"]


_DAY = 1_700_006_400_000  # 2023-11-15
_HOUR = 3_600_000
_OF_0004: list[tuple[str, int, str | None, str | None, int]] = [
    ("settled", _DAY + 1, "m", None, 1),
    ("settled", _DAY + 2, "m", "calm", 2),
    ("unknown", _DAY + _HOUR - 1, "m", "calm", 4),
    ("settled", _DAY + _HOUR, "m", "calm", 8),
    ("settled", _DAY + 23 * _HOUR, "m", "narration", 16),
    ("voided", _DAY + 3, None, None, 0),
    ("held", _DAY + 4, None, "calm", 0),
]
"""Generations: status, when, model, task, and their cost in nano-USD."""
_USED_IN_0004 = [
    ("hour", _DAY, "", 1, 0),
    ("hour", _DAY, "m", 3, 7),
    ("hour", _DAY + _HOUR, "m", 1, 8),
    ("hour", _DAY + 23 * _HOUR, "m", 1, 16),
    ("day", _DAY, "", 1, 0),
    ("day", _DAY, "m", 5, 31),
]
"""The same in rollups: width, start, model, requests, nano-USD; what named no model failed."""


def _generation(
    status: str, at_ms: int, model: str | None, task: str | None, nano: int
) -> dict[str, object]:
    [_, _, (_, row)] = _of_0001("h")
    id_ = f"gen-tts-{at_ms}"
    ended = {"model": model, "cost_nano": nano, "liability_nano": nano, "audio_ms": 0}
    told = {"id": id_, "status": status, "at_ms": at_ms, "task": task}
    return row | ended | told | {"error_type": "lost" if status == "voided" else None}


def _use(width: str, start: int, model: str, requests: int, nano: int) -> dict[str, object]:
    names = {"key_hash": "h", "model": model, "provider": "", "app": ""}
    use = {"requests": requests, "characters": requests * 10, "cost_nano": nano}
    counted = {"liability_nano": nano, "audio_ms": 0, "errors": 0 if model else 1}
    none = {"fallbacks": 0, "cache_hits": 0}
    return {"width": width, "start_ms": start, **names, **use, **counted, **none}


def _used(connection: Connection) -> list[tuple[object, ...]]:
    """Requests and nano-USD by width, model and task."""
    wanted = text(
        "SELECT width, model, task, requests, cost_nano FROM rollup ORDER BY 1, 2, 3, start_ms"
    )
    return [tuple(row) for row in connection.execute(wanted)]


async def test_keys_from_before_0002_still_let_their_owners_in(settings: Settings) -> None:
    key, url = new_key(), database_url(settings.database.url)
    hash_ = hashlib.sha256(key.encode()).hexdigest()
    with open_writing(url, checkpoints=True).begin() as connection:
        first = config()
        first.attributes["connection"] = connection
        command.upgrade(first, "0001")
        _insert(connection, _of_0001(hash_))
    assert migrate(settings)[0] == "0001"
    reading = open_reading(url)
    caller = await Callers(reading, read_pepper(settings)).accept(f"Bearer {key}", "speak")
    async with reading.connect() as connection:
        found = await register.key(connection, caller.key_hash)
        record = await records.generation_record(connection, "gen-tts-1-a")
    await reading.dispose()
    assert (caller.key_hash, caller.name, caller.project) == (hash_, "old", "default")
    assert found is not None
    whole = found.account("total")
    assert (whole.budget.limit_nano, whole.balance.posted_nano) == (10**9, 5000)
    assert (whole.balance.held_nano, whole.balance.requests) == (0, 1)
    assert record is not None
    assert (record[0]["cost_nano"], record[0]["project"]) == (5000, "default")


_ATTEMPT = {
    "generation_id": "gen-tts-1-a",
    "model": "m",
    "voice": "v",
    "started_ms": 1,
    "outcome": "failed",
    "liability_nano": 0,
}


def _insert(connection: Connection, rows: list[tuple[str, dict[str, object]]]) -> None:
    for table, row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        values = ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({values})"), row)  # noqa: S608  # our own names


def _of_0001(hash_: str) -> list[tuple[str, dict[str, object]]]:
    """What a key that has spoken once left behind."""
    key = {"hash": hash_, "name": "old", "label": "vox_...", "scopes": "speak", "created_ms": 5}
    counts = {"held_nano": 0, "posted_characters": 10, "held_characters": 0}
    spent = {"limit_nano": 10**9, "posted_nano": 5000, **counts}
    generation = {
        "id": "gen-tts-1-a",
        "request_id": "r",
        "trace_id": "t",
        "key_hash": hash_,
        "status": "settled",
        "created_ms": 1_700_000_000_000,
        "requested_model": "m",
        "format": "mp3",
        "streamed": False,
        "characters": 10,
        "hold_nano": 6000,
        "hold_characters": 10,
        "plan": "{}",
        "charged_characters": 10,
        "cost_nano": 5000,
        "liability_nano": 5000,
        "audio_ms": 700,
        "fallbacks": 0,
        "cancelled": False,
        "cache_hit": False,
    }
    return [
        ("api_key", key | {"disabled": False}),
        ("balance", spent | {"scope": f"key:{hash_}"}),
        ("generation", generation),
    ]
