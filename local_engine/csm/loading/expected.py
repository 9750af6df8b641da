"""Every key that a checkpoint of a Shape has, with its tensor's shape: nothing else is accepted.

Source: modeling_csm.py and modeling_mimi.py of transformers 4.52 to 5.23, whose file names these
are; held against transformers' own model of the real size on the meta device.
"""

import re
from collections.abc import Iterator, Mapping

from local_engine.csm.loading.entries import CODEC
from local_engine.csm.loading.errors import CheckpointError
from local_engine.csm.shape import CodecShape, Shape, Stack

Size = tuple[int, ...]
Sized = Iterator[tuple[str, Size]]

BACKBONE_TABLE = "backbone_model.embed_tokens.embed_audio_tokens.weight"
DEPTH_TABLE = "depth_decoder.model.embed_tokens.weight"

# What some versions write though it follows from the config.json, or is not used to speak.
_SPARE = re.compile(
    r"(.+\.)?rotary_emb\.(original_)?inv_freq"
    r"|backbone_model\.embed_tokens\.audio_tokens_offsets"
    r"|codec_model\.(.+\.)?(stride|kernel_size|padding_total)"
)
_QUANTIZER = re.compile(
    r"codec_model\.quantizer\.(\w+)_residual_vector_quantizer\.layers\.(\d+)\.codebook\.(\w+)"
)


def account(found: Mapping[str, Size], shape: Shape) -> None:
    """Hold the keys of a checkpoint against its Shape; CheckpointError names what differs."""
    wanted = dict(expected(shape))
    tables = {BACKBONE_TABLE, DEPTH_TABLE}
    missing = sorted(wanted.keys() - found.keys() - tables)
    if not tables & found.keys():
        missing.insert(0, DEPTH_TABLE)
    known = wanted | dict(_more_quantizers(found, shape.codec))
    _refuse("is missing", missing, known)
    unknown = [name for name in found if name not in known and not is_spare(name)]
    _refuse("is not known", sorted(unknown), found)
    for name in sorted(known.keys() & found.keys()):
        if found[name] != known[name]:
            message = f"{name} has shape {list(found[name])}, config.json says {list(known[name])}"
            raise CheckpointError(message)


def expected(shape: Shape) -> Sized:
    """Every key, both of the shared table among them, though a file may have only one."""
    backbone, depth, rows = shape.backbone, shape.depth, shape.codebooks * shape.codes
    yield "embed_text_tokens.weight", (shape.text_vocabulary, backbone.width)
    yield BACKBONE_TABLE, (rows, backbone.width)
    yield DEPTH_TABLE, (rows, backbone.width)
    yield from _stack("backbone_model.", backbone)
    yield "lm_head.weight", (shape.codes, backbone.width)
    yield "depth_decoder.model.inputs_embeds_projector.weight", (depth.width, backbone.width)
    yield from _stack("depth_decoder.model.", depth)
    yield "depth_decoder.codebooks_head.weight", (shape.codebooks - 1, depth.width, shape.codes)
    for name, size in expected_codec(shape.codec):
        yield CODEC + name, size


def expected_codec(codec: CodecShape) -> Sized:
    """Mimi's keys, both halves, as in its own files."""
    yield from _encoder(codec)
    yield from _transformer("encoder_transformer.", codec)
    kernel = 2 * codec.upsample_stride
    yield "downsample.conv.weight", (codec.width, codec.width, kernel)
    yield "upsample.conv.weight", (codec.width, 1, kernel)
    yield from _transformer("decoder_transformer.", codec)
    yield from _decoder(codec)
    yield from _quantizers("semantic", codec.semantic, codec)
    yield from _quantizers("acoustic", codec.codebooks - codec.semantic, codec)


def is_spare(name: str) -> bool:
    """Whether it is known, and not needed."""
    quantizer = _QUANTIZER.fullmatch(name)
    if quantizer is not None:
        return quantizer[3] == "initialized"
    return _SPARE.fullmatch(name) is not None


def _refuse(why: str, names: list[str], sizes: Mapping[str, Size]) -> None:
    if not names:
        return
    others = f", and {len(names) - 1} other keys" if len(names) > 1 else ""
    raise CheckpointError(f"{names[0]} {list(sizes[names[0]])} {why}{others}")


def _more_quantizers(found: Mapping[str, Size], codec: CodecShape) -> Sized:
    """Codebooks of a codec that has more of them than the model speaks with."""
    sizes = _codebook_sizes(codec)
    for name in found:
        quantizer = _QUANTIZER.fullmatch(name)
        if quantizer is not None and quantizer[1] == "acoustic" and quantizer[3] in sizes:
            yield name, sizes[quantizer[3]]


