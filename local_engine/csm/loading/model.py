"""The way from settings to a Model: where its files come from, and on which device it will be."""

from dataclasses import dataclass
from pathlib import Path

import torch

from local_engine.csm.loading.assemble import join
from local_engine.csm.loading.entries import Progress, Unread
from local_engine.csm.loading.errors import LoadError
from local_engine.csm.loading.expected import account, is_spare
from local_engine.csm.loading.fields import Json, read_json
from local_engine.csm.loading.hub import fetch, is_hub_id
from local_engine.csm.loading.layout import (
    PICKLED,
    WHOLE,
    Checkpoint,
    CodecFiles,
    codec_files,
    needs_codec,
    read_folder,
    weight_files,
)
from local_engine.csm.loading.random import REAL_CONFIG, random_checkpoint
from local_engine.csm.loading.tiny import tiny_checkpoint
from local_engine.csm.loading.tokenizer import Tokenizer, byte_tokenizer, read_tokenizer
from local_engine.csm.model.weights import Weights
from local_engine.csm.settings import REAL_RANDOM, TINY_RANDOM, EngineSettings
from local_engine.csm.shape import Shape

_SMALL_FILES = ("config.json", "*.index.json", "tokenizer.json", "prompts/*.wav", "prompts/*.txt")
_MOSHI_FILES = "tokenizer-*.safetensors"


def _tiny(_device: torch.device, _dtype: torch.dtype) -> Checkpoint:
    """Draw it on the CPU in float32 always, so that it speaks alike on every device."""
    return tiny_checkpoint()


def _real(device: torch.device, dtype: torch.dtype) -> Checkpoint:
    return random_checkpoint(REAL_CONFIG, device, dtype, seed=0)


_DRAWN = {TINY_RANDOM: _tiny, REAL_RANDOM: _real}
"""Sources that are no files."""


@dataclass(frozen=True, slots=True)
class Model:
    """A model in memory, ready to be run."""

    name: str
    shape: Shape
    weights: Weights
    codec_config: Json
    """The codec's config.json, of which transformers' MimiModel can be built."""
    tokenizer: Tokenizer
    folder: Path | None
    """Where its files lie, recorded prompts of voices among them; None if it was drawn."""


def load(settings: EngineSettings, progress: Progress) -> Model:
    """Bring the model to its device; LoadError tells an operator why it cannot be.

    Progress is told of `download` and then of `weights`, in bytes.
    """
    device = _device(settings.device)
    dtype = _dtype(settings.dtype, device)
    source = settings.source or settings.name
    folder = None if source in _DRAWN else _folder(source, settings.revision, progress)
    if folder is None:
        checkpoint = _DRAWN[source](device, dtype)
        tokenizer = byte_tokenizer(checkpoint.shape.bos, checkpoint.shape.eos)
    else:
        checkpoint = read_folder(folder, _codec(settings, folder, progress))
        tokenizer = read_tokenizer(_tokenizer(settings, folder, progress), checkpoint.shape)
    return Model(
        name=settings.name,
        shape=checkpoint.shape,
        weights=_weights(checkpoint, device, dtype, progress),
        codec_config=checkpoint.codec_config,
        tokenizer=tokenizer,
        folder=folder,
    )


def _weights(
    checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype, progress: Progress
) -> Weights:
    account({name: entry.shape for name, entry in checkpoint.entries.items()}, checkpoint.shape)
    needed = {n: entry for n, entry in checkpoint.entries.items() if not is_spare(n)}
    unread = Unread(needed, device, dtype, progress)
    try:
        return join(unread, checkpoint.shape)
    except torch.OutOfMemoryError:
        gibibytes = unread.bytes / 2**30
        message = f"{device} has no room for the model's weights, which take {gibibytes:.1f} GiB"
        raise LoadError(message) from None


def _folder(source: str, revision: str | None, progress: Progress) -> Path:
    """Give the model's folder, fetched first where it is the hub's."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if not is_hub_id(source):
        raise LoadError(f"{source!r} is neither a folder nor {' nor '.join(_DRAWN)} nor a hub id")
    folder = fetch(source, revision, _SMALL_FILES, progress)
    names = weight_files(folder, read_json(folder / "config.json"))
    folder = fetch(source, revision, [*_SMALL_FILES, *names], progress)
    if names == (WHOLE,) and not (folder / WHOLE).exists():
        folder = fetch(source, revision, [*_SMALL_FILES, PICKLED], progress)
    return folder


def _codec(settings: EngineSettings, folder: Path, progress: Progress) -> CodecFiles | None:
    """Find the codec of a model that brings none."""
    source = settings.codec_source
    if source is None or not needs_codec(folder, read_json(folder / "config.json")):
        return None
    path = Path(source).expanduser()
    if path.exists():
        return codec_files(path)
    if not is_hub_id(source):
        raise LoadError(f"codec_source {source!r} is neither a folder nor a file nor a hub id")
    found = fetch(source, None, ["config.json", _MOSHI_FILES], progress)
    if not any(found.glob(_MOSHI_FILES)):
        found = fetch(source, None, ["config.json", WHOLE], progress)
    return codec_files(found)


def _tokenizer(settings: EngineSettings, folder: Path, progress: Progress) -> Path:
    source = settings.tokenizer
    if source is None:
        if (path := folder / "tokenizer.json").is_file():
            return path
        raise LoadError(f"{folder} brings no tokenizer.json: name one as tokenizer")
    path = Path(source).expanduser()
    if path.is_dir():
        return path / "tokenizer.json"
    if path.exists() or not is_hub_id(source):
        return path
    return fetch(source, None, ["tokenizer.json"], progress) / "tokenizer.json"


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise LoadError(f"device {name!r} is not known; auto, cpu, cuda and cuda:N are") from None
    if device.type not in {"cpu", "cuda"}:
        raise LoadError(f"device {name!r} is not known; auto, cpu, cuda and cuda:N are")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise LoadError(f"device {name!r} is not here: {torch.cuda.device_count()} CUDA devices")
    return device


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
