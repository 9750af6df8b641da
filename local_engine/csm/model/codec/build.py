"""Which codec a model gets: our own decoder with transformers' encoder, or moshi's for both."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from local_engine.csm.model.codec.decoder import MimiDecoder
from local_engine.csm.model.codec.encoder import MimiEncoder
from local_engine.csm.model.codec.moshi_codec import MoshiDecoder, MoshiEncoder
from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape

_ALWAYS: dict[str, object] = {
    "audio_channels": 1,
    "use_causal_conv": True,
    "pad_mode": "constant",
    "trim_right_ratio": 1.0,
    "use_conv_shortcut": False,
    "hidden_act": "gelu",
    "attention_bias": False,
}
"""What every Mimi has been; both codecs are written for it."""


def build_codec(  # noqa: PLR0913 - what a codec is made of, and how many it is for
    kind: Literal["own", "moshi"],
    shape: CodecShape,
    tensors: Mapping[str, Tensor],
    codec_config: Mapping[str, object],
    *,
    slots: int,
    device: torch.device | str,
) -> tuple[MimiDecoder | MoshiDecoder, MimiEncoder | MoshiEncoder]:
    """Make the decoder for this many slots, and the encoder; CodecError tells why not.

    `tensors` go by the names of transformers' files without `codec_model.`; `codec_config` is the
    table of that name in config.json, of which `shape` was read.
    """
    _refuse_unknown(shape, codec_config)
    if kind == "moshi":
        decoder = MoshiDecoder(shape, tensors, slots=slots, device=device)
        return decoder, MoshiEncoder(shape, tensors, device=device)
    return (
        MimiDecoder(shape, tensors, slots=slots, device=device),
        MimiEncoder(shape, tensors, codec_config, device=device),
    )


def _refuse_unknown(shape: CodecShape, codec_config: Mapping[str, object]) -> None:
    for name, expected in _ALWAYS.items():
        if codec_config.get(name, expected) != expected:
            raise CodecError(f"codec_config.{name} is {codec_config[name]!r}, not {expected!r}")
    if shape.rope.factor != 1:
        raise CodecError("codec_config.rope_parameters are scaled; Mimi's are not")
