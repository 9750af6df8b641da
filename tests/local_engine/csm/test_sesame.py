"""Sesame's layout and Kyutai's Mimi: the same model by other names, its heads in another order."""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from offline_tokenizer import write_tokenizer
from reference import small_reference
from safetensors.torch import save_file
from sesame_layout import as_sesame
from torch import Tensor
from transformers import CsmForConditionalGeneration

from local_engine.csm.loading.assemble import assemble
from local_engine.csm.loading.config import FLAVOURS, read_codec, read_sesame, read_shape
from local_engine.csm.loading.entries import CODEC, Entry, held
from local_engine.csm.loading.errors import CheckpointError, ConfigError, LoadError
from local_engine.csm.loading.expected import account, expected
from local_engine.csm.loading.layout import CodecFiles, codec_files, read_folder
from local_engine.csm.loading.model import load
from local_engine.csm.loading.names import flat, from_moshi, from_sesame, halved
from local_engine.csm.settings import EngineSettings
from local_engine.csm.shape import Rope, Shape, Stack

CONFIG = {
    "backbone_flavor": "small-backbone",
    "decoder_flavor": "small-depth",
    "text_vocab_size": 300,
    "audio_vocab_size": 67,
    "audio_num_codebooks": 4,
    "bos_token_id": 256,
    "eos_token_id": 257,
}


@pytest.fixture(scope="module")
def reference() -> CsmForConditionalGeneration:
    return small_reference()


@pytest.fixture(scope="module")
def tensors(reference: CsmForConditionalGeneration) -> dict[str, Tensor]:
    return flat(reference.state_dict())


@pytest.fixture(scope="module")
def shape(reference: CsmForConditionalGeneration) -> Shape:
    return read_shape(reference.config.to_dict())


@pytest.fixture(scope="module")
def flavours(shape: Shape) -> Mapping[str, Stack]:
    return {"small-backbone": shape.backbone, "small-depth": shape.depth}


@pytest.fixture
def mimi(
    reference: CsmForConditionalGeneration, tensors: dict[str, Tensor], tmp_path: Path
) -> Path:
    """Mimi by itself, in transformers' layout."""
    folder = tmp_path / "mimi"
    folder.mkdir()
    config = reference.config.to_dict()["codec_config"] | {"model_type": "mimi"}
    (folder / "config.json").write_text(json.dumps(config))
    codec = {
        name.removeprefix("codec_model."): tensor.clone()
        for name, tensor in tensors.items()
        if name.startswith("codec_model.")
    }
    save_file(codec, folder / "model.safetensors")
    return folder


