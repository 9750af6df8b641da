"""The command, as a person types it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.doubles.running import ROOT, Running, environment, running
from tests.doubles.sound import read

FORMATS = ("mp3", "opus", "aac", "flac", "wav", "pcm")


def command(
    environ: dict[str, str], *words: str, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", *words],
        cwd=cwd,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def fresh(data: Path) -> dict[str, str]:
    """The variables of a gateway that nobody has started."""
    return environment(data, f"sqlite+aiosqlite:///{data}/gateway.db")


@pytest.mark.parametrize("suffix", FORMATS)
def test_say_writes_the_format_of_the_suffix(gateway: Running, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"hello.{suffix}"
    done = command(dict(gateway.environ), "say", "The quick brown fox", "-o", str(file))
    assert done.returncode == 0, done.stderr
    assert "by local as en-us" in done.stdout
    assert read(file.read_bytes(), suffix).seconds > 0.8
    assert list(tmp_path.iterdir()) == [file]


def test_say_tells_why_it_could_not(gateway: Running, tmp_path: Path) -> None:
    file = tmp_path / "x.wav"
    words = ("say", "hello", "-o", str(file), "--voice", "nobody", "--model", "local/espeak-ng")
    done = command(dict(gateway.environ), *words)
    assert done.returncode == 1
    assert "'nobody' is not known" in done.stderr
    assert not list(tmp_path.iterdir())


def test_say_keeps_nothing_of_a_clip_that_breaks_off(gateway: Running, tmp_path: Path) -> None:
    file = tmp_path / "x.mp3"
    words = ("say", "hello", "-o", str(file), "--model", "test/cut-in-the-middle")
    done = command(dict(gateway.environ), *words)
    assert done.returncode == 1
    assert "broke off" in done.stderr
    assert not list(tmp_path.iterdir())


def test_say_needs_a_suffix_it_knows(fresh: dict[str, str], tmp_path: Path) -> None:
    done = command(fresh, "say", "hello", "-o", str(tmp_path / "x.doc"))
    assert done.returncode == 2
    assert "mp3, opus, aac, flac, wav, pcm" in done.stderr


def test_say_tells_that_no_gateway_runs(fresh: dict[str, str], tmp_path: Path) -> None:
    done = command(fresh | {"GATEWAY_KEY": "x"}, "say", "hello", "-o", str(tmp_path / "x.wav"))
    assert done.returncode == 1
    assert "gateway serve" in done.stderr


def test_migrate_makes_a_database_and_then_has_nothing_to_do(fresh: dict[str, str]) -> None:
    first = json.loads(command(fresh, "migrate", "--json").stdout)
    again = json.loads(command(fresh, "migrate", "--json").stdout)
    assert first["before"] is None
    assert again["before"] == again["after"] == first["after"]


def test_serve_can_refuse_to_migrate(fresh: dict[str, str]) -> None:
    done = command(fresh, "serve", "--no-migrate")
    assert done.returncode == 2
    assert "gateway migrate" in done.stderr


def test_check_names_every_provider_and_why_it_is_off(fresh: dict[str, str]) -> None:
    done = command(fresh, "check", "--json")
    assert done.returncode == 0, done.stderr
    states = {row["provider"]: row["state"] for row in json.loads(done.stdout)["providers"]}
    assert states["local"] == "on"
    assert states["openai"] == "off: OPENAI_API_KEY is not set"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("GATEWAY_PORT", "many", "GATEWAY_SERVER_PORT: Expected `int`"),
        ("GATEWAY_DATABASE_URL", "mysql://x/y", "neither sqlite nor postgresql"),
        ("GATEWAY_DATABASE_URL", "postgresql://u:hidden-word@127.0.0.1:1/x", "u:***@127.0.0.1:1/x"),
        ("GATEWAY_DATABASE_URL", "sqlite:////proc/none/x.db", "/proc/none"),
        ("GATEWAY_ADMIN_KEY", "short", "32 characters"),
        ("GATEWAY_DEFAULTS_POLICY", "luck", "availability"),
        ("GATEWAY_CATALOG", "/nowhere/x.toml", "/nowhere/x.toml"),
    ],
)
def test_a_wrong_setting_stops_the_start_in_one_line(
    fresh: dict[str, str], variable: str, value: str, told: str
) -> None:
    done = command(fresh | {variable: value}, "serve")
    assert done.returncode == 2
    assert told in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
    assert "hidden-word" not in done.stderr


def test_keys_are_made_listed_and_disabled_without_a_server(fresh: dict[str, str]) -> None:
    made = command(fresh, "keys", "create", "reader", "--limit", "2.5", "--json")
    told = json.loads(made.stdout)
    assert told["key"].startswith("vox_")
    assert told["data"]["limit"] == 2.5
    assert told["key"] not in command(fresh, "keys", "list").stdout
    assert command(fresh, "keys", "disable", "reader").returncode == 0
    [row] = json.loads(command(fresh, "keys", "list", "--json").stdout)["data"]
    assert row["disabled"] is True


def test_keys_are_listed_where_there_are_none(fresh: dict[str, str]) -> None:
    done = command(fresh, "keys", "list", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"data": []}


def test_a_key_that_is_not_there_cannot_be_disabled(fresh: dict[str, str]) -> None:
    done = command(fresh, "keys", "disable", "nobody")
    assert done.returncode == 2
    assert "no key by that id or name: 'nobody'" in done.stderr


def test_a_key_disabled_by_the_command_is_refused_by_the_running_gateway(gateway: Running) -> None:
    made = json.loads(command(dict(gateway.environ), "keys", "create", "by hand", "--json").stdout)
    with gateway.client(made["key"]) as client:
        body = {"model": "test/fine", "input": "hello"}
        assert client.post("/v1/audio/speech", json=body).status_code == 200
        done = command(dict(gateway.environ), "keys", "disable", made["data"]["hash"])
        assert done.returncode == 0, done.stderr
        assert client.post("/v1/audio/speech", json=body).status_code == 401


@pytest.mark.parametrize(
    "words", [(), ("serve",), ("say",), ("check",), ("migrate",), ("keys",), ("keys", "create")]
)
def test_every_command_has_help(fresh: dict[str, str], words: Sequence[str]) -> None:
    done = command(fresh, *words, "--help")
    assert done.returncode == 0
    assert "Usage: " in done.stdout


def test_a_key_made_before_the_first_start_does_not_take_the_management_keys_place(
    fresh: dict[str, str], data: Path
) -> None:
    command(fresh, "keys", "create", "early bird")
    with running(data, fresh["GATEWAY_DATABASE_URL"]) as started, started.client() as client:
        names = {row["name"] for row in client.get("/api/v1/keys").json()["data"]}
    assert names == {"early bird", "admin"}


def test_the_operators_own_admin_key_speaks_and_is_not_written_down(
    fresh: dict[str, str], data: Path
) -> None:
    done = command(fresh | {"GATEWAY_ADMIN_KEY": "changeme" * 5}, "check")
    assert done.returncode == 2
    assert not (data / "admin.key").exists()
