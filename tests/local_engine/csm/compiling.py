"""A process that compiles our kernels for an H100, which it need not have: `python compiling.py`.

Triton's interpreter takes more than its compiler does. Prints the name of each that was compiled.
"""

import inspect

import torch
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler import compile as compiled
from triton.runtime.jit import JITFunction

from local_engine.csm.kernels import triton_kernels
from local_engine.csm.model.attention import Cache, Places
from local_engine.csm.model.fp8 import Fp8Matrix
from local_engine.csm.model.rope import RopeTable
from local_engine.csm.model.sampler import Choice

H100 = GPUTarget("cuda", 90, 32)
POINTERS = {
    torch.bfloat16: "*bf16",
    torch.float32: "*fp32",
    torch.int64: "*i64",
    torch.bool: "*i1",
    torch.uint8: "*u8",
}


def compile_only(kernel: JITFunction, *args: object, **given: object) -> None:
    """Stand for JITFunction.run: what would be launched is compiled."""
    options = {name: given.pop(name) for name in ("num_warps", "num_stages") if name in given}
    del given["grid"], given["warmup"]
    bound = inspect.signature(kernel.fn).bind(*args, **given).arguments
    fixed = {name for name, value in kernel.fn.__annotations__.items() if "constexpr" in str(value)}
    signature = {
        name: "constexpr" if name in fixed else type_of(value) for name, value in bound.items()
    }
    constants = {(kernel.arg_names.index(name),): bound[name] for name in fixed}
    made = compiled(ASTSource(kernel, signature, constants), target=H100, options=options)
    if made.asm["cubin"]:
        print(kernel.fn.__name__)


def type_of(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return POINTERS[value.dtype]
    return "fp32" if isinstance(value, float) else "i32"


def launch_all(rows: int) -> None:
    """As the real model has it."""
    kernels = triton_kernels()

    def some(*sizes: int, kind: torch.dtype = torch.bfloat16) -> torch.Tensor:
        return torch.zeros(*sizes, dtype=kind)

    def whole() -> torch.Tensor:
        return some(rows, kind=torch.int64)

    def real() -> torch.Tensor:
        return some(rows, kind=torch.float32)

    narrow = Fp8Matrix(some(1024, 8192).to(torch.float8_e4m3fn), some(1024, kind=torch.float32))
    for batch in (rows, 128):
        kernels.multiply(some(batch, 8192), narrow)
    kernels.add_norm(some(rows, 2048), some(rows, 2048), some(2048), 1e-5)
    kernels.swiglu(some(rows, 2 * 8192))
    cache, places = Cache(some(2, 8, 2048, 64), some(2, 8, 2048, 64)), Places(whole(), whole())
    kernels.store(some(rows, 48 * 64), RopeTable(some(2048, 64), some(2048, 64)), cache, places)
    kernels.attend_slots(some(rows, 32, 64), cache, places, 2048)
    row = some(2, 8, 2048, 68, kind=torch.uint8)
    kept = Cache(row, row.clone())
    kernels.store(some(rows, 48 * 64), RopeTable(some(2048, 64), some(2048, 64)), kept, places)
    kernels.attend_slots(some(rows, 32, 64), kept, places, 2048)
    frame = Cache(some(rows, 2, 32, 128), some(rows, 2, 32, 128))
    angles = RopeTable(some(32, 128), some(32, 128))
    kernels.attend_frame(some(rows, 1, 12 * 128), angles, frame, 3)
    seen = some(rows, 32, 2051, kind=torch.bool)
    choice = Choice(whole(), whole(), real(), whole(), real(), real(), real(), seen)
    kernels.sample(some(rows, 2051), choice, 0, 64)


if __name__ == "__main__":
    JITFunction.run = compile_only
    launch_all(1)
