"""A checkpoint's config.json as a Shape."""

from collections.abc import Mapping

from local_engine.csm.shape import CodecShape, Rope, Shape, Stack

Json = Mapping[str, object]


class ConfigError(Exception):
    """A config.json that this engine cannot run, and why."""


def read_shape(config: Json) -> Shape:
    """Read transformers' CsmConfig as a dict; ConfigError names what is missing or unknown."""
    depth = _table(config, "depth_decoder_config")
    return Shape(
        backbone=_stack(config),
        depth=_stack(depth),
        codebooks=_number(config, "num_codebooks"),
        codes=_number(config, "vocab_size"),
        text_vocabulary=_number(config, "text_vocab_size"),
        longest=_number(config, "max_position_embeddings"),
        bos=_number(config, "bos_token_id"),
        eos=_number(config, "eos_token_id", 128_001),
        codec=_codec(_table(config, "codec_config"), _number(config, "num_codebooks")),
        stop_code=_number(config, "codebook_eos_token_id", 0),
    )


def _stack(config: Json) -> Stack:
    width, heads = _number(config, "hidden_size"), _number(config, "num_attention_heads")
    if config.get("attention_bias") or config.get("mlp_bias"):
        raise ConfigError("layers with biases are not CSM's")
    if config.get("hidden_act", "silu") != "silu":
        raise ConfigError(f"hidden_act {config['hidden_act']!r} is not CSM's silu")
    return Stack(
        layers=_number(config, "num_hidden_layers"),
        width=width,
        ffn=_number(config, "intermediate_size"),
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads", heads),
        head_size=_number(config, "head_dim", width // heads),
        norm_epsilon=_real(config, "rms_norm_eps", 1e-5),
        rope=_rope(config, theta=500_000.0),
    )


def _codec(config: Json, codebooks: int) -> CodecShape:
    width, heads = _number(config, "hidden_size", 512), _number(config, "num_attention_heads", 8)
    ratios = config.get("upsampling_ratios") or [8, 6, 5, 4]
    if not isinstance(ratios, list):
        raise ConfigError("upsampling_ratios must be a list")
    return CodecShape(
        codebooks=codebooks,
        codebook_size=_number(config, "codebook_size", 2048),
        codebook_width=_number(config, "codebook_dim", 256),
        semantic=_number(config, "num_semantic_quantizers", 1),
        width=width,
        layers=_number(config, "num_hidden_layers", 8),
        ffn=_number(config, "intermediate_size", 2048),
        heads=heads,
        kv_heads=_number(config, "num_key_value_heads", 8),
        head_size=_number(config, "head_dim", width // heads),
        norm_epsilon=_real(config, "norm_eps", 1e-5),
        rope=_rope(config, theta=10_000.0),
        window=_number(config, "sliding_window", 250),
        filters=_number(config, "num_filters", 64),
        ratios=tuple(int(ratio) for ratio in ratios),
        kernel=_number(config, "kernel_size", 7),
        last_kernel=_number(config, "last_kernel_size", 3),
        residual_kernel=_number(config, "residual_kernel_size", 3),
        residual_layers=_number(config, "num_residual_layers", 1),
        dilation_growth=_number(config, "dilation_growth_rate", 2),
        compress=_number(config, "compress", 2),
        sample_rate=_number(config, "sampling_rate", 24_000),
    )


def _rope(config: Json, theta: float) -> Rope:
    """Read the frequencies; 5.x writes `rope_parameters`, 4.x `rope_scaling` and `rope_theta`."""
    found = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(found, Mapping):
        raise ConfigError("rope_parameters must be a table")
    base = _real(found, "rope_theta", _real(config, "rope_theta", theta))
    kind = found.get("rope_type", "default")
    if kind == "default":
        return Rope(base)
    if kind != "llama3":
        raise ConfigError(f"rope_type {kind!r} is not known; default and llama3 are")
    return Rope(
        base,
        factor=_real(found, "factor", 32.0),
        low=_real(found, "low_freq_factor", 1.0),
        high=_real(found, "high_freq_factor", 4.0),
        original=_number(found, "original_max_position_embeddings", 8192),
    )


def _table(config: Json, name: str) -> Json:
    table = config.get(name)
    if not isinstance(table, Mapping):
        raise ConfigError(f"{name} is missing")
    return table


def _number(config: Json, name: str, absent: int | None = None) -> int:
    value = config.get(name)
    value = absent if value is None else value
    if not isinstance(value, int):
        raise ConfigError(f"{name} must be a whole number, not {value!r}")
    return value


def _real(config: Json, name: str, absent: float) -> float:
    value = config.get(name)
    value = absent if value is None else value
    if not isinstance(value, int | float):
        raise ConfigError(f"{name} must be a number, not {value!r}")
    return float(value)
