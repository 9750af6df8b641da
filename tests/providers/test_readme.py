"""providers/README.md does what it says: its rows load, and its wire passes its test."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from providers import WIRES, read_catalog
from providers.rows import OfferRow, ProviderRow, read_rows
from tests.providers.shipped import FILE as FILE_OF_ROWS

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "providers" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
ROWS = [text for kind, text in BLOCKS if kind == "toml"]
FILE, LINE, TEST = [text for kind, text in BLOCKS if kind == "python"]


@pytest.mark.parametrize("row", ROWS, ids=["row alone", "row of the new wire"])
def test_a_row_of_the_readme_loads_and_is_on_with_its_key(tmp_path: Path, row: str) -> None:
    file = tmp_path / "more.toml"
    file.write_text(row)
    catalog = read_catalog([file], {"ACME_API_KEY": "secret"}, frozenset(WIRES) | {"acme"})
    assert catalog.providers["acme"].off is None
    [offer] = catalog.models["acme/talker"]
    assert offer.default_voice.casefold() == "ann"


def test_the_readme_knows_every_wire_and_no_other() -> None:
    assert WIRES.keys() <= set(re.findall(r"`(\w+)`", README))
    assert set(re.findall('wire = "(.+)"', README)) - WIRES.keys() == {"acme"}


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of this package with Acme's wire added, exactly as the README has it."""
    shutil.copytree(ROOT / "providers", tmp_path / "providers")
    wires = tmp_path / "providers" / "wires"
    (wires / "acme.py").write_text(FILE)
    door = (wires / "__init__.py").read_text()
    ours = "from providers.wires import "
    added = door.replace(ours, f"{ours}acme\n{ours}", 1)
    head, brace, rest = added.partition("WIRES: dict[str, Wire] = {\n")
    (wires / "__init__.py").write_text(head + brace + LINE + rest)
    (tmp_path / "test_acme.py").write_text(TEST)
    return tmp_path


def test_the_wire_of_the_readme_is_one_file_one_line_and_passes_its_test(house: Path) -> None:
    words = f"-m pytest -q test_acme.py -p no:cacheprovider -c {ROOT / 'pyproject.toml'}"
    begun = subprocess.run(
        [sys.executable, *words.split(), f"--rootdir={house}", f"--basetemp={house / 'temporary'}"],
        cwd=house,
        env=dict(os.environ) | {"PYTHONPATH": os.pathsep.join([str(house), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert begun.returncode == 0, begun.stdout + begun.stderr
    assert "4 passed" in begun.stdout


@pytest.mark.parametrize("code", [FILE, TEST], ids=["wire", "test"])
def test_the_code_of_the_readme_is_as_tidy_as_the_rest(tmp_path: Path, code: str) -> None:
    file = tmp_path / "acme.py"
    file.write_text(code)
    ruff = [sys.executable, "-m", "ruff"]
    tidy = ["--config", str(ROOT / "pyproject.toml"), str(file)]
    for words in (["check", "--ignore=D,S101,PLR2004,INP001"], ["format", "--check"]):
        done = subprocess.run([*ruff, *words, *tidy], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_readme_of_the_house_names_every_provider_and_its_key() -> None:
    house = (ROOT / "README.md").read_text(encoding="utf-8")
    table = set(re.findall(r"`([\w-]+)`", house[house.index("## Providers") :]))
    rows = [row.values for row in read_rows(FILE_OF_ROWS)[1]]
    keys = {
        part for row in rows for key in [row.key] if isinstance(key, str) for part in key.split("+")
    }
    assert {row.name for row in rows} - {"local"} | keys <= table


@pytest.mark.parametrize("row", [ProviderRow, OfferRow])
def test_the_readme_knows_every_field_of_a_row(row: type[ProviderRow | OfferRow]) -> None:
    known = set(re.findall(r"`(\w+)`", README))
    assert set(row.__struct_fields__) - {"offer"} <= known
