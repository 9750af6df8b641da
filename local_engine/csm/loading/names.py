"""Every layout's key names led back to one: those of transformers' CSM files."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from torch import Tensor

from local_engine.csm.loading.entries import Entries, Entry
from local_engine.csm.loading.errors import CheckpointError
from local_engine.csm.shape import CodecShape, Shape

Value = TypeVar("Value")

_DEPTH = "depth_decoder.model."

# transformers 5.18 and later nest the halves of Mimi in memory; files keep the older, flat names.
_NESTED = {
    "codec_model.encoder.encoder_seanet.": "codec_model.encoder.",
    "codec_model.encoder.encoder_transformer.": "codec_model.encoder_transformer.",
    "codec_model.encoder.downsample.": "codec_model.downsample.",
    "codec_model.decoder.decoder_seanet.": "codec_model.decoder.",
    "codec_model.decoder.decoder_transformer.": "codec_model.decoder_transformer.",
    "codec_model.decoder.upsample.": "codec_model.upsample.",
}

# Source: models.py of SesameAILabs/csm and torchtune 0.4's TransformerDecoder, from memory.
_SESAME = {
    r"^text_embeddings\.": "embed_text_tokens.",
    r"^audio_embeddings\.": "depth_decoder.model.embed_tokens.",
    r"^projection\.": "depth_decoder.model.inputs_embeds_projector.",
    r"^codebook0_head\.": "lm_head.",
    r"^audio_head$": "depth_decoder.codebooks_head.weight",
    r"^backbone\.": "backbone_model.",
    r"^decoder\.": "depth_decoder.model.",
    r"(?<=\d\.)attn\.(?=[qkv]_proj)": "self_attn.",
    r"(?<=\d\.)attn\.output_proj": "self_attn.o_proj",
    r"(?<=\d\.)sa_norm\.scale": "input_layernorm.weight",
    r"(?<=\d\.)mlp_norm\.scale": "post_attention_layernorm.weight",
    r"(?<=\d\.)mlp\.w1\.": "mlp.gate_proj.",
    r"(?<=\d\.)mlp\.w2\.": "mlp.down_proj.",
    r"(?<=\d\.)mlp\.w3\.": "mlp.up_proj.",
    r"(?<=\.)norm\.scale": "norm.weight",
}

# Source: compression.py, seanet.py, transformer.py and vq.py of moshi 0.2.13.
_MOSHI = {
    r"^(?P<half>en|de)coder\.model\.": r"\g<half>coder.layers.",
    r"(?<=sample\.)(conv\.conv\.conv|convtr\.convtr\.convtr)\.": "conv.",
    r"(?<=\d\.)(conv\.conv|convtr\.convtr)\.": "conv.",
    r"_transformer\.transformer\.": "_transformer.",
    r"self_attn\.out_proj(s\.0)?\.": "self_attn.o_proj.",
    r"(?<=\d\.)norm1\.": "input_layernorm.",
    r"(?<=\d\.)norm2\.": "post_attention_layernorm.",
    r"(?<=\d\.)linear(?=[12]\.)": "mlp.fc",
    r"(?<=\d\.)layer_scale_1\.": "self_attn_layer_scale.",
    r"(?<=\d\.)layer_scale_2\.": "mlp_layer_scale.",
    r"quantizer\.rvq_first\.": "quantizer.semantic_residual_vector_quantizer.",
    r"quantizer\.rvq_rest\.": "quantizer.acoustic_residual_vector_quantizer.",
    r"(?<=quantizer\.)vq\.": "",
    r"\._codebook\._?": ".codebook.",
    r"codebook\.embedding_sum": "codebook.embed_sum",
}
# Checkpoints as published say in_proj_weight; moshi in memory has a list of them.
_JOINED = re.compile(r"self_attn\.in_proj(_|\.|s\.0\.)weight$")


def flat(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """The tensors of a model in memory under the names of its file."""
    return {_flat(name): tensor for name, tensor in tensors.items()}


def is_sesame(entries: Entries) -> bool:
    return "text_embeddings.weight" in entries


def is_moshi(entries: Entries) -> bool:
    return any(name.startswith("encoder.model.") for name in entries)


def from_sesame(entries: Entries, shape: Shape) -> dict[str, Entry]:
    """Rename, and put the rows of queries and keys in rotate-half order: torchtune's alternate."""
    renamed = _renamed(entries, _SESAME)
    heads = {
        f"{prefix}layers.{n}.self_attn.{name}_proj.weight": count
        for prefix, stack in (("backbone_model.", shape.backbone), (_DEPTH, shape.depth))
        for n in range(stack.layers)
        for name, count in (("q", stack.heads), ("k", stack.kv_heads))
    }
    return {
        name: replace(entry, read=partial(_read_halved, entry, heads[name]))
        if name in heads
        else entry
        for name, entry in renamed.items()
    }


def from_moshi(entries: Entries, codec: CodecShape) -> dict[str, Entry]:
    """Rename Kyutai's own checkpoint of Mimi, its attention parted and put in rotate-half order."""
    renamed: dict[str, Entry] = {}
    for name, entry in _renamed(entries, _MOSHI).items():
        if _JOINED.search(name):
            renamed |= _parted(name, entry, codec)
        else:
            renamed[name] = entry
    return renamed


def _flat(name: str) -> str:
    for nested, plain in _NESTED.items():
        if name.startswith(nested):
            return plain + name.removeprefix(nested)
    return name


def _renamed(entries: Entries, table: Mapping[str, str]) -> dict[str, Entry]:
    patterns = [(re.compile(pattern), plain) for pattern, plain in table.items()]
    renamed: dict[str, Entry] = {}
    for name, entry in entries.items():
        plain = name
        for pattern, replacement in patterns:
            plain = pattern.sub(replacement, plain, count=1)
        if plain in renamed:
            raise CheckpointError(f"{name} says {plain} again")
        renamed[plain] = entry
    return renamed


def _parted(name: str, entry: Entry, codec: CodecShape) -> dict[str, Entry]:
    """Queries, keys and values out of one matrix; moshi has as many of each."""
    size = codec.heads * codec.head_size
    width = entry.shape[-1]
    if entry.shape[0] != 3 * size:
        message = f"{name} has shape {list(entry.shape)}, config.json says {[3 * size, width]}"
        raise CheckpointError(message)
    heads = {"q": codec.heads, "k": codec.heads, "v": 0}
    return {
        _JOINED.sub(f"self_attn.{part}_proj.weight", name): Entry(
            (size, width), partial(_read_part, entry, slice(n * size, (n + 1) * size), heads[part])
        )
        for n, part in enumerate("qkv")
    }


def _read_part(entry: Entry, rows: slice, heads: int) -> Tensor:
    part = entry.read()[rows]
    return halved(part, heads) if heads else part.clone()


def _read_halved(entry: Entry, heads: int) -> Tensor:
    return halved(entry.read(), heads)


def halved(weight: Tensor, heads: int) -> Tensor:
    """Rows [head, pair, 2] as rows [head, 2, pair]: the two of a rotated pair half a head apart."""
    rows, width = weight.shape
    pairs = weight.view(heads, rows // heads // 2, 2, width)
    return pairs.transpose(1, 2).reshape(rows, width)
