"""What the interpreter runs also compiles for an H100, on a machine that has none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = [
    *("_multiply_part", "_add_parts") * 2,
    "_norm_row",
    "_swiglu_block",
    "_store_heads",
    "_attend_part",
    "_join_parts",
    *("_store_heads", "_attend_part", "_join_parts"),
    "_attend_frame",
    "_sample_row",
]


def test_every_kernel_compiles_for_an_h100(tmp_path: Path) -> None:
    pytest.importorskip(
        "triton", reason="Triton, which the kernels are written in, is not installed"
    )
    place = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("compiling.py"))],
        env=place | {"TRITON_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == KERNELS, done.stderr
