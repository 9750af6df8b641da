"""Text as token ids, without the marks of begin and end, which a prompt sets itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer as TokenizerFile

from local_engine.csm.loading.errors import LoadError
from local_engine.csm.shape import Shape

_BEGIN = "<|begin_of_text|>"
_BYTES = 256


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """How a model's text is cut up."""

    encode: Callable[[str], Sequence[int]]
    bos: int
    eos: int

    def ids(self, text: str) -> tuple[int, ...]:
        """Give the text's own tokens; a special token's name in it is text like any other."""
        return tuple(self.encode(text))


def read_tokenizer(path: Path, shape: Shape) -> Tokenizer:
    """Read a tokenizer.json; LoadError if it is not one, or not this model's."""
    try:
        found = TokenizerFile.from_file(str(path))
    # tokenizers raises bare Exception for a file that is absent or broken.
    except Exception as error:  # noqa: BLE001
        raise LoadError(f"{path} is not a tokenizer.json: {error}") from None
    size = found.get_vocab_size(with_added_tokens=True)
    if size > shape.text_vocabulary:
        raise LoadError(f"{path} has {size} tokens, the model {shape.text_vocabulary}")
    if found.token_to_id(_BEGIN) not in {None, shape.bos}:
        raise LoadError(f"{path}: {_BEGIN} is not token {shape.bos}, as the model has it")
    found.encode_special_tokens = True
    found.no_truncation()
    found.no_padding()

    def encode(text: str) -> Sequence[int]:
        ids: list[int] = found.encode(text, add_special_tokens=False).ids
        return ids

    return Tokenizer(encode, shape.bos, shape.eos)


def byte_tokenizer(bos: int, eos: int) -> Tokenizer:
    """One token for each byte of UTF-8; begin and end are above them."""
    if min(bos, eos) < _BYTES:
        raise LoadError("the ids below 256 are bytes")
    return Tokenizer(_utf8, bos, eos)


def _utf8(text: str) -> Sequence[int]:
    return text.encode("utf-8", "replace")
