"""A checkpoint's config.json as a Shape: transformers' CsmConfig, Sesame's flavours, Mimi's."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from local_engine.csm.loading.errors import ConfigError
from local_engine.csm.loading.fields import Json, number, real, table, whole_numbers
from local_engine.csm.shape import CodecShape, Rope, Shape, Stack

__all__ = ["FLAVOURS", "ConfigError", "Json", "read_codec", "read_sesame", "read_shape"]

BOS, EOS = 128_000, 128_001
"""<|begin_of_text|> and <|end_of_text|> of Llama 3's tokenizer, which CSM speaks."""

# Source: models.py of SesameAILabs/csm, from memory; the frequencies are transformers' rescaled.
_SESAME_ROPE = Rope(theta=500_000.0, factor=32.0, low=1.0, high=4.0, original=8192)
FLAVOURS: Mapping[str, Stack] = {
    "llama-1B": Stack(16, 2048, 8192, 32, 8, 64, 1e-5, _SESAME_ROPE),
    "llama-100M": Stack(4, 1024, 8192, 8, 2, 128, 1e-5, _SESAME_ROPE),
}
_SESAME_LONGEST = 2048

# What the engine's code takes as given, and what every published Mimi says.
_MIMI = {
    "attention_bias": False,
    "audio_channels": 1,
    "hidden_act": "gelu",
    "pad_mode": "constant",
    "trim_right_ratio": 1.0,
    "use_causal_conv": True,
    "use_conv_shortcut": False,
}
_LLAMA = {"attention_bias": False, "hidden_act": "silu", "mlp_bias": False}


def read_shape(config: Json) -> Shape:
    """Read transformers' CsmConfig as a dict; ConfigError names what is missing or unknown."""
    codebooks = number(config, "num_codebooks")
    if config.get("tie_codebooks_embeddings") is False:
        raise ConfigError("tie_codebooks_embeddings must be true: CSM has one table of codes")
    return _checked(
        Shape(
            backbone=_stack(config),
            depth=_depth(config, table(config, "depth_decoder_config")),
            codebooks=codebooks,
            codes=number(config, "vocab_size"),
            text_vocabulary=number(config, "text_vocab_size"),
            longest=number(config, "max_position_embeddings"),
            bos=number(config, "bos_token_id", BOS),
            eos=number(config, "eos_token_id", EOS),
            codec=read_codec(table(config, "codec_config"), codebooks),
            stop_code=number(config, "codebook_eos_token_id", 0),
        )
    )


@dataclass(frozen=True, slots=True)
class Flavoured:
    """Sesame's config.json: it names two flavours and counts codes."""

    backbone: Stack
    depth: Stack
    codebooks: int
    codes: int
    text_vocabulary: int
    bos: int
    eos: int

    def shape(self, codec: CodecShape) -> Shape:
        """Join it with the codec, which Sesame's layout does not bring."""
        return _checked(
            Shape(
                backbone=self.backbone,
                depth=self.depth,
                codebooks=self.codebooks,
                codes=self.codes,
                text_vocabulary=self.text_vocabulary,
                longest=_SESAME_LONGEST,
                bos=self.bos,
                eos=self.eos,
                codec=codec,
            )
        )


def read_sesame(config: Json, flavours: Mapping[str, Stack] = FLAVOURS) -> Flavoured:
    """Read the config.json of SesameAILabs' layout; ConfigError names an unknown flavour."""
    return Flavoured(
        backbone=_flavour(config, "backbone_flavor", flavours),
        depth=_flavour(config, "decoder_flavor", flavours),
        codebooks=number(config, "audio_num_codebooks"),
        codes=number(config, "audio_vocab_size"),
        text_vocabulary=number(config, "text_vocab_size"),
        bos=number(config, "bos_token_id", BOS),
        eos=number(config, "eos_token_id", EOS),
    )


