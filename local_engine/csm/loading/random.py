"""Models that no one trained: every tensor drawn where and as it will lie, when it is asked for.

Speed does not depend on values, so that a model of any size can be measured without its files.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from zlib import crc32

import torch
from torch import Tensor

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.entries import CODEC, Entry
from local_engine.csm.loading.expected import BACKBONE_TABLE, expected
from local_engine.csm.loading.fields import Json, table
from local_engine.csm.loading.layout import Checkpoint
from local_engine.csm.shape import Shape

_LOUDNESS = 0.15
"""Of the last convolution, so that the noise peaks well below 1 and is far from silence."""

_LLAMA3 = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0}
BACKBONE_ROPE: Json = _LLAMA3 | {
    "low_freq_factor": 0.125,
    "high_freq_factor": 0.5,
    "original_max_position_embeddings": 1024,
}
DEPTH_ROPE: Json = _LLAMA3 | {
    "low_freq_factor": 0.001953125,
    "high_freq_factor": 0.0078125,
    "original_max_position_embeddings": 16,
}
REAL_CONFIG: Mapping[str, object] = {
    "num_codebooks": 32,
    "vocab_size": 2051,
    "text_vocab_size": 128_256,
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 2048,
    "bos_token_id": 128_000,
    "eos_token_id": 128_001,
    "rope_parameters": BACKBONE_ROPE,
    "depth_decoder_config": {
        "num_codebooks": 32,
        "vocab_size": 2051,
        "backbone_hidden_size": 2048,
        "hidden_size": 1024,
        "intermediate_size": 8192,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "max_position_embeddings": 33,
        "rope_parameters": DEPTH_ROPE,
    },
    "codec_config": {"model_type": "mimi", "num_quantizers": 32},
}
"""CSM-1B, as transformers' CsmConfig has it by default; held against that in tests."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Where, as what and from which seed tensors are drawn."""

    device: torch.device
    dtype: torch.dtype
    seed: int


def random_checkpoint(
    config: Json, device: torch.device | str, dtype: torch.dtype, seed: int
) -> Checkpoint:
    """Give a model of this config.json. A tensor's values depend on its name and the seed only.

    The codec is drawn in float32 whatever `dtype` is; a GPU draws other values than a CPU.
    """
    shape = read_shape(config)
    place = _Place(torch.device(device), dtype, seed)
    last = f"{CODEC}decoder.layers.{3 * len(shape.codec.ratios) + 2}.conv.weight"
    entries = {
        name: Entry(size, partial(_drawn, name, size, place, _damping(name, last, shape)))
        for name, size in expected(shape)
        if name != BACKBONE_TABLE  # a file of the hub has the shared table once, too
    }
    return Checkpoint(shape, entries, table(config, "codec_config"))


@dataclass(frozen=True, slots=True)
class _Damping:
    """What is done to a drawn tensor: all of it is scaled, its last outputs are silenced."""

    scale: float = 1.0
    silent_rows: int = 0
    silent_columns: int = 0


def _damping(name: str, last: str, shape: Shape) -> _Damping:
    """Reserved codes are never likely; the last convolution is not too loud."""
    reserved = shape.codes - shape.codec.codebook_size
    if name == "lm_head.weight":
        return _Damping(silent_rows=reserved)
    if name == "depth_decoder.codebooks_head.weight":
        return _Damping(silent_columns=reserved)
    return _Damping(scale=_LOUDNESS) if name == last else _Damping()


def _drawn(name: str, size: tuple[int, ...], place: _Place, damping: _Damping) -> Tensor:
    values = _values(name, size, place).mul_(damping.scale)
    values[len(values) - damping.silent_rows :] = 0
    values[..., size[-1] - damping.silent_columns :] = 0
    return values


def _values(name: str, size: tuple[int, ...], place: _Place) -> Tensor:
    """Draw what keeps the variance of what passes through; norms and scales pass it as it is."""
    device = place.device
    dtype = torch.float32 if name.startswith(CODEC) else place.dtype
    if name.endswith(("norm.weight", "cluster_usage", "layer_scale.scale")):
        return torch.ones(size, device=device, dtype=dtype)
    if name.endswith(".bias"):
        return torch.zeros(size, device=device, dtype=dtype)
    draw = torch.Generator(device).manual_seed((place.seed << 32) + crc32(name.encode()))
    values = torch.randn(size, generator=draw, device=device, dtype=dtype)
    if name.endswith(("embed_sum", "embed_text_tokens.weight", "embed_tokens.weight")):
        return values
    return values.div_(math.sqrt(_inputs(name, size)))


def _inputs(name: str, size: tuple[int, ...]) -> int:
    """Over how many values one output of this tensor sums."""
    if name.endswith("codebooks_head.weight"):
        return size[1]
    if name.endswith("upsample.conv.weight"):
        return 2  # each channel on its own, two steps of its kernel at a time
    return int(torch.Size(size[1:]).numel())
