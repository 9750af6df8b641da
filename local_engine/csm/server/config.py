"""Which models are served: `--model` and `--config` become EngineSettings, or a StartError."""

import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from local_engine.csm.settings import EngineSettings
from local_engine.errors import StartError

FLAGS: Mapping[str, str] = {
    "revision": "of the model's hub repository",
    "tokenizer": "a tokenizer.json or a hub id, where the model brings none",
    "codec": "own or moshi",
    "codec_source": "Mimi's folder, file or hub id, where the model brings none",
    "voices": "a voices.toml of named prompts",
    "device": "auto, cpu, cuda or cuda:N",
    "dtype": "auto, float32 or bfloat16",
    "depth_weights": "auto, or fp8 (unjudged by ear) for the depth decoder's layers",
    "kv": "auto, or fp8 (unjudged by ear) for keys and values",
    "slots": "clips spoken at once; 0 takes what memory allows",
    "longest": "positions of a slot, prompt and frames; 0 is the model's own",
    "per_key": "slots that one key may have at once; 0 means all",
    "clip_seconds": "the longest clip",
    "lead_seconds": "how far a clip may be ahead of its listener",
    "watermark": "module:function, which gives a watermarker for each clip",
    "threads": "of torch on a CPU",
}
"""Settings that the command line has, too; it wins over the file."""

Fields = dict[str, object]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    model: list[dict[str, object]] = []


def read_models(
    named: Sequence[str], file: Path | None, flags: Mapping[str, object]
) -> tuple[EngineSettings, ...]:
    """Give the models of the command line, NAME or NAME=SOURCE, and those of the file.

    StartError names the file, the model and the field that is wrong.
    """
    models = [_named(each, flags) for each in named]
    if file is not None:
        models += [_tabled(file, place, table, flags) for place, table in _tables(file)]
    if not models:
        raise StartError(f"{file}: there is no [[model]] in it")
    _check_names(models)
    return tuple(models)


def _named(given: str, flags: Mapping[str, object]) -> EngineSettings:
    name, _, source = given.partition("=")
    return _settings(f"--model {given}", {"name": name, "source": source, **flags}, strict=False)


def _tabled(file: Path, place: int, table: Fields, flags: Mapping[str, object]) -> EngineSettings:
    where = f"{file}: model {table.get('name', place)!r}"
    _settings(where, table, strict=True)
    return _settings(where, table | dict(flags), strict=False)


def _settings(where: str, fields: Fields, *, strict: bool) -> EngineSettings:
    try:
        settings = msgspec.convert(fields, EngineSettings, strict=strict)
    except msgspec.ValidationError as error:
        raise StartError(f"{where}: {_told(str(error))}") from error
    if not settings.name.strip():
        raise StartError(f"{where}: name is empty; it is what clients call the model")
    return settings


def _tables(file: Path) -> list[tuple[int, Fields]]:
    try:
        with file.open("rb") as opened:
            content = msgspec.convert(tomllib.load(opened), _File)
    except OSError as error:
        raise StartError(f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{file} is not TOML: {error}") from error
    except msgspec.ValidationError as error:
        raise StartError(f"{file}: {_told(str(error))}; it is [[model]] tables") from error
    return list(enumerate(content.model, 1))


def _told(message: str) -> str:
    """Lead msgspec's message, "Expected `int` - at `$.slots`", with the field."""
    found = re.search(r"(.*) - at `\$\.([^`]+)`", message)
    return message if found is None else f"{found[2]}: {found[1]}"


def _check_names(models: Sequence[EngineSettings]) -> None:
    twice = [name for name, times in Counter(each.name for each in models).items() if times > 1]
    if twice:
        raise StartError(f"there are two models {twice[0]!r}; NAME=SOURCE gives one another name")
