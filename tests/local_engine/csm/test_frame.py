"""A frame of the real model without data, as a CUDA graph could hold it; and what it commits."""

from dataclasses import replace

import pytest
import torch
from driving import GREEDY, small_network, some_text
from torch import Tensor
from transformers import CsmConfig

from local_engine.csm.loading.config import read_shape
from local_engine.csm.model.backbone import prefill
from local_engine.csm.model.frame import Bounds, Buffers, frame_step, new_buffers
from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.sampler import FAST_RANKS
from local_engine.csm.model.slots import Slots, empty_slots
from local_engine.csm.model.weights import LayerWeights, StackWeights, Weights
from local_engine.csm.running import Prefill, Sampling
from local_engine.csm.shape import Stack

ROWS = 64


def meta(*sizes: int) -> Tensor:
    return torch.empty(sizes, dtype=torch.bfloat16, device="meta")


def meta_stack(stack: Stack) -> StackWeights:
    joined = (stack.heads + 2 * stack.kv_heads) * stack.head_size
    layer = LayerWeights(
        attention_norm=meta(stack.width),
        qkv=meta(joined, stack.width),
        out=meta(stack.width, stack.heads * stack.head_size),
        ffn_norm=meta(stack.width),
        gate_up=meta(2 * stack.ffn, stack.width),
        down=meta(stack.width, stack.ffn),
    )
    return StackWeights((layer,) * stack.layers, meta(stack.width))


@pytest.fixture(scope="module")
def network() -> Network:
    """Everything as in the real one, but that it has fewer layers."""
    real = read_shape(CsmConfig().to_dict())
    backbone, depth = replace(real.backbone, layers=2), replace(real.depth, layers=1)
    shape = replace(real, backbone=backbone, depth=depth)
    weights = Weights(
        text_table=meta(shape.text_vocabulary, shape.backbone.width),
        audio_table=meta(shape.codebooks * shape.codes, shape.backbone.width),
        backbone=meta_stack(shape.backbone),
        first_head=meta(shape.codes, shape.backbone.width),
        projector=meta(shape.depth.width, shape.backbone.width),
        depth=meta_stack(shape.depth),
        heads=meta(shape.codebooks - 1, shape.depth.width, shape.codes),
        codec={},
    )
    return build_network(weights, shape, shape.longest, fold_projector=True)


@pytest.fixture(scope="module")
def slots(network: Network) -> Slots:
    return empty_slots(network.shape, ROWS, network.longest, network.weights.audio_table)


@pytest.fixture(scope="module")
def buffers(network: Network) -> Buffers:
    return new_buffers(network.shape, ROWS, network.weights.audio_table)


def test_no_step_waits_for_a_value_or_lets_one_decide_a_shape(
    network: Network, slots: Slots, buffers: Buffers
) -> None:
    """Tensors on the meta device have no values: asking for one raises."""
    slots.begin(3, GREEDY)
    with torch.inference_mode():
        frame_step(network, slots, buffers.first(48), Bounds(network.longest, FAST_RANKS))


def test_a_smaller_batch_shares_the_memory_of_the_larger(network: Network) -> None:
    buffers = new_buffers(network.shape, 8, torch.zeros(1))
    smaller = buffers.first(3)
    smaller.rows.fill_(7)
    smaller.marks.fill_(5)
    smaller.scratch.v.fill_(2)
    assert buffers.rows.tolist() == [7, 7, 7, 0, 0, 0, 0, 0]
    assert buffers.marks.sum() == 3 * 5 * network.shape.codebooks
    assert buffers.scratch.v[:, :3].eq(2).all()
    assert not buffers.scratch.v[:, 3:].any()


LIVE, DONE, TRASH = 0, 1, 3


@pytest.fixture
def stepped() -> tuple[Slots, Slots, Buffers]:
    """Slots before and after two frames of a live row, a row that is done, and two of padding."""
    network = small_network()
    like = network.weights.audio_table
    slots, buffers = empty_slots(network.shape, 3, 64, like), new_buffers(network.shape, 4, like)
    with torch.inference_mode():
        for slot in (LIVE, DONE):
            hidden = prefill(network, slots, [Prefill(slot, 0, some_text(6, slot))])
            slots.hidden[slot], slots.length[slot] = hidden[0], 8
            slots.begin(slot, Sampling(seed=slot))
        slots.done[DONE] = True
        before = Slots(*(getattr(slots, name).clone() for name in Slots.__slots__))
        buffers.rows.copy_(torch.tensor([LIVE, DONE, TRASH, TRASH]))
        for _ in range(2):
            frame_step(network, slots, buffers, Bounds(64, FAST_RANKS))
    return before, slots, buffers


def test_a_live_row_advances_by_its_frames(stepped: tuple[Slots, Slots, Buffers]) -> None:
    before, after, buffers = stepped
    assert not buffers.stopped[0]
    assert after.length[LIVE] == before.length[LIVE] + 2
    assert after.frame[LIVE] == 2
    assert not after.hidden[LIVE].equal(before.hidden[LIVE])
    marked = after.seen[LIVE].gather(1, buffers.codes[0][:, None])
    assert marked.all()
    assert after.seen[LIVE].sum(1).le(2).all()
    assert after.k[:, LIVE, :, 8:10].any(-1).all()
    assert not after.k[:, LIVE, :, 10:].any()


@pytest.mark.parametrize("row", [DONE, TRASH, 2])
def test_a_row_that_is_done_padding_or_not_asked_for_keeps_its_state(
    stepped: tuple[Slots, Slots, Buffers], row: int
) -> None:
    before, after, buffers = stepped
    assert buffers.stopped[1:].all()
    for name in ("length", "frame", "hidden", "done"):
        assert getattr(after, name)[row].equal(getattr(before, name)[row]), name
    held = before.length[row]
    assert after.k[:, row, :, :held].equal(before.k[:, row, :, :held])
    assert row == TRASH or not after.seen[row].any()


def test_a_row_that_stops_is_done() -> None:
    network = small_network()
    weights, like = network.weights, network.weights.audio_table
    mute = replace(
        weights,
        first_head=torch.zeros_like(weights.first_head),
        heads=torch.zeros_like(weights.heads),
    )
    slots, buffers = empty_slots(network.shape, 2, 64, like), new_buffers(network.shape, 1, like)
    slots.begin(1, GREEDY)
    buffers.rows.fill_(1)
    with torch.inference_mode():
        frame_step(replace(network, weights=mute), slots, buffers, Bounds(64, FAST_RANKS))
    assert buffers.stopped.all()
    assert slots.done.all()
    assert slots.length[1] == 0


def test_nothing_that_a_slot_held_before_is_read() -> None:
    """A NaN of an earlier clip would live on: what weighs nothing is still multiplied."""
    network, made = small_network(), []
    for before in (0.0, torch.nan):
        like = network.weights.audio_table
        slots, out = empty_slots(network.shape, 2, 64, like), new_buffers(network.shape, 2, like)
        slots.k.fill_(before)
        slots.v.fill_(before)
        out.rows.copy_(torch.tensor([0, slots.trash]))
        with torch.inference_mode():
            slots.hidden[:1] = prefill(network, slots, [Prefill(0, 0, some_text(6, 0))])
            slots.length[0] = 8
            slots.begin(0, GREEDY)
            for _ in range(3):
                frame_step(network, slots, out, Bounds(64, FAST_RANKS))
        made.append(slots.hidden.clone())
    assert made[0].equal(made[1])
    assert made[0][0].any()
