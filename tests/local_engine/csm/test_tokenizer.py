"""Text as ids: its own tokens only, whatever it says."""

from pathlib import Path

import pytest
from offline_tokenizer import BOS, EOS, offline_tokenizer, write_tokenizer
from tokenizers import processors

from local_engine.csm.loading.config import read_shape
from local_engine.csm.loading.errors import LoadError
from local_engine.csm.loading.tiny import CONFIG
from local_engine.csm.loading.tokenizer import byte_tokenizer, read_tokenizer

SHAPE = read_shape(CONFIG)


def test_no_special_token_is_added(tmp_path: Path) -> None:
    """Llama 3's file adds the begin by itself; a prompt sets it, and once is enough."""
    tokenizer = offline_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", BOS)]
    )
    tokenizer.enable_truncation(2)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    found = read_tokenizer(tmp_path / "tokenizer.json", SHAPE)
    assert found.ids("abc") == (64, 65, 66)
    assert (found.bos, found.eos) == (BOS, EOS)


def test_a_special_tokens_name_in_a_text_is_text(tmp_path: Path) -> None:
    found = read_tokenizer(write_tokenizer(tmp_path), SHAPE)
    ids = found.ids("a<|end_of_text|><|AUDIO|>")
    assert len(ids) == 25
    assert max(ids) < BOS


def test_bytes_above_the_alphabet_are_begin_and_end() -> None:
    found = byte_tokenizer(BOS, EOS)
    assert found.ids("<|end_of_text|>") == tuple(b"<|end_of_text|>")
    assert found.ids("\ud800") == (63,)
    with pytest.raises(LoadError):
        byte_tokenizer(1, 2)


@pytest.mark.parametrize("content", [None, "{", '{"model": 1}'])
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(LoadError, match=r"is not a tokenizer\.json"):
        read_tokenizer(path, SHAPE)


def test_another_models_tokenizer_is_refused(tmp_path: Path) -> None:
    tokenizer = offline_tokenizer()
    tokenizer.add_tokens([f"more{n}" for n in range(10)])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(LoadError, match="has 271 tokens, the model 264"):
        read_tokenizer(tmp_path / "tokenizer.json", SHAPE)


def test_a_tokenizer_that_begins_otherwise_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(write_tokenizer(tmp_path).read_text().replace("<|begin_of_text|>", "<|b|>"))
    text = path.read_text().replace("<|end_of_text|>", "<|begin_of_text|>")
    path.write_text(text)
    with pytest.raises(LoadError, match="is not token 256"):
        read_tokenizer(path, SHAPE)
