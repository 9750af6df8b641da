"""The pepper: kept for its owner alone, and one for all gateways of a database."""

import stat
from pathlib import Path

import pytest

from gateway.access.pepper import check_pepper, fingerprint, keyed_hash, read_pepper
from gateway.metering.database import database_url, open_reading
from gateway.migrating import migrate
from gateway.settings import Database, Settings, SettingsError
from tests.conftest import NewDatabase
from tests.doubles.running import environment
from tests.gateway.test_command import command

OTHER = "an-entirely-different-pepper-0123456789"


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, new_database: NewDatabase, tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path / "data", database=Database(new_database(request.param)))


def with_pepper(settings: Settings, pepper: str) -> Settings:
    return Settings(settings.config, settings.data, database=settings.database, key_pepper=pepper)


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "data")
    made = read_pepper(settings)
    file = tmp_path / "data" / "pepper"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(made) == 64
    assert read_pepper(settings) == made == file.read_bytes()
    assert list(file.parent.iterdir()) == [file]


def test_the_operators_own_takes_its_place(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "data", key_pepper=OTHER)
    assert read_pepper(settings) == OTHER.encode()
    assert not (tmp_path / "data").exists()


def test_it_decides_every_hash_and_its_fingerprint_tells_neither() -> None:
    assert keyed_hash(b"one", "key") != keyed_hash(b"two", "key")
    assert fingerprint(b"one") != fingerprint(b"two")
    assert b"one".hex() not in fingerprint(b"one")


async def test_a_database_is_used_under_the_pepper_that_it_was_made_under(
    settings: Settings,
) -> None:
    migrate(settings)
    migrate(settings)
    with pytest.raises(SettingsError, match="under another pepper"):
        migrate(with_pepper(settings, OTHER))
    with pytest.raises(SettingsError, match="under another pepper"):
        migrate(with_pepper(settings, OTHER), check_only=True)
    reading = open_reading(database_url(settings.database.url))
    await check_pepper(reading, read_pepper(settings))
    with pytest.raises(SettingsError, match="under another pepper"):
        await check_pepper(reading, OTHER.encode())
    await reading.dispose()


@pytest.mark.parametrize("words", [("serve",), ("keys", "list"), ("keys", "create", "x")])
def test_another_pepper_stops_a_command_in_one_line(data: Path, words: tuple[str, ...]) -> None:
    environ = environment(data, f"sqlite+aiosqlite:///{data}/gateway.db")
    assert command(environ, "migrate").returncode == 0
    done = command(environ | {"GATEWAY_KEY_PEPPER": OTHER}, *words)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())  # the terminal folds it
    assert "set GATEWAY_KEY_PEPPER as on the other gateways, or bring its data/pepper" in told
    assert "Traceback" not in told
    assert OTHER not in told
