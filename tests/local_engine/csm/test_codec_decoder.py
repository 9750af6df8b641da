"""Our decoder against transformers' own, which decodes a whole clip at once."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import CsmConfig, MimiConfig, MimiModel

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.names import flat
from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape
from tests.local_engine.csm.reference import SMALL, small_config, small_weights

FRAMES = 60
"""Ten windows."""
SLOTS = 5
TRASH = SLOTS

Codec = tuple[CodecShape, Mapping[str, Tensor]]


@pytest.fixture(scope="module")
def small() -> Codec:
    _, shape, weights = small_weights()
    return shape.codec, weights.codec


@pytest.fixture(scope="module")
def codes() -> Tensor:
    return torch.randint(0, 64, (3, FRAMES, 4), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def whole(codes: Tensor) -> Tensor:
    """What transformers makes of them in double precision."""
    reference, _, _ = small_weights()
    return decoded_at_once(reference.codec_model.double(), codes)


def decoded_at_once(model: MimiModel, codes: Tensor) -> Tensor:
    with torch.no_grad():
        return model.decode(codes.transpose(1, 2)).audio_values[:, 0]


def decoded(decoder: MimiDecoder, rows: list[int], codes: Tensor, chunk: int = 1) -> Tensor:
    stretches = codes.split(chunk, dim=1)
    return torch.cat([decoder.decode_chunk(torch.tensor(rows), part) for part in stretches], dim=1)


def error(samples: Tensor, expected: Tensor) -> float:
    """Give the largest difference, in parts of the amplitude."""
    return ((samples - expected).abs().max() / expected.abs().max()).item()


def kept(decoder: MimiDecoder) -> list[Tensor]:
    return [t.clone() for t in (decoder.state.tails, decoder.state.ring, decoder.state.positions)]


def same(left: list[Tensor], right: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_frames_in_chunks_are_the_whole_clip_far_past_the_window(
    small: Codec, codes: Tensor, whole: Tensor, chunk: int, *, apart: bool
) -> None:
    exact = MimiDecoder(
        *small, slots=SLOTS, device="cpu", chunk=chunk, dtype=torch.float64, apart=apart
    )
    assert error(decoded(exact, [4, 0, 2], codes, chunk), whole) < 1e-13


@pytest.mark.parametrize("chunk", [1, 2, 3])
def test_single_precision_costs_no_more_than_its_rounding(
    small: Codec, codes: Tensor, whole: Tensor, chunk: int
) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", chunk=chunk)
    samples = decoded(decoder, [4, 0, 2], codes, chunk)
    assert samples.dtype == torch.float32
    assert error(samples, whole) < 2e-6


def test_calls_of_any_length_up_to_the_chunk_may_follow_each_other(
    small: Codec, codes: Tensor, whole: Tensor
) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", chunk=4, dtype=torch.float64)
    stretches = codes.split([1, 1, 2, 4] * 7 + [3, 1], dim=1)
    rows = torch.tensor([1, 2, 3])
    samples = torch.cat([decoder.decode_chunk(rows, part) for part in stretches], dim=1)
    assert error(samples, whole) < 1e-13


@pytest.mark.parametrize(
    "changes",
    [
        {"num_key_value_heads": 2},
        {"num_residual_layers": 2, "kernel_size": 5, "last_kernel_size": 5},
        {"upsampling_ratios": [3, 2], "compress": 4, "sliding_window": 2},
        {"num_quantizers": 6, "num_semantic_quantizers": 2},
    ],
    ids=",".join,
)
def test_other_shapes_of_mimi_are_decoded_too(changes: dict[str, object]) -> None:
    config = small_config(SMALL).to_dict()
    config["codec_config"] |= {"_frame_rate": None, **changes}
    shape = read_shape(config).codec
    model, tensors = random_codec(config["codec_config"])
    codes = torch.randint(0, 64, (2, 20, 4), generator=torch.Generator().manual_seed(1))
    decoder = MimiDecoder(shape, tensors, slots=2, device="cpu", dtype=torch.float64)
    samples = decoded(decoder, [1, 0], codes)
    assert error(samples, decoded_at_once(model.double(), codes)) < 1e-13


def random_codec(config: dict[str, object]) -> tuple[MimiModel, dict[str, Tensor]]:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = MimiModel(MimiConfig.from_dict(config)).eval()
        for name, tensor in model.named_buffers():
            if name.endswith("embed_sum"):
                tensor.normal_()
    named = flat({f"codec_model.{name}": t.clone() for name, t in model.state_dict().items()})
    return model, {name.removeprefix("codec_model."): t for name, t in named.items()}


class Clip:
    """Some frames of the codes in one slot, from a step on, with pauses."""

    def __init__(self, slot: int, codes: Tensor, start: int, pauses: range) -> None:
        self.slot, self.codes, self.start, self.pauses = slot, codes, start, pauses
        self.samples: list[Tensor] = []

    def is_due(self, step: int) -> bool:
        done = len(self.samples) == len(self.codes)
        return step >= self.start and step not in self.pauses and not done


def crowd(codes: Tensor) -> list[Clip]:
    """Five of different lengths; the last follows the second into its slot."""
    return [
        Clip(3, codes[0, :50], 0, range(10, 25)),
        Clip(0, codes[1, :8], 4, range(0)),
        Clip(4, codes[2], 2, range(30, 32)),
        Clip(1, codes[0, 5:35], 9, range(12, 60, 2)),
        Clip(0, codes[1, 20:], 15, range(20, 40, 3)),
    ]


def speak(decoder: MimiDecoder, clips: list[Clip]) -> None:
    """Step through all of them, in changing order, beside padding rows."""
    shuffle = torch.Generator().manual_seed(2)
    for step in range(90):
        for clip in clips:
            if clip.start == step:
                decoder.reset(clip.slot)
        order = torch.randperm(len(clips), generator=shuffle).tolist()
        due = [clips[n] for n in order if clips[n].is_due(step)]
        padding = 4 - len(due) % 4
        rows = torch.tensor([clip.slot for clip in due] + [TRASH] * padding)
        frames = [clip.codes[len(clip.samples)] for clip in due]
        frames += [torch.randint(0, 67, (4,), generator=shuffle) for _ in range(padding)]
        samples = decoder.decode(rows, torch.stack(frames))
        for clip, made in zip(due, samples, strict=False):
            clip.samples.append(made)


@pytest.mark.parametrize("apart", [True, False])
def test_clips_that_join_leave_and_pause_are_as_if_decoded_at_once(
    small: Codec, codes: Tensor, *, apart: bool
) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", dtype=torch.float64, apart=apart)
    reference = small_weights()[0].codec_model.double()
    clips = crowd(codes)
    speak(decoder, clips)
    for clip in clips:
        expected = decoded_at_once(reference, clip.codes[None])[0]
        assert error(torch.cat(clip.samples), expected) < 1e-13


def test_a_clip_has_the_same_bits_whoever_is_beside_it(small: Codec, codes: Tensor) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu")
    clips = crowd(codes)
    speak(decoder, clips)
    for clip in clips:
        alone = MimiDecoder(*small, slots=1, device="cpu")
        assert torch.equal(torch.cat(clip.samples), decoded(alone, [0], clip.codes[None])[0])


@pytest.mark.parametrize("apart", [True, False])
def test_a_slot_that_is_not_asked_for_is_not_touched(
    small: Codec, codes: Tensor, *, apart: bool
) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", apart=apart)
    decoded(decoder, [0, 1, 2, 3, 4], codes[[0, 1, 2, 0, 1], :9])
    before = kept(decoder)
    decoder.decode(torch.tensor([3, TRASH, 1, TRASH]), codes[[0, 1, 2, 0], 9])
    others = torch.tensor([0, 2, 4])
    tails, ring, _ = before
    assert torch.equal(decoder.state.tails[others], tails[others])
    assert torch.equal(decoder.state.ring[:, others], ring[:, others])
    assert decoder.state.positions[:SLOTS].tolist() == [18, 20, 18, 20, 18]
    assert not same(kept(decoder), before)


def test_a_reset_slot_has_forgotten_everything_even_what_is_not_a_number(
    small: Codec, codes: Tensor
) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu")
    first = decoded(decoder, [2], codes[:1, :20])
    decoder.state.tails[2] = torch.nan
    decoder.state.ring[:, 2] = torch.nan
    decoder.reset(2)
    assert torch.equal(decoded(decoder, [2], codes[:1, :20]), first)


def test_reserved_codes_sound_like_the_last_of_the_codebook(small: Codec) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu")
    samples = decoder.decode(torch.arange(4), torch.tensor([63, 64, 65, 66])[:, None].expand(4, 4))
    assert torch.isfinite(samples).all()
    assert torch.equal(samples, samples[:1].expand(4, -1))


class Dispatched(TorchDispatchMode):
    """Notes what torch is asked to do, and has no memory for one of it."""

    def __init__(self, failing: int = -1) -> None:
        super().__init__()
        self.failing, self.names = failing, list[str]()

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: object,
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        self.names.append(func._schema.name.removeprefix("aten::"))  # noqa: SLF001 - torch's door
        if len(self.names) - 1 == self.failing:
            raise torch.OutOfMemoryError("none left")
        return func(*args, **(kwargs or {}))


def computing(names: list[str], pieces: int) -> int:
    """Count what is done before the commit: of each piece tails, ring, positions, in place."""
    count = len(names) - 1 - 3 * pieces
    assert names[count:] == ["view", *["index_copy_"] * 3 * pieces]
    return count


@pytest.mark.parametrize(("apart", "stride"), [(False, 1), (True, 9)])
def test_running_out_of_memory_anywhere_changes_nothing(
    small: Codec, codes: Tensor, stride: int, *, apart: bool
) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", apart=apart)
    decoded(decoder, [0, 1, 2], codes[:, :9])
    before, rows = kept(decoder), torch.tensor([2, 0])
    with Dispatched() as all_of_it:
        expected = decoder.decode(rows, codes[:2, 9])
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", apart=apart)
    decoded(decoder, [0, 1, 2], codes[:, :9])
    count = computing(all_of_it.names, pieces=2 if apart else 1)
    for failing in range(count - 1, -1, -stride):
        with pytest.raises(torch.OutOfMemoryError), Dispatched(failing):
            decoder.decode(rows, codes[:2, 9])
        assert same(kept(decoder), before)
    assert torch.equal(decoder.decode(rows, codes[:2, 9]), expected)


def test_codes_that_do_not_fit_their_rows_are_refused(small: Codec, codes: Tensor) -> None:
    decoder = MimiDecoder(*small, slots=SLOTS, device="cpu", chunk=2)
    before = kept(decoder)
    for rows, wrong in (
        ([0, 1], codes[:, :1]),
        ([0, 1, 2], codes[:, :1, :3]),
        ([0, 1, 2], codes[:, :3]),
        ([0, 1, 2], codes[:, :0]),
        ([], codes[:0, :1]),
    ):
        with pytest.raises(ValueError, match=r"codes|frames"):
            decoder.decode_chunk(torch.tensor(rows, dtype=torch.int64), wrong)
    assert same(kept(decoder), before)


def test_a_codec_that_lacks_a_tensor_or_has_one_too_many_is_refused(small: Codec) -> None:
    shape, tensors = small
    name = "decoder_transformer.layers.1.mlp.fc1.weight"
    for wrong, message in (
        ({n: t for n, t in tensors.items() if n != name}, f"{name} is missing"),
        ({**tensors, name: tensors[name][:3]}, rf"{name} is \(3, 32\).*\(64, 32\)"),
        ({**tensors, "decoder.layers.99.conv.bias": tensors[name]}, "1 codec keys .*layers.99"),
    ):
        with pytest.raises(CodecError, match=message):
            MimiDecoder(shape, wrong, slots=1, device="cpu")


@pytest.fixture(scope="module")
def real() -> Codec:
    """CSM-1B's own, as shapes that take no memory."""
    config = CsmConfig().to_dict()
    with torch.device("meta"):
        model = MimiModel(MimiConfig.from_dict(config["codec_config"]))
    named = flat({f"codec_model.{name}": t for name, t in model.state_dict().items()})
    tensors = {name.removeprefix("codec_model."): t for name, t in named.items()}
    return read_shape(config).codec, tensors


