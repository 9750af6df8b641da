"""The layers of a transformer, one after the other; how they attend is the caller's."""

from collections.abc import Callable

from torch import Tensor

from local_engine.csm.model.kernels import Kernels
from local_engine.csm.model.weights import StackWeights

Attend = Callable[[int, Tensor], Tensor]
"""Of a layer's number and its qkv [..., (heads + 2 * kv_heads) * head_size]; gives
[..., heads * head_size]."""


def run_stack(
    x: Tensor, weights: StackWeights, epsilon: float, kernels: Kernels, attend: Attend
) -> Tensor:
    """From embedded [..., width] to hidden [..., width], the last norm included."""
    norms = [layer.attention_norm for layer in weights.layers[1:]] + [weights.norm]
    normed = kernels.norm(x, weights.layers[0].attention_norm, epsilon)
    for number, (layer, norm) in enumerate(zip(weights.layers, norms, strict=True)):
        found = attend(number, kernels.multiply(normed, layer.qkv))
        told = kernels.multiply(found, layer.out)
        x, normed = kernels.add_norm(x, told, layer.ffn_norm, epsilon)
        made = kernels.swiglu(kernels.multiply(normed, layer.gate_up))
        x, normed = kernels.add_norm(x, kernels.multiply(made, layer.down), norm, epsilon)
    return normed
