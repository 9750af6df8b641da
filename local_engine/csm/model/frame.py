"""One frame for every row of a batch: draw its codes, feed them back, and only then commit.

Static buffers, no host sync and no shape that depends on data: one CUDA graph can hold it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from local_engine.csm.model.attention import Cache, Places
from local_engine.csm.model.backbone import embed_frames, step
from local_engine.csm.model.depth import sample_frame
from local_engine.csm.model.network import Network
from local_engine.csm.model.slots import Slots
from local_engine.csm.shape import Shape


@dataclass(frozen=True, slots=True)
class Buffers:
    """What goes into a step and what it makes; `rows` is filled before, the rest by it."""

    rows: Tensor
    """int64 [rows]: slots; padding rows name the trash slot"""
    codes: Tensor
    """int64 [rows, codebooks], reserved ids included"""
    stopped: Tensor
    """bool [rows]: this is the stop frame, or the row was done before"""
    hidden: Tensor
    """[rows, width]: what each slot's hidden shall be"""
    length: Tensor
    """int64 [rows]: likewise"""
    frame: Tensor
    """int64 [rows]: likewise"""
    marks: Tensor
    """int64 [rows, codebooks]: where the codes lie in `seen`, flat; in the trash if stopped"""
    scratch: Cache
    """Keys and values within a frame: [depth.layers, rows, kv_heads, codebooks, head_size]"""

    def first(self, rows: int) -> "Buffers":
        """The same memory for a smaller batch."""
        return Buffers(
            rows=self.rows[:rows],
            codes=self.codes[:rows],
            stopped=self.stopped[:rows],
            hidden=self.hidden[:rows],
            length=self.length[:rows],
            frame=self.frame[:rows],
            marks=self.marks[:rows],
            scratch=Cache(self.scratch.k[:, :rows], self.scratch.v[:, :rows]),
        )


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is fixed when a step is captured."""

    reach: int
    """More than any row's length; the torch reference reads so many positions of each slot."""
    ranks: int
    """See `sampler.sample`."""


def new_buffers(shape: Shape, rows: int, like: Tensor) -> Buffers:
    """For batches of at most so many rows."""
    depth = shape.depth
    kv = (depth.layers, rows, depth.kv_heads, shape.codebooks, depth.head_size)
    whole = torch.zeros(rows, dtype=torch.int64, device=like.device)
    return Buffers(
        rows=whole,
        codes=whole.new_zeros(rows, shape.codebooks),
        stopped=whole > 0,
        hidden=like.new_zeros(rows, shape.backbone.width),
        length=whole.clone(),
        frame=whole.clone(),
        marks=whole.new_zeros(rows, shape.codebooks),
        scratch=Cache(like.new_zeros(kv), like.new_zeros(kv)),
    )


def frame_step(network: Network, slots: Slots, out: Buffers, bounds: Bounds) -> None:
    """Make one frame for `out.rows` and commit it."""
    compute_frame(network, slots, out, bounds)
    commit_frame(slots, out)


def compute_frame(network: Network, slots: Slots, out: Buffers, bounds: Bounds) -> None:
    """Fill `out`; of the slots, only what lies behind their length is touched."""
    rows = out.rows
    hidden, length = slots.hidden[rows], slots.length[rows]
    codes = sample_frame(network, hidden, slots.choice(rows), out.scratch, bounds.ranks)
    is_stop = (codes[:, :-1] == network.shape.stop_code).all(1)
    stopped = is_stop | slots.done[rows]
    x = embed_frames(network, codes)
    advanced = step(network, x, slots, Places(rows, length), bounds.reach)
    out.codes.copy_(codes)
    out.stopped.copy_(stopped)
    out.hidden.copy_(torch.where(stopped[:, None], hidden, advanced))
    out.length.copy_(length + ~stopped)
    out.frame.copy_(slots.frame[rows] + ~stopped)
    spoken = torch.where(stopped, slots.trash, rows)
    per_slot = network.shape.codebooks * network.shape.codes
    out.marks.copy_(spoken[:, None] * per_slot + network.offsets + codes)


def commit_frame(slots: Slots, out: Buffers) -> None:
    """Let the frame count. This asks for no memory, so that it cannot fail half-way.

    A stopped row keeps the state from which it stopped: asked again, it stops again.
    """
    slots.hidden.index_copy_(0, out.rows, out.hidden)
    slots.length.index_copy_(0, out.rows, out.length)
    slots.frame.index_copy_(0, out.rows, out.frame)
    slots.done.index_copy_(0, out.rows, out.stopped)
    slots.seen.view(-1).index_fill_(0, out.marks.flatten(), True)
