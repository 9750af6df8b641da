"""How many utterances a device's memory holds, and what is spent on what."""

from dataclasses import dataclass

import torch

from local_engine.csm.shape import Shape

MOST_SLOTS = 512
"""Rows of the largest batch."""

_PREFILL = 2048
"""Positions that are prefilled at once, as EngineSettings.prefill_positions has it."""
_LIBRARIES = 256 * 2**20
"""For what libraries set aside for themselves, and for memory that lies between the pieces."""
_TAILS = 64 * 2**10
"""Of a codec stream besides its keys and values: ends of convolutions, 51 kB in the real one."""


class NotEnoughMemory(Exception):
    """Not even one slot fits; the message says how much is free and how much is needed."""


@dataclass(frozen=True, slots=True)
class Budget:
    """All in bytes. What is free is told after the weights are loaded."""

    free: int
    fixed: int
    """Whatever the number of slots: a prefill's intermediate results, libraries."""
    kv: int
    """Of one slot: keys, values and sampling state."""
    codec: int
    """Of one slot: its stream's state."""
    row: int
    """Of one slot: the intermediate results of its row in a step."""

    @property
    def slot(self) -> int:
        return self.kv + self.codec + self.row

    @property
    def slots(self) -> int:
        return max(0, min(MOST_SLOTS, (self.free - self.fixed) // self.slot))

    @property
    def needed(self) -> int:
        """For a single slot."""
        return self.fixed + self.slot

    def told(self, slots: int) -> str:
        """Say what so many slots take, and how many there is room for."""
        return (
            f"{slots} {'slot' if slots == 1 else 'slots'} of {_mib(self.slot)} "
            f"({_mib(self.kv)} keys and values, {_mib(self.codec)} codec, {_mib(self.row)} work) "
            f"and {_mib(self.fixed)} beside them take {_mib(self.fixed + slots * self.slot)} "
            f"of {_mib(self.free)} free; there is room for {self.slots}"
        )


def plan_slots(shape: Shape, dtype: torch.dtype, free: int, longest: int) -> int:
    """Give the number of slots that fit into so many free bytes, at least 1; NotEnoughMemory."""
    budget = plan_budget(shape, dtype, free, longest)
    if not budget.slots:
        raise NotEnoughMemory(
            f"one slot of {longest} positions needs {_mib(budget.needed)}, {_mib(free)} are free"
        )
    return budget.slots


def plan_budget(shape: Shape, dtype: torch.dtype, free: int, longest: int) -> Budget:
    """Estimate everything beside the weights; keys, values and states are exact."""
    stack, depth, codec = shape.backbone, shape.depth, shape.codec
    layer = 2 * stack.kv_heads * longest * stack.head_size * dtype.itemsize
    frame = 2 * depth.layers * depth.kv_heads * depth.head_size * shape.codebooks
    window = 2 * codec.layers * codec.kv_heads * codec.head_size * (codec.window + 1)
    width = 6 * stack.width + 5 * stack.ffn
    row = width + frame + shape.codebooks * stack.width
    seen = shape.codebooks * shape.codes
    logits = 8 * shape.codes * 4
    waves = 4 * shape.frame_samples * codec.filters * 4
    return Budget(
        free=free,
        fixed=_PREFILL * (width * dtype.itemsize + 4 * stack.heads * longest) + _LIBRARIES,
        kv=stack.layers * layer + seen + stack.width * dtype.itemsize,
        codec=window * 4 + _TAILS,
        row=layer + row * dtype.itemsize + logits + waves + seen,
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
