"""From codes to the latent of a frame: rows of the codebooks, summed and projected."""

import torch
from torch import Tensor, nn

from local_engine.csm.model.codec.tensors import Tensors
from local_engine.csm.shape import CodecShape

_LEAST_USAGE = 1e-5
"""Below it a cluster's usage counts as this much, in transformers as in moshi."""


class Dequantizer:
    """Codes [B, n, codebooks] become latents [B, n, width].

    The codebooks of each of the two quantizers stand in one table, a bag of rows sums a frame's,
    and one matrix holds both output projections.
    """

    def __init__(self, shape: CodecShape, tensors: Tensors) -> None:
        semantic, acoustic = shape.semantic, shape.codebooks - shape.semantic
        self._semantic = semantic
        self._most = shape.codebook_size - 1
        self._tables = (
            _table(shape, tensors, "semantic", semantic),
            _table(shape, tensors, "acoustic", acoustic),
        )
        self._projection = torch.cat(
            [_projection(shape, tensors, kind) for kind in ("semantic", "acoustic")], dim=1
        )
        starts = [*range(semantic), *range(acoustic)]
        device = self._projection.device
        self._starts = torch.tensor(starts, device=device) * shape.codebook_size

    def __call__(self, codes: Tensor) -> Tensor:
        """Sum and project; the reserved codes of CSM count as the last that the codebook has."""
        rows = (codes.clamp(0, self._most) + self._starts).flatten(0, 1)
        sums = [
            nn.functional.embedding_bag(part, table, mode="sum")
            for part, table in zip(
                (rows[:, : self._semantic], rows[:, self._semantic :]), self._tables, strict=True
            )
        ]
        latents = nn.functional.linear(torch.cat(sums, dim=1), self._projection)
        return latents.view(*codes.shape[:2], -1)


def _table(shape: CodecShape, tensors: Tensors, kind: str, codebooks: int) -> Tensor:
    """Stack the codebooks of one quantizer: [codebooks * codebook_size, codebook_width]."""
    return torch.cat(
        [
            _codebook(
                shape, tensors, f"quantizer.{kind}_residual_vector_quantizer.layers.{n}.codebook."
            )
            for n in range(codebooks)
        ]
    )


def _codebook(shape: CodecShape, tensors: Tensors, prefix: str) -> Tensor:
    total = tensors.take(f"{prefix}embed_sum", shape.codebook_size, shape.codebook_width)
    usage = tensors.take(f"{prefix}cluster_usage", shape.codebook_size)
    return total / usage.clamp(min=_LEAST_USAGE)[:, None]


def _projection(shape: CodecShape, tensors: Tensors, kind: str) -> Tensor:
    name = f"quantizer.{kind}_residual_vector_quantizer.output_proj.weight"
    return tensors.take(name, shape.width, shape.codebook_width, 1).squeeze(2)
