"""Fetching from a hub on the loopback: only what is needed, and errors that one can act on."""

import json
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fake_hub import COMMIT, STALE_TOKEN, TOKEN, FakeHub, serving
from offline_tokenizer import write_tokenizer
from reference import small_reference
from safetensors.torch import save
from sesame_layout import as_sesame

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.errors import CheckpointError, HubError
from local_engine.csm.loading.hub import fetch, is_hub_id
from local_engine.csm.loading.model import load
from local_engine.csm.loading.names import flat
from local_engine.csm.settings import EngineSettings

Told = list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small model, as Sesame's repository names its files."""
    folder = tmp_path_factory.mktemp("saved")
    small_reference().save_pretrained(folder)
    write_tokenizer(folder)
    shard = "transformers-00001-of-00001.safetensors"
    index = {"weight_map": {"lm_head.weight": shard}}
    config = json.loads((folder / "config.json").read_text())
    config["transformers_weights"] = "transformers.safetensors.index.json"
    return {
        "config.json": json.dumps(config).encode(),
        "transformers.safetensors.index.json": json.dumps(index).encode(),
        shard: (folder / "model.safetensors").read_bytes(),
        "tokenizer.json": (folder / "tokenizer.json").read_bytes(),
        "prompts/conversational_a.wav": b"RIFF",
        "model.safetensors": b"another layout",
        "ckpt.pt": b"a pickle",
        "README.md": b"words",
    }


@pytest.fixture
def hub(
    files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeHub]:
    plain = {k: v for k, v in files.items() if not k.startswith("transformers")}
    plain["config.json"] = files["config.json"].replace(b'"transformers_weights"', b'"other"')
    plain["model.safetensors"] = files["transformers-00001-of-00001.safetensors"]
    repositories = {"maker/csm": files, "maker/gated": files, "maker/plain": plain}
    hub = FakeHub(repositories, frozenset({"maker/gated"}), TOKEN)
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.address)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        yield hub


def test_only_the_files_that_are_needed_are_fetched(hub: FakeHub) -> None:
    told: Told = []
    model = load(_settings("maker/csm"), lambda *news: told.append(news))
    assert torch.isfinite(model.weights.heads).all()
    assert sorted(set(hub.fetched)) == [
        "config.json",
        "prompts/conversational_a.wav",
        "tokenizer.json",
        "transformers-00001-of-00001.safetensors",
        "transformers.safetensors.index.json",
    ]
    assert len(hub.fetched) == 5
    assert model.folder is not None
    assert model.folder.name == COMMIT


def test_progress_of_the_download_is_told_in_bytes(hub: FakeHub, files: dict[str, bytes]) -> None:
    told: Told = []
    load(_settings("maker/csm"), lambda *news: told.append(news))
    downloads = [news for news in told if news[0] == "download"]
    size = len(files["transformers-00001-of-00001.safetensors"])
    assert downloads[-1][1] == downloads[-1][2] >= size
    assert all(0 <= done <= total for _, done, total in told)
    assert [stage for stage, _, _ in told if stage == "weights"]


def test_a_repository_without_an_index_is_fetched_whole(hub: FakeHub) -> None:
    load(_settings("maker/plain"), _quiet)
    assert "model.safetensors" in hub.fetched
    assert "ckpt.pt" not in hub.fetched


@pytest.mark.parametrize("kind", ["whole", "pickled"])
def test_sesames_layout_takes_its_codec_and_tokenizer_from_the_hub(
    hub: FakeHub, kind: str, tmp_path: Path
) -> None:
    hub.repositories = _sesames(kind, tmp_path)
    settings = EngineSettings(
        name="a",
        source="maker/sesame",
        codec_source="maker/mimi",
        tokenizer="maker/llama",
        device="cpu",
    )
    model = load(settings, _quiet)
    assert model.shape.codebooks == 4
    assert model.codec_config["model_type"] == "mimi"
    assert len(hub.fetched) == 5


def test_a_repository_without_mimi_is_no_codec(hub: FakeHub, tmp_path: Path) -> None:
    hub.repositories = {**_sesames("whole", tmp_path), "maker/mimi": {"README.md": b""}}
    settings = EngineSettings(name="a", source="maker/sesame", codec_source="maker/mimi")
    with pytest.raises(CheckpointError, match="holds no Mimi"):
        load(settings, _quiet)


