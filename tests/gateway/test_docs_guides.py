"""The migration guides: every block of code in them is tried against a running gateway."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from gateway.__main__ import gateway as program
from gateway.app import read_routes
from gateway.configuration import read_settings
from tests.doubles.running import ROOT, Running, running

GUIDES = ROOT / "gateway" / "guides"
ADDRESS = "http://127.0.0.1:8000"
BLOCKS = [
    pytest.param(language, code, id=f"{file.stem}-{place}-{language}")
    for file in sorted(GUIDES.glob("*.md"))
    for place, (language, code) in enumerate(
        re.findall(r"```(\w+)\n(.*?)```", file.read_text(encoding="utf-8"), re.DOTALL)
    )
]
RUNS = {"sh": ["bash", "-euc"], "python": [sys.executable, "-c"]}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    data = tmp_path_factory.mktemp("guides")
    with running(data, f"sqlite+aiosqlite:///{data}/gateway.db") as started:
        yield started


@pytest.mark.parametrize(("language", "code"), [each for each in BLOCKS if each.values[0] in RUNS])
def test_a_call_of_a_guide_works(alone: Running, tmp_path: Path, language: str, code: str) -> None:
    (tmp_path / "data").mkdir()
    shutil.copy(alone.data / "admin.key", tmp_path / "data" / "admin.key")
    assert ADDRESS in code
    done = subprocess.run(
        [*RUNS[language], code.replace(ADDRESS, alone.url)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    written = [file for file in tmp_path.iterdir() if file.is_file()]
    assert all(file.stat().st_size > 1000 for file in written)
    assert written or done.stdout


@pytest.mark.parametrize("code", [each.values[1] for each in BLOCKS if each.values[0] == "toml"])
def test_a_table_of_a_guide_is_understood(tmp_path: Path, code: object) -> None:
    config = tmp_path / "config"
    shutil.copytree(ROOT / "config", config)
    environ = {"GATEWAY_DATA": str(tmp_path), "GATEWAY_CONFIG": str(config)}
    if "[aliases]" in str(code):
        mine = str(code).replace("[aliases]", "")
        file = config / "gateway.toml"
        file.write_text(file.read_text().replace("[aliases]", f"[aliases]{mine}"))
    else:
        rows = tmp_path / "house.toml"
        rows.write_text(str(code))
        environ["GATEWAY_CATALOG"] = str(rows)
    routes = read_routes(read_settings(environ), environ, {})
    assert "narrator" in routes.aliases or "house/kokoro" in routes.catalog.models


def test_every_guide_has_code_that_was_tried() -> None:
    assert {each.id.split("-")[0] for each in BLOCKS if each.id} == {
        "openai",
        "openrouter",
        "litellm",
    }
    assert {each.values[0] for each in BLOCKS} <= {"sh", "python", "toml"}


def test_every_command_and_setting_of_the_operators_page_is_there(tmp_path: Path) -> None:
    told = (ROOT / "gateway" / "README.md").read_text(encoding="utf-8")
    for words in re.findall(r"[`\n]gateway ([a-z]+(?: [a-z]+)?)", told):
        first, *rest = words.split()
        assert first in program.commands, words
        command = program.commands[first]
        if rest and isinstance(command, click.Group):
            assert rest[0] in command.commands, words
    settings = read_settings(
        {"GATEWAY_DATA": str(tmp_path), "GATEWAY_CONFIG": str(ROOT / "config")}
    )
    known = {"telemetry"} | {name for name in dir(settings) if not name.startswith("_")}
    assert set(re.findall(r"`\[(\w+)\]", told)) <= known
