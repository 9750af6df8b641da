"""Brings a database to the newest schema, one process at a time."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from gateway.metering.database import DatabaseError, database_url, open_writing
from gateway.settings import Settings, shipped

ADVISORY_LOCK = 0x766F78  # any number that nobody else locks


def migrate(settings: Settings, *, check_only: bool = False) -> tuple[str | None, str | None]:
    """Upgrade to the head; gives the revisions before and after.

    check_only: raise DatabaseError instead of changing anything.
    """
    config = Config()
    config.set_main_option("script_location", str(shipped("migrations").resolve()))
    head = ScriptDirectory.from_config(config).get_current_head()
    engine = open_writing(database_url(settings.database.url), checkpoints=False)
    try:
        with engine.begin() as connection:
            _wait_for_others(connection)
            before = MigrationContext.configure(connection).get_current_revision()
            if before != head:
                if check_only:
                    raise DatabaseError(
                        f"the database is at {before or 'nothing'} and needs {head}: "
                        "run `gateway migrate`"
                    )
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    finally:
        engine.dispose()
    return before, head


def _wait_for_others(connection: Connection) -> None:
    """Two replicas that start together must not migrate together; SQLite's BEGIN waits itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
