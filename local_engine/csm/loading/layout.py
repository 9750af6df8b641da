"""The files of a model folder, in transformers' layout or Sesame's, as a Shape and its entries."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from local_engine.csm.loading.config import FLAVOURS, read_codec, read_sesame, read_shape
from local_engine.csm.loading.entries import CODEC, Entries, Entry, in_files
from local_engine.csm.loading.errors import CheckpointError, ConfigError
from local_engine.csm.loading.fields import Json, read_json, table
from local_engine.csm.loading.names import flat, from_moshi, from_sesame, is_moshi, is_sesame
from local_engine.csm.shape import Shape, Stack

WHOLE = "model.safetensors"
PICKLED = "ckpt.pt"
# From memory: the second is what sesame/csm-1b on the hub calls it. Its model.safetensors is in
# Sesame's own layout, beside a config.json in both, whose `transformers_weights` names the index.
_INDEXES = ("model.safetensors.index.json", "transformers.safetensors.index.json")
_MOSHI_FILES = "tokenizer-*.safetensors"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model whose tensors are not read yet, under the names of transformers' files."""

    shape: Shape
    entries: Entries
    codec_config: Json
    """The codec's config.json, of which transformers' MimiModel can be built."""


@dataclass(frozen=True, slots=True)
class CodecFiles:
    """Mimi by itself: its config.json (empty: the real one's) and its files."""

    config: Json
    paths: tuple[Path, ...]


def weight_files(folder: Path, config: Json) -> tuple[str, ...]:
    """Say which files hold the weights, as far as what is in the folder already tells."""
    named = config.get("transformers_weights")
    indexes = (*((named,) if isinstance(named, str) else ()), *_INDEXES)
    for name in map(_plain, indexes):
        if name.endswith(".safetensors"):
            return (name,)
        if (folder / name).is_file():
            return _shards(folder / name)
    return (WHOLE,)


def needs_codec(folder: Path, config: Json) -> bool:
    """Whether the weights come without a codec: Sesame's layout."""
    return "depth_decoder_config" not in config or is_sesame(_weights(folder, config))


def read_folder(
    folder: Path, codec: CodecFiles | None, flavours: Mapping[str, Stack] = FLAVOURS
) -> Checkpoint:
    """Read a folder of either layout; ConfigError and CheckpointError say what is wrong with it."""
    config = read_json(folder / "config.json")
    if not {"depth_decoder_config", "backbone_flavor"} & config.keys():
        raise ConfigError(f"{folder} holds no CSM: its config.json has no depth_decoder_config")
    entries = _weights(folder, config)
    if "depth_decoder_config" in config and not is_sesame(entries):
        return Checkpoint(read_shape(config), flat(entries), table(config, "codec_config"))
    if codec is None:
        raise ConfigError(
            f"{folder} is in Sesame's layout and brings no codec: name one as codec_source, the "
            "hub's kyutai/mimi or a folder or file of Mimi"
        )
    return _read_sesame(config, entries, codec, flavours)


def codec_files(source: Path) -> CodecFiles:
    """Find Mimi: transformers' folder, Kyutai's own file, or a folder with that file in it."""
    if source.is_file():
        return CodecFiles(_mimi_config(source.parent), (source,))
    config = _mimi_config(source)
    if config and (source / WHOLE).is_file():
        return CodecFiles(config, (source / WHOLE,))
    if found := sorted(source.glob(_MOSHI_FILES)):
        return CodecFiles(config, (found[0],))
    raise CheckpointError(f"{source} holds no Mimi: neither {WHOLE} nor {_MOSHI_FILES}")


def _read_sesame(
    config: Json, entries: Entries, codec: CodecFiles, flavours: Mapping[str, Stack]
) -> Checkpoint:
    shape = _sesame_shape(config, codec, flavours)
    found: Mapping[str, Entry] = in_files(codec.paths)
    if is_moshi(found):
        found = from_moshi(found, shape.codec)
    mimi = flat({CODEC + name.removeprefix(CODEC): entry for name, entry in found.items()})
    return Checkpoint(shape, from_sesame(entries, shape) | mimi, codec.config)


def _sesame_shape(config: Json, codec: CodecFiles, flavours: Mapping[str, Stack]) -> Shape:
    """Read either kind of config.json: Sesame's repository has one file that is both."""
    if "depth_decoder_config" in config:
        shape = read_shape(config)
        return replace(shape, codec=read_codec(codec.config, shape.codebooks))
    flavoured = read_sesame(config, flavours)
    return flavoured.shape(read_codec(codec.config, flavoured.codebooks))


def _weights(folder: Path, config: Json) -> dict[str, Entry]:
    names = weight_files(folder, config)
    if names == (WHOLE,) and not (folder / WHOLE).exists() and (folder / PICKLED).exists():
        names = (PICKLED,)
    return in_files([folder / name for name in names])


def _shards(index: Path) -> tuple[str, ...]:
    files = table(read_json(index), "weight_map").values()
    return tuple(sorted({_plain(name) for name in files}))


def _mimi_config(folder: Path) -> Json:
    """Give the config.json beside it if it is Mimi's; Kyutai's repositories have their own."""
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    return config if config.get("model_type") == "mimi" else {}


def _plain(name: object) -> str:
    """Refuse a file name that leads out of the folder."""
    if not isinstance(name, str) or not name or name != Path(name).name:
        raise ConfigError(f"{name!r} is not the name of a file in the model's folder")
    return name
