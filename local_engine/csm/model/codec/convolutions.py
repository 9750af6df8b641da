"""SEANet's decoder and the up-sampling before it, as convolutions that go on where they stopped."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from local_engine.csm.model.codec.tensors import Tensors
from local_engine.csm.shape import CodecShape


class Tails:
    """One call's way through the tails of its rows: taken and left in the order of the layers."""

    def __init__(self, held: Tensor) -> None:
        self._held = held
        self._at = 0
        self._left: list[Tensor] = []

    def take(self, channels: int, length: int) -> Tensor:
        """Give the next tail: [B, channels, length]."""
        start, self._at = self._at, self._at + channels * length
        return self._held[:, start : self._at].view(-1, channels, length)

    def leave(self, tail: Tensor) -> None:
        self._left.append(tail.flatten(1))

    def left(self) -> Tensor:
        """Give what was left, as it was held: [B, floats]."""
        return torch.cat(self._left, dim=1)


@dataclass(frozen=True, slots=True)
class Convolution:
    """Causal, of stride 1: sees its own input and what came before it."""

    weight: Tensor
    """[out, in, kernel]"""
    bias: Tensor
    dilation: int = 1

    @property
    def context(self) -> int:
        return (self.weight.shape[2] - 1) * self.dilation

    @property
    def floats(self) -> int:
        """Of its tail."""
        return self.weight.shape[1] * self.context

    def __call__(self, x: Tensor, tails: Tails) -> Tensor:
        if self.context:
            x = torch.cat([tails.take(x.shape[1], self.context), x], dim=2)
            tails.leave(x[:, :, -self.context :])
        return nn.functional.conv1d(x, self.weight, self.bias, dilation=self.dilation)


@dataclass(frozen=True, slots=True)
class Transposed:
    """Makes `stride` samples of one; what reaches beyond them is added to the next."""

    weight: Tensor
    """[in, out / groups, kernel]"""
    bias: Tensor | None
    stride: int
    groups: int = 1

    @property
    def channels(self) -> int:
        return self.weight.shape[1] * self.groups

    @property
    def overlap(self) -> int:
        return self.weight.shape[2] - self.stride

    @property
    def floats(self) -> int:
        """Of its tail."""
        return self.channels * self.overlap

    def __call__(self, x: Tensor, tails: Tails) -> Tensor:
        y = nn.functional.conv_transpose1d(x, self.weight, stride=self.stride, groups=self.groups)
        y[:, :, : self.overlap] += tails.take(self.channels, self.overlap)
        tails.leave(y[:, :, -self.overlap :])
        y = y[:, :, : -self.overlap]
        return y if self.bias is None else y + self.bias[:, None]


@dataclass(frozen=True, slots=True)
class Residual:
    """Two convolutions beside the way straight through."""

    wide: Convolution
    narrow: Convolution

    @property
    def floats(self) -> int:
        return self.wide.floats + self.narrow.floats

    def __call__(self, x: Tensor, tails: Tails) -> Tensor:
        y = self.wide(nn.functional.elu(x), tails)
        return x + self.narrow(nn.functional.elu(y), tails)


@dataclass(frozen=True, slots=True)
class Seanet:
    """From the transformer's output [B, width, T] to samples [B, 1, T * product of ratios]."""

    first: Convolution
    stages: tuple[tuple[Transposed, tuple[Residual, ...]], ...]
    last: Convolution

    @property
    def floats(self) -> int:
        inner = sum(up.floats + sum(r.floats for r in residuals) for up, residuals in self.stages)
        return self.first.floats + inner + self.last.floats

    def __call__(self, x: Tensor, tails: Tails) -> Tensor:
        x = self.first(x, tails)
        for up, residuals in self.stages:
            x = up(nn.functional.elu(x), tails)
            for residual in residuals:
                x = residual(x, tails)
        return self.last(nn.functional.elu(x), tails)


def upsampling(shape: CodecShape, tensors: Tensors) -> Transposed:
    """Read the step from frames to positions of the transformer; each channel for itself."""
    kernel = 2 * shape.upsample_stride
    weight = tensors.take("upsample.conv.weight", shape.width, 1, kernel)
    return Transposed(weight, None, shape.upsample_stride, groups=shape.width)


def seanet(shape: CodecShape, tensors: Tensors) -> Seanet:
    """Read SEANet. Its layers are numbered in the files with the activations between them."""
    widths = [shape.filters * 2**n for n in range(len(shape.ratios), -1, -1)]
    first = _convolution(tensors, "decoder.layers.0", (widths[0], shape.width, shape.kernel))
    stages, number = [], 2
    for ratio, wide, narrow in zip(shape.ratios, widths, widths[1:], strict=False):
        up = _transposed(tensors, f"decoder.layers.{number}", wide, narrow, ratio)
        residuals = tuple(
            _residual(shape, tensors, f"decoder.layers.{number + 1 + n}", narrow, n)
            for n in range(shape.residual_layers)
        )
        stages.append((up, residuals))
        number += 2 + shape.residual_layers
    last = _convolution(tensors, f"decoder.layers.{number}", (1, widths[-1], shape.last_kernel))
    return Seanet(first, tuple(stages), last)


def _residual(
    shape: CodecShape, tensors: Tensors, name: str, channels: int, number: int
) -> Residual:
    inner, kernel = channels // shape.compress, shape.residual_kernel
    dilation = shape.dilation_growth**number
    return Residual(
        _convolution(tensors, f"{name}.block.1", (inner, channels, kernel), dilation),
        _convolution(tensors, f"{name}.block.3", (channels, inner, 1)),
    )


def _convolution(
    tensors: Tensors, name: str, sizes: tuple[int, int, int], dilation: int = 1
) -> Convolution:
    weight = tensors.take(f"{name}.conv.weight", *sizes)
    return Convolution(weight, tensors.take(f"{name}.conv.bias", sizes[0]), dilation)


def _transposed(tensors: Tensors, name: str, wide: int, out: int, ratio: int) -> Transposed:
    weight = tensors.take(f"{name}.conv.weight", wide, out, 2 * ratio)
    return Transposed(weight, tensors.take(f"{name}.conv.bias", out), ratio)
