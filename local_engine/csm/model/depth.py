"""The depth decoder: the codes of one frame, one codebook after the other, from a hidden.

Its positions are Python numbers: unrolled, so that a CUDA graph holds the whole frame.
"""

import torch
from torch import Tensor
from torch.nn.functional import embedding, linear

from local_engine.csm.model.attention import Cache
from local_engine.csm.model.network import Network
from local_engine.csm.model.sampler import Choice
from local_engine.csm.model.stack import run_stack


def sample_frame(
    network: Network, hidden: Tensor, choice: Choice, scratch: Cache, ranks: int
) -> Tensor:
    """Draw a frame's codes, int64 [rows, codebooks], from the backbone's hidden [rows, width].

    `scratch` has a leading dimension of depth layers, and rows for slots; it is overwritten.
    """
    sample = network.kernels.sample
    codes = [sample(first_logits(network, hidden), choice, 0, ranks)]
    begin = linear(hidden, network.weights.projector)
    x = torch.stack((begin, embed_code(network, codes[0], 0)), dim=1)
    for codebook in range(1, network.shape.codebooks):
        logits = depth_logits(network, x, scratch, codebook)
        codes.append(sample(logits, choice, codebook, ranks))
        x = embed_code(network, codes[codebook], codebook)[:, None]
    return torch.stack(codes, dim=1)


def first_logits(network: Network, hidden: Tensor) -> Tensor:
    """[rows, codes] of codebook 0."""
    return linear(hidden, network.weights.first_head)


def embed_code(network: Network, codes: Tensor, codebook: int) -> Tensor:
    """[rows] codes of a codebook to [rows, depth.width]."""
    found = codes + codebook * network.shape.codes
    if network.depth_table is not None:
        return embedding(found, network.depth_table)
    return linear(embedding(found, network.weights.audio_table), network.weights.projector)


def depth_logits(network: Network, x: Tensor, scratch: Cache, codebook: int) -> Tensor:
    """[rows, codes] of a codebook above 0; x [rows, positions, depth.width] ends at its position.

    Position 0 is the backbone's hidden, position n the code of codebook n - 1.
    """
    stack, end = network.shape.depth, codebook + 1
    kernels = network.kernels

    def attend_layer(number: int, qkv: Tensor) -> Tensor:
        cache = Cache(scratch.k[number], scratch.v[number])
        return kernels.attend_frame(qkv, network.depth_rope, cache, end)

    depth = network.weights.depth
    found = run_stack(x, depth, stack.norm_epsilon, kernels, attend_layer)
    return found[:, -1] @ network.weights.heads[codebook - 1]
