"""Tensors under the names of transformers' CSM files, joined into Weights; every key is used."""

from collections.abc import Mapping

import torch
from torch import Tensor

from local_engine.csm.model.weights import LayerWeights, StackWeights, Weights
from local_engine.csm.shape import Shape, Stack

_BACKBONE_TABLE = "backbone_model.embed_tokens.embed_audio_tokens.weight"
_DEPTH_TABLE = "depth_decoder.model.embed_tokens.weight"
_CODEC = "codec_model."


class CheckpointError(Exception):
    """A checkpoint that does not hold what its config.json promises, and which keys."""


def assemble(tensors: Mapping[str, Tensor], shape: Shape) -> Weights:
    """Join them, each checked for its shape; CheckpointError tells what is missing or too much."""
    left = dict(tensors)
    tables = [left.pop(name) for name in (_DEPTH_TABLE, _BACKBONE_TABLE) if name in left]
    if not tables:
        raise CheckpointError(f"{_DEPTH_TABLE} is missing")
    codec = {
        name.removeprefix(_CODEC): left.pop(name) for name in tensors if name.startswith(_CODEC)
    }
    weights = Weights(
        text_table=_take(left, "embed_text_tokens.weight"),
        audio_table=tables[0],
        backbone=_stack(left, "backbone_model.", shape.backbone),
        first_head=_take(left, "lm_head.weight"),
        projector=_take(left, "depth_decoder.model.inputs_embeds_projector.weight"),
        depth=_stack(left, "depth_decoder.model.", shape.depth),
        heads=_take(left, "depth_decoder.codebooks_head.weight"),
        codec=codec,
    )
    if left:
        raise CheckpointError(f"{len(left)} keys are not known, among them {min(left)}")
    return weights


def _stack(left: dict[str, Tensor], prefix: str, stack: Stack) -> StackWeights:
    layers = tuple(_layer(left, f"{prefix}layers.{n}.") for n in range(stack.layers))
    return StackWeights(layers, _take(left, f"{prefix}norm.weight"))


def _layer(left: dict[str, Tensor], prefix: str) -> LayerWeights:
    attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
    return LayerWeights(
        attention_norm=_take(left, f"{prefix}input_layernorm.weight"),
        qkv=torch.cat([_take(left, f"{attention}{name}_proj.weight") for name in "qkv"]),
        out=_take(left, f"{attention}o_proj.weight"),
        ffn_norm=_take(left, f"{prefix}post_attention_layernorm.weight"),
        gate_up=torch.cat([_take(left, f"{mlp}{name}_proj.weight") for name in ("gate", "up")]),
        down=_take(left, f"{mlp}down_proj.weight"),
    )


def _take(left: dict[str, Tensor], name: str) -> Tensor:
    try:
        return left.pop(name)
    except KeyError:
        raise CheckpointError(f"{name} is missing") from None
