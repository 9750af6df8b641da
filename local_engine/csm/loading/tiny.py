"""`tiny-random`: a seeded model made in memory, which babbles and runs the real one's code.

It has no training, so its stop frame comes by chance alone: one frame in 67 to the power of 7.
A clip of it ends by the cap that its text's length sets, or by what the request asked for.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.entries import CODEC, held
from local_engine.csm.loading.expected import BACKBONE_TABLE, expected
from local_engine.csm.loading.layout import Checkpoint

_SEED = 20_240_806
_RESERVED = 3
_LOUDNESS = 0.15
"""Of the last convolution, so that the noise peaks well below 1 and is far from silence."""

_LLAMA3 = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0}
CODEC_CONFIG: Mapping[str, object] = {
    "model_type": "mimi",
    "sampling_rate": 24_000,
    "upsampling_ratios": [8, 6, 5, 4],
    "hidden_size": 32,
    "num_filters": 2,
    "codebook_size": 64,
    "codebook_dim": 16,
    "vector_quantization_hidden_dimension": 16,
    "num_quantizers": 8,
    "upsample_groups": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "sliding_window": 50,
}
"""Mimi's frame of 1920 samples at 24 kHz, so that lengths are as in the real one."""

CONFIG: Mapping[str, object] = {
    "num_codebooks": 8,
    "vocab_size": 64 + _RESERVED,
    "text_vocab_size": 264,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "rope_parameters": _LLAMA3
    | {
        "low_freq_factor": 0.125,
        "high_freq_factor": 0.5,
        "original_max_position_embeddings": 1024,
    },
    "depth_decoder_config": {
        "num_codebooks": 8,
        "vocab_size": 64 + _RESERVED,
        "backbone_hidden_size": 64,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "rope_parameters": _LLAMA3
        | {
            "low_freq_factor": 0.001953125,
            "high_freq_factor": 0.0078125,
            "original_max_position_embeddings": 16,
        },
    },
    "codec_config": CODEC_CONFIG,
}


def tiny_checkpoint() -> Checkpoint:
    """Draw every tensor, float32 on the CPU: the same values at every start."""
    shape = read_shape(CONFIG)
    draw = torch.Generator().manual_seed(_SEED)
    tensors = {
        name: _drawn(name, size, draw)
        for name, size in expected(shape)
        if name != BACKBONE_TABLE  # a file of the hub has the shared table once, too
    }
    tensors["lm_head.weight"][-_RESERVED:] = 0
    tensors["depth_decoder.codebooks_head.weight"][:, :, -_RESERVED:] = 0
    last = f"{CODEC}decoder.layers.{3 * len(shape.codec.ratios) + 2}.conv.weight"
    tensors[last] *= _LOUDNESS
    return Checkpoint(shape, held(tensors), CODEC_CONFIG)


def _drawn(name: str, size: tuple[int, ...], draw: torch.Generator) -> Tensor:
    """Draw what keeps the variance of what passes through; norms and scales pass it as it is."""
    if name.endswith(("norm.weight", "cluster_usage", "layer_scale.scale")):
        return torch.ones(size)
    if name.endswith(".bias"):
        return torch.zeros(size)
    values = torch.randn(size, generator=draw)
    if name.endswith(("embed_sum", "embed_text_tokens.weight", "embed_tokens.weight")):
        return values
    return values / math.sqrt(_inputs(name, size))


def _inputs(name: str, size: tuple[int, ...]) -> int:
    """Over how many values one output of this tensor sums."""
    if name.endswith("codebooks_head.weight"):
        return size[1]
    if name.endswith("upsample.conv.weight"):
        return 2  # each channel on its own, two steps of its kernel at a time
    return int(torch.Size(size[1:]).numel())
