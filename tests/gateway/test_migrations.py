"""Migrations, on real SQLite and PostgreSQL: they make exactly the tables of the code."""

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from gateway.metering.database import DatabaseError, database_url, open_writing
from gateway.migrating import migrate
from gateway.settings import Database, Settings, shipped
from gateway.tables import metadata
from tests.conftest import NewDatabase


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


def test_the_newest_file_is_the_head(settings: Settings) -> None:
    assert migrate(settings)[1] == ScriptDirectory.from_config(config()).get_current_head()


def test_an_empty_database_is_refused_where_migrating_is_not_wanted(settings: Settings) -> None:
    with pytest.raises(DatabaseError, match="gateway migrate"):
        migrate(settings, check_only=True)
    migrate(settings)
    before, after = migrate(settings, check_only=True)
    assert before == after