def _stack(prefix: str, stack: Stack) -> Sized:
    width, queries = stack.width, stack.heads * stack.head_size
    keys = stack.kv_heads * stack.head_size
    for n in range(stack.layers):
        layer = f"{prefix}layers.{n}."
        yield f"{layer}self_attn.q_proj.weight", (queries, width)
        yield f"{layer}self_attn.k_proj.weight", (keys, width)
        yield f"{layer}self_attn.v_proj.weight", (keys, width)
        yield f"{layer}self_attn.o_proj.weight", (width, queries)
        yield f"{layer}mlp.gate_proj.weight", (stack.ffn, width)
        yield f"{layer}mlp.up_proj.weight", (stack.ffn, width)
        yield f"{layer}mlp.down_proj.weight", (width, stack.ffn)
        yield f"{layer}input_layernorm.weight", (width,)
        yield f"{layer}post_attention_layernorm.weight", (width,)
    yield f"{prefix}norm.weight", (width,)


def _transformer(prefix: str, codec: CodecShape) -> Sized:
    width, queries = codec.width, codec.heads * codec.head_size
    keys = codec.kv_heads * codec.head_size
    for n in range(codec.layers):
        layer = f"{prefix}layers.{n}."
        yield f"{layer}self_attn.q_proj.weight", (queries, width)
        yield f"{layer}self_attn.k_proj.weight", (keys, width)
        yield f"{layer}self_attn.v_proj.weight", (keys, width)
        yield f"{layer}self_attn.o_proj.weight", (width, queries)
        yield f"{layer}mlp.fc1.weight", (codec.ffn, width)
        yield f"{layer}mlp.fc2.weight", (width, codec.ffn)
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{layer}{norm}.weight", (width,)
            yield f"{layer}{norm}.bias", (width,)
        yield f"{layer}self_attn_layer_scale.scale", (width,)
        yield f"{layer}mlp_layer_scale.scale", (width,)


def _encoder(codec: CodecShape) -> Sized:
    channels, at = codec.filters, 1
    yield from _convolution("encoder.layers.0", (channels, 1, codec.kernel))
    for ratio in reversed(codec.ratios):
        yield from _residual("encoder", at, channels, codec)
        at += codec.residual_layers + 1  # an activation lies between
        yield from _convolution(f"encoder.layers.{at}", (2 * channels, channels, 2 * ratio))
        channels, at = 2 * channels, at + 1
    last = (codec.width, channels, codec.last_kernel)
    yield from _convolution(f"encoder.layers.{at + 1}", last)


def _decoder(codec: CodecShape) -> Sized:
    channels, at = codec.filters * 2 ** len(codec.ratios), 1
    yield from _convolution("decoder.layers.0", (channels, codec.width, codec.kernel))
    for ratio in codec.ratios:
        at, half = at + 1, channels // 2  # past an activation
        yield f"decoder.layers.{at}.conv.weight", (channels, half, 2 * ratio)
        yield f"decoder.layers.{at}.conv.bias", (half,)
        yield from _residual("decoder", at + 1, half, codec)
        channels, at = half, at + 1 + codec.residual_layers
    last = (1, codec.filters, codec.last_kernel)
    yield from _convolution(f"decoder.layers.{at + 1}", last)


def _residual(half: str, at: int, channels: int, codec: CodecShape) -> Sized:
    hidden = channels // codec.compress
    for n in range(codec.residual_layers):
        block = f"{half}.layers.{at + n}.block"
        yield from _convolution(f"{block}.1", (hidden, channels, codec.residual_kernel))
        yield from _convolution(f"{block}.3", (channels, hidden, 1))


def _convolution(prefix: str, size: Size) -> Sized:
    yield f"{prefix}.conv.weight", size
    yield f"{prefix}.conv.bias", size[:1]


def _quantizers(kind: str, layers: int, codec: CodecShape) -> Sized:
    prefix = f"quantizer.{kind}_residual_vector_quantizer."
    inner, outer = codec.codebook_width, codec.width
    for n in range(layers):
        for name, size in _codebook_sizes(codec).items():
            yield f"{prefix}layers.{n}.codebook.{name}", size
    if inner != outer:  # of one width, they are not projected
        yield f"{prefix}input_proj.weight", (inner, outer, 1)
        yield f"{prefix}output_proj.weight", (outer, inner, 1)


def _codebook_sizes(codec: CodecShape) -> dict[str, Size]:
    return {
        "cluster_usage": (codec.codebook_size,),
        "embed_sum": (codec.codebook_size, codec.codebook_width),
    }
