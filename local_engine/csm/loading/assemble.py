"""Tensors under the names of transformers' CSM files, joined into Weights; every key is used."""

from collections.abc import Mapping

import torch
from torch import Tensor

from local_engine.csm.loading.entries import CODEC
from local_engine.csm.loading.errors import CheckpointError
from local_engine.csm.loading.expected import BACKBONE_TABLE, DEPTH_TABLE, account, is_spare
from local_engine.csm.model.weights import LayerWeights, StackWeights, Weights
from local_engine.csm.shape import Shape, Stack

__all__ = ["CheckpointError", "assemble", "join"]

Tensors = Mapping[str, Tensor]


def assemble(tensors: Tensors, shape: Shape) -> Weights:
    """Join tensors in memory; CheckpointError tells what is missing, unknown or of wrong shape."""
    account({name: tuple(tensor.shape) for name, tensor in tensors.items()}, shape)
    return join(tensors, shape)


def join(tensors: Tensors, shape: Shape) -> Weights:
    """Join tensors that are accounted for, each taken once, so that they may be read meanwhile."""
    return Weights(
        text_table=tensors["embed_text_tokens.weight"],
        audio_table=_shared_table(tensors),
        backbone=_stack(tensors, "backbone_model.", shape.backbone),
        first_head=tensors["lm_head.weight"],
        projector=tensors["depth_decoder.model.inputs_embeds_projector.weight"],
        depth=_stack(tensors, "depth_decoder.model.", shape.depth),
        heads=tensors["depth_decoder.codebooks_head.weight"],
        codec=_codec(tensors),
    )


def _shared_table(tensors: Tensors) -> Tensor:
    """The one table of both; files have it under either name, or under both."""
    tables = [tensors[name] for name in (DEPTH_TABLE, BACKBONE_TABLE) if name in tensors]
    first, last = tables[0], tables[-1]
    if first is not last and not first.is_meta and not torch.equal(first, last):
        raise CheckpointError(f"{BACKBONE_TABLE} and {DEPTH_TABLE} differ: CSM has one table")
    return first


def _stack(tensors: Tensors, prefix: str, stack: Stack) -> StackWeights:
    layers = tuple(_layer(tensors, f"{prefix}layers.{n}.") for n in range(stack.layers))
    return StackWeights(layers, tensors[f"{prefix}norm.weight"])


def _layer(tensors: Tensors, prefix: str) -> LayerWeights:
    attention, mlp = f"{prefix}self_attn.", f"{prefix}mlp."
    return LayerWeights(
        attention_norm=tensors[f"{prefix}input_layernorm.weight"],
        qkv=torch.cat([tensors[f"{attention}{name}_proj.weight"] for name in "qkv"]),
        out=tensors[f"{attention}o_proj.weight"],
        ffn_norm=tensors[f"{prefix}post_attention_layernorm.weight"],
        gate_up=torch.cat([tensors[f"{mlp}{name}_proj.weight"] for name in ("gate", "up")]),
        down=tensors[f"{mlp}down_proj.weight"],
    )


def _codec(tensors: Tensors) -> dict[str, Tensor]:
    """All that transformers' MimiModel has, `initialized` too, which some files leave out."""
    codec = {
        name.removeprefix(CODEC): tensors[name]
        for name in tensors
        if name.startswith(CODEC) and not is_spare(name)
    }
    for name in [name for name in codec if name.endswith(".embed_sum")]:
        device = codec[name].device
        codec[name.replace("embed_sum", "initialized")] = torch.ones(1, device=device)
    return codec
