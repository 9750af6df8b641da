"""Inverse frequencies and angles are transformers', bit for bit."""

import pytest
import torch
from driving import small_network
from reference import SMALL, Small, small_config
from transformers import CsmConfig
from transformers.models.csm.modeling_csm import CsmRotaryEmbedding

from local_engine.csm.loading.config import read_shape
from local_engine.csm.model.rope import frequencies, rope_table
from local_engine.csm.shape import Rope

REAL = CsmConfig()


@pytest.mark.parametrize(
    "config",
    [small_config(SMALL), small_config(Small(head_size=24, depth_head_size=12)), REAL],
    ids=["small", "odd heads", "real"],
)
def test_llama3_frequencies_are_equal(config: CsmConfig) -> None:
    shape = read_shape(config.to_dict())
    for stack, theirs in ((shape.backbone, config), (shape.depth, config.depth_decoder_config)):
        expected = CsmRotaryEmbedding(theirs).inv_freq
        assert torch.equal(frequencies(stack.rope, stack.head_size), expected)


def test_plain_frequencies_are_equal() -> None:
    config = small_config(SMALL)
    config.rope_parameters = {"rope_type": "default", "rope_theta": 10_000.0}
    expected = CsmRotaryEmbedding(config).inv_freq
    assert torch.equal(frequencies(Rope(10_000.0), SMALL.head_size), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tables_hold_every_position_in_the_models_type(dtype: torch.dtype) -> None:
    config = small_config(SMALL)
    like = torch.zeros(1, dtype=dtype)
    positions = torch.arange(SMALL.longest)[None]
    cos, sin = CsmRotaryEmbedding(config)(like, position_ids=positions)
    rope = read_shape(config.to_dict()).backbone.rope
    table = rope_table(rope, SMALL.head_size, SMALL.longest, like)
    assert table.cos.dtype == dtype
    assert torch.equal(table.cos, cos[0])
    assert torch.equal(table.sin, sin[0])


def test_the_depth_decoder_has_a_position_for_each_codebook() -> None:
    network = small_network()
    assert network.depth_rope.cos.shape == (SMALL.codebooks, SMALL.depth_head_size)
    assert network.longest == SMALL.longest
