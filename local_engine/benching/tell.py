"""The benchmark's tables for a terminal: what was measured, and what was not."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local_engine.benching.record import (
    Baseline,
    Hour,
    Level,
    PartFigures,
    PrefillPoint,
    Result,
    ServerFigures,
    Spread,
    StepPoint,
    Target,
)

Row = Sequence[str]


def tell(result: Result, console: Console) -> None:
    """Print everything that was found."""
    _head(result, console)
    _table(console, "steps, ms per frame", _STEPS, map(_step, result.steps))
    parts = [(point, part) for point in result.steps for part in point.parts]
    _table(console, "parts of a step, called alone", _PARTS, (_part(*each) for each in parts))
    _table(console, "prompts, ms", _PREFILL, map(_prefill, result.prefill))
    _table(console, "CUDA graphs", _CAPTURES, _captures(result))
    if result.parity is not None:
        _line(console, "greedy codes, float32, against transformers", _parity(result))
    _table(console, "transformers beside it, codec not run", _BASE, map(_base, result.baseline))
    if result.server is not None:
        _server(result.server, console)
    if result.hour is not None:
        _line(console, "memory", _hour(result.hour))
    _table(
        console, "targets, of one H100 and the real shape", _TARGETS, map(_target, result.targets)
    )
    dropped = ([each.what, each.why] for each in result.dropped)
    _table(console, "not measured", ("what", "why"), dropped)
    spent = f"{result.seconds:.1f} s of {result.budget_seconds:g} s"
    _line(console, "took", spent)


def _head(result: Result, console: Console) -> None:
    machine, model = result.machine, result.model
    _line(console, "processor", f"{machine.cpu}, {machine.cores} cores")
    gpu = machine.gpu or {"": "none"}
    _line(console, "GPU", ", ".join(f"{name} {value}".strip() for name, value in gpu.items()))
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    _line(console, "versions", f"{packages}; commit {machine.commit or 'not known'}")
    if model is not None:
        threads = f"{model.threads} CPU thread{'s' if model.threads > 1 else ''}"
        about = f"{model.name}, {model.parameters / 1e6:,.1f} M parameters, {model.weights}"
        _line(
            console,
            "model",
            f"{about}; {model.dtype} on {model.device}, codec {model.codec}, {threads}",
        )
        drawn = f"drawn in {model.draw_seconds:.2f} s, then {_mib(model.memory_bytes)} in use"
        _line(console, "weights", drawn)


_STEPS = (
    "form",
    "batch",
    "context",
    "mean",
    "p50",
    "p99",
    "floor ms",
    "audio s/s",
    "RTF",
    "memory",
)


def _step(point: StepPoint) -> Row:
    return (
        point.form,
        str(point.batch),
        str(point.context),
        *_three(point.step),
        "" if point.floor_ms is None else _ms(point.floor_ms),
        f"{point.audio_seconds_per_second:,.1f}",
        f"{point.real_time_factor:.3f}",
        _mib(point.memory_bytes),
    )


_PARTS = ("form", "batch", "context", "part", "mean", "p50", "p99", "GB/s", "TFLOP/s", "floor ms")


def _part(point: StepPoint, part: PartFigures) -> Row:
    return (
        point.form,
        str(point.batch),
        str(point.context),
        part.part,
        *_three(part.ms),
        f"{part.gigabytes_per_second:,.2f}",
        f"{part.teraflop_per_second:,.4f}",
        "" if part.floor_ms is None else f"{part.floor_ms:.2f}",
    )


_PREFILL = ("form", "positions", "prompts", "mean", "p50", "p99", "restored in")


def _prefill(point: PrefillPoint) -> Row:
    restored = "" if point.restore is None else f"{point.restore.p50:.2f}"
    return (
        point.form,
        str(point.positions),
        str(point.at_once),
        *_three(point.prefill),
        restored,
    )


_CAPTURES = ("what", "part", "graphs", "seconds", "memory")


def _captures(result: Result) -> Iterable[Row]:
    points = [(f"steps, batch {p.batch} at {p.context}", p.captures) for p in result.steps]
    points += [(f"{p.at_once} prompts of {p.positions}", p.captures) for p in result.prefill]
    return (
        (what, kind, str(cost.graphs), f"{cost.seconds:.2f}", _mib(cost.bytes))
        for what, captures in points
        for kind, cost in (captures or {}).items()
        if cost.graphs
    )


_BASE = ("form", "batch", "positions", "mean", "p50", "p99", "audio s/s", "engine to this")


def _base(baseline: Baseline) -> Row:
    return (
        baseline.form,
        str(baseline.batch),
        str(baseline.positions),
        *_three(baseline.ms),
        f"{baseline.audio_seconds_per_second:,.1f}",
        "" if baseline.ratio is None else f"{baseline.ratio:.1f}",
    )


_LEVELS = (
    "clients",
    "clips",
    "failed",
    "first audio p50",
    "p95",
    "p99",
    "gap p99",
    "under-runs",
    "unbroken",
    "audio s/s",
    "CPU %",
)


def _server(figures: ServerFigures, console: Console) -> None:
    _line(console, "server", f"ready after {figures.start_seconds:.1f} s")
    title = f"server over HTTP, clips of {figures.frames} frames, ms"
    _table(console, title, _LEVELS, map(_level, figures.levels))
    if figures.cancel is not None:
        names = zip(("mean", "p50", "p99"), _three(figures.cancel), strict=True)
        told = ", ".join(f"{name} {value}" for name, value in names)
        about = f"{figures.cancel.samples} times, of {figures.cancel_streams} streams"
        _line(console, "cancel, ms", f"{told} ({about})")


def _level(level: Level) -> Row:
    first, gap = level.first_audio, level.gap
    waits = ["", "", ""] if first is None else [_ms(first.p50), _ms(first.p95), _ms(first.p99)]
    return (
        str(level.clients),
        str(level.clips),
        str(level.failed),
        *waits,
        "" if gap is None else _ms(gap.p99),
        str(level.under_runs),
        f"{level.unbroken_share:.1%}",
        f"{level.audio_seconds_per_second:,.1f}",
        f"{level.cpu_percent:.0f}",
    )


def _hour(hour: Hour) -> str:
    about = f"{hour.frames:,} frames of {hour.clips:,} clips on {hour.rows} rows"
    grown = f"{hour.growth / 2**20:+.1f} MiB from the second tenth to the last"
    return f"{grown} ({about}, {hour.form}, {hour.seconds:.1f} s)"


_TARGETS = ("what", "limit", "found", "verdict")


def _target(target: Target) -> Row:
    found = "" if target.found is None else f"{target.found:.3g}"
    return (target.what, target.limit, found, target.verdict)


def _parity(result: Result) -> str:
    parity = result.parity
    if parity is None:
        return "not compared"
    about = f"{parity.prompts} prompts of {parity.frames} frames on {parity.device}"
    return f"{'equal' if parity.equal else f'differ at {parity.first_difference}'} ({about})"


def _table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(
            column,
            justify="left" if column in {"form", "part", "what", "why", "verdict"} else "right",
        )
    for row in rows:
        table.add_row(*map(escape, row))
    if table.row_count:
        console.print(table)


def _line(console: Console, name: str, value: str) -> None:
    console.print(f"[bold]{escape(name)}[/bold]: {escape(value)}", highlight=False)


def _three(spread: Spread) -> Row:
    return (_ms(spread.mean), _ms(spread.p50), _ms(spread.p99))


def _ms(value: float) -> str:
    return f"{value:.2f}"


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
