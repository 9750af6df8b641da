"""A tokenizer.json of bytes and Llama 3's special tokens, made without any download."""

from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

SPECIAL = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|AUDIO|>",
    "<|finetune_right_pad_id|>",
    "<|audio_eos|>",
)
BOS, EOS, AUDIO, PAD, AUDIO_EOS = range(256, 261)


def offline_tokenizer() -> Tokenizer:
    """One token for each byte, as reference.py's small models number them."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    return tokenizer


def write_tokenizer(folder: Path) -> Path:
    path = folder / "tokenizer.json"
    offline_tokenizer().save(str(path))
    return path
