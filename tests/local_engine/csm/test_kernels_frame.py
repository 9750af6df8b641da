"""Whole frames with Triton's kernels: the codes that torch's give, beside NaN that nobody reads."""

from dataclasses import fields, is_dataclass, replace

import torch
from driving import some_text
from interpreted import DEVICE, MARKS
from reference import Small, small_weights
from torch import Tensor

from local_engine.csm.graphs import EagerRecorder, Graphs
from local_engine.csm.kernels import triton_kernels
from local_engine.csm.model.backbone import prefill
from local_engine.csm.model.frame import Bounds, frame_step, new_buffers
from local_engine.csm.model.kernels import TORCH, Kernels
from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.slots import Slots, empty_slots
from local_engine.csm.plan import Plan
from local_engine.csm.prompts import KIND as PROMPTS
from local_engine.csm.prompts import Prompts
from local_engine.csm.running import Prefill, Sampling

pytestmark = MARKS
SMALL = Small(
    seed=6, width=32, layers=1, depth_layers=1, head_size=24, depth_kv_heads=2, longest=96
)
SAMPLINGS = [Sampling(temperature=0), Sampling(temperature=0), Sampling(seed=3, top_k=9)]
LENGTHS = (12, 1, 7)


def placed(held: object) -> object:
    """The same weights on the device."""
    if isinstance(held, Tensor):
        return held.to(DEVICE)
    if isinstance(held, tuple):
        return tuple(placed(part) for part in held)
    if is_dataclass(held):
        return replace(held, **{one.name: placed(getattr(held, one.name)) for one in fields(held)})
    return held


def network_with(kernels: Kernels) -> Network:
    _, shape, weights = small_weights(SMALL)
    return build_network(placed(weights), shape, SMALL.longest, kernels)


def begun(network: Network, nothing: float) -> Slots:
    """Slots with prompts in them, and something else where nothing counts."""
    slots = empty_slots(network.shape, 4, SMALL.longest, network.weights.audio_table)
    slots.k.fill_(nothing)
    slots.v.fill_(nothing)
    for slot, (length, sampling) in enumerate(zip(LENGTHS, SAMPLINGS, strict=True)):
        slots.hidden[slot] = prefill(network, slots, [Prefill(slot, 0, some_text(length, slot))])[0]
        slots.length[slot] = length + 2
        slots.begin(slot, sampling)
    return slots


def frames(kernels: Kernels, nothing: float, reach: int) -> tuple[Tensor, Tensor]:
    """Two frames' codes, and the hidden after them."""
    network, codes = network_with(kernels), []
    with torch.inference_mode():
        slots = begun(network, nothing)
        buffers = new_buffers(network.shape, 4, network.weights.audio_table)
        buffers.rows.copy_(torch.tensor([1, 0, 2, slots.trash]))
        for _ in range(2):
            frame_step(network, slots, buffers, Bounds(reach, SMALL.codes))
            codes.append(buffers.codes[:3].clone())
    return torch.stack(codes), slots.hidden[:3]


def test_two_frames_have_the_codes_that_torchs_kernels_give() -> None:
    codes, hidden = frames(TORCH, 0, SMALL.longest)
    made, ours = frames(triton_kernels(), torch.nan, 1)
    assert made.tolist() == codes.tolist()
    torch.testing.assert_close(ours, hidden, rtol=1e-4, atol=1e-4)


def tile(kernels: Kernels, nothing: float) -> tuple[Tensor, Tensor]:
    """The hidden of a tile's prompts, and a slot's keys, with `nothing` where nobody computed."""
    network = network_with(kernels)
    with torch.inference_mode():
        slots = empty_slots(network.shape, 4, SMALL.longest, network.weights.audio_table)
        slots.k.fill_(nothing)
        slots.v.fill_(nothing)
        graphs = Graphs({PROMPTS: EagerRecorder()})
        prompts = Prompts(network, slots, Plan(4, SMALL.longest, graphs=True), graphs)
        stretches = [
            Prefill(slot, 0, some_text(length, slot)) for slot, length in enumerate(LENGTHS)
        ]
        return prompts.compute(stretches), slots.k[:, 1, :, : LENGTHS[1] + 2].clone()


def test_a_tile_has_the_hidden_that_torchs_kernels_give() -> None:
    for made, expected in zip(tile(triton_kernels(), torch.nan), tile(TORCH, 0), strict=True):
        torch.testing.assert_close(made, expected, rtol=1e-4, atol=1e-4)
