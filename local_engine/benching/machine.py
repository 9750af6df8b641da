"""Where the benchmark runs: processor, GPU, versions, commit. What is not there is not told."""

import gc
import os
import platform
import resource
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from local_engine.benching.record import Machine

_PACKAGES = ("torch", "transformers", "triton", "moshi", "numpy")
_GPU = (
    "name",
    "driver_version",
    "memory.total",
    "clocks.sm",
    "clocks.mem",
    "clocks.max.sm",
    "power.draw",
    "power.limit",
    "temperature.gpu",
)
_PATIENCE = 10


def look() -> Machine:
    """Look around, before anything is loaded."""
    return Machine(
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpu=_gpu(),
        packages={"python": platform.python_version(), **_versions()},
        commit=_commit(),
    )


def memory_bytes(device: torch.device) -> int:
    """Give the most memory that was used: of the device on CUDA, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def held_bytes(device: torch.device) -> tuple[int, int]:
    """Give what this process has now: resident, and reserved of the device (0 on a CPU)."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    reserved = torch.cuda.memory_reserved(device) if device.type == "cuda" else 0
    return pages * os.sysconf("SC_PAGE_SIZE"), reserved


def forget_memory(device: torch.device) -> None:
    """Give back what nobody holds, and begin anew with the most that was used, if possible."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _gpu() -> dict[str, str] | None:
    told = _told("nvidia-smi", f"--query-gpu={','.join(_GPU)}", "--format=csv,noheader")
    if not told:
        return None
    return dict(
        zip(_GPU, (field.strip() for field in told.splitlines()[0].split(",")), strict=False)
    )


def _commit() -> str | None:
    folder = str(Path(__file__).parent)
    commit = _told("git", "-C", folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    changed = _told("git", "-C", folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}+" if changed else commit


def _told(program: str, *arguments: str) -> str | None:
    """Give what a program says; None where it is not there or fails."""
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(  # noqa: S603  # two programs, our own words
            (path, *arguments), capture_output=True, text=True, timeout=_PATIENCE, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
