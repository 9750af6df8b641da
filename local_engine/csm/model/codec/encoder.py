"""Context audio into codes, through transformers' Mimi: one segment at a time, with a fresh state.

Batched encoding of unequal lengths is not exact there (transformers #43377), so nothing is batched.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from local_engine.csm.loading.names import flat
from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape

_CODEC = "codec_model."


class MimiEncoder:
    """Gives what transformers' `MimiModel.encode` gives, in float32."""

    def __init__(
        self,
        shape: CodecShape,
        tensors: Mapping[str, Tensor],
        codec_config: Mapping[str, object],
        *,
        device: torch.device | str,
    ) -> None:
        """Build the encoder half from a checkpoint's `codec_config` and its tensors.

        CodecError tells which of them are missing, unknown or of the wrong shape.
        """
        # Seconds of import, for whoever does encode.
        from transformers import MimiConfig, MimiModel  # noqa: PLC0415

        self._shape, self._device = shape, torch.device(device)
        # transformers before 5.18 knows no halves, builds both, and finds the tensors of both.
        config = MimiConfig.from_dict({**codec_config, "decoder_config": None})
        model = MimiModel(config)
        _load(model, tensors, device)
        self._model = model

    @torch.no_grad()
    def encode(self, samples: Tensor) -> Tensor:
        """Turn samples float32 [n], padded with silence to whole frames, into int64 [frames, K]."""
        samples = whole_frames(samples.to(self._device), self._shape.frame_samples)
        if not len(samples):
            return torch.empty(0, self._shape.codebooks, dtype=torch.int64, device=samples.device)
        made = self._model.encode(
            samples[None, None], num_quantizers=self._shape.codebooks, return_dict=True
        )
        codes: Tensor = made.audio_codes
        return codes[0].T.contiguous()


def whole_frames(samples: Tensor, frame_samples: int) -> Tensor:
    """Append silence up to a multiple of the frame."""
    return nn.functional.pad(samples, (0, -len(samples) % frame_samples))


def _load(model: nn.Module, tensors: Mapping[str, Tensor], device: torch.device | str) -> None:
    """Fill the model with the tensors that it has names for; those of the decoder may be left."""
    names = {_flat(name, tensor): name for name, tensor in model.state_dict().items()}
    missing = names.keys() - tensors.keys()
    if missing:
        raise CodecError(f"{len(missing)} codec keys are missing, among them {min(missing)}")
    rest = [
        name
        for name in tensors.keys() - names.keys()
        if not name.startswith(("decoder.", "decoder_transformer.", "upsample."))
    ]
    if rest:
        raise CodecError(f"{len(rest)} codec keys are not known, among them {min(rest)}")
    try:
        model.load_state_dict({names[name]: tensors[name] for name in names})
    except RuntimeError as error:
        raise CodecError(f"the codec's tensors do not fit its config: {error}") from error
    model.to(device, torch.float32).eval()


def _flat(name: str, tensor: Tensor) -> str:
    (plain,) = flat({_CODEC + name: tensor})
    return plain.removeprefix(_CODEC)
