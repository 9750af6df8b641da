"""`tiny-random`: a seeded model made in memory, which babbles and runs the real one's code.

It has no training, so its stop frame comes by chance alone: one frame in 67 to the power of 7.
A clip of it ends by the cap that its text's length sets, or by what the request asked for.
"""

from collections.abc import Mapping

import torch

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.entries import held
from local_engine.csm.loading.layout import Checkpoint
from local_engine.csm.loading.random import BACKBONE_ROPE, DEPTH_ROPE, sketches

_SEED = 20_240_806
_RESERVED = 3

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
    "max_position_embeddings": 2048,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "rope_parameters": BACKBONE_ROPE,
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
        "rope_parameters": DEPTH_ROPE,
    },
    "codec_config": CODEC_CONFIG,
}


def tiny_checkpoint() -> Checkpoint:
    """Draw every tensor, float32 on the CPU: the same values at every start."""
    shape = read_shape(CONFIG)
    draw = torch.Generator().manual_seed(_SEED)
    tensors = {one.name: one.drawn(draw) for one in sketches(shape, torch.float32)}
    return Checkpoint(shape, held(tensors), CODEC_CONFIG)
