"""Folders in transformers' layout, as its versions write them, and what may be wrong with one."""

import json
from pathlib import Path
from shutil import copytree

import pytest
import torch
from offline_tokenizer import write_tokenizer
from reference import small_reference
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CsmForConditionalGeneration, MimiConfig, MimiModel

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.errors import CheckpointError, ConfigError, LoadError
from local_engine.csm.loading.fingerprint import fingerprint
from local_engine.csm.loading.model import Model, load
from local_engine.csm.settings import EngineSettings

BACKBONE_TABLE = "backbone_model.embed_tokens.embed_audio_tokens.weight"
Told = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def reference() -> CsmForConditionalGeneration:
    return small_reference()


@pytest.fixture(scope="module")
def saved(reference: CsmForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What transformers itself writes, with a tokenizer."""
    folder = tmp_path_factory.mktemp("saved")
    reference.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy that the test may spoil."""
    return copytree(saved, tmp_path / "model")


def test_a_saved_folder_gives_the_model_that_was_saved(
    saved: Path, reference: CsmForConditionalGeneration
) -> None:
    model = _load(saved)
    tensors = reference.state_dict()
    assert torch.equal(model.weights.audio_table, tensors[BACKBONE_TABLE])
    assert torch.equal(model.weights.heads, tensors["depth_decoder.codebooks_head.weight"])
    assert model.weights.depth.layers[1].down.dtype == torch.float32
    assert model.shape == read_shape(reference.config.to_dict())
    assert model.tokenizer.ids("Hi") == (39, 72)
    assert (model.name, model.folder) == ("a", saved)


def test_the_codec_builds_transformers_own_encoder(saved: Path) -> None:
    model = _load(saved)
    mimi = MimiModel(MimiConfig.from_dict(dict(model.codec_config)))
    nested = {
        "encoder.layers.": "encoder.encoder_seanet.layers.",
        "encoder_transformer.": "encoder.encoder_transformer.",
        "downsample.": "encoder.downsample.",
        "decoder.layers.": "decoder.decoder_seanet.layers.",
        "decoder_transformer.": "decoder.decoder_transformer.",
        "upsample.": "decoder.upsample.",
    }
    tensors = {_nested(name, nested): tensor for name, tensor in model.weights.codec.items()}
    assert mimi.load_state_dict(tensors).missing_keys == []


def test_a_folder_in_shards_gives_the_same_model(
    saved: Path, reference: CsmForConditionalGeneration, tmp_path: Path
) -> None:
    reference.save_pretrained(tmp_path, max_shard_size="200KB")
    write_tokenizer(tmp_path)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 2
    _same(_load(tmp_path), _load(saved))


def test_a_folder_as_the_hub_has_it_gives_the_same_model(folder: Path, saved: Path) -> None:
    """Its config.json names an index, beside a model.safetensors in another layout."""
    (folder / "model.safetensors").rename(folder / "transformers-00001-of-00001.safetensors")
    names = load_file(folder / "transformers-00001-of-00001.safetensors")
    weight_map = dict.fromkeys(names, "transformers-00001-of-00001.safetensors")
    index = folder / "transformers.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    save_file({"text_embeddings.weight": torch.zeros(1)}, folder / "model.safetensors")
    for named in (index.name, "transformers-00001-of-00001.safetensors"):
        _change(folder, transformers_weights=named)
        _same(_load(folder), _load(saved))


def test_nested_names_of_the_codec_are_taken_too(
    folder: Path, saved: Path, reference: CsmForConditionalGeneration
) -> None:
    tensors = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    assert any(name.startswith("codec_model.decoder.decoder_seanet.") for name in tensors)
    save_file(tensors, folder / "model.safetensors")
    _same(_load(folder), _load(saved))


def test_a_config_of_transformers_4_is_read_alike(folder: Path, saved: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for part in (config, config["depth_decoder_config"], config["codec_config"]):
        rope = part.pop("rope_parameters")
        part["rope_theta"] = rope.pop("rope_theta")
        part["rope_scaling"] = rope if rope["rope_type"] == "llama3" else None
    (folder / "config.json").write_text(json.dumps(config))
    assert _load(folder).shape == _load(saved).shape


def test_the_type_is_the_settings_but_the_codecs(saved: Path) -> None:
    weights = _load(saved, dtype="bfloat16").weights
    assert weights.backbone.layers[0].qkv.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in weights.codec.values()} == {torch.float32}


def test_progress_is_told_in_bytes_up_to_the_end(saved: Path) -> None:
    told: Told = []
    load(_settings(saved), lambda *news: told.append(news))
    assert {stage for stage, _, _ in told} == {"weights"}
    done = [news[1] for news in told]
    assert len(set(done)) == len(done)
    assert done == sorted(done)
    assert done[-1] == told[-1][2] > 500_000


@pytest.mark.parametrize("removed", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder: Path, removed: str) -> None:
    (folder / removed).unlink()
    with pytest.raises(LoadError, match=removed):
        _load(folder)


def test_a_missing_shard_is_named(folder: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"model-00001-of-00002\.safetensors is missing"):
        _load(folder)


def test_an_index_may_not_lead_out_of_the_folder(folder: Path) -> None:
    index = {"weight_map": {"lm_head.weight": "../elsewhere.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ConfigError, match="elsewhere"):
        _load(folder)


def test_a_file_cut_short_is_named(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        _load(folder)


def test_a_tensor_in_two_shards_is_refused(folder: Path) -> None:
    save_file({"lm_head.weight": torch.zeros(1)}, folder / "more.safetensors")
    index = {"weight_map": {"a": "model.safetensors", "b": "more.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"lm_head\.weight is in another file too"):
        _load(folder)


def test_a_config_that_promises_more_layers_is_told_the_missing_key(folder: Path) -> None:
    _change(folder, num_hidden_layers=3)
    with pytest.raises(CheckpointError, match=r"backbone_model\.layers\.2\..* is missing"):
        _load(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_codebooks": "four"}, "num_codebooks must be a whole number"),
        ({"num_codebooks": True}, "num_codebooks must be a whole number"),
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"mlp_bias": True}, "mlp_bias"),
        ({"tie_codebooks_embeddings": False}, "tie_codebooks_embeddings"),
        ({"rope_parameters": {"rope_type": "yarn"}}, "rope_type 'yarn'"),
        ({"num_key_value_heads": 3}, "num_key_value_heads 3"),
        ({"vocab_size": 50}, "depth_decoder_config.vocab_size is 67, not 50"),
        ({"depth_decoder_config": None}, "depth_decoder_config is missing"),
        ({"codec_config": {"use_conv_shortcut": True}}, "use_conv_shortcut"),
        ({"codec_config": {"num_quantizers": 3}}, "num_quantizers is 3"),
        ({"codec_config": {"upsample_groups": 1}}, "upsample_groups"),
        ({"codec_config": {"upsampling_ratios": [8, "x"]}}, "upsampling_ratios"),
        ({"codec_config": {"frame_rate": 1e9}}, "frame_rate"),
        ({"codec_config": {"codebook_size": 128}}, "codebook_size 128"),
        ({"bos_token_id": 5000}, "bos_token_id"),
        ({"codec_config": {"vector_quantization_hidden_dimension": 8}}, "must be codebook_dim"),
        ({"codec_config": {"upsampling_ratios": 8}}, "upsampling_ratios must be a list"),
        (
            {"codec_config": {"codebook_size": 64, "num_semantic_quantizers": 4}},
            "leaves no acoustic codebook",
        ),
        ({"rope_parameters": "plain"}, "rope_parameters must be a table"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps must be a number"),
    ],
)
def test_an_impossible_config_is_told_by_its_field(
    saved: Path, change: dict[str, object], told: str
) -> None:
    config = json.loads((saved / "config.json").read_text()) | change
    with pytest.raises(ConfigError, match=told):
        read_shape(config)


def test_an_old_config_may_say_the_frame_rate(saved: Path) -> None:
    config = json.loads((saved / "config.json").read_text())
    config["codec_config"] |= {"frame_rate": 250.0}
    assert read_shape(config).codec.upsample_stride == 2


def test_a_config_that_is_no_table_is_refused(folder: Path) -> None:
    for text in ("[]", "{", "\xff"):
        (folder / "config.json").write_text(text)
        with pytest.raises(ConfigError, match=r"config\.json"):
            _load(folder)


def test_another_kind_of_model_is_refused(folder: Path) -> None:
    (folder / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(ConfigError, match="holds no CSM"):
        _load(folder)


def test_a_source_that_is_nothing_is_refused() -> None:
    with pytest.raises(LoadError, match="neither a folder nor"):
        load(EngineSettings(name="x", source="/no/such/folder"), _quiet)


@pytest.mark.parametrize("device", ["cuda:99", "abacus", "meta"])
def test_a_device_that_is_not_here_is_refused(saved: Path, device: str) -> None:
    with pytest.raises(LoadError, match=device):
        load(_settings(saved, device=device), _quiet)


def test_two_codecs_have_two_fingerprints(saved: Path) -> None:
    codec = dict(_load(saved).weights.codec)
    name = "decoder.layers.0.conv.weight"
    assert fingerprint(codec) == fingerprint(dict(reversed(codec.items())))
    assert fingerprint(codec) != fingerprint(codec | {name: codec[name] * 2})


def _quiet(stage: str, done: int, total: int) -> None:
    assert stage
    assert 0 <= done <= total


def _settings(folder: Path, *, dtype: str = "auto", device: str = "cpu") -> EngineSettings:
    kind = "bfloat16" if dtype == "bfloat16" else "auto"
    return EngineSettings(name="a", source=str(folder), dtype=kind, device=device)


def _load(folder: Path, dtype: str = "auto") -> Model:
    return load(_settings(folder, dtype=dtype), _quiet)


def _change(folder: Path, **fields: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def _same(one: Model, other: Model) -> None:
    assert one.shape == other.shape
    pairs = zip(_tensors(one), _tensors(other), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def _tensors(model: Model) -> list[Tensor]:
    weights = model.weights
    layers = [*weights.backbone.layers, *weights.depth.layers]
    joined = [t for layer in layers for t in (layer.qkv, layer.gate_up, layer.down, layer.out)]
    tables = [weights.audio_table, weights.text_table, weights.heads, weights.first_head]
    return [*joined, *tables, *(weights.codec[name] for name in sorted(weights.codec))]


def _nested(name: str, table: dict[str, str]) -> str:
    for plain, nested in table.items():
        if name.startswith(plain):
            return nested + name.removeprefix(plain)
    return name
