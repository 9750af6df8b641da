"""The seam for kernels: what a device may do better than torch, each with its torch reference."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from local_engine.csm.model import attention, fp8, layers, sampler
from local_engine.csm.model.attention import Cache, Places
from local_engine.csm.model.fp8 import Matrix
from local_engine.csm.model.rope import RopeTable
from local_engine.csm.model.sampler import Choice


@dataclass(frozen=True, slots=True)
class Kernels:
    """Replace a field to replace the computation; the default's docstring is the contract."""

    norm: Callable[[Tensor, Tensor, float], Tensor] = layers.rms_norm
    add_norm: Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor]] = layers.add_norm
    swiglu: Callable[[Tensor], Tensor] = layers.swiglu
    multiply: Callable[[Tensor, Matrix], Tensor] = fp8.multiply
    store: Callable[[Tensor, RopeTable, Cache, Places], Tensor] = attention.store
    attend_slots: Callable[[Tensor, Cache, Places, int], Tensor] = attention.attend_slots
    attend_frame: Callable[[Tensor, RopeTable, Cache, int], Tensor] = attention.attend_frame
    sample: Callable[[Tensor, Choice, int, int], Tensor] = sampler.sample
    reads_lengths: bool = False
    """Whether attend_slots reads as much of a slot as counts, whatever `reach` it is given."""


TORCH = Kernels()
