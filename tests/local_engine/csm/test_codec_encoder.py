"""Segments of context audio as codes: what transformers' Mimi makes of each alone."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from transformers import MimiModel

from local_engine.csm.model.codec.build import build_codec
from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.codec.encoder import MimiEncoder
from local_engine.csm.model.codec.moshi_codec import MoshiDecoder, MoshiEncoder
from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape
from tests.local_engine.csm.reference import small_weights

FRAME = 96

Parts = tuple[CodecShape, Mapping[str, Tensor], dict[str, object]]


@pytest.fixture(scope="module")
def reference() -> tuple[MimiModel, Parts]:
    model, shape, weights = small_weights()
    return model.codec_model, (shape.codec, weights.codec, model.config.to_dict()["codec_config"])


def noise(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, generator=torch.Generator().manual_seed(seed))


def expected(model: MimiModel, samples: Tensor) -> Tensor:
    with torch.no_grad():
        return model.encode(samples[None, None]).audio_codes[0].T


@pytest.mark.parametrize("frames", [1, 2, 7, 60])
def test_a_segment_of_whole_frames_has_the_codes_that_transformers_gives_it(
    reference: tuple[MimiModel, Parts], frames: int
) -> None:
    model, parts = reference
    samples = noise(frames * FRAME, frames)
    codes = MimiEncoder(*parts, device="cpu").encode(samples)
    assert codes.dtype == torch.int64
    assert codes.shape == (frames, 4)
    assert torch.equal(codes, expected(model, samples))


@pytest.mark.parametrize("samples", [1, FRAME - 1, 3 * FRAME + 5])
def test_a_segment_that_ends_within_a_frame_is_padded_with_silence(
    reference: tuple[MimiModel, Parts], samples: int
) -> None:
    model, parts = reference
    segment = noise(samples)
    padded = torch.cat([segment, torch.zeros(-samples % FRAME)])
    assert torch.equal(MimiEncoder(*parts, device="cpu").encode(segment), expected(model, padded))


def test_a_segment_knows_nothing_of_the_one_before(reference: tuple[MimiModel, Parts]) -> None:
    _, parts = reference
    encoder = MimiEncoder(*parts, device="cpu")
    first = encoder.encode(noise(5 * FRAME))
    encoder.encode(noise(9 * FRAME, seed=1))
    assert torch.equal(encoder.encode(noise(5 * FRAME)), first)


def test_no_samples_are_no_frames(reference: tuple[MimiModel, Parts]) -> None:
    _, parts = reference
    assert MimiEncoder(*parts, device="cpu").encode(torch.empty(0)).shape == (0, 4)


def test_a_codec_that_lacks_a_tensor_or_has_one_too_many_cannot_encode(
    reference: tuple[MimiModel, Parts],
) -> None:
    _, (shape, tensors, config) = reference
    name = "encoder.layers.0.conv.bias"
    for wrong, message in (
        ({n: t for n, t in tensors.items() if n != name}, f"1 codec keys are missing.*{name}"),
        ({**tensors, "encoder.layers.99.conv.bias": tensors[name]}, "not known.*layers.99"),
        ({**tensors, name: tensors[name][:1]}, "do not fit"),
    ):
        with pytest.raises(CodecError, match=message):
            MimiEncoder(shape, wrong, config, device="cpu")


def test_a_model_gets_the_codec_that_its_settings_ask_for(
    reference: tuple[MimiModel, Parts],
) -> None:
    _, (shape, tensors, config) = reference
    own = build_codec("own", shape, tensors, config, slots=2, device="cpu")
    moshi = build_codec("moshi", shape, tensors, config, slots=2, device="cpu")
    assert [type(half) for half in (*own, *moshi)] == [
        MimiDecoder,
        MimiEncoder,
        MoshiDecoder,
        MoshiEncoder,
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [("pad_mode", "replicate"), ("trim_right_ratio", 0.5), ("use_conv_shortcut", True)],
)
def test_a_codec_that_is_not_quite_mimi_is_refused_by_name(
    reference: tuple[MimiModel, Parts], name: str, value: object
) -> None:
    _, (shape, tensors, config) = reference
    with pytest.raises(CodecError, match=name):
        build_codec("own", shape, tensors, {**config, name: value}, slots=1, device="cpu")
