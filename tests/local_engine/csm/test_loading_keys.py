"""Every key of a checkpoint is accounted for, at the real size too."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from reference import small_reference
from torch import Tensor
from transformers import CsmConfig, CsmForConditionalGeneration

from local_engine.csm.loading.assemble import assemble
from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.entries import held
from local_engine.csm.loading.errors import CheckpointError
from local_engine.csm.loading.expected import account, expected, expected_codec, is_spare
from local_engine.csm.loading.names import flat, from_moshi
from local_engine.csm.model.weights import StackWeights
from local_engine.csm.shape import Rope, Shape

LLAMA3 = {"rope_type": "llama3", "rope_theta": 500_000.0, "factor": 32.0}
BACKBONE_ROPE = LLAMA3 | {
    "low_freq_factor": 0.125,
    "high_freq_factor": 0.5,
    "original_max_position_embeddings": 1024,
}
DEPTH_ROPE = LLAMA3 | {
    "low_freq_factor": 0.001953125,
    "high_freq_factor": 0.0078125,
    "original_max_position_embeddings": 16,
}
BACKBONE_TABLE = "backbone_model.embed_tokens.embed_audio_tokens.weight"
DEPTH_TABLE = "depth_decoder.model.embed_tokens.weight"


@pytest.fixture(scope="module")
def real() -> tuple[Shape, dict[str, Tensor]]:
    """transformers' model of the real size, without memory."""
    config = CsmConfig(
        rope_parameters=BACKBONE_ROPE, depth_decoder_config={"rope_parameters": DEPTH_ROPE}
    )
    with torch.device("meta"):
        model = CsmForConditionalGeneration(config)
    return read_shape(config.to_dict()), flat(model.state_dict())


@pytest.fixture(scope="module")
def small() -> tuple[Shape, dict[str, Tensor]]:
    model = small_reference()
    return read_shape(model.config.to_dict()), flat(model.state_dict())


def test_the_real_model_is_accounted_for(real: tuple[Shape, dict[str, Tensor]]) -> None:
    shape, tensors = real
    weights = assemble(tensors, shape)
    assert {name for name, _ in expected(shape)} == {n for n in tensors if not is_spare(n)}
    assert len(weights.codec) == sum(name.startswith("codec_model.") for name in tensors)


def test_the_real_model_has_the_published_number_of_parameters(
    real: tuple[Shape, dict[str, Tensor]],
) -> None:
    shape, tensors = real
    weights = assemble(tensors, shape)
    millions = {
        "backbone": _stack_size(weights.backbone),
        "depth": _stack_size(weights.depth),
        "heads": weights.heads.numel(),
        "projector": weights.projector.numel(),
        "first_head": weights.first_head.numel(),
        "audio_table": weights.audio_table.numel(),
        "text_table": weights.text_table.numel(),
    }
    assert {part: round(size / 1e6, 1) for part, size in millions.items()} == {
        "backbone": 973.1,
        "depth": 111.2,
        "heads": 65.1,
        "projector": 2.1,
        "first_head": 4.2,
        "audio_table": 134.4,
        "text_table": 262.7,
    }
    assert round(sum(millions.values()) / 1e9, 3) == 1.553


def test_the_decoder_half_of_mimi_has_the_published_number_of_parameters(
    real: tuple[Shape, dict[str, Tensor]],
) -> None:
    codec = assemble(real[1], real[0]).codec
    assert _millions(codec, "decoder_transformer.") == 25.2
    assert _millions(codec, "decoder.") == 14.7
    assert round(sum(t.numel() for n, t in codec.items() if "embed_sum" in n) / 1e6, 1) == 16.8


def test_the_real_shape_is_read(real: tuple[Shape, dict[str, Tensor]]) -> None:
    shape = real[0]
    assert (shape.codebooks, shape.codes, shape.longest, shape.frame_samples) == (
        32,
        2051,
        2048,
        1920,
    )
    assert (shape.bos, shape.eos, shape.text_vocabulary) == (128_000, 128_001, 128_256)
    assert shape.backbone.rope == Rope(500_000, 32, 0.125, 0.5, 1024)
    assert shape.depth.rope == Rope(500_000, 32, 0.001953125, 0.0078125, 16)


def test_kyutais_own_file_of_mimi_has_the_same_keys(real: tuple[Shape, dict[str, Tensor]]) -> None:
    loaders = pytest.importorskip("moshi.models.loaders")
    codec = real[0].codec
    with torch.device("meta"):
        mimi = loaders.get_mimi(None, device="meta", num_codebooks=32)
    found = from_moshi(held(mimi.state_dict()), codec)
    sizes = {n: e.shape for n, e in found.items() if not is_spare(f"codec_model.{n}")}
    assert sizes == dict(expected_codec(codec))


