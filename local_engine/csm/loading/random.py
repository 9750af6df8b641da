"""Models that no one trained: every tensor drawn where and as it will lie, when it is asked for.

Speed does not depend on values, so that a model of any size can be measured without its files.
"""

import math
from collections.abc import Iterator, Mapping
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
"""CSM-1B: CsmConfig's defaults, and the frequencies that transformers' converter writes."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """One tensor that is to be drawn."""

    name: str
    size: tuple[int, ...]
    dtype: torch.dtype
    """As asked for; the codec is float32 whatever that is."""
    scale: float
    reserved: int
    """Codes at the end, of a head's outputs, that are never likely."""

    def drawn(self, draw: torch.Generator) -> Tensor:
        """Draw it on the generator's device."""
        values = _values(self.name, self.size, self.dtype, draw).mul_(self.scale)
        if self.name == "lm_head.weight":
            values[self.size[0] - self.reserved :] = 0
        if self.name == "depth_decoder.codebooks_head.weight":
            values[..., self.size[-1] - self.reserved :] = 0
        return values


def sketches(shape: Shape, dtype: torch.dtype) -> Iterator[Sketch]:
    """Name every tensor of a model, the shared table once, as a file of the hub has it."""
    last = f"{CODEC}decoder.layers.{3 * len(shape.codec.ratios) + 2}.conv.weight"
    reserved = shape.codes - shape.codec.codebook_size
    for name, size in expected(shape):
        if name != BACKBONE_TABLE:
            kind = torch.float32 if name.startswith(CODEC) else dtype
            yield Sketch(name, size, kind, _LOUDNESS if name == last else 1.0, reserved)


def random_checkpoint(
    config: Json, device: torch.device | str, dtype: torch.dtype, seed: int
) -> Checkpoint:
    """Give a model of this config.json. A tensor's values depend on its name and the seed only.

    The codec is drawn in float32 whatever `dtype` is; a GPU draws other values than a CPU.
    """
    shape = read_shape(config)
    entries = {
        one.name: Entry(one.size, partial(_read, one, torch.device(device), seed))
        for one in sketches(shape, dtype)
    }
    return Checkpoint(shape, entries, table(config, "codec_config"))


def _read(sketch: Sketch, device: torch.device, seed: int) -> Tensor:
    # A CPU generator takes 32 bits of its seed.
    own = crc32(f"{seed} {sketch.name}".encode())
    return sketch.drawn(torch.Generator(device).manual_seed(own))


def _values(name: str, size: tuple[int, ...], dtype: torch.dtype, draw: torch.Generator) -> Tensor:
    """Draw what keeps the variance of what passes through; norms and scales pass it as it is."""
    if name.endswith(("norm.weight", "cluster_usage", "layer_scale.scale")):
        return torch.ones(size, device=draw.device, dtype=dtype)
    if name.endswith(".bias"):
        return torch.zeros(size, device=draw.device, dtype=dtype)
    values = torch.randn(size, generator=draw, device=draw.device, dtype=dtype)
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
