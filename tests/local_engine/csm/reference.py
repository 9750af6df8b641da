"""Small CSM models of transformers, seeded: what ours is held against."""

from dataclasses import dataclass, replace

import torch
from torch import nn
from transformers import CsmConfig, CsmForConditionalGeneration

from local_engine.csm.loading.assemble import assemble
from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.names import flat
from local_engine.csm.model.weights import Weights
from local_engine.csm.shape import Shape


@dataclass(frozen=True, slots=True)
class Small:
    """The measurements that tests vary; a frame has 96 samples."""

    seed: int = 0
    codebooks: int = 4
    codes: int = 67
    width: int = 64
    layers: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 16
    depth_width: int = 32
    depth_layers: int = 2
    depth_heads: int = 4
    depth_kv_heads: int = 1
    depth_head_size: int = 16
    text_vocabulary: int = 300
    longest: int = 256
    window: int = 12


SMALL = Small()


def small_reference(small: Small = SMALL) -> CsmForConditionalGeneration:
    """One with its tables tied and its reserved codes never likeliest, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(small.seed)
        model = CsmForConditionalGeneration(small_config(small))
        for parameter in model.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.3)
        table = model.depth_decoder.model.embed_tokens.weight
        model.backbone_model.embed_tokens.embed_audio_tokens.weight = table
        reserved = slice(small.codes - 3, small.codes)
        with torch.no_grad():
            model.lm_head.weight[reserved] = 0
            model.depth_decoder.codebooks_head.weight[:, :, reserved] = 0
            for name, buffer in model.codec_model.named_buffers():
                if name.endswith("embed_sum"):
                    buffer.normal_()
                elif name.endswith("cluster_usage"):
                    buffer.fill_(1)
    return model.eval()


def small_weights(small: Small = SMALL) -> tuple[CsmForConditionalGeneration, Shape, Weights]:
    """The reference, and the same model as ours."""
    reference = small_reference(small)
    shape = read_shape(reference.config.to_dict())
    return reference, shape, assemble(flat(reference.state_dict()), shape)


def small_config(small: Small) -> CsmConfig:
    rope = {"rope_theta": 500_000.0, "factor": 32.0, "rope_type": "llama3"}
    low, high = "low_freq_factor", "high_freq_factor"
    original = "original_max_position_embeddings"
    depth = {
        "num_codebooks": small.codebooks,
        "backbone_hidden_size": small.width,
        "vocab_size": small.codes,
        "hidden_size": small.depth_width,
        "intermediate_size": 2 * small.depth_width,
        "num_hidden_layers": small.depth_layers,
        "num_attention_heads": small.depth_heads,
        "num_key_value_heads": small.depth_kv_heads,
        "head_dim": small.depth_head_size,
        "max_position_embeddings": small.codebooks + 1,
        "rope_parameters": {**rope, low: 0.001953125, high: 0.0078125, original: 16},
    }
    codec = {
        "hidden_size": 32,
        "num_filters": 4,
        "upsampling_ratios": [4, 3, 2, 2],
        "codebook_size": small.codes - 3,
        "codebook_dim": 16,
        "vector_quantization_hidden_dimension": 16,
        "num_quantizers": small.codebooks,
        "upsample_groups": 32,
        "num_hidden_layers": 2,
        "intermediate_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "head_dim": 8,
        "sliding_window": small.window,
        "model_type": "mimi",
    }
    return CsmConfig(
        num_codebooks=small.codebooks,
        vocab_size=small.codes,
        text_vocab_size=small.text_vocabulary,
        hidden_size=small.width,
        intermediate_size=2 * small.width,
        num_hidden_layers=small.layers,
        num_attention_heads=small.heads,
        num_key_value_heads=small.kv_heads,
        head_dim=small.head_size,
        max_position_embeddings=small.longest,
        pad_token_id=259,
        codebook_pad_token_id=small.codes - 1,
        codebook_eos_token_id=0,
        bos_token_id=256,
        eos_token_id=257,
        audio_token_id=258,
        audio_eos_token_id=260,
        rope_parameters={**rope, low: 0.125, high: 0.5, original: 64},
        depth_decoder_config=depth,
        codec_config=codec,
    )


__all__ = ["SMALL", "Small", "replace", "small_reference", "small_weights"]
