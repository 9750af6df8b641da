"""Mimi's decoder for many utterances at once: a frame of codes in, a frame of samples out.

Each slot goes on exactly where it stopped, whoever was decoded in between.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from local_engine.csm.model.codec.convolutions import Tails, seanet, upsampling
from local_engine.csm.model.codec.quantizer import Dequantizer
from local_engine.csm.model.codec.state import Change, DecoderState, commit
from local_engine.csm.model.codec.tensors import Tensors
from local_engine.csm.model.codec.transformer import Transformer
from local_engine.csm.shape import CodecShape


class MimiDecoder:
    """Gives what transformers' `MimiModel.decode` gives for all frames of a slot at once.

    A call reads the state of its rows, computes, and writes at the end: one that raises changes
    nothing. No call waits for the device or looks at a value, so that a CUDA graph can hold it.
    """

    def __init__(  # noqa: PLR0913 - what it is made of, and how it is to run
        self,
        shape: CodecShape,
        tensors: Mapping[str, Tensor],
        *,
        slots: int,
        device: torch.device | str,
        chunk: int = 1,
        dtype: torch.dtype = torch.float32,
        apart: bool | None = None,
    ) -> None:
        """Take Mimi's tensors by the names of transformers' files, without `codec_model.`.

        A call decodes `chunk` frames of a row at most. Rows that are computed `apart`, one after
        the other, have the same bits whoever is beside them; that is the default on a CPU, whose
        matrix products round by the number of rows. CodecError tells which tensor is wrong.
        """
        place = torch.device(device)
        held = Tensors(tensors, place, dtype)
        ahead = chunk * shape.upsample_stride
        self._shape, self._chunk = shape, chunk
        self._apart = place.type == "cpu" if apart is None else apart
        self._dequantize = Dequantizer(shape, held)
        self._upsample = upsampling(shape, held)
        self._transform = Transformer(shape, held, ahead=ahead)
        self._seanet = seanet(shape, held)
        held.refuse_rest("decoder.", "decoder_transformer.", "upsample.")
        floats = self._upsample.floats + self._seanet.floats
        tails = torch.zeros(floats, device=place, dtype=dtype)
        self.state = DecoderState.silent(shape, tails, slots=slots, ahead=ahead)

    def reset(self, slot: int) -> None:
        """Forget a slot: its next frame is the first of a clip."""
        self.state.reset(slot)

    def decode(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Decode the next frame of these slots.

        rows int64 [B], all different but for the trash slot, whose number is `slots`; codes int64
        [B, codebooks]. Gives float32 [B, frame_samples].
        """
        return self.decode_chunk(rows, codes[:, None])

    @torch.no_grad()
    def decode_chunk(self, rows: Tensor, codes: Tensor) -> Tensor:
        """Decode the next n frames of these slots, codes [B, n, codebooks], n up to `chunk`."""
        self._check(rows, codes)
        pieces = [(rows, codes)]
        if self._apart:
            pieces = list(zip(torch.split(rows, 1), torch.split(codes, 1), strict=True))
        made = [self._compute(*piece) for piece in pieces]
        samples = torch.cat([samples for samples, _ in made])
        commit(self.state, [change for _, change in made])
        return samples

    def _check(self, rows: Tensor, codes: Tensor) -> None:
        count, frames, codebooks = codes.shape
        if (count, codebooks) != (len(rows), self._shape.codebooks) or not count:
            raise ValueError(f"codes of {tuple(codes.shape)} for {len(rows)} rows")
        if not 0 < frames <= self._chunk:
            raise ValueError(f"{frames} frames in a call that takes up to {self._chunk}")

    def _compute(self, rows: Tensor, codes: Tensor) -> tuple[Tensor, Change]:
        tails = Tails(self.state.tails.index_select(0, rows))
        positions = self.state.positions.index_select(0, rows)
        latents = self._dequantize(codes).transpose(1, 2)
        x = self._upsample(latents, tails).transpose(1, 2)
        reach = self._transform.reach(rows, positions, x.shape[1])
        x, ring = self._transform(x, rows, self.state.ring, reach)
        samples = self._seanet(x.transpose(1, 2), tails)[:, 0]
        after = positions + x.shape[1]
        return samples, Change(rows, tails.left(), reach.entries, ring, after)
