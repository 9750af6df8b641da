"""Which models the command line and its file name, and what they say of a wrong one."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_engine.__main__ import main
from local_engine.csm.server.config import read_models
from local_engine.errors import StartError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "engine.toml"


def test_models_are_named_with_and_without_a_source() -> None:
    plain, folder, other = read_models(["sesame/csm-1b", "/models/a", "b=/models/a=b"], None, {})
    assert (plain.name, plain.source) == ("sesame/csm-1b", "")
    assert (folder.name, folder.source) == ("/models/a", "")
    assert (other.name, other.source) == ("b", "/models/a=b")


def test_flags_are_read_as_their_settings_types() -> None:
    flags = {"slots": "4", "clip_seconds": "2.5", "deterministic": True, "waiting": 3}
    [model] = read_models(["tiny-random"], None, flags)
    assert (model.slots, model.clip_seconds) == (4, 2.5)
    assert (model.deterministic, model.waiting) == (True, 3)


def test_fp8_is_a_flag_for_each_of_its_two_uses() -> None:
    (model,) = read_models(["a"], None, {"kv": "fp8"})
    assert (model.kv, model.depth_weights) == ("fp8", "auto")
    (model,) = read_models(["a"], None, {"depth_weights": "fp8"})
    assert (model.kv, model.depth_weights) == ("auto", "fp8")


def test_the_file_gives_every_field_and_flags_win(file: Path) -> None:
    file.write_text(
        '[[model]]\nname = "a"\nslots = 2\nsnapshot_megabytes = 7\n[[model]]\nname = "b"\n'
    )
    models = read_models(["c"], file, {"slots": "5"})
    assert [(each.name, each.slots, each.snapshot_megabytes) for each in models] == [
        ("c", 5, 1024),
        ("a", 5, 7),
        ("b", 5, 1024),
    ]


BAD_FILES = [
    ("[[model]\n", "is not TOML"),
    ("", "no [[model]]"),
    ("[server]\nport = 1\n", "server"),
    ("model = 5\n", "model: Expected `array`"),
    ("[[model]]\nslots = 2\n", "model 1: Object missing required field `name`"),
    ('[[model]]\nname = " "\n', "name is empty"),
    ('[[model]]\nname = "a"\nslotz = 2\n', "model 'a': Object contains unknown field `slotz`"),
    ('[[model]]\nname = "a"\nslots = "2"\n', "model 'a': slots: Expected `int`"),
    ('[[model]]\nname = "a"\nslots = -1\n', "model 'a': slots: Expected `int` >= 0"),
    ('[[model]]\nname = "a"\ndtype = "half"\n', "model 'a': dtype: Invalid enum value 'half'"),
    ('[[model]]\nname = "a"\nkv = "fp4"\n', "model 'a': kv: Invalid enum value 'fp4'"),
    ('[[model]]\nname = "a"\n[[model]]\nname = "a"\n', "two models 'a'"),
]


@pytest.mark.parametrize(("content", "told"), BAD_FILES)
def test_a_wrong_file_is_told_with_model_and_field(file: Path, content: str, told: str) -> None:
    file.write_text(content)
    with pytest.raises(StartError) as refused:
        read_models([], file, {})
    assert told in str(refused.value)
    assert str(file) in str(refused.value) or "two models" in told


def test_a_missing_file_is_told(file: Path) -> None:
    with pytest.raises(StartError, match="No such file"):
        read_models([], file, {})


BAD_COMMANDS = [
    ("--model tiny-random --slots many", "--model tiny-random: slots: Expected `int`"),
    ("--model tiny-random --codec mp3", "codec: Invalid enum value 'mp3'"),
    ("--model tiny-random --workers 2", "--workers means nothing to CSM"),
    ("--model espeak-ng --per-key 2", "--per-key means nothing to espeak-ng"),
    ("--slots 2", "--slots means nothing to espeak-ng"),
    ("--model espeak-ng --model tiny-random", "espeak-ng is served alone"),
    ("--model =/models/a", "name is empty"),
    ("--model a --model a=b", "two models 'a'"),
]


@pytest.mark.parametrize(("line", "told"), BAD_COMMANDS)
def test_a_wrong_command_line_is_told_plainly(line: str, told: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(line.split())
    assert told in str(ended.value)


@pytest.mark.parametrize(
    ("model", "module", "extra"),
    [("tiny-random", "prometheus_client", "engine"), ("espeak-ng", "espeakng_loader", "espeak")],
)
def test_what_is_not_installed_is_told_with_its_extra(model: str, module: str, extra: str) -> None:
    without = f"import sys; sys.modules[{module!r}] = None; from local_engine.__main__ import main;"
    command = [sys.executable, "-c", f"{without} main(['--model', {model!r}])"]
    ended = subprocess.run(command, capture_output=True, check=False, text=True)
    assert ended.stderr == f"local_engine: {module} is not installed; voxroute[{extra}] brings it\n"


def test_help_has_examples_for_both_voices(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert "--model espeak-ng --port 8801 --workers 2" in said
    assert "--model sesame/csm-1b" in said
    assert "--per-key" in said
    assert "[[model]]" in said
