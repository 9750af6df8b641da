"""fp8 is an option: a byte for each number, errors within their bounds, and no trace when off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from driving import GREEDY, Hum, Request, frames_of, runner_with, some_text, speak_all, start
from reference import Small, small_weights

from local_engine.csm.building import build
from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.random import REAL_CONFIG
from local_engine.csm.model import fp8
from local_engine.csm.model.attention import Cache
from local_engine.csm.model.depth import depth_logits
from local_engine.csm.model.fp8 import Fp8Matrix, multiply, pack, refused, to_fp8, unpack
from local_engine.csm.model.kernels import TORCH
from local_engine.csm.model.layers import rms_norm
from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.slots import empty_slots, kept_bytes
from local_engine.csm.model.stack import run_stack
from local_engine.csm.model.weights import LayerWeights, StackWeights, Weights, with_fp8_depth
from local_engine.csm.plan import Plan
from local_engine.csm.runner import TorchRunner
from local_engine.csm.running import Codes, Prefill, Sampling
from local_engine.csm.settings import EngineSettings

SMALL = Small(seed=4, codebooks=8)
WARM = Sampling(seed=11)
HALF_STEP = 2**-4
"""The error of a value, to it: half a unit of three bits of mantissa."""
LEAST = 2**-10 / 448
"""The error of values near 0, to the largest beside them: half a subnormal step."""


def network_of(*, depth: bool = False, kv: bool = False) -> Network:
    _, shape, weights = small_weights(SMALL)
    shape = replace(shape, fp8_kv=kv)
    return build_network(with_fp8_depth(weights) if depth else weights, shape, SMALL.longest)


def runner_of(*, slots: int = 3, depth: bool = False, kv: bool = False) -> TorchRunner:
    network = network_of(depth=depth, kv=kv)
    plan = Plan(slots, network.longest)
    return runner_with(network, plan, Hum(slots, network.shape.frame_samples))


def matrices(layer: LayerWeights) -> list[fp8.Matrix]:
    return [layer.qkv, layer.out, layer.gate_up, layer.down]


def real_layer(outputs: int, inputs: int, seed: int) -> torch.Tensor:
    """As trained matrices are spread: each output has a size of its own, and a few are far out."""
    draw = torch.Generator().manual_seed(seed)
    sizes = torch.rand(outputs, 1, generator=draw) * 0.05 + 0.002
    matrix = torch.randn(outputs, inputs, generator=draw) * sizes
    return matrix + (torch.rand(outputs, inputs, generator=draw) > 0.9999) * sizes * 20


# What is kept.


def test_every_number_is_rounded_by_half_a_unit_at_most() -> None:
    matrix = real_layer(64, 4096, 1)
    held = to_fp8(matrix)
    assert (held.values.dtype, held.values.element_size()) == (torch.float8_e4m3fn, 1)
    back = held.values.float() * held.scale[:, None]
    peak = matrix.abs().amax(1, keepdim=True)
    assert ((back - matrix).abs() <= HALF_STEP * matrix.abs() + LEAST * peak).all()


def test_a_row_comes_back_from_bytes_and_nothing_else_is_kept_of_it() -> None:
    rows = real_layer(40, 64, 2)[:, None] * torch.tensor([1.0, 1e-6, 1e6])[:, None]
    bytes_ = pack(rows)
    assert (bytes_.dtype, bytes_.shape) == (torch.uint8, (40, 3, 68))
    peak = rows.abs().amax(-1, keepdim=True)
    far = (unpack(bytes_, torch.float32) - rows).abs()
    assert (far <= HALF_STEP * rows.abs() + LEAST * peak).all()
    assert not unpack(pack(torch.zeros(2, 8)), torch.bfloat16).any()
    assert not unpack(torch.zeros(2, 12, dtype=torch.uint8), torch.float32).any()


def test_a_stretch_that_is_not_contiguous_is_packed_and_read_alike() -> None:
    rows = torch.randn(6, 5, 16)
    whole = torch.zeros(6, 9, 20, dtype=torch.uint8)
    whole[:, 2:7] = pack(rows.transpose(0, 1)).transpose(0, 1)
    assert torch.equal(unpack(whole[:, 2:7], torch.float32), unpack(pack(rows), torch.float32))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("outputs", "inputs"), [(1536, 1024), (1024, 1024), (1024, 8192)])
def test_a_product_of_the_real_size_is_within_three_hundredths(
    outputs: int, inputs: int, kind: torch.dtype
) -> None:
    """Of what the product is on the whole: rounding errors of many inputs cancel each other."""
    matrix = real_layer(outputs, inputs, 3)
    x = torch.randn(5, inputs, generator=torch.Generator().manual_seed(4)).to(kind)
    exact = x.double() @ matrix.double().T
    far = (multiply(x, to_fp8(matrix)).double() - exact).norm() / exact.norm()
    assert 0.005 < far < 0.03


def test_the_depth_decoders_layers_take_a_byte_for_each_number_and_others_stay() -> None:
    _, _, weights = small_weights(SMALL)
    held = with_fp8_depth(weights)
    for before, after in zip(weights.depth.layers, held.depth.layers, strict=True):
        for wide, narrow in zip(matrices(before), matrices(after), strict=True):
            assert isinstance(narrow, Fp8Matrix)
            assert narrow.values.nbytes * 4 == wide.nbytes
            assert narrow.scale.nbytes == 4 * wide.shape[0]
    assert held.backbone is weights.backbone
    assert held.heads is weights.heads


def test_keys_and_values_take_a_byte_for_each_number_and_four_for_each_head() -> None:
    network = network_of(kv=True)
    shape, like = network.shape, network.weights.audio_table
    slots = empty_slots(shape, 3, 50, like)
    stack = shape.backbone
    per_position = 2 * stack.layers * stack.kv_heads * (stack.head_size + 4)
    assert slots.k.nbytes + slots.v.nbytes == 4 * 50 * per_position
    assert kept_bytes(shape, like.dtype) == per_position
    own = replace(shape, fp8_kv=False)
    whole = empty_slots(own, 3, 50, like)
    assert whole.k.nbytes + whole.v.nbytes == 4 * 50 * kept_bytes(own, like.dtype)


def test_a_position_of_the_real_model_takes_17_kb_instead_of_33() -> None:
    real = read_shape(REAL_CONFIG)
    assert kept_bytes(real, torch.bfloat16) == 32_768
    assert kept_bytes(replace(real, fp8_kv=True), torch.bfloat16) == 17_408


# How it speaks.


def logits_of(weights: Weights) -> torch.Tensor:
    _, shape, _ = small_weights(SMALL)
    network, stack = build_network(weights, shape, SMALL.longest), shape.depth
    kept = torch.zeros(stack.layers, 6, stack.kv_heads, shape.codebooks, stack.head_size)
    x = torch.randn(6, 2, stack.width, generator=torch.Generator().manual_seed(5))
    return depth_logits(network, x, Cache(kept, kept.clone()), 1)


def test_logits_of_a_small_model_are_within_a_third_of_those_of_float32() -> None:
    """Its weights are so large, for its attention to be sharp, that it makes errors larger."""
    _, _, weights = small_weights(SMALL)
    exact = logits_of(weights)
    far = (logits_of(with_fp8_depth(weights)) - exact).norm() / exact.norm()
    assert 1e-4 < far < 0.3


def test_a_layer_of_the_real_size_adds_what_it_adds_in_float32_within_a_twentieth() -> None:
    stack, draw = read_shape(REAL_CONFIG).depth, torch.Generator().manual_seed(6)
    heads, keys = stack.heads * stack.head_size, stack.kv_heads * stack.head_size

    def drawn(outputs: int, inputs: int) -> torch.Tensor:
        return torch.randn(outputs, inputs, generator=draw) * 0.02

    ones = torch.ones(stack.width)
    layer = LayerWeights(
        attention_norm=ones,
        qkv=drawn(heads + 2 * keys, stack.width),
        out=drawn(stack.width, heads),
        ffn_norm=ones,
        gate_up=drawn(2 * stack.ffn, stack.width),
        down=drawn(stack.width, stack.ffn),
    )
    _, _, weights = small_weights(SMALL)
    exact = replace(weights, depth=StackWeights((layer,), ones))
    x = torch.randn(4, stack.width, generator=draw)
    norm, added = stack.norm_epsilon, []
    for held in (exact, with_fp8_depth(exact)):
        # Each position attends to itself alone: what it finds are parts of its qkv.
        hidden = run_stack(x, held.depth, norm, TORCH, lambda _, qkv: qkv[:, :heads])
        added.append(hidden - rms_norm(x, ones, norm))
    far = (added[1] - added[0]).norm() / added[0].norm()
    assert 1e-3 < far < 0.05


def test_the_hidden_after_a_prompt_is_near_that_of_float32() -> None:
    found = []
    for kv in (False, True):
        runner = runner_of(kv=kv)
        start(runner, 0, Request(some_text(60, 1, 8)))
        found.append(runner._slots.hidden[0].clone())  # noqa: SLF001 - what a step goes on from
    far = (found[1] - found[0]).norm() / found[0].norm()
    assert 1e-4 < far < 0.1


BOTH = {"depth": True, "kv": True}


def talk() -> list[Request]:
    """Seven of ragged lengths, three of which find a slot at once."""
    samplings = [GREEDY, WARM, GREEDY]
    return [
        Request(some_text(7 + 23 * n, n, 8), frames=4 + n, comes=n, sampling=samplings[n % 3])
        for n in range(7)
    ]


@pytest.mark.parametrize("options", [{"depth": True}, {"kv": True}, BOTH], ids=str)
def test_each_clip_is_the_same_alone_and_among_those_that_come_and_go(
    options: dict[str, bool],
) -> None:
    together = speak_all(runner_of(**options), talk())
    for clip, request in zip(together, talk(), strict=True):
        (alone,) = speak_all(runner_of(**options), [replace(request, comes=0)])
        np.testing.assert_array_equal(np.stack(clip.codes), np.stack(alone.codes))
        np.testing.assert_array_equal(np.stack(clip.pcm), np.stack(alone.pcm))


@torch.inference_mode()
def poison(runner: TorchRunner, slots: list[int]) -> None:
    """Fill slots with bytes that are NaN, values and scales."""
    for kept in (runner._slots.k, runner._slots.v):  # noqa: SLF001 - what nobody may read
        kept[:, slots] = 0xFF
    assert unpack(runner._slots.k[:, slots], torch.float32).isnan().all()  # noqa: SLF001


def test_nothing_of_a_slot_that_is_not_in_use_is_heard() -> None:
    clean, dirty = runner_of(kv=True), runner_of(kv=True)
    poison(dirty, [0, 2])
    request = Request(some_text(30, 3, 8))
    spoken: list[Codes] = []
    for runner in (clean, dirty):
        start(runner, 1, request)
        spoken.append(frames_of(runner, 1, 12))
    np.testing.assert_array_equal(*spoken)


@torch.inference_mode()
def litter(runner: TorchRunner) -> None:
    """Fill slots with numbers far larger than any that is kept."""
    for kept in (runner._slots.k, runner._slots.v):  # noqa: SLF001 - what nobody may hear
        kept.copy_(pack(torch.full((*kept.shape[:-1], kept.shape[-1] - 4), 1e20)))


def test_what_is_behind_a_rows_length_is_not_heard() -> None:
    clean, dirty = runner_of(kv=True), runner_of(kv=True)
    litter(dirty)
    request = Request(some_text(30, 3, 8))
    spoken: list[Codes] = []
    for runner in (clean, dirty):
        start(runner, 1, request)
        spoken.append(frames_of(runner, 1, 12))
    np.testing.assert_array_equal(*spoken)


def test_a_snapshot_is_as_small_and_a_clip_goes_on_from_it_as_it_would_have() -> None:
    runner = runner_of(kv=True)
    litter(runner)
    request = Request(some_text(40, 5, 8), sampling=WARM)
    start(runner, 0, request)
    kept = runner.keep(0, 30)
    assert kept.bytes == 30 * kept_bytes(network_of(kv=True).shape, torch.float32)
    expected = frames_of(runner, 0, 6)
    runner.restore(2, kept)
    rest = replace(request, prompt=request.prompt[30:])
    runner.prefill([Prefill(2, 30, rest.prompt)])
    runner.begin(2, WARM)
    np.testing.assert_array_equal(frames_of(runner, 2, 6), expected)


# The setting.


def engine_runner(**settings: object) -> TorchRunner:
    asked = EngineSettings(name="tiny-random", device="cpu", slots=2, **settings)
    runner = build(asked, lambda *_: None).runner
    assert isinstance(runner, TorchRunner)
    return runner


def test_it_is_off_unless_it_is_asked_for() -> None:
    plain = EngineSettings(name="tiny-random")
    assert (plain.depth_weights, plain.kv) == ("auto", "auto")
    runner = engine_runner()
    assert runner._slots.k.dtype == torch.float32  # noqa: SLF001 - what there is in memory
    layers = runner._network.weights.depth.layers  # noqa: SLF001
    assert all(isinstance(one, torch.Tensor) for layer in layers for one in matrices(layer))


def test_an_engine_that_is_asked_for_fp8_speaks_with_it() -> None:
    runner = engine_runner(depth_weights="fp8", kv="fp8")
    assert runner._slots.k.dtype == torch.uint8  # noqa: SLF001 - as above
    start(runner, 0, Request(some_text(20, 1, 8)))
    codes = frames_of(runner, 0, 5)
    plain = engine_runner()
    start(plain, 0, Request(some_text(20, 1, 8)))
    assert codes.shape == frames_of(plain, 0, 5).shape


def test_a_device_without_fp8_is_refused() -> None:
    assert refused((8, 9)) is refused((9, 0)) is None
    why = refused((8, 0))
    assert why is not None
    assert "8.9" in why
    assert "has 8.0" in why
