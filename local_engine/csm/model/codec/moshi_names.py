"""Mimi's tensors from the names and orders of transformers' files to those of the package moshi."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape

_RENAMED = [
    (r"^(encoder|decoder)\.layers\.(.*)\.conv\.(weight|bias)$", r"\1.model.\2.conv.conv.\3"),
    (r"^downsample\.conv\.", "downsample.conv.conv.conv."),
    (r"^upsample\.conv\.", "upsample.convtr.convtr.convtr."),
    (r"^(encoder|decoder)_transformer\.", r"\1_transformer.transformer."),
    (r"\.self_attn\.o_proj\.", ".self_attn.out_projs.0."),
    (r"\.input_layernorm\.", ".norm1."),
    (r"\.post_attention_layernorm\.", ".norm2."),
    (r"\.mlp\.fc([12])\.", r".linear\1."),
    (r"\.self_attn_layer_scale\.", ".layer_scale_1."),
    (r"\.mlp_layer_scale\.", ".layer_scale_2."),
    (r"^quantizer\.semantic_residual_vector_quantizer\.", "quantizer.rvq_first."),
    (r"^quantizer\.acoustic_residual_vector_quantizer\.", "quantizer.rvq_rest."),
    (r"\.layers\.(\d+)\.codebook\.", r".vq.layers.\1._codebook."),
    (r"\._codebook\.embed_sum$", "._codebook.embedding_sum"),
    (r"\._codebook\.initialized$", "._codebook._initialized"),
]
_QUERY = ".self_attn.q_proj.weight"


def moshi_tensors(shape: CodecShape, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename both halves; CodecError where queries come without their keys or values."""
    rules = [_transposed(shape), *_RENAMED]
    left, joined = dict(tensors), {}
    for name in [name for name in tensors if name.endswith(_QUERY)]:
        prefix = name.removesuffix(_QUERY)
        attention = _renamed(f"{prefix}.self_attn.", rules)
        joined[f"{attention}in_projs.0.weight"] = _joined(shape, left, prefix)
    return joined | {_renamed(name, rules): tensor for name, tensor in left.items()}


def _renamed(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, plain in rules:
        name = re.sub(pattern, plain, name)
    return name


def _transposed(shape: CodecShape) -> tuple[str, str]:
    """Find the decoder's transposed convolutions, which files call `conv` like all others."""
    numbers = [str(2 + n * (2 + shape.residual_layers)) for n in range(len(shape.ratios))]
    return rf"^decoder\.layers\.({'|'.join(numbers)})\.conv\.", r"decoder.model.\1.convtr.convtr."


def _joined(shape: CodecShape, left: dict[str, Tensor], prefix: str) -> Tensor:
    try:
        q, k, v = (left.pop(f"{prefix}.self_attn.{part}_proj.weight") for part in "qkv")
    except KeyError as missing:
        raise CodecError(f"codec_model.{missing.args[0]} is missing") from None
    return torch.cat([_in_pairs(q, shape.heads), _in_pairs(k, shape.kv_heads), v])


def _in_pairs(weight: Tensor, heads: int) -> Tensor:
    """Put the two halves that a rotation joins side by side, as moshi has them."""
    return weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).flatten(0, 2)
