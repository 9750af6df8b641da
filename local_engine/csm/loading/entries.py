"""Tensors that lie in files and are not read yet: their shapes now, their values when asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from local_engine.csm.loading.errors import CheckpointError

Progress = Callable[[str, int, int], None]
"""Told of a stage and how much of it is done, of how much in all; 0 where that is not known."""

CODEC = "codec_model."
"""What the names of the codec's tensors begin with."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a checkpoint."""

    shape: tuple[int, ...]
    read: Callable[[], Tensor]


Entries = Mapping[str, Entry]


def held(tensors: Mapping[str, Tensor]) -> dict[str, Entry]:
    """Tensors in memory, as entries."""
    return {
        name: Entry(tuple(tensor.shape), partial(_same, tensor)) for name, tensor in tensors.items()
    }


def in_files(paths: Sequence[Path]) -> dict[str, Entry]:
    """All tensors of these files; CheckpointError if one is absent, broken or says a name again."""
    entries: dict[str, Entry] = {}
    for path in paths:
        found = _in_pickle(path) if path.suffix in {".pt", ".pth"} else _in_safetensors(path)
        if again := sorted(entries.keys() & found.keys()):
            raise CheckpointError(f"{path}: {again[0]} is in another file too")
        entries |= found
    return entries


class Unread(Mapping[str, Tensor]):
    """Tensors by name, each read when it is taken, and brought to its device and type.

    Those of the codec are float32 always. Progress is told in bytes as they will lie in memory;
    `bytes` are all of them.
    """

    def __init__(
        self, entries: Entries, device: torch.device, dtype: torch.dtype, progress: Progress
    ) -> None:
        self._entries = entries
        self._device = device
        self._dtype = dtype
        self._progress = progress
        self.bytes = sum(self._bytes(name) for name in entries)
        self._done = 0

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._entries[name].read().to(self._device, self._type(name))
        self._done += self._bytes(name)
        self._progress("weights", self._done, self.bytes)
        return tensor

    def __contains__(self, name: object) -> bool:
        return name in self._entries  # Mapping's own would read the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _type(self, name: str) -> torch.dtype:
        return torch.float32 if name.startswith(CODEC) else self._dtype

    def _bytes(self, name: str) -> int:
        shape = self._entries[name].shape
        return int(torch.Size(shape).numel()) * self._type(name).itemsize


def _in_safetensors(path: Path) -> dict[str, Entry]:
    try:
        file = safe_open(path, framework="pt", device="cpu")
        # safetensors' types leave these two out.
        names: list[str] = file.keys()  # type: ignore[no-untyped-call]
        slices = {name: file.get_slice(name) for name in names}  # type: ignore[no-untyped-call]
        return {
            name: Entry(tuple(part.get_shape()), partial(file.get_tensor, name))
            for name, part in slices.items()
        }
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from None


def _in_pickle(path: Path) -> dict[str, Entry]:
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is missing") from None
    except (UnpicklingError, RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is not a plain table of tensors: {reason}") from None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise CheckpointError(f"{path} is not a plain table of tensors")
    return held(tensors)


def _same(tensor: Tensor) -> Tensor:
    return tensor
