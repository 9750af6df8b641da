"""Logits are transformers' within 1e-5, position by position and codebook by codebook."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from driving import (
    Request,
    as_type,
    small_network,
    small_runner,
    some_text,
    speak_alone,
    spoken_audio,
)
from reference import SMALL, Small, small_reference
from torch import Tensor
from transformers import CsmForConditionalGeneration

from local_engine.csm.loading.assemble import assemble
from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.names import flat
from local_engine.csm.model.attention import Cache
from local_engine.csm.model.backbone import prefill
from local_engine.csm.model.depth import depth_logits, embed_code, first_logits
from local_engine.csm.model.network import Network, build_network
from local_engine.csm.model.slots import empty_slots
from local_engine.csm.running import Prefill, Prompt

CLOSE = {"rtol": 0.0, "atol": 1e-5}
ODD = Small(seed=5, codebooks=8, head_size=24, depth_kv_heads=2)


@dataclass(frozen=True, slots=True)
class Pair:
    model: CsmForConditionalGeneration
    network: Network


@pytest.fixture(scope="module", params=[SMALL, ODD], ids=["4 codebooks", "8 codebooks"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Of weights as large as a trained model's: the others' own rounding alone comes to 2e-5."""
    model = small_reference(request.param)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(0.4)
    return paired(model, request.param.longest)


@pytest.fixture(scope="module")
def double_pair() -> Pair:
    return paired(small_reference(ODD).double(), ODD.longest)


def paired(model: CsmForConditionalGeneration, longest: int) -> Pair:
    shape = read_shape(model.config.to_dict())
    weights = assemble(flat(model.state_dict()), shape)
    return Pair(model, build_network(weights, shape, longest))


def mixed(codebooks: int) -> Prompt:
    frames = np.random.default_rng(4).integers(0, 64, (9, codebooks))
    before, after = some_text(11, 1, codebooks), some_text(6, 2, codebooks)
    return np.concatenate((before, spoken_audio(frames), after))


def reference_logits(model: CsmForConditionalGeneration, prompt: Prompt) -> Tensor:
    """[positions, codes] of codebook 0."""
    codes = torch.from_numpy(prompt[None, :, :-1].astype(np.int64))
    texts = torch.from_numpy(prompt[None, :, -1].astype(np.int64))
    spoken = model.embed_text_tokens(texts.clamp(min=0))
    embeds = torch.where((texts < 0)[..., None], model.backbone_model.embed_tokens(codes), spoken)
    return model(inputs_embeds=embeds).logits[0]


def hidden_by_parts(network: Network, prompt: Prompt, sizes: list[int]) -> Tensor:
    """The hidden at the end of each part of a prompt, [parts, width]."""
    slots = empty_slots(network.shape, 2, network.longest, network.weights.audio_table)
    hidden, start = [], 0
    for size in sizes:
        part = prompt[start : start + size]
        hidden.append(prefill(network, slots, [Prefill(1, start, part)]))
        start += size
    return torch.cat(hidden)


@pytest.mark.parametrize("size", [1, 7])
@torch.inference_mode()
def test_first_logits_of_every_position_are_close(pair: Pair, size: int) -> None:
    prompt = mixed(pair.network.shape.codebooks)
    sizes = [size] * (len(prompt) // size)
    logits = first_logits(pair.network, hidden_by_parts(pair.network, prompt, sizes))
    expected = reference_logits(pair.model, prompt)[size - 1 :: size][: len(sizes)]
    assert expected.std() > 0.5
    torch.testing.assert_close(logits, expected, **CLOSE)


@torch.inference_mode()
def test_in_double_precision_loud_weights_agree_too(double_pair: Pair) -> None:
    prompt = mixed(double_pair.network.shape.codebooks)
    hidden = hidden_by_parts(double_pair.network, prompt, [1] * len(prompt))
    expected = reference_logits(double_pair.model, prompt)
    torch.testing.assert_close(
        first_logits(double_pair.network, hidden), expected, rtol=0.0, atol=1e-6
    )


@torch.inference_mode()
def test_prompts_computed_together_are_close_to_each_alone(pair: Pair) -> None:
    network, codebooks = pair.network, pair.network.shape.codebooks
    prompts = [mixed(codebooks), some_text(3, 8, codebooks), mixed(codebooks)[:17]]
    slots = empty_slots(network.shape, 4, network.longest, network.weights.audio_table)
    stretches = [Prefill(slot, 0, prompt) for slot, prompt in zip((3, 0, 2), prompts, strict=True)]
    together = first_logits(network, prefill(network, slots, stretches))
    expected = torch.stack([reference_logits(pair.model, prompt)[-1] for prompt in prompts])
    torch.testing.assert_close(together, expected, **CLOSE)


def our_depth_logits(network: Network, hidden: Tensor, codes: Tensor) -> Tensor:
    """[rows, codebooks - 1, codes] with these codes drawn, whatever the logits say."""
    depth = network.shape.depth
    kv = (depth.layers, len(codes), depth.kv_heads, network.shape.codebooks, depth.head_size)
    scratch = Cache(torch.full(kv, torch.nan), torch.full(kv, torch.nan))
    begin = torch.nn.functional.linear(hidden, network.weights.projector)
    x = torch.stack((begin, embed_code(network, codes[:, 0], 0)), dim=1)
    made = []
    for codebook in range(1, network.shape.codebooks):
        made.append(depth_logits(network, x, scratch, codebook))
        x = embed_code(network, codes[:, codebook], codebook)[:, None]
    return torch.stack(made, dim=1)


@torch.inference_mode()
def test_every_depth_heads_logits_are_close(pair: Pair) -> None:
    shape = pair.network.shape
    lot = torch.Generator().manual_seed(6)
    hidden = torch.randn(3, shape.backbone.width, generator=lot)
    codes = torch.randint(0, shape.codes, (3, shape.codebooks), generator=lot)
    placed = torch.nn.functional.pad(codes[:, :-1], (1, 0))
    expected = pair.model.depth_decoder(input_ids=placed, backbone_last_hidden_state=hidden).logits
    torch.testing.assert_close(our_depth_logits(pair.network, hidden, codes), expected, **CLOSE)


@torch.inference_mode()
def test_a_folded_projector_gives_the_same_logits_and_codes(pair: Pair) -> None:
    network = pair.network
    folded = build_network(network.weights, network.shape, network.longest, fold_projector=True)
    lot = torch.Generator().manual_seed(7)
    hidden = torch.randn(2, network.shape.backbone.width, generator=lot)
    codes = torch.randint(0, network.shape.codes, (2, network.shape.codebooks), generator=lot)
    torch.testing.assert_close(
        our_depth_logits(folded, hidden, codes), our_depth_logits(network, hidden, codes), **CLOSE
    )
    request = Request(mixed(network.shape.codebooks), frames=4)
    np.testing.assert_array_equal(
        speak_alone(small_runner(folded), request), speak_alone(small_runner(network), request)
    )


def test_bfloat16_speaks_on_a_cpu() -> None:
    network = small_network()
    halved = as_type(network.weights, torch.bfloat16)
    network = build_network(halved, network.shape, SMALL.longest)
    hidden = hidden_by_parts(network, mixed(SMALL.codebooks), [20])
    assert hidden.dtype == torch.bfloat16
    assert hidden.isfinite().all()
    runner = small_runner(network)
    codes = speak_alone(runner, Request(mixed(SMALL.codebooks), frames=5))
    assert codes.shape == (5, SMALL.codebooks)
    assert len(np.unique(codes)) > 5
