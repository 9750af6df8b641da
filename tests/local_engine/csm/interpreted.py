"""Triton's kernels on this machine: on its CUDA device, or else through Triton's interpreter.

The interpreter cuts float32 down to bfloat16 instead of rounding it, so that a bfloat16 result may
be off by one unit for each rounding on its way; float16 it rounds as a device does.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MARKS = [pytest.mark.gpu] if DEVICE.type == "cuda" else []
KINDS = [torch.float32, torch.float16, torch.bfloat16]
"""Of tensors."""

_BOUNDS = {torch.float32: 2e-6, torch.float16: 2**-9, torch.bfloat16: 2**-5}
"""Absolute for values up to 1, relative above: two units of float16, four of bfloat16."""
_GUARD = 64

pytest.importorskip("triton", reason="Triton, which the kernels are written in, is not installed")

if DEVICE.type == "cpu":
    import triton.language
    from triton.runtime import interpreter

    _patch = interpreter._patch_lang_tensor  # noqa: SLF001 - see below

    def _mended(tensor: type, scope: object) -> None:
        """Let loops end at a loaded number: numpy 2.4 takes no array of one for a number."""
        _patch(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    interpreter._patch_lang_tensor = _mended  # noqa: SLF001 - Triton 3.6.0 has no other door

    _convert = interpreter._convert_float  # noqa: SLF001 - as above

    def _rounded(given: object, source: object, target: object, mode: object) -> object:
        """Round to fp8 as a device does: the interpreter forgets to carry into the exponent."""
        if target == triton.language.float8e4nv and source == triton.language.float32:
            wide = torch.from_numpy(given.view("float32"))
            return wide.to(torch.float8_e4m3fn).view(torch.uint8).numpy()
        return _convert(given, source, target, mode)

    interpreter._convert_float = _rounded  # noqa: SLF001 - as above


def lot(seed: int) -> Callable[..., Tensor]:
    """Give what draws normal numbers: sizes in, a tensor on the device out."""
    draw = torch.Generator().manual_seed(seed)

    def drawn(*sizes: int, kind: torch.dtype = torch.float32) -> Tensor:
        return torch.randn(*sizes, generator=draw).to(DEVICE, kind)

    return drawn


def assert_near(made: Tensor, expected: Tensor) -> None:
    bound = _BOUNDS[made.dtype]
    torch.testing.assert_close(made, expected, rtol=bound, atol=bound)


def share_unequal(made: Tensor, expected: Tensor) -> float:
    return float((made != expected).float().mean())


class _Poison(TorchFunctionMode):
    """What is made without values is full of NaN (whole numbers: -1), and lies between NaN."""

    def __init__(self) -> None:
        super().__init__()
        self.fences: list[Tensor] = []

    def __torch_function__(
        self,
        function: Callable[..., Tensor],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: dict[str, object] | None = None,
    ) -> Tensor:
        made = function(*args, **(kwargs or {}))
        if function not in {torch.empty, torch.empty_like, Tensor.new_empty} or not made.numel():
            return made
        wide = torch.full(
            (made.numel() + 2 * _GUARD,),
            torch.nan if made.dtype.is_floating_point else -1,
            dtype=made.dtype,
            device=made.device,
        )
        self.fences += [wide[:_GUARD], wide[-_GUARD:]]
        return wide[_GUARD:-_GUARD].view(made.shape)


@contextmanager
def poisoned() -> Iterator[None]:
    """Whoever leaves an output unwritten gives NaN; whoever writes beyond one fails."""
    with _Poison() as poison:
        yield
    assert poison.fences
    for fence in poison.fences:
        assert fence.isnan().all() if fence.dtype.is_floating_point else (fence == -1).all()
