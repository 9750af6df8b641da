"""The weights of a loaded model, each with its shape; the rows of a matrix are its outputs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import Tensor

from local_engine.csm.model.fp8 import Matrix, to_fp8


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """One layer of a Stack. Queries and keys are in rotate-half order, as in transformers."""

    attention_norm: Tensor
    """[width]"""
    qkv: Matrix
    """[(heads + 2 * kv_heads) * head_size, width]: queries, keys, values"""
    out: Matrix
    """[width, heads * head_size]"""
    ffn_norm: Tensor
    """[width]"""
    gate_up: Matrix
    """[2 * ffn, width]: gate, up"""
    down: Matrix
    """[width, ffn]"""


@dataclass(frozen=True, slots=True)
class StackWeights:
    """A transformer, and the norm after its last layer ([width])."""

    layers: tuple[LayerWeights, ...]
    norm: Tensor


@dataclass(frozen=True, slots=True)
class Weights:
    """A CSM model. Everything is on one device and of one type, the codec's always float32."""

    text_table: Tensor
    """[text_vocabulary, backbone.width]"""
    audio_table: Tensor
    """[codebooks * codes, backbone.width], shared by backbone and depth decoder"""
    backbone: StackWeights
    first_head: Tensor
    """[codes, backbone.width]: logits of codebook 0"""
    projector: Tensor
    """[depth.width, backbone.width]"""
    depth: StackWeights
    heads: Tensor
    """[codebooks - 1, depth.width, codes]: logits of codebook k are hidden @ heads[k - 1]"""
    codec: Mapping[str, Tensor]
    """Mimi, both halves, by the names of transformers' files without `codec_model.`"""


def with_fp8_depth(weights: Weights) -> Weights:
    """Give the same model with the matrices of the depth decoder's layers in fp8.

    They are read once per codebook: the most bytes of a frame. The heads stay as they are.
    """
    layers = tuple(_in_fp8(layer) for layer in weights.depth.layers)
    return replace(weights, depth=replace(weights.depth, layers=layers))


def _in_fp8(layer: LayerWeights) -> LayerWeights:
    return replace(
        layer,
        qkv=_matrix(layer.qkv),
        out=_matrix(layer.out),
        gate_up=_matrix(layer.gate_up),
        down=_matrix(layer.down),
    )


def _matrix(matrix: Matrix) -> Matrix:
    return to_fp8(matrix) if isinstance(matrix, Tensor) else matrix