def test_keys_are_joined_in_order(small: tuple[Shape, dict[str, Tensor]]) -> None:
    shape, tensors = small
    layer = assemble(tensors, shape).backbone.layers[1]
    prefix = "backbone_model.layers.1."
    parts = [tensors[f"{prefix}self_attn.{name}_proj.weight"] for name in "qkv"]
    assert torch.equal(layer.qkv, torch.cat(parts))
    gate = tensors[f"{prefix}mlp.gate_proj.weight"]
    assert torch.equal(layer.gate_up[: shape.backbone.ffn], gate)


@pytest.mark.parametrize("absent", [BACKBONE_TABLE, DEPTH_TABLE])
def test_the_shared_table_may_have_either_name(
    small: tuple[Shape, dict[str, Tensor]], absent: str
) -> None:
    shape, tensors = small
    one = {name: tensor for name, tensor in tensors.items() if name != absent}
    assert torch.equal(assemble(one, shape).audio_table, tensors[absent])


def test_without_the_shared_table_it_is_named(small: tuple[Shape, dict[str, Tensor]]) -> None:
    shape, tensors = small
    none = {n: t for n, t in tensors.items() if n not in {BACKBONE_TABLE, DEPTH_TABLE}}
    with pytest.raises(CheckpointError, match=rf"{DEPTH_TABLE} \[268, 64\] is missing"):
        assemble(none, shape)


def test_two_tables_that_differ_are_refused(small: tuple[Shape, dict[str, Tensor]]) -> None:
    shape, tensors = small
    with pytest.raises(CheckpointError, match="differ"):
        assemble(tensors | {BACKBONE_TABLE: tensors[DEPTH_TABLE] + 1}, shape)


def test_a_missing_key_is_named(small: tuple[Shape, dict[str, Tensor]]) -> None:
    shape, tensors = small
    for name in ("lm_head.weight", "codec_model.encoder.layers.0.conv.bias"):
        rest = {key: tensor for key, tensor in tensors.items() if key != name}
        with pytest.raises(CheckpointError, match=rf"{name} \[.*\] is missing"):
            assemble(rest, shape)


def test_an_unknown_key_is_named_and_the_others_counted(
    small: tuple[Shape, dict[str, Tensor]],
) -> None:
    shape, tensors = small
    more = tensors | {"backbone_model.layers.2.lora.weight": torch.zeros(2, 3), "z": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"2\.lora\.weight \[2, 3\] is not known, and 1 oth"):
        assemble(more, shape)


def test_a_wrong_shape_is_told_with_the_right_one(small: tuple[Shape, dict[str, Tensor]]) -> None:
    shape, tensors = small
    with pytest.raises(CheckpointError, match=r"lm_head\.weight has shape \[2, 2\], .* \[67, 64\]"):
        assemble(tensors | {"lm_head.weight": torch.zeros(2, 2)}, shape)


def test_what_some_versions_write_besides_is_known_and_left_out(
    small: tuple[Shape, dict[str, Tensor]],
) -> None:
    shape, tensors = small
    spare = {
        "backbone_model.rotary_emb.inv_freq": torch.zeros(8),
        "backbone_model.embed_tokens.audio_tokens_offsets": torch.zeros(4),
        "codec_model.encoder.layers.0.padding_total": torch.zeros(()),
    }
    weights = assemble(tensors | spare, shape)
    assert "encoder.layers.0.padding_total" not in weights.codec


def test_codebooks_that_the_model_does_not_speak_with_are_kept_for_the_encoder(
    small: tuple[Shape, dict[str, Tensor]],
) -> None:
    shape, tensors = small
    fewer = replace(shape.codec, codebooks=2)
    account(
        {name: tuple(tensor.shape) for name, tensor in tensors.items()}, replace(shape, codec=fewer)
    )


def test_a_codec_without_its_initialized_marks_gets_them(
    small: tuple[Shape, dict[str, Tensor]],
) -> None:
    shape, tensors = small
    bare = {name: tensor for name, tensor in tensors.items() if "initialized" not in name}
    codec = assemble(bare, shape).codec
    assert codec.keys() == assemble(tensors, shape).codec.keys()


def _stack_size(stack: StackWeights) -> int:
    layers = (
        (layer.attention_norm, layer.qkv, layer.out, layer.ffn_norm, layer.gate_up, layer.down)
        for layer in stack.layers
    )
    return stack.norm.numel() + sum(tensor.numel() for layer in layers for tensor in layer)


def _millions(codec: Mapping[str, Tensor], prefix: str) -> float:
    size = sum(tensor.numel() for name, tensor in codec.items() if name.startswith(prefix))
    return round(size / 1e6, 1)
