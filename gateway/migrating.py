"""Brings a database to the newest schema, one process at a time."""

from pathlib import Path

from sqlalchemy import URL, Connection, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from gateway.access.pepper import read_pepper, settle_pepper
from gateway.configuration import shipped
from gateway.metering.database import DatabaseError, database_url, open_writing
from gateway.settings import Settings

ADVISORY_LOCK = 0x766F78  # any number that nobody else locks


def migrate(settings: Settings, *, check_only: bool = False) -> tuple[str | None, str]:
    """Upgrade to the head; gives the revisions before and after.

    check_only: raise DatabaseError instead of changing anything.
    """
    url = database_url(settings.database.url)
    try:
        return _migrate(url, read_pepper(settings), check_only=check_only)
    except ModuleNotFoundError as error:
        raise DatabaseError(f"{error.name} is missing: install voxroute[postgres]") from None
    except (SQLAlchemyError, OSError) as error:
        shown, reason = url.render_as_string(hide_password=True), str(error).partition("\n")[0]
        raise DatabaseError(f"database {shown} cannot be used: {reason}") from None


def _migrate(url: URL, pepper: bytes, *, check_only: bool) -> tuple[str | None, str]:
    scripts = shipped("migrations").resolve()
    head = max(file.name.partition("_")[0] for file in scripts.glob("versions/*.py"))
    engine = open_writing(url, checkpoints=False)
    try:
        with engine.begin() as connection:
            _take_time(connection)
            _wait_for_others(connection)
            before = _revision(connection)
            if before != head:
                if check_only:
                    raise DatabaseError(
                        f"the database is at {before or 'nothing'} and needs {head}: "
                        "run `gateway migrate`"
                    )
                _upgrade(connection, scripts, pepper)
            settle_pepper(connection, pepper)
    finally:
        engine.dispose()
    return before, head


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _upgrade(connection: Connection, scripts: Path, pepper: bytes) -> None:
    # Alembic takes longer to import than the rest of a start takes: only who needs it waits for it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    config.attributes["pepper"] = pepper
    command.upgrade(config, "head")


def _take_time(connection: Connection) -> None:
    """The writer's connection is set up for holds: five seconds, and never a whole table."""
    if connection.dialect.name == "postgresql":
        for name, value in (
            ("statement_timeout", 0),
            ("lock_timeout", 0),
            ("enable_seqscan", "on"),
        ):
            connection.execute(text(f"SET LOCAL {name} = {value}"))


def _wait_for_others(connection: Connection) -> None:
    """Two replicas that start together must not migrate together; SQLite's BEGIN waits itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
