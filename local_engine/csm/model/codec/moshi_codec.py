"""Kyutai's own Mimi (the package moshi) as the second codec, with the weights of the same files.

Its limits: every call computes all slots, whoever is asked for; past the attention window a frame's
first position sees one key less than the model was made with (its ring holds a window, not a window
and the call's other positions); and a call that raises half-way may leave its rows damaged.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from local_engine.csm.model.codec.encoder import whole_frames
from local_engine.csm.model.codec.moshi_names import moshi_tensors
from local_engine.csm.model.codec.tensors import CodecError
from local_engine.csm.shape import CodecShape

_ALWAYS_EPSILON = 1e-5
"""Of its LayerNorms; moshi has no setting for it."""


class MoshiModel(Protocol):
    """What is used of `moshi.models.MimiModel`."""

    encoder: nn.Module
    decoder: nn.Module
    encoder_transformer: nn.Module | None
    decoder_transformer: nn.Module | None

    def streaming_forever(self, batch_size: int) -> None: ...

    def set_exec_mask(self, exec_mask: Tensor) -> None: ...

    def reset_streaming(self, reset_mask: Tensor | None = None) -> None: ...

    def encode(self, x: Tensor) -> Tensor: ...

    def decode(self, codes: Tensor) -> Tensor: ...


class MoshiDecoder:
    """Frames of codes to frames of samples in one streaming batch of all slots and a trash slot.

    It makes CUDA graphs of its own, so no outer graph may hold it.
    """

    def __init__(
        self,
        shape: CodecShape,
        tensors: Mapping[str, Tensor],
        *,
        slots: int,
        device: torch.device | str,
    ) -> None:
        model = _model(shape, tensors, device)
        model.encoder, model.encoder_transformer = nn.Identity(), None
        model.streaming_forever(slots + 1)
        self._model, self._most = model, shape.codebook_size - 1
        self._codes = torch.zeros(
            slots + 1, shape.codebooks, dtype=torch.int64, device=torch.device(device)
        )

    @torch.no_grad()
    def reset(self, slot: int) -> None:
        """Forget a slot: its next frame is the first of a clip."""
        mask = torch.zeros(len(self._codes), dtype=torch.bool, device=self._codes.device)
        mask[slot] = True
        self._model.reset_streaming(mask)

    @torch.no_grad()
    def decode(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Decode the next frame of these slots, as MimiDecoder does."""
        everyone = self._codes.index_copy(0, rows, codes.clamp(0, self._most))
        asked = torch.zeros(len(everyone), dtype=torch.bool, device=everyone.device)
        with _eagerly():
            self._model.set_exec_mask(asked.index_fill(0, rows, True))
            samples = self._model.decode(everyone[:, :, None])
        return samples[:, 0].index_select(0, rows)


class MoshiEncoder:
    """Segments to codes, one at a time, with a fresh state."""

    def __init__(
        self, shape: CodecShape, tensors: Mapping[str, Tensor], *, device: torch.device | str
    ) -> None:
        model = _model(shape, tensors, device)
        model.decoder, model.decoder_transformer = nn.Identity(), None
        self._model, self._shape, self._device = model, shape, torch.device(device)

    @torch.no_grad()
    def encode(self, samples: Tensor) -> Tensor:
        """Turn samples float32 [n], padded with silence to whole frames, into int64 [frames, K]."""
        samples = whole_frames(samples.to(self._device), self._shape.frame_samples)
        if not len(samples):
            return torch.empty(0, self._shape.codebooks, dtype=torch.int64, device=samples.device)
        with _eagerly():
            codes = self._model.encode(samples[None, None])
        return codes[0].T.contiguous()


def _model(
    shape: CodecShape, tensors: Mapping[str, Tensor], device: torch.device | str
) -> MoshiModel:
    from moshi.models import loaders  # noqa: PLC0415 - optional, and seconds to import

    if shape.head_size * shape.heads != shape.width or shape.norm_epsilon != _ALWAYS_EPSILON:
        raise CodecError("moshi's Mimi has heads that fill its width, and norms of epsilon 1e-5")
    renamed = moshi_tensors(shape, tensors)
    model = loaders.get_mimi(None, _config(shape, renamed), num_codebooks=shape.codebooks)
    try:
        model.load_state_dict(renamed)
    except RuntimeError as error:
        raise CodecError(f"the codec's tensors do not fit its config: {error}") from error
    return model.to(device, torch.float32).eval()


def _config(shape: CodecShape, renamed: Mapping[str, Tensor]) -> dict[str, object]:
    """Describe it as moshi does; a codec may have more codebooks than the model that uses it."""
    width = shape.width
    seanet = {
        "channels": 1,
        "dimension": width,
        "causal": True,
        "n_filters": shape.filters,
        "n_residual_layers": shape.residual_layers,
        "activation": "ELU",
        "compress": shape.compress,
        "dilation_base": shape.dilation_growth,
        "kernel_size": shape.kernel,
        "residual_kernel_size": shape.residual_kernel,
        "last_kernel_size": shape.last_kernel,
        "norm": "none",
        "pad_mode": "constant",
        "ratios": list(shape.ratios),
        "true_skip": True,
    }
    transformer = {
        "d_model": width,
        "num_heads": shape.heads,
        "kv_repeat": shape.heads // shape.kv_heads,
        "num_layers": shape.layers,
        "causal": True,
        "layer_scale": 0.01,
        "context": shape.window,
        "conv_layout": True,
        "max_period": shape.rope.theta,
        "gating": "none",
        "norm": "layer_norm",
        "positional_embedding": "rope",
        "dim_feedforward": shape.ffn,
        "input_dimension": width,
        "output_dimensions": [width],
    }
    quantizer = {
        "dimension": shape.codebook_width,
        "n_q": sum(name.endswith("._codebook.embedding_sum") for name in renamed),
        "n_q_semantic": shape.semantic,
        "bins": shape.codebook_size,
        "input_dimension": width,
        "output_dimension": width,
    }
    return {
        "sample_rate": shape.sample_rate,
        "channels": 1,
        "frame_rate": shape.sample_rate / shape.frame_samples,
        "seanet": seanet,
        "transformer": transformer,
        "quantizer": quantizer,
    }


@contextmanager
def _eagerly() -> Iterator[None]:
    """Keep moshi from compiling its rotations, which needs a compiler and a pool of processes."""
    from moshi.utils.compile import no_compile  # noqa: PLC0415 - as above

    with no_compile():
        yield
