"""Processor time of a process and all that it started, as Linux' /proc has it."""

import os
from pathlib import Path


def processor_seconds(pid: int) -> float:
    """Add up what it and its descendants have used; those that have ended are left out."""
    ticks = sum(_ticks(each) for each in _family(pid))
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(each for child in children for each in _family(child))]


def _ticks(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The second field, the program's name in brackets, may hold spaces.
    fields = stat.rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
