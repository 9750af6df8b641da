"""The Kernels of a CUDA device, written in Triton: each does what its torch reference does."""

from importlib.util import find_spec

from local_engine.csm.model.kernels import Kernels


def has_triton() -> bool:
    """Tell whether they can be had: torch brings Triton along for CUDA, and not for a CPU."""
    return find_spec("triton") is not None


def triton_kernels() -> Kernels:
    """Give them all; ImportError without Triton. They run on the current CUDA device.

    Where TRITON_INTERPRET=1 was set before Triton was imported, they run on a CPU: for tests.
    """
    # Triton is not there on a CPU, and compiles nothing before it is used.
    from local_engine.csm.kernels import (  # noqa: PLC0415
        frame_attention,
        matrix,
        norm,
        sampling,
        slot_attention,
        store,
        swiglu,
    )

    return Kernels(
        norm=norm.norm,
        add_norm=norm.add_norm,
        swiglu=swiglu.swiglu,
        multiply=matrix.multiply,
        store=store.store,
        attend_slots=slot_attention.attend_slots,
        attend_frame=frame_attention.attend_frame,
        sample=sampling.sample,
        reads_lengths=True,
    )
