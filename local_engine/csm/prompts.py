"""Prompts computed: as they come, or laid out in tiles whose graphs are replayed."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from local_engine.csm.graphs import Graphs, Work
from local_engine.csm.model.backbone import prefill
from local_engine.csm.model.network import Network
from local_engine.csm.model.sending import send
from local_engine.csm.model.slots import Slots
from local_engine.csm.model.tile import TileBuffers, compute_tile, new_tile_memory
from local_engine.csm.plan import Plan
from local_engine.csm.running import Prefill
from local_engine.csm.tiles import ROWS, TOKENS, Tile, TileSize, all_sizes, laid_out

KIND = "prompts"
"""Of graphs."""


class Prompts:
    """Computes positions into slots; it commits nothing. Torch's errors are its own."""

    def __init__(self, network: Network, slots: Slots, plan: Plan, graphs: Graphs) -> None:
        self._network = network
        self._slots = slots
        self._plan = plan
        self._graphs = graphs
        like = network.weights.audio_table
        self._device = like.device
        self.memory = None
        if graphs.hold(KIND):
            self.memory = new_tile_memory(network.shape, ROWS[-1], TOKENS[-1], like)

    def compute(self, stretches: Sequence[Prefill]) -> Tensor:
        """Give the hidden of each stretch's end, [stretches, width]."""
        if self.memory is not None:
            return self._in_tiles(stretches)
        apart = [[one] for one in stretches] if self._plan.deterministic else [stretches]
        return torch.cat([prefill(self._network, self._slots, some) for some in apart])

    def sizes(self) -> list[TileSize]:
        """Give every size that tiles may have, the largest first; none where there are none."""
        if self.memory is None:
            return []
        return list(all_sizes(self._plan))

    def find(self, size: TileSize) -> Work:
        """Give what computes a tile of this size from the buffers, captured by now if it can be."""
        tile = self._shaped(size)
        work = partial(compute_tile, self._network, self._slots, tile, size.reach)
        return self._graphs.find(KIND, size, work, partial(self._rest, tile))

    def _in_tiles(self, stretches: Sequence[Prefill]) -> Tensor:
        tiles = laid_out(stretches, self._plan)
        works = [self.find(tile.size) for tile in tiles]
        ends: dict[int, Tensor] = {}
        for tile, work in zip(tiles, works, strict=True):
            hidden = self._fill(tile).hidden
            work()
            made = hidden[: len(tile.chunks)].clone()
            ends |= {chunk.slot: row for chunk, row in zip(tile.chunks, made, strict=True)}
        return torch.stack([ends[stretch.slot] for stretch in stretches])

    def _shaped(self, size: TileSize) -> TileBuffers:
        if self.memory is None:
            raise RuntimeError("there are no tiles where nothing is captured")
        return self.memory.shaped(size.rows, size.tokens, self._network.shape)

    def _fill(self, tile: Tile) -> TileBuffers:
        """Write all of a tile's buffers, so that nothing is left of the one before."""
        buffers = self._shaped(tile.size)
        prompt = np.zeros(buffers.prompt.shape, np.int32)
        numbers = np.zeros((3, tile.size.rows), np.int64)
        numbers[0] = self._slots.trash
        for row, chunk in enumerate(tile.chunks):
            prompt[row, : len(chunk.prompt)] = chunk.prompt
            numbers[:, row] = chunk.slot, chunk.start, len(chunk.prompt)
        buffers.prompt.copy_(send(prompt, self._device))
        buffers.numbers.copy_(send(numbers, self._device))
        return buffers

    def _rest(self, tile: TileBuffers) -> None:
        tile.prompt.zero_()
        tile.numbers.zero_()
        tile.slots.fill_(self._slots.trash)
