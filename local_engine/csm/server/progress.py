"""How far engines are in their start, for who reads stderr: bars on a terminal, lines elsewhere."""

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from local_engine.csm.messages import Loading, Ready

_QUARTER = 25


class StartProgress:
    """Tells each stage, and each quarter of a long one; a bar is redrawn as it goes."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = _bars(self._console) if self._console.is_terminal else None
        self._tasks: dict[str, TaskID] = {}
        self._told: dict[str, tuple[str, int]] = {}

    def loading(self, model: str, loading: Loading) -> None:
        if self._bars is not None:
            self._draw(self._bars, model, loading)
            return
        percent = loading.done * 100 // loading.total if loading.total else 0
        told = (loading.stage, percent // _QUARTER)
        if self._told.get(model) != told:
            self._told[model] = told
            share = f" {percent} %" if loading.total else ""
            self._say(f"{model}: {loading.stage}{share}")

    def ready(self, model: str, ready: Ready) -> None:
        self.stopped(model)
        self._say(
            f"{model}: ready on {ready.device} in {ready.load_seconds:.1f} s, "
            f"{ready.slots} slots of {ready.longest} positions"
        )

    def stopped(self, model: str) -> None:
        """Take the model's bar away; the last one takes the display with it."""
        self._told.pop(model, None)
        task = self._tasks.pop(model, None)
        if self._bars is not None and task is not None:
            self._bars.remove_task(task)
            if not self._tasks:
                self._bars.stop()

    def _draw(self, bars: Progress, model: str, loading: Loading) -> None:
        if not self._tasks:
            bars.start()
        if model not in self._tasks:
            self._tasks[model] = bars.add_task(model)
        bars.update(
            self._tasks[model],
            description=f"{model}: {loading.stage}",
            completed=loading.done,
            total=loading.total or None,
        )

    def _say(self, line: str) -> None:
        if self._bars is not None:
            self._console.print(line, markup=False, highlight=False)
        else:  # no folding to the width of a terminal that is not there
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