def test_a_call_never_waits_for_a_value(real: Codec) -> None:
    """Tensors that have no values: a CUDA graph can hold what runs on them."""
    shape, tensors = real
    decoder = MimiDecoder(shape, tensors, slots=512, device="meta", chunk=2)
    rows = torch.empty(384, dtype=torch.int64, device="meta")
    codes = torch.empty(384, 2, 32, dtype=torch.int64, device="meta")
    assert decoder.decode_chunk(rows, codes).shape == (384, 3840)


def test_the_real_mimi_makes_80_ms_of_a_frame_and_remembers_8_megabytes(real: Codec) -> None:
    shape, empty = real
    noise = torch.Generator().manual_seed(4)
    tensors = {
        name: torch.randn(t.shape, generator=noise) / max(1, t[:1].numel()) ** 0.5
        for name, t in empty.items()
    }
    tensors |= {name: t.abs() + 1 for name, t in tensors.items() if name.endswith("usage")}
    codes = torch.randint(0, 2051, (1, 3, 32), generator=noise)
    decoder = MimiDecoder(shape, tensors, slots=2, device="cpu")
    samples = decoded(decoder, [1], codes)
    assert samples.shape == (1, 3 * 1920)
    assert 0 < samples.abs().max() < torch.inf
    tails, ring = decoder.state.tails[0].nbytes, decoder.state.ring[:, 0].nbytes
    assert (tails, ring) == (12_672 * 4, 8 * 251 * 2 * 512 * 4)
    assert decoder.state.slot_bytes == tails + ring + 8
