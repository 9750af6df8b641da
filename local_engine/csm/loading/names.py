"""Every layout's key names led back to one: those of transformers' CSM files."""

from collections.abc import Mapping

from torch import Tensor

# transformers 5.18 and later nest the halves of Mimi in memory; files keep the older, flat names.
_NESTED = {
    "codec_model.encoder.encoder_seanet.": "codec_model.encoder.",
    "codec_model.encoder.encoder_transformer.": "codec_model.encoder_transformer.",
    "codec_model.encoder.downsample.": "codec_model.downsample.",
    "codec_model.decoder.decoder_seanet.": "codec_model.decoder.",
    "codec_model.decoder.decoder_transformer.": "codec_model.decoder_transformer.",
    "codec_model.decoder.upsample.": "codec_model.upsample.",
}


def flat(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a model in memory under the names of its file."""
    return {_flat(name): tensor for name, tensor in tensors.items()}


def _flat(name: str) -> str:
    for nested, plain in _NESTED.items():
        if name.startswith(nested):
            return plain + name.removeprefix(nested)
    return name
