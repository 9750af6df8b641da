"""What the device remembers of each utterance between two steps: one row per slot."""

from dataclasses import dataclass

import torch
from torch import Tensor

from local_engine.csm.model.attention import Cache
from local_engine.csm.model.fp8 import SCALE_BYTES
from local_engine.csm.model.sampler import Choice
from local_engine.csm.running import Sampling
from local_engine.csm.shape import Shape


@dataclass(frozen=True, slots=True)
class Slots:
    """Its last row is the trash slot: padding rows of a batch read and write there, and nowhere.

    Whatever comes after a row's length is unspoken: a step that failed may have written there.
    """

    k: Tensor
    """[layers, slots + 1, kv_heads, longest, head_size], turned to their positions; or bytes
    [..., head_size + 4] of fp8: see fp8.pack"""
    v: Tensor
    """as k"""
    length: Tensor
    """int64 [slots + 1]: positions that count; 0 for ever in the trash slot"""
    hidden: Tensor
    """[slots + 1, width]: the backbone's last, normed, from which the next frame is drawn"""
    frame: Tensor
    """int64 [slots + 1]: frames drawn in this clip"""
    seed: Tensor
    """int64 [slots + 1]"""
    temperature: Tensor
    """float32 [slots + 1]; 0 takes the likeliest"""
    top_k: Tensor
    """int64 [slots + 1]; 0 means no limit"""
    top_p: Tensor
    """float32 [slots + 1]"""
    min_p: Tensor
    """float32 [slots + 1]"""
    repetition_penalty: Tensor
    """float32 [slots + 1]"""
    seen: Tensor
    """bool [slots + 1, codebooks, codes]: the codes that this clip already has"""
    done: Tensor
    """bool [slots + 1]: after the stop frame, and before `begin`: such a row does not advance"""

    @property
    def trash(self) -> int:
        return self.length.shape[0] - 1

    def layer(self, number: int) -> Cache:
        return Cache(self.k[number], self.v[number])

    def choice(self, rows: Tensor) -> Choice:
        """Gather how these slots draw their next frame."""
        return Choice(
            seed=self.seed[rows],
            frame=self.frame[rows],
            temperature=self.temperature[rows],
            top_k=self.top_k[rows],
            top_p=self.top_p[rows],
            min_p=self.min_p[rows],
            repetition_penalty=self.repetition_penalty[rows],
            seen=self.seen[rows],
        )

    def begin(self, slot: int, sampling: Sampling) -> None:
        """Forget the clip that was here; its positions stay."""
        self.seed[slot] = signed(sampling.seed)
        self.temperature[slot] = sampling.temperature
        self.top_k[slot] = sampling.top_k
        self.top_p[slot] = sampling.top_p
        self.min_p[slot] = sampling.min_p
        self.repetition_penalty[slot] = sampling.repetition_penalty
        self.frame[slot] = 0
        self.seen[slot] = False
        self.done[slot] = False


def signed(seed: int) -> int:
    """Any seed as 64 bits with a sign."""
    return (seed + 2**63) % 2**64 - 2**63


def kept_bytes(shape: Shape, kind: torch.dtype) -> int:
    """Count the bytes of one position's keys and values in a slot."""
    stack = shape.backbone
    row = stack.head_size + SCALE_BYTES if shape.fp8_kv else stack.head_size * kind.itemsize
    return 2 * stack.layers * stack.kv_heads * row


def empty_slots(shape: Shape, slots: int, longest: int, like: Tensor) -> Slots:
    """So many slots and the trash slot, all done.

    Hidden is of `like`'s type, and so are keys and values that are not kept in fp8.
    """
    rows, stack = slots + 1, shape.backbone
    kv = (stack.layers, rows, stack.kv_heads, longest, stack.head_size)
    kind = like.dtype
    if shape.fp8_kv:
        kv, kind = (*kv[:-1], stack.head_size + SCALE_BYTES), torch.uint8
    whole = torch.zeros(rows, dtype=torch.int64, device=like.device)
    real = torch.zeros(rows, dtype=torch.float32, device=like.device)
    return Slots(
        k=like.new_zeros(kv, dtype=kind),
        v=like.new_zeros(kv, dtype=kind),
        length=whole,
        hidden=like.new_zeros(rows, stack.width),
        frame=whole.clone(),
        seed=whole.clone(),
        temperature=real,
        top_k=whole.clone(),
        top_p=real + 1,
        min_p=real.clone(),
        repetition_penalty=real + 1,
        seen=whole.new_zeros(rows, shape.codebooks, shape.codes, dtype=torch.bool),
        done=whole == 0,
    )
