"""A model ready to compute: its weights, its shape, and the tables made from them once."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import linear

from local_engine.csm.model.kernels import TORCH, Kernels
from local_engine.csm.model.rope import RopeTable, rope_table
from local_engine.csm.model.weights import Weights
from local_engine.csm.shape import Shape


@dataclass(frozen=True, slots=True)
class Network:
    """Everything of a step that never changes."""

    shape: Shape
    weights: Weights
    backbone_rope: RopeTable
    """Of the positions of a slot."""
    depth_rope: RopeTable
    """Of the positions of a frame, one for each codebook."""
    offsets: Tensor
    """[codebooks]: where the rows of a codebook begin in the audio table."""
    depth_table: Tensor | None
    """[codebooks * codes, depth.width]: the audio table behind the projector, if folded."""
    kernels: Kernels

    @property
    def longest(self) -> int:
        """Positions of a slot."""
        return self.backbone_rope.cos.shape[0]


@torch.inference_mode()
def build_network(
    weights: Weights,
    shape: Shape,
    longest: int,
    kernels: Kernels = TORCH,
    *,
    fold_projector: bool = False,
) -> Network:
    """Make the tables on the weights' device.

    Folding spares a matrix product per codebook and takes codebooks * codes * depth.width more
    memory; in bfloat16 it rounds elsewhere than transformers does.
    """
    table = weights.audio_table
    depth, backbone = shape.depth, shape.backbone
    return Network(
        shape=shape,
        weights=weights,
        backbone_rope=rope_table(backbone.rope, backbone.head_size, longest, table),
        depth_rope=rope_table(depth.rope, depth.head_size, shape.codebooks, table),
        offsets=torch.arange(shape.codebooks, device=table.device) * shape.codes,
        depth_table=linear(table, weights.projector) if fold_projector else None,
        kernels=kernels,
    )