def read_codec(config: Json, codebooks: int) -> CodecShape:
    """Read transformers' MimiConfig; what it leaves out is as in the real Mimi."""
    _demand(config, _MIMI, "Mimi's")
    width, heads = number(config, "hidden_size", 512), number(config, "num_attention_heads", 8)
    codebook_width = number(config, "codebook_dim", 256)
    if number(config, "vector_quantization_hidden_dimension", codebook_width) != codebook_width:
        raise ConfigError("vector_quantization_hidden_dimension must be codebook_dim")
    if number(config, "upsample_groups", width) != width:
        raise ConfigError("upsample_groups must be hidden_size: each channel on its own")
    if (quantizers := number(config, "num_quantizers", 32)) < codebooks:
        raise ConfigError(f"num_quantizers is {quantizers}, but the model has {codebooks}")
    return CodecShape(
        codebooks=codebooks,
        codebook_size=number(config, "codebook_size", 2048),
        codebook_width=codebook_width,
        semantic=number(config, "num_semantic_quantizers", 1),
        width=width,
        layers=number(config, "num_hidden_layers", 8),
        ffn=number(config, "intermediate_size", 2048),
        heads=heads,
        kv_heads=number(config, "num_key_value_heads", heads),
        head_size=number(config, "head_dim", width // heads),
        norm_epsilon=real(config, "norm_eps", 1e-5),
        rope=_rope(config, theta=10_000.0),
        window=number(config, "sliding_window", 250),
        filters=number(config, "num_filters", 64),
        ratios=whole_numbers(config, "upsampling_ratios", (8, 6, 5, 4)),
        kernel=number(config, "kernel_size", 7),
        last_kernel=number(config, "last_kernel_size", 3),
        residual_kernel=number(config, "residual_kernel_size", 3),
        residual_layers=number(config, "num_residual_layers", 1),
        dilation_growth=number(config, "dilation_growth_rate", 2),
        compress=number(config, "compress", 2),
        upsample_stride=_upsample_stride(config),
        sample_rate=number(config, "sampling_rate", 24_000),
    )


def _upsample_stride(config: Json) -> int:
    """By two, unless an old config.json says how many frames a second has."""
    rate = number(config, "sampling_rate", 24_000)
    samples = prod(whole_numbers(config, "upsampling_ratios", (8, 6, 5, 4)))
    frames = real(config, "frame_rate", real(config, "_frame_rate", rate / samples / 2))
    if frames <= 0 or rate / samples / frames < 1:
        raise ConfigError(f"frame_rate {frames} is not possible with these upsampling_ratios")
    return int(rate / samples / frames)


def _stack(config: Json) -> Stack:
    _demand(config, _LLAMA, "CSM's")
    width, heads = number(config, "hidden_size"), number(config, "num_attention_heads")
    kv_heads = number(config, "num_key_value_heads", heads)
    if kv_heads < 1 or heads % kv_heads:
        raise ConfigError(f"num_key_value_heads {kv_heads} does not divide {heads} heads")
    return Stack(
        layers=number(config, "num_hidden_layers"),
        width=width,
        ffn=number(config, "intermediate_size"),
        heads=heads,
        kv_heads=kv_heads,
        head_size=number(config, "head_dim", width // heads),
        norm_epsilon=real(config, "rms_norm_eps", 1e-5),
        rope=_rope(config, theta=500_000.0),
    )


def _depth(config: Json, depth: Json) -> Stack:
    """Read the depth decoder, whose table of codes is the backbone's."""
    shared = {"num_codebooks": "num_codebooks", "vocab_size": "vocab_size"}
    for name, whole in (shared | {"backbone_hidden_size": "hidden_size"}).items():
        if number(depth, name, number(config, whole)) != number(config, whole):
            raise ConfigError(f"depth_decoder_config.{name} is {depth[name]}, not {config[whole]}")
    return _stack(depth)


def _flavour(config: Json, name: str, flavours: Mapping[str, Stack]) -> Stack:
    flavour = config.get(name)
    if not isinstance(flavour, str) or flavour not in flavours:
        raise ConfigError(f"{name} {flavour!r} is not known; {', '.join(flavours)} are")
    return flavours[flavour]


def _rope(config: Json, theta: float) -> Rope:
    """Read the frequencies; 5.x writes `rope_parameters`, 4.x `rope_scaling` and `rope_theta`."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, Mapping):
        raise ConfigError("rope_parameters must be a table")
    plain = real(found, "rope_theta", real(config, "rope_theta", theta))
    kind = found.get("rope_type", "default")
    if kind == "default":
        return Rope(plain)
    if kind != "llama3":
        raise ConfigError(f"rope_type {kind!r} is not known; default and llama3 are")
    return Rope(
        plain,
        factor=real(found, "factor", 32.0),
        low=real(found, "low_freq_factor", 1.0),
        high=real(found, "high_freq_factor", 4.0),
        original=number(found, "original_max_position_embeddings", 8192),
    )


def _checked(shape: Shape) -> Shape:
    codec = shape.codec
    if codec.codebook_size > shape.codes:
        raise ConfigError(f"codebook_size {codec.codebook_size} is more than {shape.codes} codes")
    if not codec.semantic < shape.codebooks:
        raise ConfigError(f"num_codebooks {shape.codebooks} leaves no acoustic codebook")
    if max(shape.bos, shape.eos) >= shape.text_vocabulary:
        raise ConfigError(f"bos_token_id and eos_token_id must be below {shape.text_vocabulary}")
    return shape


def _demand(config: Json, demanded: Json, whose: str) -> None:
    for name, value in demanded.items():
        if config.get(name, value) != value:
            raise ConfigError(f"{name} {config[name]!r} is not {whose} {value!r}")
