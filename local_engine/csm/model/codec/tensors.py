"""A codec's tensors as its layers take them: each asked for by name, checked for its shape."""

from collections.abc import Mapping

import torch
from torch import Tensor


class CodecError(Exception):
    """A codec that cannot be run, and why: a key missing or too much, a shape, a setting."""


class Tensors:
    """Mimi's tensors by the names of transformers' files, given out on one device as one type."""

    def __init__(
        self, tensors: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
    ) -> None:
        self._tensors = tensors
        self._device, self._dtype = device, dtype
        self._taken: set[str] = set()

    def take(self, name: str, *sizes: int) -> Tensor:
        """Give one tensor, which must have these sizes; CodecError names the one that does not."""
        try:
            tensor = self._tensors[name]
        except KeyError:
            raise CodecError(f"codec_model.{name} is missing") from None
        if tuple(tensor.shape) != sizes:
            raise CodecError(
                f"codec_model.{name} is {tuple(tensor.shape)}, but the config says {sizes}"
            )
        self._taken.add(name)
        return tensor.detach().to(self._device, self._dtype)

    def refuse_rest(self, *prefixes: str) -> None:
        """Raise CodecError when a tensor under one of these prefixes was not asked for."""
        rest = {name for name in self._tensors if name.startswith(prefixes)} - self._taken
        if rest:
            raise CodecError(f"{len(rest)} codec keys are not known, among them {min(rest)}")
