"""Kyutai's Mimi with the same weights: a second codec, and a second opinion on ours."""

import dataclasses
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from transformers import MimiModel

from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.codec.encoder import MimiEncoder
from local_engine.csm.model.codec.moshi_codec import MoshiDecoder, MoshiEncoder
from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape
from tests.local_engine.csm.reference import SMALL, replace, small_weights

FRAME = 96
FRAMES = 40
WINDOW = 2 * FRAMES
SLOTS = 3
TRASH = SLOTS

Decoder = MimiDecoder | MoshiDecoder
Wide = tuple[MimiModel, CodecShape, Mapping[str, Tensor], dict[str, object]]


@pytest.fixture(scope="module")
def wide() -> Wide:
    """A codec whose window holds the whole clip."""
    model, shape, weights = small_weights(replace(SMALL, window=WINDOW))
    config = model.config.to_dict()["codec_config"]
    return model.codec_model, shape.codec, weights.codec, config


@pytest.fixture(scope="module")
def codes() -> Tensor:
    return torch.randint(0, 64, (2, FRAMES, 4), generator=torch.Generator().manual_seed(1))


def decoded(decoder: Decoder, rows: list[int], codes: Tensor) -> Tensor:
    frames = [decoder.decode(torch.tensor(rows), frame) for frame in codes.unbind(1)]
    return torch.cat(frames, dim=1)


def error(samples: Tensor, expected: Tensor) -> float:
    return ((samples - expected).abs().max() / expected.abs().max()).item()


def test_inside_the_window_moshi_transformers_and_ours_agree(wide: Wide, codes: Tensor) -> None:
    model, shape, tensors, _ = wide
    with torch.no_grad():
        whole = model.decode(codes.transpose(1, 2)).audio_values[:, 0]
    moshi = decoded(MoshiDecoder(shape, tensors, slots=SLOTS, device="cpu"), [2, 0], codes)
    ours = decoded(MimiDecoder(shape, tensors, slots=SLOTS, device="cpu"), [2, 0], codes)
    assert error(moshi, whole) < 2e-6
    assert error(ours, moshi) < 2e-6


def test_past_the_window_moshi_differs_from_what_the_model_was_made_for(codes: Tensor) -> None:
    """Why it is not the first choice: a frame is two positions, and its ring is one too short."""
    model, shape, weights = small_weights()
    with torch.no_grad():
        whole = model.codec_model.decode(codes.transpose(1, 2)).audio_values[:, 0]
    moshi = MoshiDecoder(shape.codec, weights.codec, slots=SLOTS, device="cpu")
    samples = decoded(moshi, [0, 1], codes)
    inside = SMALL.window // 2 * FRAME
    assert error(samples[:, :inside], whole[:, :inside]) < 2e-6
    assert error(samples, whole) > 1e-4


def test_rows_that_pause_and_join_late_do_not_disturb_each_other(wide: Wide, codes: Tensor) -> None:
    _, shape, tensors, _ = wide
    alone = [
        decoded(MoshiDecoder(shape, tensors, slots=SLOTS, device="cpu"), [0], clip[None])[0]
        for clip in codes
    ]
    decoder = MoshiDecoder(shape, tensors, slots=SLOTS, device="cpu")
    decoded(decoder, [2, 1], codes[:, 30:])
    decoder.reset(2)
    decoder.reset(1)
    first = decoded(decoder, [2, TRASH, TRASH], codes[[0, 1, 1], :10])[0]
    both = decoded(
        decoder, [1, TRASH, 2], torch.stack([codes[1, :15], codes[0, 5:20], codes[0, 10:25]])
    )
    second = decoded(decoder, [1], codes[1:, 15:])[0]
    rest = decoded(decoder, [2], codes[:1, 25:])[0]
    assert error(torch.cat([first, both[2], rest]), alone[0]) < 2e-6
    assert error(torch.cat([both[0], second]), alone[1]) < 2e-6


def test_moshi_takes_reserved_codes_for_the_last_of_the_codebook(wide: Wide) -> None:
    _, shape, tensors, _ = wide
    decoder = MoshiDecoder(shape, tensors, slots=SLOTS, device="cpu")
    samples = decoder.decode(torch.tensor([0, 1]), torch.tensor([[63] * 4, [64, 65, 66, 66]]))
    assert torch.equal(samples[0], samples[1])


@pytest.mark.parametrize("samples", [FRAME, 20 * FRAME, 7 * FRAME + 1, 0])
def test_segments_have_the_same_codes_as_with_transformers(wide: Wide, samples: int) -> None:
    _, shape, tensors, config = wide
    segment = torch.randn(samples, generator=torch.Generator().manual_seed(2))
    moshi = MoshiEncoder(shape, tensors, device="cpu")
    transformers = MimiEncoder(shape, tensors, config, device="cpu")
    assert torch.equal(moshi.encode(segment), transformers.encode(segment))
    assert torch.equal(moshi.encode(segment), transformers.encode(segment))


def test_every_tensor_is_accounted_for(wide: Wide) -> None:
    _, shape, tensors, _ = wide
    name = "encoder_transformer.layers.1.self_attn.k_proj.weight"
    for wrong, message in (
        ({n: t for n, t in tensors.items() if n != name}, f"{name} is missing"),
        ({n: t for n, t in tensors.items() if n != "upsample.conv.weight"}, "upsample"),
        ({**tensors, "decoder.layers.99.conv.bias": tensors[name]}, "99"),
    ):
        with pytest.raises(CodecError, match=message):
            MoshiDecoder(shape, wrong, slots=1, device="cpu")


def test_a_shape_that_moshi_does_not_know_is_refused(wide: Wide) -> None:
    _, shape, tensors, _ = wide
    with pytest.raises(CodecError, match="moshi"):
        MoshiEncoder(dataclasses.replace(shape, norm_epsilon=1e-6), tensors, device="cpu")
