"""Alembic's entry: migrates the connection it is handed, or the database of the settings."""

from alembic import context
from sqlalchemy import Connection, create_engine

from gateway.configuration import read_settings
from gateway.metering.database import database_url
from gateway.tables import metadata


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    handed = context.config.attributes.get("connection")
    if handed is not None:
        migrate(handed)
        return
    engine = create_engine(database_url(read_settings().database.url))
    with engine.connect() as connection:
        migrate(connection)


main()