def test_what_is_in_the_cache_needs_no_hub(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(_settings("maker/csm"), _quiet)
    hub.fetched.clear()
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    again = load(_settings("maker/csm"), _quiet)
    assert torch.equal(first.weights.heads, again.weights.heads)
    assert hub.fetched == []


def test_a_gated_repository_is_explained_to_who_has_no_token(hub: FakeHub) -> None:
    told = _refusal("maker/gated")
    assert "maker/gated is gated" in told
    assert f"Accept its terms on {hub.address}/maker/gated" in told
    assert "set HF_TOKEN" in told
    assert "folder as the source" in told


@pytest.mark.usefixtures("hub")
def test_a_gated_repository_is_explained_to_who_was_not_let_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_another0123456789")
    told = _refusal("maker/gated")
    assert "The account of HF_TOKEN has not been let in" in told
    assert "hf_another" not in told


@pytest.mark.usefixtures("hub")
def test_with_the_right_token_a_gated_repository_is_fetched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert load(_settings("maker/gated"), _quiet).shape.codebooks == 4


@pytest.mark.usefixtures("hub")
def test_a_repository_that_is_not_there_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "There is no repository at" in _refusal("maker/none")
    assert "who has no HF_TOKEN may not" in _refusal("maker/none")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    told = _refusal("maker/none")
    assert "the account of HF_TOKEN may not" in told
    assert TOKEN not in told


@pytest.mark.usefixtures("hub")
def test_a_revision_that_is_not_there_is_explained() -> None:
    with pytest.raises(HubError, match="maker/csm has no revision 'v9'"):
        fetch("maker/csm", "v9", ["config.json"], _quiet)


@pytest.mark.usefixtures("hub")
def test_a_hub_that_cannot_be_reached_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    told = _refusal("maker/csm")
    assert "http://127.0.0.1:9 could not be reached for maker/csm" in told
    assert "folder as the source" in told


@pytest.mark.usefixtures("hub")
def test_being_offline_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE forbids" in _refusal("maker/csm")


@pytest.mark.usefixtures("hub")
def test_a_cache_that_cannot_be_written_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    assert "could not be written to the cache" in _refusal("maker/csm")


@pytest.mark.usefixtures("hub")
def test_a_token_that_the_hub_does_not_know_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", STALE_TOKEN)
    told = _refusal("maker/csm")
    assert "does not know the token in HF_TOKEN" in told
    assert STALE_TOKEN not in told


def test_a_hub_that_is_broken_is_told_by_its_status(hub: FakeHub) -> None:
    hub.broken = True
    assert "The hub answered 500" in _refusal("maker/csm")


def test_a_hub_id_is_an_owner_and_a_name() -> None:
    assert is_hub_id("sesame/csm-1b")
    assert not any(map(is_hub_id, ["csm", "/a/b", "./a", "../a", "a/b/c", "~/a", "a/", ""]))


def _sesames(kind: str, folder: Path) -> dict[str, dict[str, bytes]]:
    """Three repositories: the weights by Sesame's names, Mimi, and a tokenizer."""
    reference = small_reference()
    tensors = flat(reference.state_dict())
    config = reference.config.to_dict()
    weights = as_sesame(tensors, read_shape(config))
    codec = {
        name.removeprefix("codec_model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("codec_model.")
    }
    if kind == "pickled":
        torch.save(weights, folder / "ckpt.pt")
        model = {"ckpt.pt": (folder / "ckpt.pt").read_bytes()}
    else:
        model = {"model.safetensors": save(weights)}
    mimi = json.dumps(config["codec_config"] | {"model_type": "mimi"}).encode()
    return {
        "maker/sesame": {"config.json": json.dumps(config).encode(), **model},
        "maker/mimi": {"config.json": mimi, "model.safetensors": save(codec)},
        "maker/llama": {"tokenizer.json": write_tokenizer(folder).read_bytes()},
    }


def _refusal(repository: str) -> str:
    with pytest.raises(HubError) as refused:
        load(_settings(repository), _quiet)
    told = "".join(traceback.format_exception(refused.value))
    assert not any(token in told for token in (TOKEN, STALE_TOKEN, "hf_another0123456789"))
    return str(refused.value)


def _settings(repository: str) -> EngineSettings:
    return EngineSettings(name=repository, device="cpu")


def _quiet(stage: str, done: int, total: int) -> None:
    assert stage in {"download", "weights"}
    assert 0 <= done <= total


def test_a_token_that_no_header_can_hold_is_not_repeated_either(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_quite\x01secret")
    with pytest.raises(HubError) as raised:
        fetch("maker/gated", None, ["*"], _quiet)
    said = "".join(traceback.format_exception(raised.value))
    assert "hf_quite" not in said
    assert "secret" not in said
    assert hub.address in said