@pytest.fixture
def folder(tensors: dict[str, Tensor], shape: Shape, tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    save_file(as_sesame(tensors, shape), tmp_path / "model.safetensors")
    write_tokenizer(tmp_path)
    return tmp_path


def test_sesames_folder_is_the_same_model(
    folder: Path,
    mimi: Path,
    tensors: dict[str, Tensor],
    flavours: Mapping[str, Stack],
    shape: Shape,
) -> None:
    found = read_folder(folder, codec_files(mimi), flavours)
    read = {name: entry.read() for name, entry in found.entries.items()}
    assert all(torch.equal(read[name], tensors[name]) for name in read)
    assemble(read, found.shape)
    assert found.shape == replace(shape, longest=2048)


def test_sesames_pickled_file_is_the_same_model(
    folder: Path,
    mimi: Path,
    tensors: dict[str, Tensor],
    flavours: Mapping[str, Stack],
    shape: Shape,
) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(as_sesame(tensors, shape), folder / "ckpt.pt")
    found = read_folder(folder, codec_files(mimi), flavours)
    assert torch.equal(
        found.entries["backbone_model.layers.1.self_attn.k_proj.weight"].read(),
        tensors["backbone_model.layers.1.self_attn.k_proj.weight"],
    )


def test_transformers_config_beside_sesames_weights_is_enough(
    folder: Path, mimi: Path, reference: CsmForConditionalGeneration, tensors: dict[str, Tensor]
) -> None:
    """As on the hub, where one config.json serves both; tokenizer and codec lie elsewhere."""
    both = CONFIG | reference.config.to_dict()
    (folder / "config.json").write_text(json.dumps(both))
    tokenizer = (folder / "tokenizer.json").rename(mimi / "tokenizer.json")
    settings = EngineSettings(
        name="a",
        source=str(folder),
        tokenizer=str(tokenizer.parent),
        codec_source=str(mimi / "model.safetensors"),
        device="cpu",
    )
    model = load(settings, _quiet)
    assert torch.equal(model.weights.first_head, tensors["lm_head.weight"])
    expected = tensors["codec_model.upsample.conv.weight"]
    assert torch.equal(model.weights.codec["upsample.conv.weight"], expected)
    assert model.codec_config["model_type"] == "mimi"


def test_a_pickled_file_with_more_than_tensors_is_refused(
    folder: Path, mimi: Path, flavours: Mapping[str, Stack]
) -> None:
    (folder / "model.safetensors").unlink()
    for content in ({"run": Path("/tmp")}, {"model": {"a": torch.zeros(1)}}, [1]):  # noqa: S108
        torch.save(content, folder / "ckpt.pt")
        with pytest.raises(CheckpointError, match="not a plain table of tensors"):
            read_folder(folder, codec_files(mimi), flavours)


def test_half_split_rows_score_as_alternate_rows_do() -> None:
    """Rotated as torchtune does and as transformers does, queries and keys agree alike."""
    torch.manual_seed(1)
    heads, size, width, positions = 2, 8, 12, 5
    query, key = torch.randn(2, heads * size, width)
    inputs = torch.randn(positions, width)
    angles = torch.outer(torch.arange(positions), 10.0 ** -torch.arange(size // 2))

    def score(rows: tuple[Tensor, Tensor], *, alternate: bool) -> Tensor:
        turned = [
            _turned((inputs @ row.T).view(positions, heads, size), angles, alternate=alternate)
            for row in rows
        ]
        return torch.einsum("ihd,jhd->hij", *turned)

    ours = score((halved(query, heads), halved(key, heads)), alternate=False)
    torch.testing.assert_close(ours, score((query, key), alternate=True))


def test_without_a_codec_one_is_asked_for(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"codec_source.*kyutai/mimi"):
        load(EngineSettings(name="a", source=str(folder), device="cpu"), _quiet)


def test_a_codec_source_that_is_nothing_is_refused(folder: Path) -> None:
    settings = EngineSettings(name="a", source=str(folder), codec_source="/no/mimi", device="cpu")
    with pytest.raises(LoadError, match="codec_source '/no/mimi'"):
        load(settings, _quiet)


def test_a_codec_folder_without_mimi_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no Mimi"):
        codec_files(tmp_path)


def test_an_unknown_flavour_is_told_with_those_known(folder: Path, mimi: Path) -> None:
    settings = EngineSettings(name="a", source=str(folder), codec_source=str(mimi), device="cpu")
    with pytest.raises(ConfigError, match=r"'small-backbone' is not known; llama-1B, llama-100M"):
        load(settings, _quiet)


def test_sesames_flavours_have_the_real_measurements() -> None:
    real = CONFIG | {"backbone_flavor": "llama-1B", "decoder_flavor": "llama-100M"}
    found = read_sesame(real)
    assert found.backbone == Stack(16, 2048, 8192, 32, 8, 64, 1e-5, Rope(5e5, 32, 1, 4, 8192))
    assert found.depth == FLAVOURS["llama-100M"]
    assert found.depth.head_size * found.depth.heads == found.depth.width == 1024


def test_the_real_model_by_sesames_names_is_accounted_for() -> None:
    """On the meta device: Sesame's flavours and the real Mimi, where config.json says no more."""
    real = CONFIG | {"backbone_flavor": "llama-1B", "decoder_flavor": "llama-100M"}
    real |= {"text_vocab_size": 128_256, "audio_vocab_size": 2051, "audio_num_codebooks": 32}
    shape = read_sesame(real).shape(read_codec({}, 32))
    tensors = {name: torch.empty(size, device="meta") for name, size in expected(shape)}
    sesame = as_sesame(tensors, shape)
    found = from_sesame(held(sesame), shape) | {
        n: Entry(tuple(t.shape), t.clone) for n, t in tensors.items() if n.startswith(CODEC)
    }
    account({name: entry.shape for name, entry in found.items()}, shape)
    assert len(sesame) == 5 + 2 + 20 * 9
    assert sum(tensor.numel() for tensor in sesame.values()) == 1_552_791_552


def test_an_unknown_key_of_sesame_is_refused(
    folder: Path,
    mimi: Path,
    flavours: Mapping[str, Stack],
    tensors: dict[str, Tensor],
    shape: Shape,
) -> None:
    more = as_sesame(tensors, shape) | {"backbone.layers.0.attn.bias": torch.zeros(3)}
    save_file(more, folder / "model.safetensors")
    found = read_folder(folder, codec_files(mimi), flavours)
    read = {name: entry.read() for name, entry in found.entries.items()}
    with pytest.raises(CheckpointError, match=r"layers\.0\.attn\.bias \[3\] is not known"):
        assemble(read, found.shape)


@pytest.mark.parametrize("published", [False, True])
def test_kyutais_mimi_sounds_the_same_by_our_names(
    reference: CsmForConditionalGeneration, shape: Shape, *, published: bool
) -> None:
    """moshi's own model, its tensors renamed, decodes to the same samples in transformers."""
    loaders = pytest.importorskip("moshi.models.loaders")
    theirs = _moshi_mimi(loaders, shape)
    state = dict(theirs.state_dict())
    if published:
        state = {n.replace("in_projs.0.weight", "in_proj_weight"): t for n, t in state.items()}
    ours = {name: entry.read() for name, entry in from_moshi(held(state), shape.codec).items()}
    mimi = type(reference.codec_model)(reference.config.codec_config).eval()
    named = {_flat_name(name): name for name in mimi.state_dict()}
    mimi.load_state_dict({named[name]: tensor for name, tensor in ours.items()})
    codes = torch.randint(0, 64, (1, 4, 9), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        expected = theirs.decode(codes)
        torch.testing.assert_close(mimi.decode(codes).audio_values, expected)
        assert torch.equal(mimi.encode(expected).audio_codes, theirs.encode(expected))


def test_kyutais_file_is_found_beside_another_models_config(tmp_path: Path) -> None:
    save_file(
        {"encoder.model.0.conv.conv.bias": torch.zeros(1)}, tmp_path / "tokenizer-x.safetensors"
    )
    (tmp_path / "config.json").write_text('{"model_type": "moshi"}')
    expected = CodecFiles({}, (tmp_path / "tokenizer-x.safetensors",))
    assert codec_files(tmp_path) == expected
    assert codec_files(tmp_path / "tokenizer-x.safetensors") == expected


def test_attention_of_kyutai_in_a_wrong_size_is_named(shape: Shape) -> None:
    name = "encoder_transformer.transformer.layers.0.self_attn.in_projs.0.weight"
    with pytest.raises(CheckpointError, match=r"in_projs.*\[95, 32\].*\[96, 32\]"):
        from_moshi(held({name: torch.zeros(95, 32)}), shape.codec)


def _quiet(stage: str, done: int, total: int) -> None:
    assert stage


def _turned(values: Tensor, angles: Tensor, *, alternate: bool) -> Tensor:
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    if alternate:
        first, second = values[..., ::2], values[..., 1::2]
        pair = (first * cos - second * sin, first * sin + second * cos)
        return torch.stack(pair, -1).flatten(-2)
    first, second = values.chunk(2, -1)
    return torch.cat((first * cos - second * sin, first * sin + second * cos), -1)


def _flat_name(name: str) -> str:
    (plain,) = flat({f"codec_model.{name}": 0})
    return plain.removeprefix("codec_model.")


def _moshi_mimi(loaders: ModuleType, shape: Shape) -> torch.nn.Module:
    codec = shape.codec
    config = deepcopy(loaders._mimi_config)  # noqa: SLF001 - it is told nowhere else
    config["frame_rate"] = codec.sample_rate / codec.frame_samples
    config["seanet"] |= {
        "dimension": codec.width,
        "n_filters": codec.filters,
        "ratios": list(codec.ratios),
    }
    config["quantizer"] |= {
        "dimension": codec.codebook_width,
        "n_q": codec.codebooks,
        "bins": codec.codebook_size,
        "input_dimension": codec.width,
        "output_dimension": codec.width,
    }
    config["transformer"] |= {
        "d_model": codec.width,
        "num_heads": codec.heads,
        "num_layers": codec.layers,
        "context": codec.window,
        "dim_feedforward": codec.ffn,
        "input_dimension": codec.width,
        "output_dimensions": [codec.width],
    }
    with torch.random.fork_rng():
        torch.manual_seed(5)
        mimi = loaders.get_mimi(None, config, device="cpu", num_codebooks=codec.codebooks)
        for name, buffer in mimi.named_buffers():
            if name.endswith("embedding_sum"):
                buffer.normal_()
            elif name.endswith("cluster_usage"):
                buffer.fill_(1)
    return mimi.eval()
