"""transformers' CSM with the very weights that the engine has, and its generate, timed by frame."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from transformers import (
    CsmConfig,
    CsmForConditionalGeneration,
    LogitsProcessor,
    LogitsProcessorList,
)
from transformers.utils import logging

from local_engine.benching.times import synchronise
from local_engine.csm.loading.entries import CODEC
from local_engine.csm.loading.expected import BACKBONE_TABLE, DEPTH_TABLE
from local_engine.csm.loading.fields import Json
from local_engine.csm.loading.layout import Checkpoint
from local_engine.csm.loading.names import flat

_TEMPERATURE, _TOP_K = 0.9, 50
"""As the engine draws by default."""
_BYTES = 256
_MARKS = 8
"""Ids above the bytes that a tiny model's special tokens take."""


def build(
    config: Json, checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype
) -> CsmForConditionalGeneration:
    """Make the model on its device and fill it with these tensors; its codec stays as it is."""
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # untyped in transformers
    with device, _default(dtype):
        model = CsmForConditionalGeneration(CsmConfig.from_dict({**config, **_marks(checkpoint)}))
    with torch.no_grad():
        for name, tensor in flat(model.state_dict()).items():
            source = DEPTH_TABLE if name == BACKBONE_TABLE else name
            if source in checkpoint.entries and not name.startswith(CODEC):
                tensor.copy_(checkpoint.entries[source].read())
    # Up to 5.17 transformers does not tie the two tables: the same parameter is put in both.
    table = model.depth_decoder.model.embed_tokens.weight
    model.backbone_model.embed_tokens.embed_audio_tokens.weight = table
    model.train(mode=False)
    return model


def _marks(checkpoint: Checkpoint) -> dict[str, int]:
    """Tell the special tokens of a tiny model; the real one's are CsmConfig's defaults."""
    shape = checkpoint.shape
    if shape.text_vocabulary > _BYTES + _MARKS:
        return {}
    return {
        "audio_token_id": _BYTES + 2,
        "pad_token_id": _BYTES + 3,
        "audio_eos_token_id": _BYTES + 4,
        "codebook_pad_token_id": shape.codes - 1,
        "codebook_eos_token_id": shape.stop_code,
    }


class Stamps(LogitsProcessor):
    """Notes when each frame's first logits are there; everything before them is done."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.at: list[float] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        del input_ids
        synchronise(self._device)
        self.at.append(time.perf_counter())
        return scores

    def ms(self, warm: int) -> list[float]:
        """Give the time of each frame, the first ones left out."""
        gaps = pairwise(self.at[warm:])
        return [1000 * (later - sooner) for sooner, later in gaps]


@dataclass(frozen=True, slots=True)
class How:
    """How codes are drawn and where keys and values lie; the same for both parts of the model."""

    sampled: bool = True
    static: bool = False
    """A cache of fixed size, with which transformers compiles by itself on CUDA."""


def generate(
    model: CsmForConditionalGeneration, ids: Tensor, frames: int, how: How
) -> tuple[Tensor, Stamps]:
    """Speak so many frames for each row of text ids; gives codes [rows, frames, codebooks]."""
    stamps = Stamps(ids.device)
    cache = "static" if how.static else None
    made = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=frames,
        logits_processor=LogitsProcessorList([stamps]),
        do_sample=how.sampled,
        temperature=_TEMPERATURE,
        top_k=_TOP_K,
        cache_implementation=cache,
        # generate writes the depth decoder's settings for good: they are told every time.
        depth_decoder_do_sample=how.sampled,
        depth_decoder_temperature=_TEMPERATURE,
        depth_decoder_top_k=_TOP_K,
        depth_decoder_cache_implementation=cache,
    )
    if not isinstance(made, Tensor):
        raise TypeError(f"generate gave {type(made).__name__}, not codes")
    return made, stamps


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
